//! The registry's requests: they take time and fail, answers get lost, and a write lands even if
//! its sender has died.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::audit::Author;
use crate::cluster::ApiPod;
use crate::names::ProcessId;
use crate::scenario::Fault;
use firecamp_controllers::node::Event as NodeEvent;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::{MemberRecords, State, StaticIp, Stored, Write};
use firecamp_core::time::Moment;
use firecamp_vpc::Simulator;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::ProcessHandle;
use crate::wire::sim_state::{SimState, Slot};

/// The registry as one process accesses it.
#[derive(Debug, Clone)]
pub(crate) struct Api(pub(super) ProcessHandle);

fn unavailable(effect: Effect) -> RegistryFailure {
    let detail = "the simulated registry is unavailable".to_owned();
    RegistryFailure { kind: RegistryKind::Unavailable, effect, detail }
}

fn refusal() -> RegistryFailure {
    let detail = "the simulated registry refuses the request".to_owned();
    RegistryFailure { kind: RegistryKind::Refused, effect: Effect::None, detail }
}

/// The timing and the fault of a write.
struct WritePlan {
    refused: Option<RegistryFailure>,
    /// The caller gives up and the write lands later, or its answer is lost.
    unanswered: bool,
    lands: Duration,
    back: Duration,
}

impl SimState {
    /// The duration of a request without faults.
    pub(super) fn registry_time(&mut self, slot: Slot) -> Duration {
        if self.injects(slot, Fault::RegistrySlow) {
            let process = self.process(slot);
            process.slow = true;
            return process.rng.millis(300, 9_000);
        }
        self.process(slot).rng.micros(500, 6_000)
    }

    fn plan_write(&mut self, slot: Slot) -> WritePlan {
        let fails = self.injects(slot, Fault::RegistryFails);
        let lost = !fails && self.injects(slot, Fault::RegistryLost);
        let lands = self.registry_time(slot);
        let out = self.cluster.api_out || fails;
        let rng = &mut self.process(slot).rng;
        let known = if rng.once_in(2) { Effect::None } else { Effect::Unknown };
        let back = rng.micros(300, 4_000);
        let refused = if out {
            Some(unavailable(known))
        } else {
            self.injects(slot, Fault::RegistryRefuses).then(refusal)
        };
        WritePlan { refused, unanswered: lost, lands, back }
    }

    fn land(
        &mut self,
        world: &mut Simulator,
        now: Moment,
        slot: Slot,
        write: &Write,
    ) -> Result<Version, RegistryFailure> {
        if self.cluster.api_out {
            return Err(unavailable(Effect::None));
        }
        let address = match write {
            Write::CreateClaim(_) | Write::UpdateClaim(_) => None,
            Write::CreateStaticIp(ip) => Some(ip.address),
            Write::UpdateStaticIp(stored) => Some(stored.object.address),
        };
        let known = address.and_then(|a| self.cluster.registry.static_ips.get(&a));
        let before = known.map(|stored| stored.object.clone());
        let version = self.cluster.registry.write(write)?;
        if let Some(address) = address {
            self.recorded(now, slot, before.as_ref(), address);
            self.check_address(world, now, address);
        }
        Ok(version)
    }

    /// Audits the changes of a record.
    pub(super) fn recorded(
        &mut self,
        now: Moment,
        slot: Slot,
        before: Option<&StaticIp>,
        address: Ipv4Addr,
    ) {
        let releasing = |state: State| matches!(state, State::Releasing | State::Released);
        let Some(stored) = self.cluster.registry.static_ips.get(&address) else { return };
        let own = self.names.run(ProcessId(slot.0));
        let process = &mut self.processes[slot.at()];
        process.marked |= stored.object.has_pending_by(&own);
        process.announced |= stored.object.attachment.as_ref().is_some_and(|a| releasing(a.state));
        let author = Author {
            slot: slot.0,
            member: process.spawn.member,
            fixed: process.observed.fixed,
            pending_until: process.observed.pending_until,
            // Only the model level records what a process has read.
            pod_lives: true,
        };
        self.audit.recorded(now, author, before, &stored.object);
        self.trace.record(now, &stored.object);
        let node = |record: &StaticIp| self.names.node_ix(&record.attachment.as_ref()?.node);
        let nodes = [before.and_then(node), node(&stored.object)];
        self.cluster.noted(now, address);
        for node in nodes.into_iter().flatten() {
            self.tell_node(node, || NodeEvent::RegistryChanged);
        }
    }
}

impl Api {
    async fn read<T>(
        &self,
        ask: impl FnOnce(&SimState, Moment) -> Result<T, RegistryFailure>,
    ) -> Result<T, RegistryFailure> {
        let ProcessHandle { shared, slot } = &self.0;
        let (refused, time) = {
            let mut sim = shared.sim();
            let fails = sim.injects(*slot, Fault::RegistryFails);
            let time = sim.registry_time(*slot);
            let after = sim.process(*slot).rng.millis(1, 300);
            let refused = if sim.cluster.api_out || fails {
                Some(unavailable(Effect::None))
            } else {
                sim.injects(*slot, Fault::RegistryRefuses).then(refusal)
            };
            let time = if refused.is_some() { after } else { time / 2 };
            (refused, time)
        };
        sleep(time).await;
        if let Some(refused) = refused {
            return Err(refused);
        }
        let now = shared.now();
        let answer = ask(&shared.sim(), now);
        sleep(time).await;
        answer
    }
}

impl Registry for Api {
    async fn member(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        self.read(|sim, _| sim.cluster.registry.member(member, pool)).await
    }

    async fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        self.read(|sim, _| Ok(sim.cluster.registry.static_ips.get(&address).cloned())).await
    }

    async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        self.read(|sim, now| {
            let known = sim.names.member_ix(member);
            let pod = known.and_then(|member| sim.cluster.pods[member.at()]);
            Ok(ApiPod::view(pod, &sim.names, now))
        })
        .await
    }

    async fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        self.read(|sim, _| sim.cluster.registry.allocated(pool)).await
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        let ProcessHandle { shared, slot } = self.0.clone();
        let plan_write = shared.sim().plan_write(slot);
        let WritePlan { refused, unanswered, lands, back } = plan_write;
        if let Some(refused) = refused {
            sleep(lands).await;
            return Err(refused);
        }
        let (report, reported) = oneshot::channel();
        let write = write.clone();
        shared.sim().writes += 1;
        // The write takes effect even if its sender dies.
        drop(spawn_local(async move {
            sleep(lands).await;
            let landed = shared.with(|sim, world, now| {
                sim.writes -= 1;
                sim.land(world, now, slot, &write)
            });
            // The receiver is gone if the sender has given up.
            drop(report.send(landed));
        }));
        let landed = reported.await;
        sleep(back).await;
        match landed {
            Ok(written) if !unanswered => written,
            Ok(_) | Err(_) => Err(unavailable(Effect::Unknown)),
        }
    }
}
