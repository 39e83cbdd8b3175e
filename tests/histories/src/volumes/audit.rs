//! What must hold after each step. The first promise that is broken ends the history.

mod table;

use std::collections::{BTreeMap, BTreeSet};

use firecamp_controllers::publish::{Event, Step};
use firecamp_node::volumes::Reason;
use firecamp_registry::api::{NodeAttachmentsStatus, VolumeStatus};

use crate::volumes::agent::Noted;
use crate::volumes::probe::Probes;
use crate::volumes::scenario::{Ix, Shape};
use crate::volumes::truth::Truths;
use crate::volumes::views::owner;
use crate::volumes::world::Names;

/// A promise about volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// Nothing is told of a volume that was in order in every source, or was not for long enough.
    V1,
    /// What is told of a volume is that volume's, whatever its device is called.
    V2,
    /// Nothing is written that changes nothing, and a quiet node writes nothing.
    V3,
    /// What flaps is told once.
    V4,
    /// Every outside system is asked within its budget.
    V5,
    /// Nothing but reports is ever asked for.
    V6,
    /// What lasts is told in time, by its reason.
    V7,
    /// What lasts is not unsaid, and once all is in order what is told is what is so.
    V8,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub promise: Promise,
    /// In which second.
    pub second: u64,
    /// How.
    pub text: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at {} s: {}", self.promise, self.second, self.text)
    }
}

/// A volume and what is told of it.
pub type Key = (Ix, Reason);

/// What has been told so far, and what is true.
#[derive(Debug)]
pub struct Audit {
    shape: Shape,
    /// What is really so.
    pub truths: Truths,
    /// What is told now, by row.
    told: BTreeSet<(String, Key)>,
    begun: BTreeMap<Key, usize>,
    /// By the name under which the volume was told of, and the reason.
    events: BTreeMap<(String, Reason), usize>,
    processes: usize,
    cloud: Option<u64>,
    cluster: Option<u64>,
    written: Option<NodeAttachmentsStatus>,
    /// Everything can be read from this second on, and has been for long enough.
    pub clear_from: Option<u64>,
    /// From now on nothing may be written.
    pub quiet: bool,
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// What was met.
    pub probes: Probes,
}

impl Audit {
    /// One that has seen nothing yet.
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            truths: Truths::default(),
            told: BTreeSet::new(),
            begun: BTreeMap::new(),
            events: BTreeMap::new(),
            processes: 1,
            cloud: None,
            cluster: None,
            written: None,
            clear_from: None,
            quiet: false,
            violation: None,
            probes: Probes::default(),
        }
    }

    /// A promise is broken.
    pub fn broken(&mut self, promise: Promise, second: u64, text: String) {
        self.violation.get_or_insert(Violation { promise, second, text });
    }

    /// What is told of volumes now.
    pub fn told(&self) -> BTreeSet<Key> {
        self.told.iter().map(|(_, key)| *key).collect()
    }

    /// A new process begins: it knows nothing, and its budget is its own.
    pub fn restarted(&mut self) {
        self.processes += 1;
        (self.cloud, self.cluster) = (None, None);
        self.told.clear();
    }

    /// It goes on from what was published.
    pub fn resumed(&mut self, published: &[VolumeStatus], names: &Names) {
        for volume in published {
            let Some(ix) = self.owner(&volume.id, names) else { continue };
            let reasons = volume.problems.iter().filter_map(|p| p.reason.parse::<Reason>().ok());
            self.told.extend(reasons.map(|reason| (volume.id.clone(), (ix, reason))));
        }
    }

    fn owner(&self, row: &str, names: &Names) -> Option<Ix> {
        let name = row.split(' ').next().unwrap_or_default();
        let last = self.shape.stray();
        owner(name, names).filter(|ix| *ix <= last && !name.is_empty())
    }

    /// V5, and what else went on.
    pub fn noted(&mut self, noted: &Noted, second: u64) {
        for fault in &noted.fired {
            self.probes.fault(*fault);
        }
        if let Some(suspects) = noted.cloud {
            self.probes.clouds += 1;
            let pause = if suspects { 60 } else { 300 };
            if self.cloud.is_some_and(|at| second - at < pause) {
                self.broken(Promise::V5, second, "EC2 was asked too often".to_owned());
            }
            self.cloud = Some(second);
        }
        if noted.cluster {
            self.probes.clusters += 1;
            if self.cluster.is_some_and(|at| second - at < 30) {
                self.broken(Promise::V5, second, "Kubernetes was asked too often".to_owned());
            }
            self.cluster = Some(second);
        }
    }

    /// V3, V4 and V6: what was written.
    pub fn step(&mut self, (step, well): (&Step, bool), names: &Names, second: u64) {
        match step {
            Step::Learn => return,
            Step::Replace(object) => self.replaced(&object.status, well, second),
            Step::Tell(event) if well => self.event(event, names, second),
            Step::Create(_) | Step::SayOfClaim { .. } | Step::Tell(_) => {}
            Step::Say { .. } | Step::Capacity(_) => {
                self.broken(Promise::V6, second, format!("{} is no report", step.name()));
            }
        }
        self.probes.writes += u64::from(well);
        // Of what is said of a claim, most is only read.
        let reads = matches!(step, Step::SayOfClaim { .. });
        if self.quiet && !reads {
            let text = format!("{} though nothing has changed: {step:?}", step.name());
            self.broken(Promise::V3, second, text);
        }
    }

    fn replaced(&mut self, status: &NodeAttachmentsStatus, well: bool, second: u64) {
        if well && self.written.as_ref() == Some(status) {
            self.broken(Promise::V3, second, "what stands there was written again".to_owned());
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
        let most = self.begun.get(&key).copied().unwrap_or_default() + self.processes - 1;
        if count > most {
            let text = format!("{count} Events of {reason} about volume {ix}, at most {most}");
            self.broken(Promise::V4, second, text);
        }
    }

    /// V8: what is told is what is so, once all has settled.
    pub fn settled(&mut self, second: u64) {
        let told = self.told();
        let so: BTreeSet<Key> = self.truths.open().map(|(key, _)| key).collect();
        for key in &so {
            self.probes.lasts(key.1);
        }
        if let Some((ix, reason)) = so.difference(&told).next() {
            let text = format!("{reason} of volume {ix} lasts and is not told");
            return self.broken(Promise::V7, second, text);
        }
        let wrong = told.difference(&so).find(|key| !self.truths.was_since(**key, second));
        if let Some((ix, reason)) = wrong {
            let text = format!("{reason} of volume {ix} is over and still told");
            self.broken(Promise::V8, second, text);
        }
    }
}
