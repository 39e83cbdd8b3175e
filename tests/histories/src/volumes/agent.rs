//! The volume part of the agent: the product's tracker, pace, budget and publisher, stepped in
//! virtual time. It makes no decisions of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::seed::{Purpose, SeededRng};
use firecamp_controllers::publish::{Facts, Publisher, Step, table};
use firecamp_core::agent::{Budget, Ec2Query, Want};
use firecamp_core::contract::timing;
use firecamp_core::ids::NodeName;
use firecamp_core::time::Moment;
use firecamp_node::volumes::intervals::{
    EARLIER_WITHIN, NODE_EVERY, NODE_PAUSE, Pace, wants_cloud,
};
use firecamp_node::volumes::observation::{CloudView, Observation};
use firecamp_node::volumes::path::KUBELET;
use firecamp_node::volumes::{Table, Tracker, VolumesKind};
use firecamp_testkit::sim::SimStatusWriter;

use crate::volumes::recorder::Recorder;
use crate::volumes::scenario::{Fault, Ix, Scenario, Source};
use crate::volumes::simulated_node::{Changed, Names, SimulatedNode, State};
use crate::volumes::status_writer::{How, Shaky};
use crate::volumes::views::Kernel;

/// The most steps in one iteration of the publisher, as in the agent.
const STEPS: u32 = 64;
/// After a change the publisher is polled every second for this many seconds.
const ACTIVE: u64 = 14;

/// What happened within a second.
#[derive(Debug, Default)]
pub struct TickReport {
    /// The table, if the node was observed.
    pub table: Option<Table>,
    /// Set if EC2 was queried for volumes: whether there was a suspicion.
    pub cloud: Option<bool>,
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
    fn is_away(&self, side: Source) -> bool {
        self.away.contains(&side)
    }
}

/// An answer of EC2 in flight.
#[derive(Debug)]
struct Answer {
    at: u64,
    query: Ec2Query,
    view: Option<CloudView>,
}

/// One process of the agent.
#[derive(Debug)]
pub struct Agent {
    node: NodeName,
    began: u64,
    tracker: Option<Tracker>,
    pace: Pace,
    budget: Budget,
    interfaces_fail: bool,
    asking: Option<Answer>,
    cloud: Option<CloudView>,
    publisher: Publisher,
    facts: Facts,
    next_observation: u64,
    active_until: u64,
    /// The facts have changed since the publisher took them.
    changed: bool,
    rng: SeededRng,
    /// The recording of this process.
    pub recorder: Recorder,
    /// The volumes of the devices that were read last.
    pub devices: BTreeMap<String, Ix>,
}

impl Agent {
    /// A process that starts at this second.
    pub fn new(seed: u64, mut recorder: Recorder, second: u64, names: &Names) -> Self {
        let mut rng = SeededRng::new(seed, Purpose::Volumes, 2 + recorder.process);
        let due = Moment(rng.part(timing::EC2_PERIOD));
        recorder.asked("budget.new", &due, &());
        let node: NodeName = "node-1".parse().expect("a name");
        let facts = Facts {
            instance: Some(names.instance.clone()),
            zone: Some(names.zone.clone()),
            addresses: Some(Vec::new()),
            ..Facts::new(node.clone())
        };
        recorder.asked("publisher.new", &node, &());
        Self {
            began: second,
            tracker: None,
            pace: Pace::default(),
            budget: Budget::new(due),
            interfaces_fail: false,
            asking: None,
            cloud: None,
            publisher: Publisher::new(node.clone()),
            facts,
            next_observation: second,
            active_until: second + ACTIVE,
            changed: true,
            rng,
            recorder,
            devices: BTreeMap::new(),
            node,
        }
    }

    fn now(&self, second: u64) -> Moment {
        Moment(Duration::from_secs(second - self.began))
    }

    fn fires(&mut self, fault: Fault, env: &Environment<'_>, tick_report: &mut TickReport) -> bool {
        let rate = if env.healing { 0 } else { env.scenario.rate(fault) };
        let fires = self.rng.at_rate(rate);
        if fires {
            tick_report.fired.push(fault);
        }
        fires
    }

    /// One second passes.
    pub fn tick(&mut self, second: u64, changed: Changed, env: &Environment<'_>) -> TickReport {
        let mut tick_report = TickReport::default();
        if changed.reported && !self.fires(Fault::NoticeLost, env, &mut tick_report) {
            self.pace.moved();
            self.recorder.asked("pace.moved", &(), &());
            self.next_observation = self.next_observation.min(second + NODE_PAUSE.as_secs());
        }
        self.begin(second, &mut tick_report);
        self.receive_ec2(second);
        if second.is_multiple_of(5) {
            self.query_ec2(second, env, &mut tick_report);
        }
        if second >= self.next_observation && self.tracker.is_some() {
            self.observe_node(second, env, &mut tick_report);
            self.next_observation = second + NODE_EVERY.as_secs();
        }
        if tick_report.table.is_some() || second <= self.active_until {
            self.publish(second, env, &mut tick_report);
        }
        tick_report
    }

    /// Resumes from the published status, once it has been read.
    fn begin(&mut self, second: u64, tick_report: &mut TickReport) {
        if self.tracker.is_some() {
            return;
        }
        if let Some(published) = self.publisher.published() {
            let table = table(&published.volumes);
            self.recorder.function("publish.table", &published.volumes, &table);
            self.recorder.asks("tracker.resume", &(KUBELET, &table));
            let tracker = Tracker::resume(KUBELET, &table);
            self.recorder.shows(&tracker, None, self.now(second));
            self.tracker = Some(tracker);
            tick_report.resumed = true;
        } else if self.now(second).0 >= EARLIER_WITHIN {
            self.recorder.asks("tracker.new", &(KUBELET,));
            let tracker = Tracker::new(KUBELET);
            self.recorder.shows(&tracker, None, self.now(second));
            self.tracker = Some(tracker);
        } else {
            self.active_until = second + ACTIVE;
        }
    }

    fn receive_ec2(&mut self, second: u64) {
        let Some(answer) = self.asking.take_if(|answer| answer.at <= second) else { return };
        self.budget.ended(answer.view.is_some());
        self.recorder.asked("budget.ended", &answer.view.is_some(), &());
        match answer.query {
            Ec2Query::Volumes => self.cloud = answer.view.or(self.cloud.take()),
            Ec2Query::Interfaces => self.interfaces_fail = answer.view.is_none(),
            Ec2Query::InstanceType => {}
        }
    }

    fn suspects(&self) -> bool {
        self.tracker.as_ref().is_some_and(Tracker::is_pending)
    }

    fn query_ec2(&mut self, second: u64, env: &Environment<'_>, tick_report: &mut TickReport) {
        if self.asking.is_some() {
            return;
        }
        let (now, suspects) = (self.now(second), self.suspects());
        let mut wanted = BTreeMap::from([(Ec2Query::Interfaces, Want::Steady)]);
        if !self.interfaces_fail {
            let since = self.budget.last_started(Ec2Query::Volumes).map(|at| now.since(at));
            let want = wants_cloud(since, now.0, suspects);
            self.recorder.function("pace.wants_cloud", &(since, now.0, suspects), &want);
            wanted.extend(want.map(|want| (Ec2Query::Volumes, want)));
        }
        let jitter = self.rng.millis(3_000, 15_000);
        let query = self.budget.grant(&wanted, now, jitter);
        let last_started =
            [Ec2Query::Interfaces, Ec2Query::Volumes].map(|kind| self.budget.last_started(kind));
        self.recorder.asked("budget.grant", &(wanted, now, jitter), &(query, last_started));
        let Some(query) = query else { return };
        let fails = self.fires(Fault::CloudFails, env, tick_report)
            | self.fires(Fault::CloudThrottled, env, tick_report)
            | env.is_away(Source::Cloud);
        let stale = self.fires(Fault::CloudStale, env, tick_report);
        let behind = if stale { self.rng.below(30) } else { 0 };
        let late = self.fires(Fault::CloudLate, env, tick_report);
        let at = second + if late { 1 + self.rng.below(10) } else { 0 };
        let lacked = self.tracker.as_ref().map(|t| t.lacked().iter().cloned().collect());
        let lacked: Vec<_> = lacked.unwrap_or_default();
        let shown = env.node.at(second.saturating_sub(behind));
        let view = (!fails).then(|| shown.cloud(env.names, at, &lacked));
        if query == Ec2Query::Volumes {
            tick_report.cloud = Some(suspects);
        }
        self.asking = Some(Answer { at, query, view });
        self.receive_ec2(second);
    }

    fn observe_node(&mut self, second: u64, env: &Environment<'_>, tick_report: &mut TickReport) {
        let kernel = self.kernel(env, tick_report);
        let node = self.recorder.observe(&kernel, KUBELET);
        tick_report.half = match (node.devices.is_some(), node.mounts.is_some()) {
            (true, false) => Some(0),
            (false, true) => Some(1),
            (true, true) | (false, false) => None,
        };
        if node.devices.is_some() {
            self.devices = read(&env.node.now);
        }
        let cloud = self.cloud.take();
        let (now, suspects) = (self.now(second), self.suspects());
        let mut cluster = None;
        let asks = self.pace.asks_cluster(now, suspects, cloud.is_some());
        self.recorder.asked("pace.asks_cluster", &(now, suspects, cloud.is_some()), &asks);
        if asks {
            tick_report.cluster = true;
            let fails = self.fires(Fault::ClusterFails, env, tick_report);
            let torn = self.fires(Fault::ClusterTorn, env, tick_report);
            let lag = if torn { self.rng.below(20) } else { 0 };
            let well = !fails && !env.is_away(Source::Api);
            self.pace.answered(well);
            self.recorder.asked("pace.answered", &well, &());
            if well {
                let earlier = env.node.at(second.saturating_sub(lag));
                cluster = Some(env.node.now.cluster(env.names, earlier));
            }
        }
        let Some(tracker) = &mut self.tracker else { return };
        let seen = Observation { cloud, node, cluster };
        self.recorder.asks("tracker.step", &(now, &seen));
        let table = tracker.step(now, seen);
        self.recorder.shows(tracker, Some(&table), now);
        let pods = tracker.pods().map(<[_]>::to_vec);
        if self.facts.volumes.as_ref() != Some(&table) || self.facts.pods != pods {
            (self.active_until, self.changed) = (second + ACTIVE, true);
        }
        self.facts.pods = pods;
        self.facts.volumes = Some(table.clone());
        tick_report.table = Some(table);
    }

    fn kernel<'o>(&mut self, env: &Environment<'o>, tick_report: &mut TickReport) -> Kernel<'o> {
        let hangs = [VolumesKind::NotResponding, VolumesKind::Refused];
        let mut fails = |fault, side| {
            let fails = self.fires(fault, env, tick_report) || env.is_away(side);
            fails.then(|| hangs[usize::from(self.rng.once_in(2))])
        };
        let devices = fails(Fault::DevicesFail, Source::Devices);
        let mounts = fails(Fault::MountsFail, Source::Mounts);
        let refuses = self.fires(Fault::SpaceFails, env, tick_report);
        let refusing = if refuses { self.rng.bits() } else { 0 };
        let noise = self.rng.below(400);
        let (state, names) = (&env.node.now, env.names);
        Kernel { state, names, devices, mounts, refusing, noise }
    }

    fn publish(&mut self, second: u64, env: &Environment<'_>, tick_report: &mut TickReport) {
        let now = self.now(second);
        if std::mem::take(&mut self.changed) || self.publisher.is_due(now) {
            self.recorder.asks("publisher.take", &(&self.facts, now, wall(second)));
            self.publisher.take(self.facts.clone(), now, &wall(second));
            self.recorder.holds(&self.publisher, now);
        }
        for _ in 0..STEPS {
            let step = self.publisher.next(now);
            self.recorder.asked("publisher.next", &now, &step);
            let Some(step) = step else { return };
            let how = self.how(env, tick_report);
            let status_writer = Shaky { status_writer: env.status_writer, how };
            let done = self.recorder.carry_out(&status_writer, &self.node, &step);
            let well = done.is_ok();
            if !well || matches!(step, Step::Get) {
                self.active_until = self.active_until.max(second + ACTIVE);
            }
            let rng = u32::try_from(self.rng.below(65_536)).unwrap_or_default();
            self.recorder.asks("publisher.done", &(&done, now, rng));
            self.publisher.done(&step, done, (now, rng));
            self.recorder.holds(&self.publisher, now);
            tick_report.steps.push((step, well));
        }
    }

    fn how(&mut self, env: &Environment<'_>, tick_report: &mut TickReport) -> How {
        if env.is_away(Source::Api) {
            return How::Fails;
        }
        let ways = [
            (Fault::StatusWriterFails, How::Fails),
            (Fault::StatusWriterLost, How::Lost),
            (Fault::StatusWriterConflicts, How::Conflicts),
            (Fault::StatusWriterRefuses, How::Refused),
        ];
        let found = ways.into_iter().find(|(fault, _)| self.fires(*fault, env, tick_report));
        found.map_or(How::Well, |(_, how)| how)
    }

    /// The next step that it would perform.
    pub fn next(&self, second: u64) -> Option<Step> {
        self.publisher.next(self.now(second))
    }
}

fn read(state: &State) -> BTreeMap<String, Ix> {
    let shown = state.volumes.iter().filter(|volume| volume.visible_slot().is_some());
    shown.filter_map(|volume| Some((state.device_name(volume)?, volume.ix))).collect()
}

fn wall(second: u64) -> String {
    let (hours, minutes, seconds) = (second / 3600 % 24, second / 60 % 60, second % 60);
    format!("2026-11-20T{hours:02}:{minutes:02}:{seconds:02}Z")
}
