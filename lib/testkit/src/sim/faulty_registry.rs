//! A registry with injected faults.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::{MemberRecords, StaticIp, Stored, Write};

use crate::sim::script::{Op, Script};

/// Wraps any registry and injects the faults of a script.
#[derive(Debug, Clone)]
pub struct FaultyRegistry<R> {
    inner: R,
    script: Script,
}

impl<R> FaultyRegistry<R> {
    /// Wraps a registry.
    pub fn new(inner: R, script: Script) -> Self {
        Self { inner, script }
    }
}

fn broken(op: Op) -> impl Fn(bool) -> RegistryFailure {
    move |unknown| RegistryFailure {
        kind: RegistryKind::Unavailable,
        effect: if unknown { Effect::Unknown } else { Effect::None },
        detail: format!("{op:?}: fault injected by the script"),
    }
}

impl<R: Registry> Registry for FaultyRegistry<R> {
    async fn member(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        let call = || self.inner.member(member, pool);
        self.script.around(Op::Member, call, broken(Op::Member)).await
    }

    async fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        let call = || self.inner.static_ip(address);
        self.script.around(Op::StaticIp, call, broken(Op::StaticIp)).await
    }

    async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        self.script.around(Op::Pod, || self.inner.pod(member), broken(Op::Pod)).await
    }

    async fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        let call = || self.inner.allocated(pool);
        self.script.around(Op::Allocated, call, broken(Op::Allocated)).await
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        self.script.around(Op::Write, || self.inner.write(write), broken(Op::Write)).await
    }
}
