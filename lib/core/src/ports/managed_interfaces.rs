//! The port for interfaces that FireCamp makes.

use std::future::Future;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::failure::CloudFailure;
use crate::ids::{EniId, InstanceId, SubnetId};
use crate::managed_interface::{DescribedInterface, InstanceState, InterfaceFilter, NewInterface};

/// Network interfaces in EC2. A mutating call fails after `within`, with an unknown effect.
pub trait CloudInterfaces: Send + Sync {
    /// One CreateNetworkInterface.
    fn create_interface(
        &self,
        request: &NewInterface,
        within: Duration,
    ) -> impl Future<Output = Result<EniId, CloudFailure>> + Send;

    /// One AttachNetworkInterface to network card 0. EC2 leaves DeleteOnTermination unset for an
    /// interface that is attached in this way.
    fn attach_interface(
        &self,
        eni: &EniId,
        instance: &InstanceId,
        device_index: u32,
        within: Duration,
    ) -> impl Future<Output = Result<(), CloudFailure>> + Send;

    /// One DetachNetworkInterface of this attachment (`eni-attach-…`), without force.
    fn detach_interface(
        &self,
        attachment: &str,
        within: Duration,
    ) -> impl Future<Output = Result<(), CloudFailure>> + Send;

    /// One DeleteNetworkInterface. EC2 refuses it while the interface is in use.
    fn delete_interface(
        &self,
        eni: &EniId,
        within: Duration,
    ) -> impl Future<Output = Result<(), CloudFailure>> + Send;

    /// The interfaces that match, in one paginated DescribeNetworkInterfaces. Empty if EC2 shows
    /// none; reads lag, so that does not prove that there is none.
    fn describe_interfaces(
        &self,
        filter: &InterfaceFilter,
    ) -> impl Future<Output = Result<Vec<DescribedInterface>, CloudFailure>> + Send;

    /// Whether a CIDR reservation of type `explicit` covers the address, so that EC2 assigns it
    /// only by request: one GetSubnetCidrReservations for each page.
    fn is_reserved(
        &self,
        address: Ipv4Addr,
        subnet: &SubnetId,
    ) -> impl Future<Output = Result<bool, CloudFailure>> + Send;

    /// Whether EC2 knows the instance and has not terminated it: one DescribeInstances.
    fn instance_state(
        &self,
        instance: &InstanceId,
    ) -> impl Future<Output = Result<InstanceState, CloudFailure>> + Send;
}
