//! Messages of attach about holders and places.

use std::net::Ipv4Addr;

use crate::ids::{Member, PodUid, SetName};
use crate::node_identity::NodeIdentity;
use crate::ports::{Controller, OwnerEni};
use crate::record::{Pool, StaticIp};

/// The holder of a record, for messages.
pub(super) fn holder_text(record: &StaticIp) -> String {
    record.attachment.as_ref().map_or_else(
        || "an unknown pod".to_owned(),
        |a| format!("pod {} on node {}", a.pod, a.node),
    )
}

pub(super) fn foreign(record: &StaticIp, holder: &OwnerEni) -> String {
    let place = holder.instance.as_ref().map(|i| format!(" on {i}")).unwrap_or_default();
    if holder.primary {
        return format!(
            "{} is the primary address of {}{place} ({:?}), which EC2 cannot move; exclude it from \
             pool {}",
            record.address, holder.id, holder.description, record.pool
        );
    }
    format!(
        "{} is held by {}{place} ({:?}), which is neither recorded as a holder nor tagged for this \
         cluster",
        record.address, holder.id, holder.description
    )
}

/// For an address that the claim names or requests and that no record of the member explains.
pub(super) fn in_use(
    member: &Member,
    address: Ipv4Addr,
    holder: &OwnerEni,
    requested: bool,
) -> String {
    let place = holder.instance.as_ref().map(|id| format!(" on {id}")).unwrap_or_default();
    let has = format!("{}{place} has it", holder.id);
    if requested {
        format!(
            "{member} requests {address}, but {has}; StaticIP {address}, if it exists, names the \
             member that owns it"
        )
    } else {
        format!("the claim names {address}, which has no StaticIP; {has}")
    }
}

pub(super) fn not_of_the_set(
    member: &Member,
    set: &SetName,
    pod: &PodUid,
    controller: Option<&Controller>,
) -> String {
    let by = controller.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    format!("the claim of {member} is bound to StatefulSet {set}; pod {pod} is controlled by {by}")
}

pub(super) fn no_eni_in_pool(pool: &Pool, node: &NodeIdentity) -> String {
    format!(
        "no ENI of {} in zone {} is in a subnet of pool {}",
        node.instance, node.zone, pool.name
    )
}

pub(super) fn no_eni_in_subnet(record: &StaticIp, node: &NodeIdentity) -> String {
    let subnets: Vec<_> = node.enis.iter().map(|e| e.subnet.to_string()).collect();
    format!(
        "{} is in {} (zone {}); {} (zone {}) has no ENI there that --eni selects (its subnets: {})",
        record.address,
        record.subnet,
        record.zone,
        node.instance,
        node.zone,
        subnets.join(", ")
    )
}
