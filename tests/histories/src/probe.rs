//! What a run of histories has met. A fault that never fired has proven nothing.

use std::collections::BTreeMap;

use firecamp_core::action::Step;
use firecamp_core::agent::Duty;
use firecamp_core::contract::exit::Exit;
use firecamp_core::machine::{Mended, Outcome, Path, Release};
use firecamp_core::release::Releaser;
use serde::Serialize;

use crate::scenario::{Deed, Fault, Theft};

/// Boundaries of each kind: attach, release, free, give way, re-assert, restore. No history
/// collects: sweeps do.
const STEPS: [usize; 6] = [18, 6, 6, 4, 4, 4];

/// What there is when an agent begins a duty.
#[derive(Debug, Clone, Copy)]
pub struct DutyMet {
    /// The registry does not answer.
    pub away: bool,
    /// Another agent of its node has an errand for the same address.
    pub here: bool,
    /// Another agent releases the same address for a node that is not its own.
    pub elsewhere: bool,
}

/// Whether it is done as the holder of the Lease.
pub fn is_by_lease(duty: &Duty) -> bool {
    matches!(duty, Duty::Release { by: Releaser::AgentElsewhere, .. })
}

/// Things that were counted, by name.
pub type Counts = Vec<(String, u64)>;

/// Counters of one history or of many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Probes {
    /// Steps of machines.
    pub steps: u64,
    /// EC2 mutations that were sent.
    pub mutations: u64,
    /// Looks of agents.
    pub looks: u64,
    faults: [u64; Fault::ALL.len()],
    deeds: [u64; Deed::KINDS],
    thefts: [u64; 3],
    exits: [u64; Exit::ALL.len()],
    releases: [u64; 4],
    mended: [u64; 4],
    attached: [u64; 4],
    cut_short: u64,
    agents: [u64; 4],
    boundaries: [[u64; 18]; STEPS.len()],
    /// What only some levels can meet.
    more: BTreeMap<&'static str, u64>,
}

fn add(to: &mut [u64], from: &[u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = to.saturating_add(*from);
    }
}

impl Probes {
    /// A fault has fired.
    pub fn fault(&mut self, fault: Fault) {
        self.faults[fault.at()] += 1;
    }

    /// These have to be met, too, at this level.
    pub fn expect(&mut self, names: &[&'static str]) {
        for name in names {
            self.more.entry(name).or_default();
        }
    }

    /// Something that only this level knows was met.
    pub fn meet(&mut self, name: &'static str) {
        *self.more.entry(name).or_default() += 1;
    }

    /// A stranger has acted.
    pub fn theft(&mut self, theft: Theft) {
        self.thefts[theft as usize] += 1;
    }

    /// A machine has crossed a boundary.
    pub fn step(&mut self, step: Step) {
        let (kind, number) = match step {
            Step::Attach(number) => (0, number),
            Step::Release(number) => (1, number),
            Step::Free(number) => (2, number),
            Step::GiveWay(number) => (3, number),
            Step::Reassert(number) => (4, number),
            Step::Restore(number) => (5, number),
            Step::Collect(_) => return,
        };
        if let Some(count) = self.boundaries[kind].get_mut(usize::from(number)) {
            *count += 1;
        }
    }

    /// A machine has come to its outcome.
    pub fn outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Attached(attached) => {
                self.exits[0] += 1;
                self.attached[usize::from(attached.path == Path::Moved)] += 1;
                self.attached[2] += u64::from(attached.barrier);
                self.attached[3] += u64::from(attached.overlapped);
            }
            Outcome::Released { release, cut_short, .. } => {
                self.exits[0] += 1;
                self.releases[release_at(*release)] += 1;
                self.cut_short += u64::from(*cut_short);
            }
            Outcome::Mended { what, .. } => {
                if let Some(count) = self.mended.get_mut(mended_at(*what)) {
                    *count += 1;
                }
            }
            Outcome::Failed(failure) => {
                let at = Exit::ALL.iter().position(|exit| *exit == failure.exit);
                self.exits[at.unwrap_or_default()] += 1;
            }
        }
    }

    /// An agent begins a duty.
    pub fn duty(&mut self, duty: &Duty, met: DutyMet) {
        let restores = matches!(duty, Duty::Restore { .. });
        let by_lease = is_by_lease(duty);
        let all = [restores && met.away, met.here, by_lease, by_lease && met.elsewhere];
        for (count, met) in self.agents.iter_mut().zip(all) {
            *count += u64::from(met);
        }
    }

    pub(crate) fn deeds(&mut self, done: &[u32; Deed::KINDS]) {
        for (to, from) in self.deeds.iter_mut().zip(done) {
            *to += u64::from(*from);
        }
    }

    /// Adds what another history met.
    pub fn merge(&mut self, other: &Self) {
        self.steps += other.steps;
        self.mutations += other.mutations;
        self.looks += other.looks;
        self.cut_short += other.cut_short;
        add(&mut self.agents, &other.agents);
        add(&mut self.faults, &other.faults);
        add(&mut self.deeds, &other.deeds);
        add(&mut self.thefts, &other.thefts);
        add(&mut self.exits, &other.exits);
        add(&mut self.releases, &other.releases);
        add(&mut self.mended, &other.mended);
        add(&mut self.attached, &other.attached);
        for (to, from) in self.boundaries.iter_mut().zip(&other.boundaries) {
            add(to, from);
        }
        for (name, count) in &other.more {
            *self.more.entry(name).or_default() += count;
        }
    }

    /// Everything that a run has to meet, and how often it did.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for (fault, count) in Fault::ALL.iter().zip(self.faults) {
            counts.push((format!("fault {fault:?}"), count));
        }
        for (kind, count) in self.deeds.iter().enumerate() {
            counts.push((format!("deed {}", Deed::kind_name(kind)), *count));
        }
        let thefts = ["steal", "unassign", "settle"];
        counts.extend(named("theft", thefts, &self.thefts));
        for (exit, count) in Exit::ALL.iter().zip(self.exits) {
            // No machine ends so here: they are the containers' own, or need a StatefulSet.
            let never = matches!(
                exit,
                Exit::Usage
                    | Exit::Internal
                    | Exit::Interrupted
                    | Exit::RegistryInvalid
                    | Exit::RegistryRefused
                    | Exit::VersionMismatch
                    | Exit::ControllerMismatch
            );
            if !never {
                counts.push((format!("exit {exit:?}"), count));
            }
        }
        let releases = ["parked", "unassigned", "not holder", "not ending"];
        counts.extend(named("release", releases, &self.releases));
        counts.extend(named(
            "mended",
            ["gave way", "re-asserted", "nothing", "restored"],
            &self.mended,
        ));
        let attached = ["same node", "moved", "after a barrier", "overlapped"];
        counts.extend(named("attached", attached, &self.attached));
        counts.push(("release cut short".to_owned(), self.cut_short));
        let agents = [
            "restores while the registry is away",
            "two of one node at one address",
            "releases for another node",
            "two release for another node",
        ];
        counts.extend(named("agents:", agents, &self.agents));
        counts.extend(self.boundary_counts());
        counts.extend(self.more.iter().map(|(name, count)| ((*name).to_owned(), *count)));
        counts
    }

    fn boundary_counts(&self) -> Counts {
        let kinds = ["attach", "release", "free", "giveway", "reassert", "restore"];
        // Boundaries that no machine reports: what is sent has no answer yet.
        let silent =
            ["attach.8", "free.0", "free.1", "free.3", "giveway.0", "reassert.0", "restore.0"];
        let mut counts = Counts::new();
        for ((kind, length), row) in kinds.iter().zip(STEPS).zip(&self.boundaries) {
            for (number, count) in row.iter().take(length).enumerate() {
                let name = format!("{kind}.{number}");
                if !silent.contains(&name.as_str()) {
                    counts.push((format!("boundary {name}"), *count));
                }
            }
        }
        counts
    }
}

fn named<const N: usize>(kind: &str, names: [&str; N], counts: &[u64]) -> Counts {
    names.iter().zip(counts).map(|(name, count)| (format!("{kind} {name}"), *count)).collect()
}

fn release_at(release: Release) -> usize {
    match release {
        Release::Parked => 0,
        Release::Unassigned => 1,
        Release::NotHolder => 2,
        Release::NotEnding => 3,
    }
}

fn mended_at(mended: Mended) -> usize {
    match mended {
        Mended::GaveWay => 0,
        Mended::Reasserted => 1,
        Mended::NothingToDo => 2,
        Mended::Restored => 3,
        Mended::Collected => 4,
    }
}
