//! A cloud with injected faults.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, InstanceId, Mac, SubnetId};
use firecamp_core::managed_interface::{
    DescribedInterface, InstanceState, InterfaceFilter, NewInterface,
};
use firecamp_core::node_identity::NodeIdentity;
use firecamp_core::ports::{Cloud, CloudInterfaces, Owner};

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

    async fn owners(
        &self,
        addresses: &[Ipv4Addr],
        subnet: &SubnetId,
    ) -> Result<BTreeMap<Ipv4Addr, Owner>, CloudFailure> {
        let call = || self.inner.owners(addresses, subnet);
        self.script.around(Op::Owner, call, broken(Op::Owner)).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        addresses: &[Ipv4Addr],
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let call = || self.inner.assign(eni, addresses, force, within);
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

impl<C: CloudInterfaces> CloudInterfaces for FaultyCloud<C> {
    async fn create_interface(
        &self,
        request: &NewInterface,
        within: Duration,
    ) -> Result<EniId, CloudFailure> {
        let call = || self.inner.create_interface(request, within);
        self.script.around(Op::CreateInterface, call, broken(Op::CreateInterface)).await
    }

    async fn attach_interface(
        &self,
        eni: &EniId,
        instance: &InstanceId,
        device_index: u32,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let call = || self.inner.attach_interface(eni, instance, device_index, within);
        self.script.around(Op::AttachInterface, call, broken(Op::AttachInterface)).await
    }

    async fn detach_interface(
        &self,
        attachment: &str,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let call = || self.inner.detach_interface(attachment, within);
        self.script.around(Op::DetachInterface, call, broken(Op::DetachInterface)).await
    }

    async fn delete_interface(&self, eni: &EniId, within: Duration) -> Result<(), CloudFailure> {
        let call = || self.inner.delete_interface(eni, within);
        self.script.around(Op::DeleteInterface, call, broken(Op::DeleteInterface)).await
    }

    async fn describe_interfaces(
        &self,
        filter: &InterfaceFilter,
    ) -> Result<Vec<DescribedInterface>, CloudFailure> {
        let call = || self.inner.describe_interfaces(filter);
        self.script.around(Op::DescribeInterfaces, call, broken(Op::DescribeInterfaces)).await
    }

    async fn is_reserved(
        &self,
        address: Ipv4Addr,
        subnet: &SubnetId,
    ) -> Result<bool, CloudFailure> {
        let call = || self.inner.is_reserved(address, subnet);
        self.script.around(Op::Reservations, call, broken(Op::Reservations)).await
    }

    async fn instance_state(&self, instance: &InstanceId) -> Result<InstanceState, CloudFailure> {
        let call = || self.inner.instance_state(instance);
        self.script.around(Op::InstanceState, call, broken(Op::InstanceState)).await
    }
}
