//! An address that is due to be adopted, wired as the real agent does it (`agent/src/adopt.rs`):
//! everything is read afresh, in that order, and if the core says nothing against it, its record is
//! created.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::{Evidence, NotAdopted, Stray, adopt};
use firecamp_core::failure::{HostFailure, HostKind, RegistryKind};
use firecamp_core::ids::RunId;
use firecamp_core::lock::Hold;
use firecamp_core::outside::{Owner, SocketScope, SocketUse};
use firecamp_core::record::{StaticIp, UnclaimedPolicy, Write};

use super::Model;
use super::process::{Runs, Slot};
use crate::audit::Adoption;
use crate::cluster::Ended;
use crate::level::{Level as _, Order};
use crate::names::{Names, NodeIx, ProcessId};
use crate::scenario::Fault;
use crate::strike::{How, Recovery};
use crate::trace::Trace;
use crate::world::strays::mark;

#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Census,
    Owner,
    Survey,
    Sockets,
    Record,
    Write(Box<StaticIp>),
    Tried(&'static str),
}

/// An attempt to adopt.
#[derive(Debug)]
pub(super) struct Attempt {
    stray: Stray,
    at: At,
    run: RunId,
    evidence: Evidence,
    /// What was true when it was read, and speaks against it.
    against: Option<&'static str>,
    /// At which step its agent is killed.
    dies: Option<u8>,
}

impl Attempt {
    /// Where its agent may die: before each request, and with the write in flight.
    pub(super) const STEPS: u8 = 7;

    pub(super) fn new(
        stray: Stray,
        (node, own, dies): (NodeIx, Slot, Option<u8>),
        names: &Names,
    ) -> Self {
        let known = names.node(node);
        let evidence = Evidence {
            node: known.name.clone(),
            instance: known.instance.clone(),
            cluster: names.cluster.clone(),
            recorded: false,
            pools: Vec::new(),
            claimed: None,
            owner: Owner::Nobody,
            kernel: None,
            lock: None,
            torn: false,
            sockets: SocketUse::default(),
            pods: BTreeSet::new(),
        };
        let run = names.run(ProcessId(own.0));
        Self { stray, at: At::Census, run, evidence, against: None, dies }
    }

    fn step(&self) -> u8 {
        match self.at {
            At::Census => 0,
            At::Owner => 1,
            At::Survey => 2,
            At::Sockets => 3,
            At::Record => 4,
            At::Write(_) => 5,
            At::Tried(_) => Self::STEPS,
        }
    }

    /// A read that failed ends it.
    pub(super) fn reply(&mut self, reply: &Reply, trace: &mut Trace) {
        let at = std::mem::replace(&mut self.at, At::Tried("adoption: something failed"));
        if let (At::Census, Reply::Host(Ok(_))) = (&at, reply) {
            self.at = At::Owner;
        } else if let (At::Owner, Reply::Owner(Ok(owner))) = (&at, reply) {
            self.evidence.owner = owner.clone();
            self.at = At::Survey;
        } else if let (At::Survey, Reply::Host(Ok(_))) = (&at, reply) {
            self.at = At::Sockets;
        } else if let (At::Sockets, Reply::Sockets(Ok(used))) = (&at, reply) {
            self.evidence.sockets = *used;
            self.at = At::Record;
        } else if let (At::Record, Reply::Record(Ok(found))) = (&at, reply) {
            self.evidence.recorded = found.is_some();
            let adopted = adopt(&self.stray, &self.evidence, self.run.clone());
            if let Some(tape) = trace.tape() {
                tape.function("adopt", &(&self.stray, &self.evidence, &self.run), &adopted);
            }
            self.at = match adopted {
                Ok(record) => At::Write(Box::new(record)),
                Err(why) => At::Tried(told(&why)),
            };
        } else if let (At::Write(_), Reply::Written(written)) = (&at, reply) {
            match written {
                Ok(_) => self.at = At::Tried("adoption: adopted"),
                Err(why) if why.kind == RegistryKind::AlreadyExists => {
                    self.at = At::Tried("adoption: it has a record");
                }
                Err(_) => {}
            }
        }
    }
}

fn told(why: &NotAdopted) -> &'static str {
    match why {
        NotAdopted::Recorded => "adoption: it has a record",
        NotAdopted::Claimed(_) => "adoption: a claim names it",
        NotAdopted::NotDeclared => "adoption: not declared",
        NotAdopted::NotHere => "adoption: elsewhere",
        NotAdopted::InKernel => "adoption: in the kernel",
        NotAdopted::Held(_) => "adoption: held by the lock",
        NotAdopted::Torn => "adoption: the lock is torn",
        NotAdopted::PodLives(_) => "adoption: its pod lives",
        NotAdopted::InUse(_) => "adoption: in use",
    }
}

fn answer(read: bool) -> Reply {
    let detail = String::new();
    let failure = HostFailure { kind: HostKind::Refused, detail };
    Reply::Host(if read { Ok(true) } else { Err(failure) })
}

impl Model<'_> {
    fn try_of(&mut self, slot: Slot) -> Option<&mut Attempt> {
        match &mut self.processes[slot.at()].machine {
            Runs::Attempt(attempt) => Some(attempt),
            Runs::Attach(_) | Runs::Release(_) | Runs::Errand(_) | Runs::Agent(_) => None,
        }
    }

    /// An attempt sends its next request.
    pub(super) fn go_on(&mut self, slot: Slot) {
        let Some(attempt) = self.try_of(slot) else { return };
        let (address, at, step) = (attempt.stray.address, attempt.at.clone(), attempt.step());
        let dies = attempt.dies;
        if dies == Some(step) {
            return self.agent_dies(slot);
        }
        match at {
            At::Census => self.census(slot, address),
            At::Owner => {
                let (after, reply) = self.look_up(slot, address);
                self.reply_after(slot, after, reply);
            }
            At::Survey => self.survey(slot, address),
            At::Sockets => {
                self.note_sockets(slot, address);
                self.host(slot, &Action::ReadSockets(address));
            }
            At::Record => self.read_registry(slot, &Action::ReadRecord(address)),
            At::Write(record) => {
                self.write_registry(slot, Box::new(Write::CreateStaticIp(*record)));
                if dies == Some(Attempt::STEPS - 1) {
                    self.agent_dies(slot);
                }
            }
            At::Tried(told) => self.tried(slot, told),
        }
    }

    fn agent_dies(&mut self, slot: Slot) {
        let Some(agent) = self.processes[slot.at()].agent else { return };
        let id = self.processes[agent.at()].id();
        self.probes.meet("adoption: the agent dies");
        self.order(self.now, Order::Kill(id));
        self.ended.push_back((id, Ended::Crashed(How::Kill, Recovery::SamePod)));
    }

    fn tried(&mut self, slot: Slot, told: &'static str) {
        let process = &mut self.processes[slot.at()];
        process.alive = false;
        let mutations = process.mutations;
        if mutations > 0 {
            self.audit.called_for_nobody(self.now, slot.0, false);
        }
        self.probes.meet(told);
        self.trace.add(self.now, &(slot.0, told), || format!("run-{} ends: {told}", slot.0));
        self.disturb();
    }

    /// All pools, all claims, and the pods of the node.
    fn census(&mut self, slot: Slot, address: Ipv4Addr) {
        let (after, read) = self.ask_registry(slot);
        let node = self.processes[slot.at()].spawn.node;
        let pods = self.world.pods_on(node, self.names);
        let pools: Vec<_> = self.world.registry.pools.values().cloned().collect();
        let claimed = self.world.claim_naming(address).cloned();
        let adopts = pools.iter().all(|pool| pool.unclaimed == UnclaimedPolicy::Adopt);
        if let Some(attempt) = self.try_of(slot) {
            attempt.speaks(!adopts, "the pool does not say so");
            attempt.speaks(claimed.is_some(), "a claim named it");
            let evidence = &mut attempt.evidence;
            (evidence.pools, evidence.claimed, evidence.pods) = (pools, claimed, pods);
        }
        self.reply_after(slot, after, answer(read));
    }

    /// What the node's kernel has of the address, and its lock.
    fn survey(&mut self, slot: Slot, address: Ipv4Addr) {
        let after = self.process(slot).chance.micros(50, 1_500);
        let read = !self.strikes(slot, Fault::HostRefuses);
        let node = self.world.node(self.processes[slot.at()].spawn.node);
        let (kernel, torn) = (mark(&node.kernel, address), node.torn.contains(&address));
        let lock = node.kernel.locks.get(&address).cloned();
        if let Some(attempt) = self.try_of(slot) {
            attempt.speaks(kernel.is_some(), "the kernel had it");
            attempt.speaks(torn, "its lock could not be read");
            let held = lock.as_ref().is_some_and(|last| last.hold == Hold::Held);
            attempt.speaks(held, "its lock was held");
            let pods = &attempt.evidence.pods;
            let lives = lock.as_ref().is_some_and(|last| pods.contains(&last.holder.pod));
            attempt.speaks(lives, "the pod that had it was still there");
            let evidence = &mut attempt.evidence;
            (evidence.kernel, evidence.lock, evidence.torn) = (kernel, lock, torn);
        }
        self.reply_after(slot, after, answer(read));
    }

    fn note_sockets(&mut self, slot: Slot, address: Ipv4Addr) {
        let node = self.world.node(self.processes[slot.at()].spawn.node);
        let idle = node.kernel.sockets(address).idle(SocketScope::All);
        if let Some(attempt) = self.try_of(slot) {
            attempt.speaks(!idle, "a socket used it");
        }
    }

    /// A record was created: what it means if it is nobody's.
    pub(super) fn audit_adoption(&mut self, slot: Slot, address: Ipv4Addr) {
        let record = self.world.registry.static_ips.get(&address).map(|it| &it.object);
        let Some(record) = record.filter(|record| record.member.is_nobody()) else { return };
        let process = &self.processes[slot.at()];
        let against = match &process.machine {
            Runs::Attempt(attempt) => attempt.against,
            Runs::Attach(_) | Runs::Release(_) | Runs::Errand(_) | Runs::Agent(_) => {
                Some("by what adopts nothing")
            }
        };
        let adoption = Adoption {
            slot: slot.0,
            node: process.spawn.node,
            carrier: self.scenario.shape.slot(),
            record,
            against,
            owner: self.world.ec2.holder(address),
            changed: self.world.ec2.changed(address),
        };
        if adoption.owner != Some((adoption.node.eni(adoption.carrier), false)) {
            // Somebody has just moved it, and a read that lagged did not show that yet.
            self.moved.insert(address);
        }
        self.audit.adopted(self.now, &adoption);
    }

    /// A call to EC2 is about to be sent.
    pub(super) fn called_for_nobody(&mut self, slot: Slot, address: Ipv4Addr, assigns: bool) {
        let record = self.world.registry.static_ips.get(&address);
        if record.is_some_and(|stored| stored.object.member.is_nobody()) {
            let reclaims = self.processes[slot.at()].reclaims == Some(address) && !assigns;
            self.audit.called_for_nobody(self.now, slot.0, reclaims);
        }
    }

    /// So much of what may break does: little before the script begins, for else nothing would be
    /// seen for ten minutes without a break.
    pub(super) fn share(&self) -> u16 {
        let lead = self.scenario.strays.as_ref().map_or(0, |strays| strays.lead_ms);
        let quiet = Duration::from_millis(u64::from(lead)).saturating_sub(LONG.saturating_mul(2));
        if self.now.0 > SETTLED && self.now.0 < quiet { SHARE } else { 1 }
    }

    /// Agents look around so much more seldom while there is nothing to see but strays.
    pub(super) fn calm(&self) -> u32 {
        let Some(strays) = &self.scenario.strays else { return 1 };
        let begins = Duration::from_millis(u64::from(strays.lead_ms));
        let before = self.now.0 > SETTLED && self.now.0.saturating_add(LONG) < begins;
        if before || self.resting { CALM } else { 1 }
    }
}

/// What starts at the beginning has started by then.
const SETTLED: Duration = Duration::from_mins(2);
/// The longest pause of an agent in calm times.
const LONG: Duration = Duration::from_secs(5 * 6);
/// One in so many of what may break does before the script begins.
const SHARE: u16 = 16;
/// So much more seldom.
const CALM: u32 = 6;

impl Attempt {
    fn speaks(&mut self, against: bool, what: &'static str) {
        if against {
            self.against.get_or_insert(what);
        }
    }
}
