//! The registry's requests.

use std::time::Duration;

use firecamp_controllers::node::Event as NodeEvent;
use firecamp_core::action::{Action, Reply};
use firecamp_core::failure::{Effect as ReportedEffect, RegistryFailure, RegistryKind};
use firecamp_core::record::{State, StaticIp, Write};

use super::Model;
use super::calls::Effect;
use super::process::Slot;
use crate::audit::Cause;
use crate::cluster::ApiPod;
use crate::names::{NodeIx, ProcessId};
use crate::scenario::Fault;

/// The time limit of a registry request in the runner.
const BOUND: Duration = Duration::from_secs(5);

fn unavailable(effect: ReportedEffect) -> RegistryFailure {
    RegistryFailure { kind: RegistryKind::Unavailable, effect, detail: String::new() }
}

fn refusal() -> RegistryFailure {
    let (kind, effect) = (RegistryKind::Refused, ReportedEffect::None);
    RegistryFailure { kind, effect, detail: String::new() }
}

fn failed(action: &Action, failure: RegistryFailure) -> Reply {
    if let Action::ReadMember = action {
        Reply::Member(Err(failure))
    } else if let Action::ReadRecord(_) = action {
        Reply::Record(Err(failure))
    } else if let Action::ReadPod = action {
        Reply::Pod(Err(failure))
    } else {
        Reply::Allocated(Err(failure))
    }
}

impl Model<'_> {
    /// The duration of a request without faults.
    fn registry_time(&mut self, slot: Slot) -> Duration {
        if self.injects(slot, Fault::RegistrySlow) {
            self.process(slot).slow = true;
            return self.process(slot).rng.millis(300, 9_000);
        }
        self.process(slot).rng.micros(500, 6_000)
    }

    /// The duration of an agent's request, and whether it succeeds.
    pub(super) fn query_registry(&mut self, slot: Slot) -> (Duration, bool) {
        let fails = self.injects(slot, Fault::RegistryFails);
        let time = self.registry_time(slot);
        let refused = self.injects(slot, Fault::RegistryRefuses);
        let answered = !(self.cluster.api_out || fails || refused) && time < BOUND;
        (time.min(BOUND), answered)
    }

    pub(super) fn read_registry(&mut self, slot: Slot, action: &Action) {
        let fails = self.injects(slot, Fault::RegistryFails);
        let time = self.registry_time(slot);
        if self.cluster.api_out || fails {
            let after = self.process(slot).rng.millis(1, 300);
            return self.reply_after(
                slot,
                after,
                failed(action, unavailable(ReportedEffect::None)),
            );
        }
        if time >= BOUND {
            return self.reply_after(
                slot,
                BOUND,
                failed(action, unavailable(ReportedEffect::Unknown)),
            );
        }
        if self.injects(slot, Fault::RegistryRefuses) {
            return self.reply_after(slot, time, failed(action, refusal()));
        }
        let reply = self.read_now(slot, action);
        self.reply_after(slot, time, reply);
    }

    fn read_now(&mut self, slot: Slot, action: &Action) -> Reply {
        if let Some(reply) = self.read_for_leader(slot, action) {
            return reply;
        }
        let spawn = self.processes[slot.at()].spawn;
        let cluster = &self.cluster;
        if let Action::ReadMember = action {
            let member = self.member_of(slot);
            Reply::Member(cluster.registry.member(&member, None).map(Box::new))
        } else if let Action::ReadRecord(address) = action {
            let found = cluster.registry.static_ips.get(address).cloned();
            Reply::Record(Ok(found.map(Box::new)))
        } else if let Action::ReadAllocated(pool) = action {
            Reply::Allocated(cluster.registry.allocated(pool))
        } else {
            let pod = cluster.pods[spawn.member.at()];
            let own = |pod: ApiPod| pod.pod == spawn.pod && pod.node == Some(spawn.node);
            let lives = pod.is_some_and(|pod| own(pod) && pod.ending.is_none());
            let process = self.process(slot);
            process.pod_lives = lives;
            if !lives {
                process.causes.add(Cause::PodNotLiving);
            }
            Reply::Pod(Ok(ApiPod::view(pod, self.names, self.now)))
        }
    }

    pub(super) fn member_of(&self, slot: Slot) -> firecamp_core::ids::Member {
        self.names.member(self.processes[slot.at()].spawn.member).clone()
    }

    /// A write lands after its duration, even if the process has given up on it.
    pub(super) fn write_registry(&mut self, slot: Slot, write: Box<Write>) {
        let fails = self.injects(slot, Fault::RegistryFails);
        let lost = !fails && self.injects(slot, Fault::RegistryLost);
        let time = self.registry_time(slot);
        let rng = &mut self.process(slot).rng;
        let back = rng.micros(300, 4_000);
        if self.cluster.api_out || fails {
            let known = if self.process(slot).rng.once_in(2) {
                ReportedEffect::None
            } else {
                ReportedEffect::Unknown
            };
            return self.reply_after(
                slot,
                time.min(BOUND),
                Reply::Written(Err(unavailable(known))),
            );
        }
        if self.injects(slot, Fault::RegistryRefuses) {
            return self.reply_after(slot, time.min(BOUND), Reply::Written(Err(refusal())));
        }
        let effect = Effect::Write(write, self.process(slot).pod_lives);
        let given_up = time.saturating_add(back) >= BOUND;
        if !given_up && !lost {
            return self.send(slot, (time, Some(back)), effect);
        }
        let after = if given_up { BOUND } else { time.saturating_add(back) };
        self.reply_after(slot, after, Reply::Written(Err(unavailable(ReportedEffect::Unknown))));
        self.send(slot, (time, None), effect);
    }

    /// The watches of these nodes' agents report a change.
    pub(super) fn registry_changed(&mut self, nodes: [Option<NodeIx>; 2]) {
        let [first, second] = nodes;
        let second = second.filter(|_| second != first);
        for node in first.into_iter().chain(second) {
            self.tell_node(node, || NodeEvent::RegistryChanged);
        }
    }

    pub(super) fn land_write(&mut self, slot: Slot, (write, pod_lives): (&Write, bool)) -> Reply {
        if self.cluster.api_out {
            return Reply::Written(Err(unavailable(ReportedEffect::None)));
        }
        let address = match write {
            Write::CreateClaim(_) | Write::UpdateClaim(_) => None,
            Write::CreateStaticIp(ip) => Some(ip.address),
            Write::UpdateStaticIp(stored) => Some(stored.object.address),
        };
        let known = address.and_then(|a| self.cluster.registry.static_ips.get(&a));
        let before = known.map(|stored| stored.object.clone());
        let written = self.cluster.registry.write(write);
        if let (Ok(_), Some(address)) = (&written, address) {
            let releasing = |state: State| matches!(state, State::Releasing | State::Released);
            let stored = &self.cluster.registry.static_ips[&address].object;
            let own = self.names.run(ProcessId(slot.0));
            let process = &mut self.processes[slot.at()];
            process.marked |= stored.has_pending_by(&own);
            process.announced |= stored.attachment.as_ref().is_some_and(|a| releasing(a.state));
            let author = crate::audit::Author {
                slot: slot.0,
                member: process.spawn.member,
                fixed: process.fixed,
                pending_until: process.pending_until,
                pod_lives,
            };
            self.audit.recorded(self.now, author, before.as_ref(), stored);
            self.trace.record(self.now, stored);
            let node = |record: &StaticIp| self.names.node_ix(&record.attachment.as_ref()?.node);
            let nodes = [before.as_ref().and_then(node), node(stored)];
            self.cluster.noted(self.now, address);
            self.registry_changed(nodes);
            if before.is_none() {
                self.audit_adoption(slot, address);
            }
            self.check_address(address);
        }
        Reply::Written(written)
    }
}
