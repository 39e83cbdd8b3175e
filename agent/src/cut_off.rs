//! A node that is cut off from the registry while EC2 has given its address to another ENI: its
//! kernel stops answering for it, so that its own connections reach whoever has it now.
//!
//! Guarantees: two reads of EC2 show the loss, the listing of this instance and the look-up of the
//! owner, and a fresh read of the registry was tried and not answered. Nothing is released: the
//! lock keeps its holder, and what was a mistake, or is put right in EC2, is restored. Caveats:
//! that nobody has the address is no reason: nobody is cut off by a kernel that answers for it.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::{CloudFailure, RegistryFailure, RegistryKind};
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_core::outside::{Cloud, Holder, Owner, Registry};
use firecamp_core::record::{State, StaticIp};
use tokio::time::timeout;

/// A registry that does not answer within this is away: the whole is to take a few seconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// An address that EC2 does not show where it was attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) address: Ipv4Addr,
    pub(crate) subnet: SubnetId,
    /// Where it was attached.
    pub(crate) eni: EniId,
    /// Who holds it as far as this node knows.
    pub(crate) holder: Holder,
    /// The kernel does not answer for it any more.
    pub(crate) withheld: bool,
}

/// What a look into a loss has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The registry answers, and the address is held here: it is re-asserted.
    Ours,
    /// The registry answers, and it has moved on: this node gives way.
    Moved,
    /// The registry is away, and this ENI has the address.
    CutOff(EniId),
    /// The registry is away, and EC2 does not say who has it.
    Unknown,
}

/// The registry first: while it answers, it alone decides.
pub(crate) async fn look_into(
    lost: &Lost,
    (cloud, registry): (&impl Cloud, &impl Registry),
) -> Finding {
    let read = timeout(ANSWERS_WITHIN, registry.static_ip(lost.address)).await;
    let read = read.ok().map(|read| read.map(|found| found.map(|stored| stored.object)));
    if let Some(finding) = decided(lost, read.as_ref()) {
        return finding;
    }
    if lost.withheld {
        return Finding::Unknown;
    }
    owned(lost, cloud.owner(lost.address, &lost.subnet).await)
}

/// What the registry says, if it was asked and has answered.
fn decided(
    lost: &Lost,
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

fn owned(lost: &Lost, owner: Result<Owner, CloudFailure>) -> Finding {
    match owner {
        Ok(Owner::Eni(other)) if other.id != lost.eni => Finding::CutOff(other.id),
        Ok(Owner::Eni(_) | Owner::Nobody) | Err(_) => Finding::Unknown,
    }
}
