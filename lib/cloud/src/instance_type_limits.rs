//! Parses instance type limits from DescribeInstanceTypes.

use aws_sdk_ec2::types::{AttachmentLimitType, EbsInfo, InstanceTypeHypervisor, InstanceTypeInfo};
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::node_identity::{TypeLimits, VolumeLimit};

use crate::sdk_error;

/// The limits of the requested type. A response without them is a failure: a guessed limit would
/// place pods where no slot is free.
pub(crate) fn limits(
    what: &str,
    name: &str,
    types: &[InstanceTypeInfo],
) -> Result<TypeLimits, CloudFailure> {
    let named =
        |one: &&InstanceTypeInfo| one.instance_type().is_some_and(|kind| kind.as_str() == name);
    let network = types.iter().find(named).and_then(|one| Some((one, one.network_info()?)));
    let numbers = network.and_then(|(one, network)| {
        // Interfaces are attached to the first network card, if the type has several.
        let cards = network.network_cards();
        let first = cards.iter().find(|card| card.network_card_index() == Some(0));
        let on_first = first.and_then(|card| number(card.maximum_network_interfaces()));
        let enis = on_first.or_else(|| number(network.maximum_network_interfaces()))?;
        let addresses = number(network.ipv4_addresses_per_interface())?;
        let volumes = one.ebs_info().and_then(|ebs| volumes(ebs, one.hypervisor()));
        Some(TypeLimits { name: name.to_owned(), enis, addresses, volumes })
    });
    let missing = || format!("{what}: the response has no limit of addresses per ENI");
    numbers.ok_or_else(|| sdk_error::read_failure(CloudKind::Unknown, missing()))
}

fn number(value: Option<i32>) -> Option<u32> {
    u32::try_from(value?).ok().filter(|number| *number > 0)
}

/// Types of the older hypervisor have separate slots for volumes, whatever EC2 reports.
fn volumes(ebs: &EbsInfo, hypervisor: Option<&InstanceTypeHypervisor>) -> Option<VolumeLimit> {
    let kind = ebs.attachment_limit_type()?;
    let reported = *kind == AttachmentLimitType::Shared;
    let known = reported || *kind == AttachmentLimitType::Dedicated;
    let shared = reported && hypervisor != Some(&InstanceTypeHypervisor::Xen);
    let count = number(ebs.maximum_ebs_attachments()).filter(|_| known)?;
    Some(VolumeLimit { count, shared })
}
