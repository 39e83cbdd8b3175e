//! What a node's controller does periodically.

use std::collections::BTreeSet;
use std::time::Duration;

use firecamp_core::ids::Mac;
use firecamp_core::node_identity::Eni;
use firecamp_core::time::Moment;

use super::ec2_queries::Others;
use super::{Effect, NodeController, Task, Tick};

/// Period of the ticks, and of the plans without other events.
const TICK: Duration = Duration::from_secs(1);
/// Read the metadata service every so many ticks: it is local and cheap. While an interface is
/// being attached and the reads succeed, each tick.
const METADATA_EVERY: u32 = 5;
/// Read all of it every so many ticks: the position of an interface may change while it is attached
/// again, or be incomplete at first, and others change the interfaces that FireCamp does not use.
const METADATA_WHOLLY_EVERY: u32 = 120;
/// Full resync of the kernel every so many ticks, because events may be lost.
const KERNEL_EVERY: u32 = 10;
/// Search for orphaned addresses every so many ticks.
const COLLECT_EVERY: u32 = 60;
/// Read the node's files every so many ticks: they seldom change.
const FILES_EVERY: u32 = 600;
/// Until then, read them more often: a CNI plugin may start after the agent, and the kubelet starts
/// pods as soon as its configuration is there.
const FILES_EVERY_AT_FIRST: u32 = 5;
/// Minimum time between two publications of the facts.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(900);

/// The periodic tasks.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    ticks: u32,
    pub(super) next_tick: Moment,
    pub(super) identifying: bool,
    pub(super) reading_files: bool,
    /// The process ends: nothing is planned any more.
    pub(super) stopping: bool,
    /// When the facts were last published.
    published: Option<Moment>,
}

impl Schedule {
    /// Whether the facts are published now. They count as published.
    pub(super) fn publishes(&mut self, now: Moment) -> bool {
        let due = self.published.is_none_or(|at| now.since(at) >= PUBLISH_INTERVAL);
        self.published = if due { Some(now) } else { self.published };
        due
    }
}

impl NodeController {
    /// Starts the periodic tasks that are due.
    pub(super) fn tick(&mut self, tick: Tick, now: Moment, effects: &mut Vec<Effect>) {
        let ticks = self.schedule.ticks;
        let due = |every: u32| ticks.is_multiple_of(every);
        self.schedule.ticks = ticks.wrapping_add(1);
        self.schedule.next_tick = now.plus(TICK);
        self.preflight.offered_volumes(tick.offered_volumes);
        let attaches = self.managed.is_attaching(now) && self.preflight.metadata_answers();
        let reads = due(METADATA_EVERY) || attaches;
        if reads && !std::mem::replace(&mut self.schedule.identifying, true) {
            let unused = (!due(METADATA_WHOLLY_EVERY)).then(|| self.unused_interfaces());
            effects.push(Effect::Start(Task::Identify(unused)));
        }
        if due(METADATA_EVERY) {
            effects.extend(self.withholding.recheck(&self.observed));
        }
        if due(KERNEL_EVERY) {
            self.kernel.all_stale();
        }
        if due(COLLECT_EVERY) {
            effects.extend(self.leftovers.begin(&self.observed).map(Effect::Start));
        }
        let files = if ticks < FILES_EVERY { FILES_EVERY_AT_FIRST } else { FILES_EVERY };
        if due(files) && !std::mem::replace(&mut self.schedule.reading_files, true) {
            effects.push(Effect::Start(Task::ReadFiles));
        }
        let Self { preflight, managed, evictions, .. } = self;
        let others = Others { preflight, managed, evictions };
        let query = self.ec2.due(&self.observed, others, tick, now);
        effects.extend(query.map(Effect::Start));
    }

    /// The interfaces that others manage and that no record names.
    fn unused_interfaces(&self) -> BTreeSet<Mac> {
        let foreign = self.preflight.foreign();
        let unused = |eni: &&Eni| foreign.contains(&eni.id) && !self.observed.names(&eni.id);
        self.observed.enis().iter().filter(unused).map(|eni| eni.mac).collect()
    }
}
