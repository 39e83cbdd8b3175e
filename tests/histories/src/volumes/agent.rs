//! One process of the agent: the controllers of its node, its volumes and its status, in virtual
//! time. They make all decisions.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use firecamp_controllers::Controller;
use firecamp_controllers::node::{self, NodeController, Tick};
use firecamp_controllers::publish::{PublishController, PublishEvent, PublishTick, Step};
use firecamp_controllers::volumes::{Event, VolumesController};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::ids::NodeName;
use firecamp_core::time::Moment;
use firecamp_node::volumes::{Recheck, Table};
use firecamp_testkit::sim::SimStatusWriter;

use crate::seed::{Purpose, SeededRng};
use crate::volumes::outside::{CurrentSecond, Outside, fraction};
use crate::volumes::scenario::{Fault, Ix, Scenario, Source};
use crate::volumes::simulated_node::{Changed, Names, SimulatedNode};

/// What happened within a second.
#[derive(Debug, Default)]
pub struct TickReport {
    /// The table, if the node was observed.
    pub table: Option<Table>,
    /// Set if EC2 was queried for volumes: for what need.
    pub cloud: Option<Recheck>,
    /// Kubernetes was queried.
    pub cluster: bool,
    /// Publisher steps, and whether each succeeded.
    pub steps: Vec<(Step, bool)>,
    /// Faults that fired.
    pub fired: Vec<Fault>,
    /// Only one of devices and mounts could be read: 0 the devices, 1 the mounts.
    pub half: Option<usize>,
    /// A new process resumes from the published status.
    pub resumed: bool,
}

/// The environment of the agent.
#[derive(Debug, Clone, Copy)]
pub struct Environment<'a> {
    /// The history.
    pub scenario: &'a Scenario,
    /// The ground truth.
    pub node: &'a SimulatedNode,
    /// The names.
    pub names: &'a Names,
    /// The API.
    pub status_writer: &'a SimStatusWriter,
    /// Sources that are unavailable.
    pub away: &'a [Source],
    /// No more injected faults.
    pub healing: bool,
}

impl Environment<'_> {
    /// Whether a source is unavailable.
    pub fn is_away(&self, side: Source) -> bool {
        self.away.contains(&side)
    }
}

/// One process of the agent.
#[derive(Debug)]
pub struct Agent {
    began: u64,
    node: NodeController,
    volumes: VolumesController,
    publisher: PublishController,
    outside: Outside,
}

impl Agent {
    /// The process of this number, which starts at this second.
    pub fn new(seed: u64, process: u64, second: u64) -> Self {
        let name: NodeName = "node-1".parse().expect("a name");
        let cluster = "prod".parse().expect("a name");
        let mut rng = SeededRng::new(seed, Purpose::Volumes, 2 + process);
        let random = fraction(&mut rng);
        Self {
            began: second,
            node: NodeController::new(name.clone(), cluster, EniRule::Auto, None, random),
            volumes: VolumesController::new(true),
            publisher: PublishController::new(name.clone()),
            outside: Outside::new(name, rng),
        }
    }

    /// The volumes of the devices that were read last.
    pub fn devices(&self) -> &BTreeMap<String, Ix> {
        &self.outside.devices
    }

    /// One second passes.
    pub fn tick(&mut self, second: u64, changed: Changed, env: &Environment<'_>) -> TickReport {
        let now = Moment(Duration::from_secs(second - self.began));
        let mut at = CurrentSecond { second, env, report: TickReport::default() };
        if changed.reported && !self.outside.fires(Fault::NoticeLost, &mut at) {
            self.outside.moved = true;
        }
        self.maintain(now, &mut at);
        self.observe(now, &mut at);
        self.publish(now, &mut at);
        at.report
    }

    /// The node's controller: it queries EC2.
    fn maintain(&mut self, now: Moment, at: &mut CurrentSecond<'_>) {
        let Self { node, outside, .. } = self;
        let mut events: Vec<_> = outside.answer(at.second).into_iter().collect();
        if is_due(node, now) {
            let (random, volumes) = (fraction(&mut outside.rng), outside.volumes.recheck);
            events.push(node::Event::Tick(Tick { random, volumes, offered_volumes: None }));
        }
        handle(node, events, now, |effect| outside.maintain(effect, at));
    }

    fn observe(&mut self, now: Moment, at: &mut CurrentSecond<'_>) {
        let Self { volumes, outside, .. } = self;
        let change = outside.change(at.second);
        handle(volumes, change, now, |effect| outside.observe(effect, at));
        let tick = is_due(volumes, now).then(|| Event::Tick(outside.published.clone()));
        handle(volumes, tick, now, |effect| outside.observe(effect, at));
    }

    fn publish(&mut self, now: Moment, at: &mut CurrentSecond<'_>) {
        let Self { publisher, outside, .. } = self;
        let tick = is_due(publisher, now).then(|| {
            let (reports, timestamp) = (std::mem::take(&mut outside.reports), wall(at.second));
            PublishEvent::Tick(Box::new(PublishTick { reports, timestamp }))
        });
        handle(publisher, tick, now, |effect| outside.publish(effect, at));
    }
}

fn is_due(controller: &impl Controller, now: Moment) -> bool {
    controller.next_tick().is_some_and(|due| due <= now)
}

/// Passes events to a controller, and those to which its effects lead.
fn handle<C: Controller>(
    controller: &mut C,
    events: impl IntoIterator<Item = C::Event>,
    now: Moment,
    mut perform: impl FnMut(C::Effect) -> Option<C::Event>,
) {
    let mut open: VecDeque<_> = events.into_iter().collect();
    while let Some(event) = open.pop_front() {
        for effect in controller.handle(event, now) {
            open.extend(perform(effect));
        }
    }
}

fn wall(second: u64) -> String {
    let (hours, minutes, seconds) = (second / 3600 % 24, second / 60 % 60, second % 60);
    format!("2026-11-20T{hours:02}:{minutes:02}:{seconds:02}Z")
}
