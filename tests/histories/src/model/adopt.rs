//! Addresses without a record: what others do with them, what an agent's reads have shown of them,
//! and what must become of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::node::AgentIdentity;
use firecamp_core::agent::Orphan;
use firecamp_core::contract::timing::ADOPT_GRACE;
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use super::Model;
use super::attempt::AdoptionAttempt;
use super::process::{ProcessKind, Slot};
use super::queue::Event;
use crate::audit::OrphanObservation;
use crate::names::{EniIx, ProcessId};
use crate::scenario::{Act, Orphans};

/// The longest delay between the resumption of a frozen agent and its next pass.
const RESUME_DELAY: Duration = Duration::from_secs(1);

/// The coverage that histories with orphans must reach.
pub(super) const ORPHAN_COVERAGE: [&str; 14] = [
    "adoption: adopted",
    "adoption: it has a record",
    "adoption: a claim names it",
    "adoption: not declared",
    "adoption: elsewhere",
    "adoption: in the kernel",
    "adoption: held by the lock",
    "adoption: the lock is torn",
    "adoption: its pod lives",
    "adoption: in use",
    "adoption: something failed",
    "adoption: the agent dies",
    "adoption: EC2 read failed",
    "adoption: reclaimed",
];

/// What an agent's reads have shown of addresses without a record, counted for the audit beside the
/// controller.
#[derive(Debug, Default)]
pub(super) struct OrphanProof {
    observed: BTreeMap<Ipv4Addr, OrphanObservation>,
    /// The last query of EC2 has shown orphans whose records are read now.
    examining: bool,
}

impl Model<'_> {
    /// Schedules the acts of others with orphans.
    pub(super) fn plan_acts(&mut self) {
        let Some(orphans) = &self.scenario.orphans else { return };
        self.coverage.expect(&ORPHAN_COVERAGE);
        for (number, at) in (0..).zip(&orphans.acts).filter(|(_, at)| !at.meanwhile) {
            self.queue.push(at.after(Moment::default()), Event::ExternalAct(number));
        }
    }

    /// An agent reads the records of orphans. If one is due for the first time in this history,
    /// others act meanwhile.
    pub(super) fn examines(&mut self, slot: Slot) {
        let now = self.now;
        let Some(agent) = self.agent(slot) else { return };
        agent.proof.examining = true;
        let due = agent.proof.is_due(now);
        if !due || std::mem::replace(&mut self.adopting, true) {
            return;
        }
        let acts = self.scenario.orphans.iter().flat_map(|orphans| &orphans.acts);
        for (number, at) in (0..).zip(acts).filter(|(_, at)| at.meanwhile) {
            self.queue.push(at.after(now), Event::ExternalAct(number));
        }
    }

    pub(super) fn external_act(&mut self, number: u16) {
        let Some(orphans) = self.scenario.orphans.as_ref().filter(|_| !self.healing) else {
            return;
        };
        let Some(at) = orphans.acts.get(usize::from(number)) else { return };
        let lags = self.lags_of_others();
        let holder = |address| self.cluster.ec2.holder(address).map(|(eni, _)| eni);
        let from = if let Act::Unassign(address) = at.act { holder(address) } else { None };
        let done = self.cluster.act(self.now, at.act, (self.names, lags));
        match (at.act, from) {
            (Act::Steal(address), _) if done => {
                self.audit.reassigned_externally(self.now, address);
            }
            (Act::Unassign(address), Some(eni)) if done => {
                self.audit.orphan_unassigned(self.now, address, eni);
            }
            (_, _) => {}
        }
        self.trace.add(self.now, &(number, done), || format!("* {:?}: {done}", at.act));
    }

    /// An agent starts to follow the registry, and to compete for the Lease.
    pub(super) fn follow(&mut self, slot: Slot) {
        let first = self.process(slot).rng.micros(500, 20_000);
        self.queue.push(self.now.plus(first), Event::Poll(slot));
        self.lead(slot, []);
    }

    /// The pause until the next pass; none if this pass has to be skipped.
    pub(super) fn pause(&mut self, slot: Slot, period: Duration, again: Event) -> Option<Duration> {
        let process = &mut self.processes[slot.at()];
        if !process.alive {
            return None;
        }
        if process.frozen {
            self.queue.push(self.now.plus(RESUME_DELAY), again);
            return None;
        }
        Some(period.saturating_add(process.rng.millis(0, 20)))
    }

    pub(super) fn attempt_for(&mut self, slot: Slot, orphan: Orphan, identity: AgentIdentity) {
        let spawn = self.processes[slot.at()].spawn;
        let own = self.slot();
        let dies = self.scenario.orphans.as_ref().is_some_and(|orphans| orphans.dies);
        let rng = &mut self.process(slot).rng;
        let dies = (rng.once_in(4) && dies && !self.healing)
            .then(|| self.process(slot).rng.small(AdoptionAttempt::STEPS));
        let run = self.names.run(ProcessId(own.0));
        let attempt = AdoptionAttempt::new(orphan, (identity, run), dies);
        self.trace.add(self.now, &(slot.0, own.0), || {
            format!("run-{} begins run-{}: {attempt:?}", slot.0, own.0)
        });
        self.begin(spawn, ProcessKind::AdoptionAttempt(Box::new(attempt)), Some(slot));
    }

    /// L6: an orphan that the pool should have adopted, or an adopted address that is not in the
    /// state that the pool's policy requires.
    pub(super) fn unresolved_orphan(&self) -> Option<String> {
        let orphans = self.scenario.orphans.as_ref()?;
        self.scenario.addresses().find_map(|address| {
            let owner = self.cluster.ec2.holder(address);
            let record = self.cluster.registry.static_ips.get(&address).map(|it| &it.object);
            match (owner, record) {
                (Some((eni, false)), None) if self.is_orphaned(address, eni) => {
                    Some(format!("{address} is on {eni:?}, and has no record"))
                }
                (_, Some(record)) if record.member.is_orphaned() => {
                    let why = wrong(orphans, self.owner_matches_record(record, owner));
                    why.map(|why| format!("{address}, which was adopted: {why}"))
                }
                _ => None,
            }
        })
    }

    /// Whether EC2 has it on the ENI of its record, or its node is gone.
    fn owner_matches_record(&self, record: &StaticIp, owner: Option<(EniIx, bool)>) -> bool {
        let at = record.attachment.as_ref().and_then(|it| it.eni.as_ref()).and_then(EniIx::of);
        let gone = at.and_then(EniIx::node).is_some_and(|node| self.cluster.node(node).gone);
        let moved = self.moved.contains(&record.address);
        gone || moved || at.is_some() && at == owner.map(|(eni, _)| eni)
    }

    /// Whether it really is an orphan that may be adopted.
    fn is_orphaned(&self, address: Ipv4Addr, eni: EniIx) -> bool {
        let Some(node) = eni.node() else { return false };
        let carrier = self.scenario.shape.slot();
        let place = self.cluster.nodes.get(node.at()).is_some_and(|node| !node.gone);
        let claimed = self.cluster.claim_naming(address).is_some();
        place && eni == node.eni(carrier) && !claimed
    }
}

fn wrong(orphans: &Orphans, matches_record: bool) -> Option<&'static str> {
    if orphans.reclaim {
        return Some("it has not been taken out of EC2");
    }
    (!matches_record).then_some("EC2 does not have it where its record says")
}

impl OrphanProof {
    /// A query of EC2 has ended. Unless it shows orphans, it interrupts every observation.
    pub(super) fn queried(&mut self) {
        self.examining = false;
    }

    fn is_due(&self, now: Moment) -> bool {
        self.observed.values().any(|known| now.since(known.since) >= ADOPT_GRACE)
    }

    /// The effects of the query were performed.
    pub(super) fn query_handled(&mut self) {
        if !self.examining {
            self.observed.clear();
        }
    }

    /// Counts consecutive queries that showed the address without a record.
    pub(super) fn note(
        &mut self,
        found: &BTreeSet<Orphan>,
        recorded: &BTreeMap<Ipv4Addr, bool>,
        now: Moment,
    ) {
        let orphaned = |address: &Ipv4Addr| recorded.get(address) == Some(&false);
        let there = |address: &Ipv4Addr| found.iter().any(|orphan| orphan.address == *address);
        self.observed.retain(|address, _| there(address) && orphaned(address));
        for Orphan { address, .. } in found.iter().filter(|orphan| orphaned(&orphan.address)) {
            let new = OrphanObservation { since: now, passes: 0 };
            let known = self.observed.entry(*address).or_insert(new);
            known.passes = known.passes.saturating_add(1);
        }
    }

    /// What was shown of an address that is due now.
    pub(super) fn take(&mut self, address: Ipv4Addr) -> Option<OrphanObservation> {
        self.observed.remove(&address)
    }
}
