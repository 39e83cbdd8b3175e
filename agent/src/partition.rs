//! A node that is partitioned from the registry while EC2 shows its address on another ENI: the
//! agent removes the address from the kernel, so that connections from this node reach the actual
//! holder.
//!
//! Guarantees: two reads of EC2 show the loss (the listing of this instance and the lookup of the
//! owner), and a fresh read of the registry got no answer. Nothing is released: the lock keeps its
//! holder, so the agent restores the address if EC2 shows it here again. Caveats: an address that
//! is on no ENI is not removed, because it hides no other holder.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::{CloudFailure, RegistryFailure, RegistryKind};
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_core::ports::{Cloud, Holder, Owner, Registry};
use firecamp_core::record::{State, StaticIp};
use tokio::time::timeout;

/// A registry that does not answer within this is unavailable: the check is to take a few seconds.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(3);

/// An address that EC2 does not show where it was attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LostAddress {
    pub(crate) address: Ipv4Addr,
    pub(crate) subnet: SubnetId,
    /// The ENI to which it is attached by record.
    pub(crate) eni: EniId,
    /// The holder as far as this node knows.
    pub(crate) holder: Holder,
    /// The agent has already removed it from the kernel.
    pub(crate) withheld: bool,
}

/// The result of an investigation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The registry answers, and this node holds the address: a re-assert follows.
    Ours,
    /// The registry answers, and another holder has the address: a withdraw follows.
    Moved,
    /// The registry is unavailable, and this ENI has the address.
    Partitioned(EniId),
    /// The registry is unavailable, and no other ENI has the address.
    Unknown,
}

/// Reads the registry first: while it answers, it alone decides.
pub(crate) async fn investigate(
    lost: &LostAddress,
    (cloud, registry): (&impl Cloud, &impl Registry),
) -> Finding {
    let read = timeout(REGISTRY_TIMEOUT, registry.static_ip(lost.address)).await;
    let read = read.ok().map(|read| read.map(|found| found.map(|stored| stored.object)));
    if let Some(finding) = decided(lost, read.as_ref()) {
        return finding;
    }
    if lost.withheld {
        return Finding::Unknown;
    }
    owned(lost, cloud.owner(lost.address, &lost.subnet).await)
}

/// The finding by the registry's answer, if there is one.
fn decided(
    lost: &LostAddress,
    read: Option<&Result<Option<StaticIp>, RegistryFailure>>,
) -> Option<Finding> {
    let record = match read? {
        Ok(record) => record.as_ref(),
        Err(why) => return (why.kind != RegistryKind::Unavailable).then_some(Finding::Moved),
    };
    let held = record.and_then(|record| {
        let attachment = record.attachment.as_ref()?;
        let same = record.epoch == lost.holder.epoch && attachment.state == State::Attached;
        (same && attachment.eni.as_ref() == Some(&lost.eni)).then_some(())
    });
    Some(held.map_or(Finding::Moved, |()| Finding::Ours))
}

fn owned(lost: &LostAddress, owner: Result<Owner, CloudFailure>) -> Finding {
    match owner {
        Ok(Owner::Eni(other)) if other.id != lost.eni => Finding::Partitioned(other.id),
        Ok(Owner::Eni(_) | Owner::Unassigned) | Err(_) => Finding::Unknown,
    }
}
