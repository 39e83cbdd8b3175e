//! Parses the owners of addresses from DescribeNetworkInterfaces. The filter is not trusted: an ENI
//! counts only if it lists the address itself.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use aws_sdk_ec2::types::{AttachmentStatus, NetworkInterface};
use firecamp_core::contract::tag;
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{EniId, InstanceId, SubnetId};
use firecamp_core::ports::{Owner, OwnerEni};

use crate::sdk_error;

/// Which interfaces that FireCamp made are those of this cluster.
#[derive(Debug, Clone)]
pub(crate) enum MadeFor {
    /// All that have its name.
    AnyOfTheName,
    /// Those with this UID, none while it is unknown. Another cluster may have the same name.
    Uid(Option<String>),
}

/// The owner of each address among the ENIs of all pages. An address that moved between the reads
/// of two pages, so that two ENIs list it, is left out; if none is left, the look-up fails.
pub(crate) fn owners(
    what: &str,
    (addresses, subnet): (&[Ipv4Addr], &SubnetId),
    made_for: &MadeFor,
    enis: &[NetworkInterface],
) -> Result<BTreeMap<Ipv4Addr, Owner>, CloudFailure> {
    let mut owners: BTreeMap<Ipv4Addr, Owner> =
        addresses.iter().map(|address| (*address, Owner::Unassigned)).collect();
    let mut ambiguous = BTreeMap::new();
    for eni in enis {
        let mut ignored = true;
        for (address, owner) in &mut owners {
            let Some(primary) = holds(eni, &address.to_string(), subnet) else { continue };
            ignored = false;
            let found = read(what, eni, primary, made_for)?;
            match owner {
                // The same ENI on two pages: it moved between them during the reads.
                Owner::Eni(known) if known.id == found.id => {}
                Owner::Eni(known) => {
                    let both = format!("{address} shown on both {} and {}", known.id, found.id);
                    tracing::warn!(%address, both, "address ignored: two ENIs list it");
                    ambiguous.insert(*address, both);
                }
                Owner::Unassigned => *owner = Owner::Eni(found),
            }
        }
        if ignored {
            let eni = sdk_error::clean(eni.network_interface_id().unwrap_or_default());
            tracing::warn!(eni, ?addresses, "ENI ignored: it lists none of the addresses");
        }
    }
    owners.retain(|address, _| !ambiguous.contains_key(address));
    match ambiguous.pop_first() {
        Some((_, both)) if owners.is_empty() => {
            let detail = format!("{what}: {both}");
            Err(sdk_error::read_failure(CloudKind::Transient, detail))
        }
        Some(_) | None => Ok(owners),
    }
}

/// Whether the ENI lists the address, and if so, whether as its primary one.
fn holds(eni: &NetworkInterface, address: &str, subnet: &SubnetId) -> Option<bool> {
    if eni.subnet_id() != Some(subnet.as_str()) {
        return None;
    }
    if eni.private_ip_address() == Some(address) {
        return Some(true);
    }
    let listed = eni.private_ip_addresses();
    let ours = listed.iter().find(|entry| entry.private_ip_address() == Some(address))?;
    Some(ours.primary() == Some(true))
}

fn read(
    what: &str,
    eni: &NetworkInterface,
    primary: bool,
    made_for: &MadeFor,
) -> Result<OwnerEni, CloudFailure> {
    let id = EniId::new(eni.network_interface_id().unwrap_or_default()).map_err(|error| {
        sdk_error::read_failure(
            CloudKind::Transient,
            format!("{what}: an owner without a valid ID: {error}"),
        )
    })?;
    let tag = |key| eni.tag_set().iter().find(|tag| tag.key() == Some(key))?.value();
    let is_of_other = match (made_for, tag(tag::CLUSTER_UID)) {
        (MadeFor::AnyOfTheName, _) | (MadeFor::Uid(_), None) => false,
        (MadeFor::Uid(own), Some(uid)) => own.as_deref() != Some(uid),
    };
    Ok(OwnerEni {
        id,
        primary,
        cluster: tag(tag::CLUSTER).filter(|_| !is_of_other).map(str::to_owned),
        instance: instance(eni),
        description: sdk_error::clean(eni.description().unwrap_or_default()),
    })
}

/// Attachments of AWS services have no instance, or none that can be described.
fn instance(eni: &NetworkInterface) -> Option<InstanceId> {
    let attachment = eni.attachment()?;
    if attachment.status() == Some(&AttachmentStatus::Detached) {
        return None;
    }
    InstanceId::new(attachment.instance_id()?).ok()
}

#[cfg(test)]
mod tests;
