//! What an instance type allows, read from what DescribeInstanceTypes answers.

use aws_sdk_ec2::types::{AttachmentLimitType, EbsInfo, InstanceTypeHypervisor, InstanceTypeInfo};
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::node::{TypeLimits, VolumeLimit};

use crate::failed;

/// The limits of the type that was asked for. An answer that does not tell them is none: a number
/// that is guessed would place pods where no room is.
pub(crate) fn limits(
    what: &str,
    name: &str,
    types: &[InstanceTypeInfo],
) -> Result<TypeLimits, CloudFailure> {
    let named =
        |one: &&InstanceTypeInfo| one.instance_type().is_some_and(|kind| kind.as_str() == name);
    let network = types.iter().find(named).and_then(|one| Some((one, one.network_info()?)));
    let numbers = network.and_then(|(one, network)| {
        let enis = number(network.maximum_network_interfaces())?;
        let addresses = number(network.ipv4_addresses_per_interface())?;
        let volumes = one.ebs_info().and_then(|ebs| volumes(ebs, one.hypervisor()));
        Some(TypeLimits { name: name.to_owned(), enis, addresses, volumes })
    });
    let unsaid = || format!("{what}: the answer does not say how many addresses an ENI takes");
    numbers.ok_or_else(|| failed::unread(CloudKind::Unknown, unsaid()))
}

fn number(value: Option<i32>) -> Option<u32> {
    u32::try_from(value?).ok().filter(|number| *number > 0)
}

/// Types of the older hypervisor have slots of their own for volumes, whatever EC2 says of them.
fn volumes(ebs: &EbsInfo, hypervisor: Option<&InstanceTypeHypervisor>) -> Option<VolumeLimit> {
    let kind = ebs.attachment_limit_type()?;
    let told = *kind == AttachmentLimitType::Shared;
    let known = told || *kind == AttachmentLimitType::Dedicated;
    let shared = told && hypervisor != Some(&InstanceTypeHypervisor::Xen);
    let count = number(ebs.maximum_ebs_attachments()).filter(|_| known)?;
    Some(VolumeLimit { count, shared })
}
