//! The adoption of one address: performs the steps of the agent's own machine.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::node::{
    AdoptionAttempt as Machine, AdoptionResult, AgentIdentity, AttemptAnswer, AttemptStep,
    Event as NodeEvent,
};
use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::{NotAdopted, Orphan};
use firecamp_core::failure::{HostFailure, HostKind, RegistryKind};
use firecamp_core::ids::RunId;
use firecamp_core::lock_rule::Hold;
use firecamp_core::ports::SocketScope;
use firecamp_core::record::{OrphanPolicy, Write};

use super::Model;
use super::process::{ProcessKind, Slot};
use crate::audit::Adoption;
use crate::cluster::Ended;
use crate::crash_injection::{CrashKind, Recovery};
use crate::level::{Level as _, Order};
use crate::scenario::Fault;
use crate::simulated_cluster::orphans::mark;

/// An attempt to adopt.
#[derive(Debug)]
pub(super) struct AdoptionAttempt {
    machine: Machine,
    /// The answer to the running read of several objects, as of its start.
    read: Option<AttemptAnswer>,
    /// A fact that was true when it was read and that rules out the adoption.
    against: Option<&'static str>,
    /// The step at which its agent is killed.
    dies: Option<u8>,
}

impl AdoptionAttempt {
    /// The steps at which its agent may be killed: before each request, and with the write in
    /// flight.
    pub(super) const STEPS: u8 = 7;

    pub(super) fn new(
        orphan: Orphan,
        (identity, run): (AgentIdentity, RunId),
        dies: Option<u8>,
    ) -> Self {
        let machine = Machine::new(orphan, identity, run);
        Self { machine, read: None, against: None, dies }
    }

    fn step(&self) -> u8 {
        match self.machine.step() {
            AttemptStep::ReadCensus => 0,
            AttemptStep::ReadOwner => 1,
            AttemptStep::ReadKernel => 2,
            AttemptStep::ReadSockets => 3,
            AttemptStep::ReadRecord => 4,
            AttemptStep::Create(_) => 5,
            AttemptStep::End(_) => Self::STEPS,
        }
    }

    /// Handles a reply. A failed read ends the attempt.
    pub(super) fn reply(&mut self, reply: &Reply) {
        let answer = self.answer(reply).unwrap_or_else(|| AttemptAnswer::Failed(String::new()));
        self.machine.answered(answer);
    }
    fn answer(&mut self, reply: &Reply) -> Option<AttemptAnswer> {
        match (self.machine.step(), reply) {
            (AttemptStep::ReadCensus | AttemptStep::ReadKernel, Reply::Host(Ok(_))) => {
                self.read.take()
            }
            (AttemptStep::ReadOwner, Reply::Owner(Ok(owner))) => {
                Some(AttemptAnswer::Owner(owner.clone()))
            }
            (AttemptStep::ReadSockets, Reply::Sockets(Ok(used))) => {
                Some(AttemptAnswer::Sockets(*used))
            }
            (AttemptStep::ReadRecord, Reply::Record(Ok(found))) => {
                Some(AttemptAnswer::Recorded(found.is_some()))
            }
            (AttemptStep::Create(_), Reply::Written(Ok(_))) => Some(AttemptAnswer::Created),
            (AttemptStep::Create(_), Reply::Written(Err(why)))
                if why.kind == RegistryKind::AlreadyExists =>
            {
                Some(AttemptAnswer::AlreadyExists)
            }
            _ => None,
        }
    }
}

fn outcome_name(result: &AdoptionResult) -> &'static str {
    let why = match result {
        AdoptionResult::Adopted => return "adoption: adopted",
        AdoptionResult::Moot => return "adoption: it has a record",
        AdoptionResult::Failed(_) => return "adoption: something failed",
        AdoptionResult::Refused(why) => why,
    };
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
    fn attempt_mut(&mut self, slot: Slot) -> Option<&mut AdoptionAttempt> {
        match &mut self.processes[slot.at()].machine {
            ProcessKind::AdoptionAttempt(attempt) => Some(attempt),
            ProcessKind::Attach(_)
            | ProcessKind::Release(_)
            | ProcessKind::Execution(_)
            | ProcessKind::Client(_)
            | ProcessKind::Admission(_)
            | ProcessKind::Agent(_) => None,
        }
    }

    /// The attempt sends its next request.
    pub(super) fn next_request(&mut self, slot: Slot) {
        let Some(attempt) = self.attempt_mut(slot) else { return };
        let address = attempt.machine.orphan().address;
        let (at, step) = (attempt.machine.step().clone(), attempt.step());
        let dies = attempt.dies;
        if dies == Some(step) {
            return self.kill_agent_of(slot);
        }
        match at {
            AttemptStep::ReadCensus => self.census(slot, address),
            AttemptStep::ReadOwner => {
                let (after, reply) = self.describe_owner(slot, address);
                self.reply_after(slot, after, reply);
            }
            AttemptStep::ReadKernel => self.kernel_snapshot(slot, address),
            AttemptStep::ReadSockets => {
                self.note_sockets(slot, address);
                self.host(slot, &Action::ReadSockets(address));
            }
            AttemptStep::ReadRecord => self.read_registry(slot, &Action::ReadRecord(address)),
            AttemptStep::Create(record) => {
                self.write_registry(slot, Box::new(Write::CreateStaticIp(*record)));
                if dies == Some(AdoptionAttempt::STEPS - 1) {
                    self.kill_agent_of(slot);
                }
            }
            AttemptStep::End(result) => self.attempt_ended(slot, result),
        }
    }

    fn kill_agent_of(&mut self, slot: Slot) {
        let Some(agent) = self.processes[slot.at()].agent else { return };
        let id = self.processes[agent.at()].id();
        self.coverage.hit("adoption: the agent dies");
        self.order(self.now, Order::Kill(id));
        self.ended.push_back((id, Ended::Crashed(CrashKind::Kill, Recovery::SamePod)));
    }

    fn attempt_ended(&mut self, slot: Slot, result: AdoptionResult) {
        let outcome_name = outcome_name(&result);
        let process = &mut self.processes[slot.at()];
        process.alive = false;
        let mutations = process.mutations;
        if mutations > 0 {
            self.audit.mutation_sent_for_orphan(self.now, slot.0, false);
        }
        self.coverage.hit(outcome_name);
        self.trace.add(self.now, &(slot.0, outcome_name), || {
            format!("run-{} ends: {outcome_name}", slot.0)
        });
        self.disturb();
        let agent = self.processes[slot.at()].agent;
        let orphan = self.attempt_mut(slot).map(|attempt| attempt.machine.orphan().clone());
        if let (Some(agent), Some(orphan)) = (agent, orphan) {
            self.tell(agent, Duration::ZERO, NodeEvent::AdoptionTried(orphan, result));
        }
    }

    /// Reads all pools, all claims, and the pods of the node.
    fn census(&mut self, slot: Slot, address: Ipv4Addr) {
        let (after, read) = self.query_registry(slot);
        let node = self.processes[slot.at()].spawn.node;
        let pods = self.cluster.pods_on(node, self.names);
        let pools: Vec<_> = self.cluster.registry.pools.values().cloned().collect();
        let claimed = self.cluster.claim_naming(address).cloned();
        let adopts = pools.iter().all(|pool| pool.orphaned == OrphanPolicy::Adopt);
        if let Some(attempt) = self.attempt_mut(slot) {
            attempt.objects(!adopts, "the pool's policy is not to adopt");
            attempt.objects(claimed.is_some(), "a claim named it");
            attempt.read = Some(AttemptAnswer::Census { pools, claimed, pods });
        }
        self.reply_after(slot, after, answer(read));
    }

    /// Reads the node's kernel state of the address, and its lock.
    fn kernel_snapshot(&mut self, slot: Slot, address: Ipv4Addr) {
        let after = self.process(slot).rng.micros(50, 1_500);
        let read = !self.injects(slot, Fault::HostRefuses);
        let node = self.cluster.node(self.processes[slot.at()].spawn.node);
        let (kernel, torn) = (mark(&node.kernel, address), node.torn.contains(&address));
        let lock = node.kernel.locks.get(&address).cloned();
        if let Some(attempt) = self.attempt_mut(slot) {
            attempt.objects(kernel.is_some(), "the kernel had it");
            attempt.objects(torn, "its lock could not be read");
            let held = lock.as_ref().is_some_and(|last| last.hold == Hold::Held);
            attempt.objects(held, "its lock was held");
            let pods = &attempt.machine.evidence().pods;
            let lives = lock.as_ref().is_some_and(|last| pods.contains(&last.holder.pod));
            attempt.objects(lives, "its pod still existed");
            attempt.read = Some(AttemptAnswer::Kernel { kernel, lock, torn });
        }
        self.reply_after(slot, after, answer(read));
    }

    fn note_sockets(&mut self, slot: Slot, address: Ipv4Addr) {
        let node = self.cluster.node(self.processes[slot.at()].spawn.node);
        let idle = node.kernel.sockets(address).idle(SocketScope::All);
        if let Some(attempt) = self.attempt_mut(slot) {
            attempt.objects(!idle, "a socket used it");
        }
    }

    /// A record was created: audits it if it has no member.
    pub(super) fn audit_adoption(&mut self, slot: Slot, address: Ipv4Addr) {
        let record = self.cluster.registry.static_ips.get(&address).map(|it| &it.object);
        let Some(record) = record.filter(|record| record.member.is_orphaned()) else { return };
        let process = &self.processes[slot.at()];
        let against = match &process.machine {
            ProcessKind::AdoptionAttempt(attempt) => attempt.against,
            ProcessKind::Attach(_)
            | ProcessKind::Release(_)
            | ProcessKind::Execution(_)
            | ProcessKind::Client(_)
            | ProcessKind::Admission(_)
            | ProcessKind::Agent(_) => Some("created by a process that adopts nothing"),
        };
        let adoption = Adoption {
            slot: slot.0,
            node: process.spawn.node,
            carrier: self.scenario.shape.slot(),
            record,
            against,
            owner: self.cluster.ec2.holder(address),
            changed: self.cluster.ec2.changed(address),
        };
        if adoption.owner != Some((adoption.node.eni(adoption.carrier), false)) {
            // Another actor has just moved it, and a stale read did not show that.
            self.moved.insert(address);
        }
        self.audit.adopted(self.now, &adoption);
    }

    /// A call to EC2 is about to be sent.
    pub(super) fn mutation_sent_for_orphan(
        &mut self,
        slot: Slot,
        address: Ipv4Addr,
        assigns: bool,
    ) {
        let record = self.cluster.registry.static_ips.get(&address);
        if record.is_some_and(|stored| stored.object.member.is_orphaned()) {
            let process = &self.processes[slot.at()];
            let reclaims = process.by_leader && process.about == Some(address) && !assigns;
            self.audit.mutation_sent_for_orphan(self.now, slot.0, reclaims);
        }
    }

    /// Divides the fault rates before the script begins: otherwise ten minutes without a failed
    /// read would be too rare.
    pub(super) fn fault_divisor(&self) -> u16 {
        let lead = self.scenario.orphans.as_ref().map_or(0, |orphans| orphans.lead_ms);
        let quiet =
            Duration::from_millis(u64::from(lead)).saturating_sub(LONGEST_POLL.saturating_mul(2));
        if self.now.0 > SETTLED && self.now.0 < quiet { QUIET_FAULT_DIVISOR } else { 1 }
    }

    /// Multiplies the agents' poll interval while only orphans are of interest.
    pub(super) fn poll_factor(&self) -> u32 {
        let Some(orphans) = &self.scenario.orphans else { return 1 };
        let begins = Duration::from_millis(u64::from(orphans.lead_ms));
        let before = self.now.0 > SETTLED && self.now.0.saturating_add(LONGEST_POLL) < begins;
        if before || self.quiesced { QUIET_POLL_FACTOR } else { 1 }
    }
}

/// First starts have completed by then.
const SETTLED: Duration = Duration::from_mins(2);
/// The longest poll interval of an agent in quiet phases.
const LONGEST_POLL: Duration = Duration::from_secs(5 * 6);
const QUIET_FAULT_DIVISOR: u16 = 16;
const QUIET_POLL_FACTOR: u32 = 6;

impl AdoptionAttempt {
    fn objects(&mut self, against: bool, what: &'static str) {
        if against {
            self.against.get_or_insert(what);
        }
    }
}
