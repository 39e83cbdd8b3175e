//! The invariants that are checked after each step. The first violation ends the history.

mod table;

use std::collections::{BTreeMap, BTreeSet};

use firecamp_controllers::publish::{Event, Step};
use firecamp_node::volumes::{Reason, Recheck};
use firecamp_registry::api::{NodeAttachmentsStatus, VolumeStatus};

use crate::volumes::agent::TickReport;
use crate::volumes::coverage::Coverage;
use crate::volumes::scenario::{Ix, Shape};
use crate::volumes::simulated_node::Names;
use crate::volumes::truth::Truths;
use crate::volumes::views::owner;

/// An invariant about volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// A problem is reported only if some source showed it for long enough.
    V1,
    /// A row contains only facts of its own volume, whatever the device name is.
    V2,
    /// No write without a change: a quiet node writes nothing.
    V3,
    /// A flapping problem is reported once.
    V4,
    /// Every outside system is queried within its budget.
    V5,
    /// The agent performs only reporting steps.
    V6,
    /// A problem that lasts is reported in time, with its reason.
    V7,
    /// A problem that lasts is not cleared; once everything has settled, the report matches the
    /// truth.
    V8,
}

/// A violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub promise: Promise,
    /// The second.
    pub second: u64,
    /// How.
    pub text: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at {} s: {}", self.promise, self.second, self.text)
    }
}

/// A volume and a reported problem.
pub type Key = (Ix, Reason);

/// What has been reported so far, and what is true.
#[derive(Debug)]
pub struct Audit {
    shape: Shape,
    /// The ground truth.
    pub truths: Truths,
    /// The problems that are reported now, by row.
    reported: BTreeSet<(String, Key)>,
    began_count: BTreeMap<Key, usize>,
    /// Number of Events, by the name of the volume in the Event and the reason.
    events: BTreeMap<(String, Reason), usize>,
    processes: usize,
    cloud: Option<u64>,
    cluster: Option<u64>,
    written: Option<NodeAttachmentsStatus>,
    /// Everything has been readable for long enough from this second on.
    pub clear_from: Option<u64>,
    /// From now on nothing may be written.
    pub quiet: bool,
    /// The first violation.
    pub violation: Option<Violation>,
    /// The coverage.
    pub coverage: Coverage,
}

impl Audit {
    /// An audit without observations.
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            truths: Truths::default(),
            reported: BTreeSet::new(),
            began_count: BTreeMap::new(),
            events: BTreeMap::new(),
            processes: 1,
            cloud: None,
            cluster: None,
            written: None,
            clear_from: None,
            quiet: false,
            violation: None,
            coverage: Coverage::default(),
        }
    }

    /// Reports a violation.
    pub fn broken(&mut self, promise: Promise, second: u64, text: String) {
        self.violation.get_or_insert(Violation { promise, second, text });
    }

    /// The problems that are reported now.
    pub fn reported(&self) -> BTreeSet<Key> {
        self.reported.iter().map(|(_, key)| *key).collect()
    }

    /// A new process starts without memory and with a budget of its own.
    pub fn restarted(&mut self) {
        self.processes += 1;
        (self.cloud, self.cluster) = (None, None);
        self.reported.clear();
    }

    /// It resumes from the published status.
    pub fn resumed(&mut self, published: &[VolumeStatus], names: &Names) {
        for volume in published {
            let Some(ix) = self.owner(&volume.id, names) else { continue };
            let reasons = volume.problems.iter().filter_map(|p| p.reason.parse::<Reason>().ok());
            self.reported.extend(reasons.map(|reason| (volume.id.clone(), (ix, reason))));
        }
    }

    fn owner(&self, row: &str, names: &Names) -> Option<Ix> {
        let name = row.split(' ').next().unwrap_or_default();
        let last = self.shape.orphan();
        owner(name, names).filter(|ix| *ix <= last && !name.is_empty())
    }

    /// V5, and coverage.
    pub fn tick_report(&mut self, tick_report: &TickReport, second: u64) {
        for fault in &tick_report.fired {
            self.coverage.fault(*fault);
        }
        if let Some(recheck) = tick_report.cloud {
            self.coverage.clouds += 1;
            let pause = if recheck == Recheck::Now { 60 } else { 300 };
            if self.cloud.is_some_and(|at| second - at < pause) {
                self.broken(Promise::V5, second, "EC2 was queried too often".to_owned());
            }
            self.cloud = Some(second);
        }
        if tick_report.cluster {
            self.coverage.clusters += 1;
            if self.cluster.is_some_and(|at| second - at < 30) {
                self.broken(Promise::V5, second, "Kubernetes was queried too often".to_owned());
            }
            self.cluster = Some(second);
        }
    }

    /// V3, V4 and V6: a step of the publisher.
    pub fn step(&mut self, (step, well): (&Step, bool), names: &Names, second: u64) {
        match step {
            Step::Get => return,
            Step::Update(object) => self.replaced(&object.status, well, second),
            Step::EmitEvent(event) if well => self.event(event, names, second),
            Step::Create(_) | Step::UpdateClaimStatus { .. } | Step::EmitEvent(_) => {}
            Step::UpdateStatus { .. } | Step::UpdateCapacity(_) => {
                self.broken(
                    Promise::V6,
                    second,
                    format!("{} is not a reporting step", step.name()),
                );
            }
        }
        self.coverage.writes += u64::from(well);
        // Most steps of claims only read.
        let reads = matches!(step, Step::UpdateClaimStatus { .. });
        if self.quiet && !reads {
            let text = format!("{} without a change: {step:?}", step.name());
            self.broken(Promise::V3, second, text);
        }
    }

    fn replaced(&mut self, status: &NodeAttachmentsStatus, well: bool, second: u64) {
        if well && self.written.as_ref() == Some(status) {
            self.broken(
                Promise::V3,
                second,
                "the published status was written again without a change".to_owned(),
            );
        }
        self.written = well.then(|| status.clone());
    }

    fn event(&mut self, event: &Event, names: &Names, second: u64) {
        let Ok(reason) = event.reason.parse::<Reason>() else { return };
        let row = event.note.strip_prefix("volume ").and_then(|rest| rest.split(':').next());
        let of = |row: &str| Some((row.to_owned(), self.owner(row, names)?));
        let Some((row, ix)) = row.and_then(of) else { return };
        let key = (ix, reason);
        let count = self.events.entry((row, reason)).or_default();
        *count += 1;
        let count = *count;
        let most = self.began_count.get(&key).copied().unwrap_or_default() + self.processes - 1;
        if count > most {
            let text = format!("{count} Events of {reason} about volume {ix}, at most {most}");
            self.broken(Promise::V4, second, text);
        }
    }

    /// V8: the report matches the truth, once everything has settled.
    pub fn settled(&mut self, second: u64) {
        let reported = self.reported();
        let so: BTreeSet<Key> = self.truths.open().map(|(key, _)| key).collect();
        for key in &so {
            self.coverage.lasts(key.1);
        }
        if let Some((ix, reason)) = so.difference(&reported).next() {
            let text = format!("{reason} of volume {ix} lasts and is not reported");
            return self.broken(Promise::V7, second, text);
        }
        let wrong = reported.difference(&so).find(|key| !self.truths.was_since(**key, second));
        if let Some((ix, reason)) = wrong {
            let text = format!("{reason} of volume {ix} has ended and is still reported");
            self.broken(Promise::V8, second, text);
        }
    }
}
