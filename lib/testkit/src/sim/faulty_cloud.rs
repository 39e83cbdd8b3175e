//! A cloud with injected faults.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, Mac, SubnetId};
use firecamp_core::node_identity::NodeIdentity;
use firecamp_core::ports::{Cloud, Owner};

use crate::sim::script::{Op, Script};

/// Wraps any cloud and injects the faults of a script.
#[derive(Debug, Clone)]
pub struct FaultyCloud<C> {
    inner: C,
    script: Script,
}

impl<C> FaultyCloud<C> {
    /// Wraps a cloud.
    pub fn new(inner: C, script: Script) -> Self {
        Self { inner, script }
    }
}

fn broken(op: Op) -> impl Fn(bool) -> CloudFailure {
    move |unknown| CloudFailure {
        kind: CloudKind::Transient,
        effect: if unknown { Effect::Unknown } else { Effect::None },
        detail: format!("{op:?}: fault injected by the script"),
    }
}

impl<C: Cloud> Cloud for FaultyCloud<C> {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.script.around(Op::Identity, || self.inner.identity(), broken(Op::Identity)).await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        self.script.around(Op::Listed, || self.inner.listed(mac), broken(Op::Listed)).await
    }

    async fn owner(&self, address: Ipv4Addr, subnet: &SubnetId) -> Result<Owner, CloudFailure> {
        let call = || self.inner.owner(address, subnet);
        self.script.around(Op::Owner, call, broken(Op::Owner)).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let call = || self.inner.assign(eni, address, force, within);
        self.script.around(Op::Assign, call, broken(Op::Assign)).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let call = || self.inner.unassign(eni, address, within);
        self.script.around(Op::Unassign, call, broken(Op::Unassign)).await
    }
}
