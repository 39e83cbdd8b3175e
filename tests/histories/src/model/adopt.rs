//! The orphan handling of an agent, wired like the real agent
//! (`lib/controllers/src/node/adopt.rs`). The core makes all decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Adopter, Orphan, orphans};
use firecamp_core::contract::timing;
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use super::Model;
use super::attempt::AdoptionAttempt;
use super::process::{ProcessKind, Slot};
use super::queue::Event;
use crate::audit::OrphanObservation;
use crate::names::EniIx;
use crate::scenario::{Act, Fault, Orphans};

/// The longest delay between the resumption of a frozen agent and its next pass.
const RESUME_DELAY: Duration = Duration::from_secs(1);
/// The longest lag of a watch of the pools.
const POOLS_LAG_MS: u64 = 30_000;

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

/// What an agent has observed of addresses without a record.
#[derive(Debug, Default)]
pub(super) struct OrphanTracker {
    adopter: Adopter,
    /// The same, as counted for the audit.
    proof: BTreeMap<Ipv4Addr, OrphanObservation>,
}

impl Model<'_> {
    /// Schedules the acts of others with orphans.
    pub(super) fn plan_acts(&mut self) {
        let Some(orphans) = &self.scenario.orphans else { return };
        self.coverage.expect(&ORPHAN_COVERAGE);
        for (number, at) in (0..).zip(&orphans.acts) {
            self.queue.push(at.moment(), Event::ExternalAct(number));
        }
    }

    pub(super) fn external_act(&mut self, number: u16) {
        let Some(orphans) = self.scenario.orphans.as_ref().filter(|_| !self.healing) else {
            return;
        };
        let Some(at) = orphans.acts.get(usize::from(number)) else { return };
        let lags = self.lags_of_others();
        let done = self.cluster.act(self.now, at.act, (self.names, lags));
        if let (Act::Steal(address), true) = (at.act, done) {
            self.audit.reassigned_externally(self.now, address);
        }
        self.trace.add(self.now, &(number, done), || format!("* {:?}: {done}", at.act));
    }

    /// An agent starts to look for orphans.
    pub(super) fn watch_orphans(&mut self, slot: Slot) {
        let Some(orphans) = &self.scenario.orphans else { return };
        let first = self.process(slot).rng.millis(500, 560);
        self.queue.push(self.now.plus(first), Event::Orphans(slot));
        if orphans.reclaim {
            self.queue.push(self.now.plus(first), Event::LeaderPass(slot));
        }
    }

    /// One pass: reads EC2, tracks orphans and starts due adoptions.
    pub(super) fn scan_for_orphans(&mut self, slot: Slot) {
        let Some(pause) = self.pause(slot, timing::EC2_PERIOD, Event::Orphans(slot)) else {
            return;
        };
        self.queue.push(self.now.plus(pause), Event::Orphans(slot));
        let (now, found) = (self.now, self.orphans_of(slot));
        let recorded = self.recorded(slot, &found);
        let ProcessKind::Agent(agent) = &mut self.processes[slot.at()].machine else { return };
        let tracker = &mut agent.tracker;
        let of = Some(u64::from(slot.0));
        if found.is_empty() {
            tracker.adopter.reset();
            tracker.proof.clear();
            if let Some(tape) = self.trace.tape() {
                tape.call("adopter.reset", of, &());
                tape.gives(&());
            }
            return;
        }
        tracker.note(&found, &recorded, now);
        let due = tracker.adopter.observe(&found, &recorded, (now, now));
        if let Some(tape) = self.trace.tape() {
            tape.call("adopter.observe", of, &(&found, &recorded, (now, now)));
            tape.gives(&due);
        }
        let due: Vec<_> = due
            .into_iter()
            .map(|orphan| {
                let proof = tracker.proof.remove(&orphan.address);
                (orphan, proof)
            })
            .collect();
        for (orphan, proof) in due {
            self.audit.due(now, slot.0, (orphan.address, proof));
            self.attempt_for(slot, orphan);
        }
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

    /// The adoptable addresses on this node's ENIs according to EC2; empty if EC2 does not answer.
    fn orphans_of(&mut self, slot: Slot) -> BTreeSet<Orphan> {
        let node = self.processes[slot.at()].spawn.node;
        let carrier = self.scenario.shape.slot();
        let Some(then) = self.describe(slot) else {
            self.coverage.hit("adoption: EC2 read failed");
            return BTreeSet::new();
        };
        let lag = self.process(slot).rng.millis(0, POOLS_LAG_MS);
        let pools = self.cluster.pools_at(Moment(self.now.0.saturating_sub(lag)));
        let listing = self.cluster.interfaces((node, carrier), self.names, then);
        // The other ENI belongs to another owner, or to the VPC CNI.
        let usable = [self.names.eni(node.eni(carrier)).id.clone()].into();
        let found = orphans(&listing, &usable, &pools, &self.names.cluster);
        if let Some(tape) = self.trace.tape() {
            tape.function("orphans", &(listing, usable, pools, &self.names.cluster), &found);
        }
        found
    }

    /// Whether each of them has a record; one whose read failed is omitted.
    fn recorded(&mut self, slot: Slot, found: &BTreeSet<Orphan>) -> BTreeMap<Ipv4Addr, bool> {
        let mut recorded = BTreeMap::new();
        for Orphan { address, .. } in found {
            if self.query_registry(slot).1 {
                let there = self.cluster.registry.static_ips.contains_key(address);
                recorded.insert(*address, there);
            }
        }
        recorded
    }

    fn attempt_for(&mut self, slot: Slot, orphan: Orphan) {
        let spawn = self.processes[slot.at()].spawn;
        let own = self.slot();
        let dies = self.scenario.orphans.as_ref().is_some_and(|orphans| orphans.dies);
        let rng = &mut self.process(slot).rng;
        let dies = (rng.once_in(4) && dies && !self.healing)
            .then(|| self.process(slot).rng.small(AdoptionAttempt::STEPS));
        let attempt = AdoptionAttempt::new(orphan, (spawn.node, own, dies), self.names);
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

    /// One Describe for all addresses of the node. Returns the moment that the answer shows, if
    /// there is one.
    pub(super) fn describe(&mut self, slot: Slot) -> Option<Moment> {
        self.process(slot).ec2_calls = self.process(slot).ec2_calls.saturating_add(1);
        let refused = self.cluster.ec2_out || !self.cluster.ec2.buckets.describe.take(self.now);
        if refused || self.injects(slot, Fault::CloudFails) {
            return None;
        }
        if self.injects(slot, Fault::DescribeStale) {
            let lag = self.process(slot).rng.millis(0, 9_900);
            return Some(Moment(self.now.0.saturating_sub(lag)));
        }
        Some(self.now)
    }
}

fn wrong(orphans: &Orphans, matches_record: bool) -> Option<&'static str> {
    if orphans.reclaim {
        return Some("it has not been taken out of EC2");
    }
    (!matches_record).then_some("EC2 does not have it where its record says")
}

impl OrphanTracker {
    /// Counts consecutive passes that showed the address without a record.
    fn note(&mut self, found: &BTreeSet<Orphan>, recorded: &BTreeMap<Ipv4Addr, bool>, now: Moment) {
        let orphaned = |address: &Ipv4Addr| recorded.get(address) == Some(&false);
        let there = |address: &Ipv4Addr| found.iter().any(|orphan| orphan.address == *address);
        self.proof.retain(|address, _| there(address) && orphaned(address));
        for Orphan { address, .. } in found.iter().filter(|orphan| orphaned(&orphan.address)) {
            let known =
                self.proof.entry(*address).or_insert(OrphanObservation { since: now, passes: 0 });
            known.passes = known.passes.saturating_add(1);
        }
    }
}
