//! Parses what EC2 reports about interfaces that FireCamp makes, and about their instances.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::Ipv4Addr;

use aws_sdk_ec2::types::{
    AttachmentStatus, InstanceStateName, NetworkInterface, NetworkInterfaceAttachment, Reservation,
};
use firecamp_core::contract::tag;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{ClusterName, EniId, InstanceId, SubnetId, parse_address};
use firecamp_core::managed_interface::{
    DescribedInterface, InstanceState, InterfaceAttachment, InterfaceFilter,
};

use crate::interface::tagged;
use crate::sdk_error;

/// The ID of a new interface. Without it the call has to be repeated with the same token.
pub(crate) fn created(
    what: &str,
    subnet: &SubnetId,
    interface: Option<&NetworkInterface>,
) -> Result<EniId, CloudFailure> {
    let ours = interface.filter(|one| one.subnet_id() == Some(subnet.as_str()));
    let id = ours.and_then(NetworkInterface::network_interface_id).unwrap_or_default();
    EniId::new(id).map_err(|why| {
        let detail = format!("{what}: the response names no interface of this subnet: {why}");
        CloudFailure { kind: CloudKind::Transient, effect: Effect::Unknown, detail }
    })
}

/// All interfaces that match, or a failure. The filter is not trusted, because EC2 reads `*` and
/// `?` in its values as wildcards.
pub(crate) fn described(
    what: &str,
    filter: &InterfaceFilter,
    listing: &[NetworkInterface],
) -> Result<Vec<DescribedInterface>, CloudFailure> {
    // An interface may be on two pages, if it moved between them during the reads.
    let mut found = BTreeMap::new();
    for one in listing {
        let interface = interface(what, one)?;
        let matches = match filter {
            InterfaceFilter::Id(eni) => interface.id == *eni,
            InterfaceFilter::Record(uid) => interface.record.as_ref() == Some(uid),
            InterfaceFilter::Cluster(cluster) => is_of(cluster, one),
        };
        if matches {
            found.insert(interface.id.clone(), interface);
        }
    }
    Ok(found.into_values().collect())
}

/// The interfaces of a cluster in one page. An interface that cannot be parsed must not hide the
/// others: an AWS service may attach a tagged one to no instance.
pub(crate) fn of_cluster(
    what: &str,
    cluster: &ClusterName,
    page: &[NetworkInterface],
) -> Vec<DescribedInterface> {
    let parsed = |one: &NetworkInterface| match interface(what, one) {
        Ok(found) => Some(found),
        Err(why) => {
            tracing::debug!(error = %why, "interface left out");
            None
        }
    };
    page.iter().filter(|one| is_of(cluster, one)).filter_map(parsed).collect()
}

fn is_of(cluster: &ClusterName, one: &NetworkInterface) -> bool {
    tagged(one, tag::CLUSTER).as_deref() == Some(cluster.as_str())
}

fn interface(what: &str, one: &NetworkInterface) -> Result<DescribedInterface, CloudFailure> {
    let named = one.network_interface_id().unwrap_or_default();
    let id = EniId::new(named).map_err(|why| unreadable(what, named, &why))?;
    let primary = one.private_ip_address();
    let listed = one.private_ip_addresses().iter();
    let secondary = listed.filter(|entry| entry.primary() != Some(true));
    // An entry without an address is a failure: an interface without addresses may be deleted.
    let addresses = secondary
        .map(|entry| entry.private_ip_address().unwrap_or_default())
        .filter(|address| Some(*address) != primary)
        .map(|text| parse_address(text).map_err(|why| unreadable(what, named, &why)))
        .collect::<Result<BTreeSet<Ipv4Addr>, _>>()?;
    let attachment = one.attachment().filter(|it| it.status() != Some(&AttachmentStatus::Detached));
    let attachment = attachment.map(|it| attached(what, named, it)).transpose()?;
    Ok(DescribedInterface {
        id,
        addresses,
        prefixes: u32::try_from(one.ipv4_prefixes().len()).unwrap_or(u32::MAX),
        attachment,
        record: tagged(one, tag::INTERFACE),
        cluster_uid: tagged(one, tag::CLUSTER_UID),
    })
}

fn attached(
    what: &str,
    named: &str,
    one: &NetworkInterfaceAttachment,
) -> Result<InterfaceAttachment, CloudFailure> {
    let missing = |field: &str| unreadable(what, named, &format!("its attachment has no {field}"));
    let instance = InstanceId::new(one.instance_id().unwrap_or_default());
    let index = one.device_index().and_then(|index| u32::try_from(index).ok());
    Ok(InterfaceAttachment {
        id: one.attachment_id().ok_or_else(|| missing("ID"))?.to_owned(),
        instance: instance.map_err(|why| unreadable(what, named, &why))?,
        device_index: index.ok_or_else(|| missing("device index"))?,
        attached: one.status() == Some(&AttachmentStatus::Attached),
    })
}

/// The state of an instance that EC2 knows.
pub(crate) fn state(
    what: &str,
    instance: &InstanceId,
    reservations: &[Reservation],
) -> Result<InstanceState, CloudFailure> {
    let all = reservations.iter().flat_map(Reservation::instances);
    let mut named = all.filter(|one| one.instance_id() == Some(instance.as_str()));
    let name = named.next().and_then(|one| one.state()?.name());
    match name {
        Some(InstanceStateName::Terminated) => Ok(InstanceState::Gone),
        Some(
            InstanceStateName::Pending
            | InstanceStateName::Running
            | InstanceStateName::Stopping
            | InstanceStateName::Stopped
            | InstanceStateName::ShuttingDown,
        ) => Ok(InstanceState::Exists),
        other => Err(unreadable(what, instance.as_str(), &format!("its state is {other:?}"))),
    }
}

fn unreadable(what: &str, named: &str, problem: &dyn Display) -> CloudFailure {
    let detail = format!("{what}: failed to parse {:?}: {problem}", sdk_error::clean(named));
    sdk_error::read_failure(CloudKind::Transient, detail)
}
