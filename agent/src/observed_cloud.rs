//! A cloud with an observer of its requests to EC2. Requests to the metadata service are reads
//! instead.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{EniId, InstanceId, Mac, SubnetId};
use firecamp_core::managed_interface::{
    DescribedInterface, InstanceState, InterfaceFilter, NewInterface,
};
use firecamp_core::node_identity::NodeIdentity;
use firecamp_core::ports::{Cloud, CloudInterfaces, Owner};
use tokio::time::Instant;

use crate::status::Call;

/// What learns of the requests of a cloud.
pub(crate) trait Observer: Send + Sync {
    /// A request is sent. Without an end it was cancelled.
    fn sent(&self, _call: Call) {}

    /// A request has ended with this failure, or none.
    fn ended(&self, call: Call, failure: Option<CloudKind>, took: Duration);
}

/// A cloud with an observer.
#[derive(Debug)]
pub(crate) struct ObservedCloud<C, O> {
    pub(crate) inner: C,
    pub(crate) observer: O,
}

impl<C, O: Observer> ObservedCloud<C, O> {
    /// Performs one request.
    pub(crate) async fn observe<T>(
        &self,
        call: Call,
        request: impl Future<Output = Result<T, CloudFailure>>,
    ) -> Result<T, CloudFailure> {
        let begun = Instant::now();
        self.observer.sent(call);
        let answer = request.await;
        let failure = answer.as_ref().err().map(|failure| failure.kind);
        self.observer.ended(call, failure, begun.elapsed());
        answer
    }
}

impl<C: Cloud, O: Observer> Cloud for ObservedCloud<C, O> {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.inner.identity().await
    }

    async fn poll_identity(&self, unused: &BTreeSet<Mac>) -> Result<NodeIdentity, CloudFailure> {
        self.inner.poll_identity(unused).await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        self.inner.listed(mac).await
    }

    async fn owners(
        &self,
        addresses: &[Ipv4Addr],
        subnet: &SubnetId,
    ) -> Result<BTreeMap<Ipv4Addr, Owner>, CloudFailure> {
        let request = self.inner.owners(addresses, subnet);
        self.observe(Call::DescribeNetworkInterfaces, request).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        addresses: &[Ipv4Addr],
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let request = self.inner.assign(eni, addresses, force, within);
        self.observe(Call::AssignPrivateIpAddresses, request).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let request = self.inner.unassign(eni, address, within);
        self.observe(Call::UnassignPrivateIpAddresses, request).await
    }
}

impl<C: CloudInterfaces, O: Observer> CloudInterfaces for ObservedCloud<C, O> {
    async fn create_interface(
        &self,
        request: &NewInterface,
        within: Duration,
    ) -> Result<EniId, CloudFailure> {
        let request = self.inner.create_interface(request, within);
        self.observe(Call::CreateNetworkInterface, request).await
    }

    async fn attach_interface(
        &self,
        eni: &EniId,
        instance: &InstanceId,
        device_index: u32,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let request = self.inner.attach_interface(eni, instance, device_index, within);
        self.observe(Call::AttachNetworkInterface, request).await
    }

    async fn detach_interface(
        &self,
        attachment: &str,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let request = self.inner.detach_interface(attachment, within);
        self.observe(Call::DetachNetworkInterface, request).await
    }

    async fn delete_interface(&self, eni: &EniId, within: Duration) -> Result<(), CloudFailure> {
        let request = self.inner.delete_interface(eni, within);
        self.observe(Call::DeleteNetworkInterface, request).await
    }

    async fn describe_interfaces(
        &self,
        filter: &InterfaceFilter,
    ) -> Result<Vec<DescribedInterface>, CloudFailure> {
        let request = self.inner.describe_interfaces(filter);
        self.observe(Call::DescribeNetworkInterfaces, request).await
    }

    async fn is_reserved(
        &self,
        address: Ipv4Addr,
        subnet: &SubnetId,
    ) -> Result<bool, CloudFailure> {
        let request = self.inner.is_reserved(address, subnet);
        self.observe(Call::GetSubnetCidrReservations, request).await
    }

    async fn instance_state(&self, instance: &InstanceId) -> Result<InstanceState, CloudFailure> {
        let request = self.inner.instance_state(instance);
        self.observe(Call::DescribeInstances, request).await
    }
}
