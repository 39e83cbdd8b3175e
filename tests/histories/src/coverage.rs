//! Coverage counters of a run. A fault that never fired has proven nothing.

use std::collections::BTreeMap;

use firecamp_core::agent::Operation;
use firecamp_core::contract::exit::Exit;
use firecamp_core::machine::{Maintenance, Outcome, Path, Release};
use firecamp_core::release::Releaser;
use firecamp_core::step::Step;
use serde::Serialize;

use crate::scenario::{Disruption, ExternalReassignment, Fault};

/// The number of boundaries of each kind: attach, release, free, withdraw, re-assert, restore.
/// Sweeps cover collections; histories do not.
const STEPS: [usize; 6] = [18, 6, 6, 4, 4, 4];

/// The circumstances in which an agent starts an operation.
#[derive(Debug, Clone, Copy)]
pub struct OperationContext {
    /// The registry does not answer.
    pub away: bool,
    /// Another agent of its node has an operation for the same address.
    pub here: bool,
    /// Another agent releases the same address for another node.
    pub elsewhere: bool,
}

/// Whether the agent acts as the leader.
pub fn is_by_leader(operation: &Operation) -> bool {
    matches!(operation, Operation::Release { by: Releaser::AgentElsewhere, .. })
}

/// Coverage counters, by name.
pub type Counts = Vec<(String, u64)>;

/// The coverage counters of one history or of many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Coverage {
    /// Steps of machines.
    pub steps: u64,
    /// EC2 mutations that were sent.
    pub mutations: u64,
    /// Passes of agents.
    pub agent_passes: u64,
    faults: [u64; Fault::ALL.len()],
    disruptions: [u64; Disruption::KINDS],
    reassignments: [u64; 3],
    exits: [u64; Exit::ALL.len()],
    releases: [u64; 4],
    maintained: [u64; 4],
    attached: [u64; 4],
    cut_short: u64,
    agents: [u64; 4],
    boundaries: [[u64; 18]; STEPS.len()],
    /// Counters of single levels.
    more: BTreeMap<&'static str, u64>,
}

fn add(to: &mut [u64], from: &[u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = to.saturating_add(*from);
    }
}

impl Coverage {
    /// A fault has fired.
    pub fn fault(&mut self, fault: Fault) {
        self.faults[fault.at()] += 1;
    }

    /// This level must also reach these counters.
    pub fn expect(&mut self, names: &[&'static str]) {
        for name in names {
            self.more.entry(name).or_default();
        }
    }

    /// A counter of this level was reached.
    pub fn hit(&mut self, name: &'static str) {
        *self.more.entry(name).or_default() += 1;
    }

    /// A foreign actor has changed an address.
    pub fn reassignment(&mut self, reassignment: ExternalReassignment) {
        self.reassignments[reassignment as usize] += 1;
    }

    /// A machine has crossed a boundary.
    pub fn step(&mut self, step: Step) {
        let (kind, number) = match step {
            Step::Attach(step) => (0, u8::from(step)),
            Step::Release(step) => (1, u8::from(step)),
            Step::Free(step) => (2, u8::from(step)),
            Step::Withdraw(step) => (3, u8::from(step)),
            Step::Reassert(step) => (4, u8::from(step)),
            Step::Restore(step) => (5, u8::from(step)),
            Step::Collect(_) => return,
        };
        if let Some(count) = self.boundaries[kind].get_mut(usize::from(number)) {
            *count += 1;
        }
    }

    /// A machine has reached its outcome.
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
            Outcome::Maintained { what, .. } => {
                if let Some(count) = self.maintained.get_mut(maintenance_at(*what)) {
                    *count += 1;
                }
            }
            Outcome::Failed(failure) => {
                let at = Exit::ALL.iter().position(|exit| *exit == failure.exit);
                self.exits[at.unwrap_or_default()] += 1;
            }
        }
    }

    /// An agent starts an operation.
    pub fn operation(&mut self, operation: &Operation, met: OperationContext) {
        let restores = matches!(operation, Operation::Restore { .. });
        let by_leader = is_by_leader(operation);
        let all = [restores && met.away, met.here, by_leader, by_leader && met.elsewhere];
        for (count, met) in self.agents.iter_mut().zip(all) {
            *count += u64::from(met);
        }
    }

    pub(crate) fn disruptions(&mut self, done: &[u32; Disruption::KINDS]) {
        for (to, from) in self.disruptions.iter_mut().zip(done) {
            *to += u64::from(*from);
        }
    }

    /// Adds the counters of another history.
    pub fn merge(&mut self, other: &Self) {
        self.steps += other.steps;
        self.mutations += other.mutations;
        self.agent_passes += other.agent_passes;
        self.cut_short += other.cut_short;
        add(&mut self.agents, &other.agents);
        add(&mut self.faults, &other.faults);
        add(&mut self.disruptions, &other.disruptions);
        add(&mut self.reassignments, &other.reassignments);
        add(&mut self.exits, &other.exits);
        add(&mut self.releases, &other.releases);
        add(&mut self.maintained, &other.maintained);
        add(&mut self.attached, &other.attached);
        for (to, from) in self.boundaries.iter_mut().zip(&other.boundaries) {
            add(to, from);
        }
        for (name, count) in &other.more {
            *self.more.entry(name).or_default() += count;
        }
    }

    /// All counters that a run must reach.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for (fault, count) in Fault::ALL.iter().zip(self.faults) {
            counts.push((format!("fault {fault:?}"), count));
        }
        for (kind, count) in self.disruptions.iter().enumerate() {
            counts.push((format!("disruption {}", Disruption::kind_name(kind)), *count));
        }
        let reassignments = ["steal", "unassign", "settle"];
        counts.extend(named("external reassignment", reassignments, &self.reassignments));
        for (exit, count) in Exit::ALL.iter().zip(self.exits) {
            // No machine ends with these: they belong to the containers, or need a StatefulSet.
            let never = matches!(
                exit,
                Exit::Usage
                    | Exit::Internal
                    | Exit::Interrupted
                    | Exit::RegistryInvalid
                    | Exit::RegistryRefused
                    | Exit::VersionMismatch
                    | Exit::ControllerMismatch
                    | Exit::AgentUnavailable
                    | Exit::TokenRefused
                    | Exit::NamespaceNotAllowed
            );
            if !never {
                counts.push((format!("exit {exit:?}"), count));
            }
        }
        let releases = ["parked", "unassigned", "not holder", "not ending"];
        counts.extend(named("release", releases, &self.releases));
        counts.extend(named(
            "maintained",
            ["withdrew", "re-asserted", "nothing", "restored"],
            &self.maintained,
        ));
        let attached = ["same node", "moved", "after a barrier", "overlapped"];
        counts.extend(named("attached", attached, &self.attached));
        counts.push(("release cut short".to_owned(), self.cut_short));
        let agents = [
            "restores during a registry outage",
            "two of one node on one address",
            "releases for another node",
            "two releases for another node",
        ];
        counts.extend(named("agents:", agents, &self.agents));
        counts.extend(self.boundary_counts());
        counts.extend(self.more.iter().map(|(name, count)| ((*name).to_owned(), *count)));
        counts
    }

    fn boundary_counts(&self) -> Counts {
        let kinds = ["attach", "release", "free", "withdraw", "reassert", "restore"];
        // No machine reports these boundaries: the call has no answer yet.
        let silent =
            ["attach.8", "free.0", "free.1", "free.3", "withdraw.0", "reassert.0", "restore.0"];
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

fn maintenance_at(maintenance: Maintenance) -> usize {
    match maintenance {
        Maintenance::Withdrawn => 0,
        Maintenance::Reasserted => 1,
        Maintenance::NothingToDo => 2,
        Maintenance::Restored => 3,
        Maintenance::Collected => 4,
    }
}
