//! What an agent looks for beside its duties: what EC2 has and nobody claims, wired as the real
//! agent does it (`agent/src/agent/adopt.rs`). What is decided, the core decides.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Adopter, Stray, strays};
use firecamp_core::contract::timing;
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use super::Model;
use super::attempt::Attempt;
use super::process::{Runs, Slot};
use super::queue::Event;
use crate::audit::Sighting;
use crate::names::EniIx;
use crate::scenario::{Act, Fault, Strays};

/// An agent that was stopped looks so soon after it goes on, at the latest.
const THAWED: Duration = Duration::from_secs(1);
/// A watch of the pools lags so much, at the most.
const POOLS_LAG_MS: u64 = 30_000;

/// What has to be met where strays are played.
pub(super) const MET: [&str; 14] = [
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
    "adoption: sight was lost",
    "adoption: reclaimed",
];

/// What an agent knows of addresses without a record.
#[derive(Debug, Default)]
pub(super) struct Seen {
    adopter: Adopter,
    /// The same, as the audit counts it.
    proof: BTreeMap<Ipv4Addr, Sighting>,
}

impl Model<'_> {
    /// Others act, where that is played.
    pub(super) fn plan_acts(&mut self) {
        let Some(strays) = &self.scenario.strays else { return };
        self.probes.expect(&MET);
        for (number, at) in (0..).zip(&strays.acts) {
            self.queue.push(at.moment(), Event::Other(number));
        }
    }

    pub(super) fn other(&mut self, number: u16) {
        let Some(strays) = self.scenario.strays.as_ref().filter(|_| !self.healing) else { return };
        let Some(at) = strays.acts.get(usize::from(number)) else { return };
        let lags = self.lags_of_others();
        let done = self.world.act(self.now, at.act, (self.names, lags));
        if let (Act::Steal(address), true) = (at.act, done) {
            self.audit.stolen(self.now, address);
        }
        self.trace.add(self.now, &(number, done), || format!("* {:?}: {done}", at.act));
    }

    /// An agent begins to look for strays.
    pub(super) fn watch_strays(&mut self, slot: Slot) {
        let Some(strays) = &self.scenario.strays else { return };
        let first = self.process(slot).chance.millis(500, 560);
        self.queue.push(self.now.plus(first), Event::Strays(slot));
        if strays.reclaim {
            self.queue.push(self.now.plus(first), Event::Pass(slot));
        }
    }

    /// A look at EC2, and what follows from it.
    pub(super) fn look_for_strays(&mut self, slot: Slot) {
        let Some(pause) = self.pause(slot, timing::EC2_PERIOD, Event::Strays(slot)) else {
            return;
        };
        self.queue.push(self.now.plus(pause), Event::Strays(slot));
        let (now, found) = (self.now, self.strays_of(slot));
        let recorded = self.recorded(slot, &found);
        let Runs::Agent(agent) = &mut self.processes[slot.at()].machine else { return };
        let seen = &mut agent.seen;
        let of = Some(u64::from(slot.0));
        if found.is_empty() {
            seen.adopter.lost_sight();
            seen.proof.clear();
            if let Some(tape) = self.trace.tape() {
                tape.call("adopter.lost_sight", of, &());
                tape.gives(&());
            }
            return;
        }
        seen.note(&found, &recorded, now);
        let due = seen.adopter.look(&found, &recorded, (now, now));
        if let Some(tape) = self.trace.tape() {
            tape.call("adopter.look", of, &(&found, &recorded, (now, now)));
            tape.gives(&due);
        }
        let due: Vec<_> = due
            .into_iter()
            .map(|stray| {
                let proof = seen.proof.remove(&stray.address);
                (stray, proof)
            })
            .collect();
        for (stray, proof) in due {
            self.audit.due(now, slot.0, (stray.address, proof));
            self.attempt_for(slot, stray);
        }
    }

    /// How long until the next look; none if this one has to wait.
    pub(super) fn pause(&mut self, slot: Slot, period: Duration, again: Event) -> Option<Duration> {
        let process = &mut self.processes[slot.at()];
        if !process.alive {
            return None;
        }
        if process.frozen {
            self.queue.push(self.now.plus(THAWED), again);
            return None;
        }
        Some(period.saturating_add(process.chance.millis(0, 20)))
    }

    /// What EC2 shows on this node's ENIs that may be adopted; nothing if it does not answer.
    fn strays_of(&mut self, slot: Slot) -> BTreeSet<Stray> {
        let node = self.processes[slot.at()].spawn.node;
        let carrier = self.scenario.shape.slot();
        let Some(then) = self.describe(slot) else {
            self.probes.meet("adoption: sight was lost");
            return BTreeSet::new();
        };
        let lag = self.process(slot).chance.millis(0, POOLS_LAG_MS);
        let pools = self.world.pools_at(Moment(self.now.0.saturating_sub(lag)));
        let listing = self.world.interfaces((node, carrier), self.names, then);
        // The other ENI is somebody else's, or the VPC CNI's.
        let usable = [self.names.eni(node.eni(carrier)).id.clone()].into();
        let found = strays(&listing, &usable, &pools, &self.names.cluster);
        if let Some(tape) = self.trace.tape() {
            tape.function("strays", &(listing, usable, pools, &self.names.cluster), &found);
        }
        found
    }

    /// Whether each of them has a record; one whose read failed is left out.
    fn recorded(&mut self, slot: Slot, found: &BTreeSet<Stray>) -> BTreeMap<Ipv4Addr, bool> {
        let mut recorded = BTreeMap::new();
        for Stray { address, .. } in found {
            if self.ask_registry(slot).1 {
                let there = self.world.registry.static_ips.contains_key(address);
                recorded.insert(*address, there);
            }
        }
        recorded
    }

    fn attempt_for(&mut self, slot: Slot, stray: Stray) {
        let spawn = self.processes[slot.at()].spawn;
        let own = self.slot();
        let dies = self.scenario.strays.as_ref().is_some_and(|strays| strays.dies);
        let chance = &mut self.process(slot).chance;
        let dies = (chance.once_in(4) && dies && !self.healing)
            .then(|| self.process(slot).chance.small(Attempt::STEPS));
        let attempt = Attempt::new(stray, (spawn.node, own, dies), self.names);
        self.trace.add(self.now, &(slot.0, own.0), || {
            format!("run-{} begins run-{}: {attempt:?}", slot.0, own.0)
        });
        self.begin(spawn, Runs::Attempt(Box::new(attempt)), Some(slot));
    }

    /// L6: what nobody claims and the pool would have adopted, and what was adopted and is not
    /// where the pool says.
    pub(super) fn stray_left(&self) -> Option<String> {
        let strays = self.scenario.strays.as_ref()?;
        self.scenario.addresses().find_map(|address| {
            let owner = self.world.ec2.holder(address);
            let record = self.world.registry.static_ips.get(&address).map(|it| &it.object);
            match (owner, record) {
                (Some((eni, false)), None) if self.is_nobodys(address, eni) => {
                    Some(format!("{address} is on {eni:?}, and has no record"))
                }
                (_, Some(record)) if record.member.is_nobody() => {
                    let why = wrong(strays, self.is_kept(record, owner));
                    why.map(|why| format!("{address}, which was adopted: {why}"))
                }
                _ => None,
            }
        })
    }

    /// Whether EC2 has it where its record says, or its node is gone.
    fn is_kept(&self, record: &StaticIp, owner: Option<(EniIx, bool)>) -> bool {
        let at = record.attachment.as_ref().and_then(|it| it.eni.as_ref()).and_then(EniIx::of);
        let gone = at.and_then(EniIx::node).is_some_and(|node| self.world.node(node).gone);
        let moved = self.moved.contains(&record.address);
        gone || moved || at.is_some() && at == owner.map(|(eni, _)| eni)
    }

    /// Whether nothing speaks against it: by the truth.
    fn is_nobodys(&self, address: Ipv4Addr, eni: EniIx) -> bool {
        let Some(node) = eni.node() else { return false };
        let carrier = self.scenario.shape.slot();
        let place = self.world.nodes.get(node.at()).is_some_and(|node| !node.gone);
        let claimed = self.world.claim_naming(address).is_some();
        place && eni == node.eni(carrier) && !claimed
    }

    /// One Describe for all addresses of the node; of which moment, if it was answered.
    pub(super) fn describe(&mut self, slot: Slot) -> Option<Moment> {
        self.process(slot).ec2_calls = self.process(slot).ec2_calls.saturating_add(1);
        let refused = self.world.ec2_out || !self.world.ec2.buckets.describe.take(self.now);
        if refused || self.strikes(slot, Fault::CloudFails) {
            return None;
        }
        if self.strikes(slot, Fault::DescribeStale) {
            let lag = self.process(slot).chance.millis(0, 9_900);
            return Some(Moment(self.now.0.saturating_sub(lag)));
        }
        Some(self.now)
    }
}

fn wrong(strays: &Strays, kept: bool) -> Option<&'static str> {
    if strays.reclaim {
        return Some("nobody takes it out of EC2");
    }
    (!kept).then_some("EC2 does not have it where its record says")
}

impl Seen {
    /// What every look so far has shown, each of them answered.
    fn note(&mut self, found: &BTreeSet<Stray>, recorded: &BTreeMap<Ipv4Addr, bool>, now: Moment) {
        let unclaimed = |address: &Ipv4Addr| recorded.get(address) == Some(&false);
        let there = |address: &Ipv4Addr| found.iter().any(|stray| stray.address == *address);
        self.proof.retain(|address, _| there(address) && unclaimed(address));
        for Stray { address, .. } in found.iter().filter(|stray| unclaimed(&stray.address)) {
            let known = self.proof.entry(*address).or_insert(Sighting { since: now, looks: 0 });
            known.looks = known.looks.saturating_add(1);
        }
    }
}
