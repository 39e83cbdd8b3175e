//! The agent, as far as it is about volumes: the product's tracker, pace, budget and publisher,
//! stepped in virtual time. It decides nothing by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::seed::{Chance, Purpose};
use firecamp_controllers::publish::{Facts, Publisher, Step, table};
use firecamp_core::agent::{Budget, Ec2Look, Want};
use firecamp_core::contract::timing;
use firecamp_core::ids::NodeName;
use firecamp_core::time::Moment;
use firecamp_node::volumes::pace::{EARLIER_WITHIN, NODE_EVERY, NODE_PAUSE, Pace, wants_cloud};
use firecamp_node::volumes::path::KUBELET;
use firecamp_node::volumes::seen::{CloudView, Seen};
use firecamp_node::volumes::{Table, Tracker, VolumesKind};
use firecamp_testkit::sim::SimBoard;

use crate::volumes::board::{How, Shaky};
use crate::volumes::recorder::Recorder;
use crate::volumes::scenario::{Fault, Ix, Scenario, Side};
use crate::volumes::views::Kernel;
use crate::volumes::world::{Changed, Names, State, World};

/// So many steps at most follow from one look of the publisher, as in the agent.
const STEPS: u32 = 64;
/// The publisher is asked every second for so long after something has changed.
const ACTIVE: u64 = 14;

/// What went on within a second.
#[derive(Debug, Default)]
pub struct Noted {
    /// The table, if the node was looked at.
    pub table: Option<Table>,
    /// EC2 was asked for volumes, and whether something was suspected.
    pub cloud: Option<bool>,
    /// Kubernetes was asked.
    pub cluster: bool,
    /// Steps, and whether each went well.
    pub steps: Vec<(Step, bool)>,
    /// Faults that fired.
    pub fired: Vec<Fault>,
    /// Of devices and mounts only the one could be read: 0 the devices, 1 the mounts.
    pub half: Option<usize>,
    /// A new process goes on from what was published.
    pub resumed: bool,
}

/// What is outside of the agent.
#[derive(Debug, Clone, Copy)]
pub struct Outside<'a> {
    /// The history.
    pub scenario: &'a Scenario,
    /// The truth.
    pub world: &'a World,
    /// The names.
    pub names: &'a Names,
    /// The API.
    pub board: &'a SimBoard,
    /// What is away.
    pub away: &'a [Side],
    /// Nothing fails by itself any more.
    pub healing: bool,
}

impl Outside<'_> {
    fn is_away(&self, side: Side) -> bool {
        self.away.contains(&side)
    }
}

/// An answer of EC2 on its way.
#[derive(Debug)]
struct Answer {
    at: u64,
    look: Ec2Look,
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
    next_look: u64,
    active_until: u64,
    /// The facts have changed since they were taken in.
    changed: bool,
    chance: Chance,
    /// What is recorded of it.
    pub recorder: Recorder,
    /// The volumes of the devices that were read last.
    pub devices: BTreeMap<String, Ix>,
}

impl Agent {
    /// One that begins at this second.
    pub fn new(seed: u64, mut recorder: Recorder, second: u64, names: &Names) -> Self {
        let mut chance = Chance::new(seed, Purpose::Volumes, 2 + recorder.process);
        let due = Moment(chance.part(timing::EC2_PERIOD));
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
            next_look: second,
            active_until: second + ACTIVE,
            changed: true,
            chance,
            recorder,
            devices: BTreeMap::new(),
            node,
        }
    }

    fn now(&self, second: u64) -> Moment {
        Moment(Duration::from_secs(second - self.began))
    }

    fn fires(&mut self, fault: Fault, outside: &Outside<'_>, noted: &mut Noted) -> bool {
        let rate = if outside.healing { 0 } else { outside.scenario.rate(fault) };
        let fires = self.chance.at_rate(rate);
        if fires {
            noted.fired.push(fault);
        }
        fires
    }

    /// A second passes.
    pub fn tick(&mut self, second: u64, changed: Changed, outside: &Outside<'_>) -> Noted {
        let mut noted = Noted::default();
        if changed.told && !self.fires(Fault::NoticeLost, outside, &mut noted) {
            self.pace.moved();
            self.recorder.asked("pace.moved", &(), &());
            self.next_look = self.next_look.min(second + NODE_PAUSE.as_secs());
        }
        self.begin(second, &mut noted);
        self.hear_ec2(second);
        if second.is_multiple_of(5) {
            self.ask_ec2(second, outside, &mut noted);
        }
        if second >= self.next_look && self.tracker.is_some() {
            self.look(second, outside, &mut noted);
            self.next_look = second + NODE_EVERY.as_secs();
        }
        if noted.table.is_some() || second <= self.active_until {
            self.publish(second, outside, &mut noted);
        }
        noted
    }

    /// Goes on from what was published, once that is known.
    fn begin(&mut self, second: u64, noted: &mut Noted) {
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
            noted.resumed = true;
        } else if self.now(second).0 >= EARLIER_WITHIN {
            self.recorder.asks("tracker.new", &(KUBELET,));
            let tracker = Tracker::new(KUBELET);
            self.recorder.shows(&tracker, None, self.now(second));
            self.tracker = Some(tracker);
        } else {
            self.active_until = second + ACTIVE;
        }
    }

    fn hear_ec2(&mut self, second: u64) {
        let Some(answer) = self.asking.take_if(|answer| answer.at <= second) else { return };
        self.budget.ended(answer.view.is_some());
        self.recorder.asked("budget.ended", &answer.view.is_some(), &());
        match answer.look {
            Ec2Look::Volumes => self.cloud = answer.view.or(self.cloud.take()),
            Ec2Look::Interfaces => self.interfaces_fail = answer.view.is_none(),
            Ec2Look::InstanceType => {}
        }
    }

    fn suspects(&self) -> bool {
        self.tracker.as_ref().is_some_and(Tracker::is_pending)
    }

    fn ask_ec2(&mut self, second: u64, outside: &Outside<'_>, noted: &mut Noted) {
        if self.asking.is_some() {
            return;
        }
        let (now, suspects) = (self.now(second), self.suspects());
        let mut wanted = BTreeMap::from([(Ec2Look::Interfaces, Want::Steady)]);
        if !self.interfaces_fail {
            let since = self.budget.asked(Ec2Look::Volumes).map(|at| now.since(at));
            let want = wants_cloud(since, now.0, suspects);
            self.recorder.function("pace.wants_cloud", &(since, now.0, suspects), &want);
            wanted.extend(want.map(|want| (Ec2Look::Volumes, want)));
        }
        let jitter = self.chance.millis(3_000, 15_000);
        let look = self.budget.grant(&wanted, now, jitter);
        let asked = [Ec2Look::Interfaces, Ec2Look::Volumes].map(|kind| self.budget.asked(kind));
        self.recorder.asked("budget.grant", &(wanted, now, jitter), &(look, asked));
        let Some(look) = look else { return };
        let fails = self.fires(Fault::CloudFails, outside, noted)
            | self.fires(Fault::CloudThrottled, outside, noted)
            | outside.is_away(Side::Cloud);
        let stale = self.fires(Fault::CloudStale, outside, noted);
        let behind = if stale { self.chance.below(30) } else { 0 };
        let late = self.fires(Fault::CloudLate, outside, noted);
        let at = second + if late { 1 + self.chance.below(10) } else { 0 };
        let lacked = self.tracker.as_ref().map(|t| t.lacked().iter().cloned().collect());
        let lacked: Vec<_> = lacked.unwrap_or_default();
        let shown = outside.world.at(second.saturating_sub(behind));
        let view = (!fails).then(|| shown.cloud(outside.names, at, &lacked));
        if look == Ec2Look::Volumes {
            noted.cloud = Some(suspects);
        }
        self.asking = Some(Answer { at, look, view });
        self.hear_ec2(second);
    }

    fn look(&mut self, second: u64, outside: &Outside<'_>, noted: &mut Noted) {
        let kernel = self.kernel(outside, noted);
        let node = self.recorder.observe(&kernel, KUBELET);
        noted.half = match (node.devices.is_some(), node.mounts.is_some()) {
            (true, false) => Some(0),
            (false, true) => Some(1),
            (true, true) | (false, false) => None,
        };
        if node.devices.is_some() {
            self.devices = read(&outside.world.now);
        }
        let cloud = self.cloud.take();
        let (now, suspects) = (self.now(second), self.suspects());
        let mut cluster = None;
        let asks = self.pace.asks_cluster(now, suspects, cloud.is_some());
        self.recorder.asked("pace.asks_cluster", &(now, suspects, cloud.is_some()), &asks);
        if asks {
            noted.cluster = true;
            let fails = self.fires(Fault::ClusterFails, outside, noted);
            let torn = self.fires(Fault::ClusterTorn, outside, noted);
            let lag = if torn { self.chance.below(20) } else { 0 };
            let well = !fails && !outside.is_away(Side::Api);
            self.pace.answered(well);
            self.recorder.asked("pace.answered", &well, &());
            if well {
                let earlier = outside.world.at(second.saturating_sub(lag));
                cluster = Some(outside.world.now.cluster(outside.names, earlier));
            }
        }
        let Some(tracker) = &mut self.tracker else { return };
        let seen = Seen { cloud, node, cluster };
        self.recorder.asks("tracker.step", &(now, &seen));
        let table = tracker.step(now, seen);
        self.recorder.shows(tracker, Some(&table), now);
        let pods = tracker.pods().map(<[_]>::to_vec);
        if self.facts.volumes.as_ref() != Some(&table) || self.facts.pods != pods {
            (self.active_until, self.changed) = (second + ACTIVE, true);
        }
        self.facts.pods = pods;
        self.facts.volumes = Some(table.clone());
        noted.table = Some(table);
    }

    fn kernel<'o>(&mut self, outside: &Outside<'o>, noted: &mut Noted) -> Kernel<'o> {
        let hangs = [VolumesKind::NotResponding, VolumesKind::Refused];
        let mut fails = |fault, side| {
            let fails = self.fires(fault, outside, noted) || outside.is_away(side);
            fails.then(|| hangs[usize::from(self.chance.once_in(2))])
        };
        let devices = fails(Fault::DevicesFail, Side::Devices);
        let mounts = fails(Fault::MountsFail, Side::Mounts);
        let refuses = self.fires(Fault::SpaceFails, outside, noted);
        let refusing = if refuses { self.chance.bits() } else { 0 };
        let noise = self.chance.below(400);
        let (state, names) = (&outside.world.now, outside.names);
        Kernel { state, names, devices, mounts, refusing, noise }
    }

    fn publish(&mut self, second: u64, outside: &Outside<'_>, noted: &mut Noted) {
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
            let how = self.how(outside, noted);
            let board = Shaky { board: outside.board, how };
            let done = self.recorder.carry_out(&board, &self.node, &step);
            let well = done.is_ok();
            if !well || matches!(step, Step::Learn) {
                self.active_until = self.active_until.max(second + ACTIVE);
            }
            let chance = u32::try_from(self.chance.below(65_536)).unwrap_or_default();
            self.recorder.asks("publisher.done", &(&done, now, chance));
            self.publisher.done(&step, done, (now, chance));
            self.recorder.holds(&self.publisher, now);
            noted.steps.push((step, well));
        }
    }

    fn how(&mut self, outside: &Outside<'_>, noted: &mut Noted) -> How {
        if outside.is_away(Side::Api) {
            return How::Fails;
        }
        let ways = [
            (Fault::BoardFails, How::Fails),
            (Fault::BoardLost, How::Lost),
            (Fault::BoardConflicts, How::Conflicts),
            (Fault::BoardRefuses, How::Refused),
        ];
        let found = ways.into_iter().find(|(fault, _)| self.fires(*fault, outside, noted));
        found.map_or(How::Well, |(_, how)| how)
    }

    /// What it would write next.
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
