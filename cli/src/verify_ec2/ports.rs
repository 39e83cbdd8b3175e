//! What the command asks EC2 and the metadata service. One attempt each, with a deadline.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::{AwsCloud, InterfacesBy, ListedInterface, ListedSubnet};
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{EniId, Mac, SubnetId};
use firecamp_core::managed_interface::NewInterface;
use firecamp_core::node_identity::NodeIdentity;
use firecamp_core::ports::{Cloud, CloudInterfaces};

use super::judge::Answer;

/// The deadline of a call that changes something: the hard maximum of ec2-semantics, timing model.
const WITHIN: Duration = Duration::from_secs(15);

/// Whether an Assign may take the address from another interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reassign {
    /// Without AllowReassignment.
    Refuse,
    /// With AllowReassignment.
    Allow,
}

/// EC2 and the metadata service.
pub trait Ec2 {
    /// The subnet with its CIDR reservations.
    fn subnet(&self, id: &SubnetId) -> impl Future<Output = Result<ListedSubnet, CloudFailure>>;

    /// Interfaces of the subnet, page by page.
    fn pages(
        &self,
        subnet: &SubnetId,
        by: &InterfacesBy,
        page_size: i32,
    ) -> impl Future<Output = Result<Vec<Vec<ListedInterface>>, CloudFailure>>;

    /// One CreateNetworkInterface.
    fn create(&self, new: &NewInterface) -> impl Future<Output = Result<EniId, CloudFailure>>;

    /// One DeleteNetworkInterface.
    fn delete(&self, eni: &EniId) -> impl Future<Output = Answer>;

    /// One AssignPrivateIpAddresses.
    fn assign(
        &self,
        eni: &EniId,
        addresses: &[Ipv4Addr],
        reassign: Reassign,
    ) -> impl Future<Output = Answer>;

    /// One UnassignPrivateIpAddresses.
    fn unassign(&self, eni: &EniId, address: Ipv4Addr) -> impl Future<Output = Answer>;

    /// This instance, from its metadata service.
    fn node(&self) -> impl Future<Output = Result<NodeIdentity, CloudFailure>>;

    /// The addresses that the metadata service lists for an interface.
    fn listed(&self, mac: Mac) -> impl Future<Output = Result<BTreeSet<Ipv4Addr>, CloudFailure>>;
}

impl Ec2 for AwsCloud {
    async fn subnet(&self, id: &SubnetId) -> Result<ListedSubnet, CloudFailure> {
        Self::subnet(self, id).await
    }

    async fn pages(
        &self,
        subnet: &SubnetId,
        by: &InterfacesBy,
        page_size: i32,
    ) -> Result<Vec<Vec<ListedInterface>>, CloudFailure> {
        self.interface_pages(subnet, by, page_size).await
    }

    async fn create(&self, new: &NewInterface) -> Result<EniId, CloudFailure> {
        self.create_interface(new, WITHIN).await
    }

    async fn delete(&self, eni: &EniId) -> Answer {
        self.delete_interface(eni, WITHIN).await
    }

    async fn assign(&self, eni: &EniId, addresses: &[Ipv4Addr], reassign: Reassign) -> Answer {
        Cloud::assign(self, eni, addresses, reassign == Reassign::Allow, WITHIN).await
    }

    async fn unassign(&self, eni: &EniId, address: Ipv4Addr) -> Answer {
        Cloud::unassign(self, eni, address, WITHIN).await
    }

    async fn node(&self) -> Result<NodeIdentity, CloudFailure> {
        self.identity().await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        Cloud::listed(self, mac).await
    }
}
