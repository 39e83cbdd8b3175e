//! The registry's requests: they take time, fail, lose their answers, and land though whoever
//! sent them has died.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::audit::Author;
use crate::cluster::ApiPod;
use crate::names::ProcessId;
use crate::scenario::Fault;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::outside::{PodView, Registry};
use firecamp_core::record::{MemberRecords, State, StaticIp, Stored, Write};
use firecamp_core::time::Moment;
use firecamp_vpc::World;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::Me;
use crate::wire::site::{Site, Slot};

/// The registry as one process sees it.
#[derive(Debug, Clone)]
pub(crate) struct Api(pub(super) Me);

fn unavailable(effect: Effect) -> RegistryFailure {
    let detail = "the registry is not available".to_owned();
    RegistryFailure { kind: RegistryKind::Unavailable, effect, detail }
}

fn refusal() -> RegistryFailure {
    let detail = "the registry refuses it".to_owned();
    RegistryFailure { kind: RegistryKind::Refused, effect: Effect::None, detail }
}

/// How a write goes.
struct Course {
    refused: Option<RegistryFailure>,
    /// It is given up and lands later, or its answer is lost.
    unanswered: bool,
    lands: Duration,
    back: Duration,
}

impl Site {
    /// How long a request takes that nothing breaks.
    pub(super) fn registry_time(&mut self, slot: Slot) -> Duration {
        if self.strikes(slot, Fault::RegistrySlow) {
            let process = self.process(slot);
            process.slow = true;
            return process.chance.millis(300, 9_000);
        }
        self.process(slot).chance.micros(500, 6_000)
    }

    fn course(&mut self, slot: Slot) -> Course {
        let fails = self.strikes(slot, Fault::RegistryFails);
        let lost = !fails && self.strikes(slot, Fault::RegistryLost);
        let lands = self.registry_time(slot);
        let out = self.cluster.api_out || fails;
        let chance = &mut self.process(slot).chance;
        let known = if chance.once_in(2) { Effect::None } else { Effect::Unknown };
        let back = chance.micros(300, 4_000);
        let refused = if out {
            Some(unavailable(known))
        } else {
            self.strikes(slot, Fault::RegistryRefuses).then(refusal)
        };
        Course { refused, unanswered: lost, lands, back }
    }

    fn land(
        &mut self,
        world: &mut World,
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

    /// Audits what has become of a record.
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
        process.marked |= stored.object.unsettled_by(&own);
        process.announced |= stored.object.attachment.as_ref().is_some_and(|a| releasing(a.state));
        let author = Author {
            slot: slot.0,
            member: process.spawn.member,
            fixed: process.heard.fixed,
            unsettled_until: process.heard.unsettled_until,
        };
        self.audit.recorded(now, author, before, &stored.object);
        self.trace.record(now, &stored.object);
        self.cluster.noted(now, address);
    }
}

impl Api {
    async fn read<T>(
        &self,
        ask: impl FnOnce(&Site, Moment) -> Result<T, RegistryFailure>,
    ) -> Result<T, RegistryFailure> {
        let Me { shared, slot } = &self.0;
        let (refused, time) = {
            let mut site = shared.site();
            let fails = site.strikes(*slot, Fault::RegistryFails);
            let time = site.registry_time(*slot);
            let after = site.process(*slot).chance.millis(1, 300);
            let refused = if site.cluster.api_out || fails {
                Some(unavailable(Effect::None))
            } else {
                site.strikes(*slot, Fault::RegistryRefuses).then(refusal)
            };
            let time = if refused.is_some() { after } else { time / 2 };
            (refused, time)
        };
        sleep(time).await;
        if let Some(refused) = refused {
            return Err(refused);
        }
        let now = shared.now();
        let answer = ask(&shared.site(), now);
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
        self.read(|site, _| site.cluster.registry.member(member, pool)).await
    }

    async fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        self.read(|site, _| Ok(site.cluster.registry.static_ips.get(&address).cloned())).await
    }

    async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        self.read(|site, now| {
            let known = site.names.member_ix(member);
            let pod = known.and_then(|member| site.cluster.pods[member.at()]);
            Ok(ApiPod::view(pod, &site.names, now))
        })
        .await
    }

    async fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        self.read(|site, _| site.cluster.registry.allocated(pool)).await
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        let Me { shared, slot } = self.0.clone();
        let course = shared.site().course(slot);
        let Course { refused, unanswered, lands, back } = course;
        if let Some(refused) = refused {
            sleep(lands).await;
            return Err(refused);
        }
        let (tell, told) = oneshot::channel();
        let write = write.clone();
        shared.site().writes += 1;
        // It belongs to nobody any more: whoever sent it may die, its effect comes all the same.
        drop(spawn_local(async move {
            sleep(lands).await;
            let landed = shared.with(|site, world, now| {
                site.writes -= 1;
                site.land(world, now, slot, &write)
            });
            // Nobody listens who has given up.
            drop(tell.send(landed));
        }));
        let landed = told.await;
        sleep(back).await;
        match landed {
            Ok(written) if !unanswered => written,
            Ok(_) | Err(_) => Err(unavailable(Effect::Unknown)),
        }
    }
}
