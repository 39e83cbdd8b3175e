//! Preflight checks with injected faults.

use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{ClusterName, InstanceId, SubnetId};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{NodeIdentity, TypeLimits};
use firecamp_node::preflight::facts::{
    AttachedVolumes, NodeFacts, Permission, Reading, Reservation, Right,
};
use firecamp_node::preflight::{AccountChecks, CloudChecks, NodeChecks};

use crate::sim::script::{Op, Script};

/// Wraps any implementation and injects the faults of a script. A node's files fail in separate
/// parts.
#[derive(Debug, Clone)]
pub struct FaultyChecks<C> {
    inner: C,
    script: Script,
}

impl<C> FaultyChecks<C> {
    /// Wraps an implementation.
    pub fn new(inner: C, script: Script) -> Self {
        Self { inner, script }
    }
}

fn broken(op: Op) -> impl Fn(bool) -> CloudFailure {
    move |_unknown| CloudFailure {
        kind: CloudKind::Transient,
        effect: Effect::None,
        detail: format!("{op:?}: fault injected by the script"),
    }
}

impl<C: CloudChecks> CloudChecks for FaultyChecks<C> {
    async fn instance(&self) -> Result<NodeIdentity, CloudFailure> {
        self.script.around(Op::Identity, || self.inner.instance(), broken(Op::Identity)).await
    }

    async fn interfaces(&self, instance: &InstanceId) -> Result<Vec<Interface>, CloudFailure> {
        let call = || self.inner.interfaces(instance);
        self.script.around(Op::Interfaces, call, broken(Op::Interfaces)).await
    }

    async fn type_limits(&self, name: &str) -> Result<TypeLimits, CloudFailure> {
        let call = || self.inner.type_limits(name);
        self.script.around(Op::TypeLimits, call, broken(Op::TypeLimits)).await
    }

    async fn peers(
        &self,
        subnet: &SubnetId,
        cluster: &ClusterName,
    ) -> Result<Vec<Interface>, CloudFailure> {
        let call = || self.inner.peers(subnet, cluster);
        self.script.around(Op::Peers, call, broken(Op::Peers)).await
    }

    async fn reservations(&self, subnet: &SubnetId) -> Result<Vec<Reservation>, CloudFailure> {
        let call = || self.inner.reservations(subnet);
        self.script.around(Op::Reservations, call, broken(Op::Reservations)).await
    }

    async fn permission(&self, right: Right) -> Result<Permission, CloudFailure> {
        let call = || self.inner.permission(right);
        self.script.around(Op::Permission, call, broken(Op::Permission)).await
    }

    fn clocks(&self) -> Vec<Reading> {
        self.inner.clocks()
    }
}

impl<C: AccountChecks> AccountChecks for FaultyChecks<C> {
    async fn volumes(&self, instance: &InstanceId) -> Result<AttachedVolumes, CloudFailure> {
        let call = || self.inner.volumes(instance);
        self.script.around(Op::Attached, call, broken(Op::Attached)).await
    }
}

impl<C: NodeChecks> NodeChecks for FaultyChecks<C> {
    async fn facts(&self) -> NodeFacts {
        self.inner.facts().await
    }
}
