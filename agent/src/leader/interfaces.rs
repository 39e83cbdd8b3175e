//! The leader's queries and operations for interfaces that FireCamp made. Each operation reads
//! again what it depends on.

use std::time::Duration;

use firecamp_controllers::leader::{Change, InterfaceAnswer, InterfaceQuery};
use firecamp_core::contract::{tag, timing};
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::EniId;
use firecamp_core::managed_interface::{
    DescribedInterface, InstanceState, InterfaceFilter, Phase, StoredInterface,
};
use firecamp_core::ports::{Cloud, CloudInterfaces};
use firecamp_core::record::StaticIp;
use tokio::time::timeout;

use super::operations::{Attempt, PerformError};
use super::remote_systems::RemoteSystems;

/// Bound of one read of EC2.
const READ_BOUND: Duration = Duration::from_secs(10);
/// Bound of one call that changes EC2.
const WITHIN: Duration = timing::CALL_BOUND;

impl<C: Cloud + CloudInterfaces> RemoteSystems<C> {
    /// The answer of EC2 about an interface; none without an answer.
    pub(super) async fn query_interface(&self, query: &InterfaceQuery) -> Option<InterfaceAnswer> {
        let answer = async {
            match query {
                InterfaceQuery::Instance(stored) => {
                    let state = self.cloud.instance_state(&stored.record.instance).await?;
                    Ok(InterfaceAnswer::Instance(state))
                }
                InterfaceQuery::Describe(stored) => {
                    Ok(InterfaceAnswer::Described(self.describe(stored).await?))
                }
            }
        };
        let failed = |why: &CloudFailure| {
            tracing::warn!(interface = %query.uid(), error = %why,
                "failed to look up interface in EC2");
        };
        timeout(READ_BOUND, answer).await.ok()?.inspect_err(failed).ok()
    }

    /// By its id, or by the tag that names the record: the process that created it may have ended
    /// before it wrote the id.
    async fn describe(
        &self,
        stored: &StoredInterface,
    ) -> Result<Vec<DescribedInterface>, CloudFailure> {
        let filter = match &stored.record.eni {
            Some(eni) => InterfaceFilter::Id(eni.clone()),
            None => InterfaceFilter::Record(stored.uid.to_string()),
        };
        self.cloud.describe_interfaces(&filter).await
    }
}

impl<C: Cloud + CloudInterfaces> Attempt<'_, C> {
    pub(super) async fn drain(&self, stored: &StoredInterface) -> Result<(), PerformError> {
        let state = self.remote.cloud.instance_state(&stored.record.instance);
        let state = timeout(READ_BOUND, state).await.map_err(late)?.map_err(refused)?;
        if state != InstanceState::Gone {
            return Err(PerformError::Moot("the instance exists"));
        }
        self.change(Change::UpdateInterface(stored.excluded())).await
    }

    pub(super) async fn detach(
        &self,
        stored: &StoredInterface,
        attachment: &str,
    ) -> Result<(), PerformError> {
        let found = self.remote.describe(stored).await.map_err(refused)?;
        let [one] = found.as_slice() else {
            return Err(PerformError::Moot("EC2 does not show exactly this interface"));
        };
        ours(stored, one)?;
        if one.attachment.as_ref().is_none_or(|it| it.id != attachment) {
            return Err(PerformError::Moot("the interface has another attachment"));
        }
        if has_addresses(one) {
            return Err(PerformError::Moot("EC2 shows the interface with addresses"));
        }
        self.unnamed(&one.id).await?;
        self.remote.cloud.detach_interface(attachment, WITHIN).await.map_err(refused)
    }

    /// Deletes the interface, then the record. The deletion is repeated until EC2 knows no such
    /// interface.
    pub(super) async fn delete(&self, stored: &StoredInterface) -> Result<(), PerformError> {
        let found = self.remote.describe(stored).await.map_err(refused)?;
        let eni = stored.record.eni.clone().or(found.first().map(|one| one.id.clone()));
        let busy = |one: &DescribedInterface| one.attachment.is_some() || has_addresses(one);
        if found.iter().any(busy) {
            return Err(PerformError::Moot("EC2 shows the interface attached or with addresses"));
        }
        for one in &found {
            ours(stored, one)?;
        }
        if let Some(eni) = &eni {
            self.unnamed(eni).await?;
        }
        if stored.record.phase != Phase::Deleting {
            // The next look, with the new version of the record, deletes it.
            return self.change(Change::UpdateInterface(stored.in_phase(Phase::Deleting))).await;
        }
        if let Some(eni) = &eni {
            match self.remote.cloud.delete_interface(eni, WITHIN).await {
                Ok(()) => {}
                Err(why) if why.kind == CloudKind::NotFound => {}
                Err(why) => return Err(refused(why)),
            }
        }
        self.change(Change::DeleteInterface(stored.clone())).await
    }

    /// Whether the parked address may leave its interface: a reservation keeps it for its pool.
    pub(super) async fn may_evict(&self, record: &StaticIp) -> Result<(), PerformError> {
        let reserved = self.remote.cloud.is_reserved(record.address, &record.subnet);
        if timeout(READ_BOUND, reserved).await.map_err(late)?.map_err(refused)? {
            return Ok(());
        }
        let StaticIp { address, subnet, member, .. } = record;
        let text = format!(
            "The interface of {address} is to be removed, and no CIDR reservation of type explicit \
             in {subnet} would keep the parked address for its pool. Create one, or start {member} \
             on another node"
        );
        Err(PerformError::NotReserved(text))
    }

    /// A quorum read that no StaticIP names the interface.
    async fn unnamed(&self, eni: &EniId) -> Result<(), PerformError> {
        let all = self.remote.cluster.addresses().list().await?;
        // One that cannot be read may name it.
        let found =
            all.iter().any(|it| it.object.as_ref().map_or(true, |it| it.record.may_be_on(eni)));
        if found { Err(PerformError::Moot("a StaticIP names the interface")) } else { Ok(()) }
    }
}

/// Whether it has addresses beside its primary one.
fn has_addresses(one: &DescribedInterface) -> bool {
    !one.addresses.is_empty() || one.prefixes > 0
}

/// Whether EC2 shows the interface with the tag of this record: a record that was restored or made
/// by hand may name another cluster's.
fn ours(stored: &StoredInterface, found: &DescribedInterface) -> Result<(), PerformError> {
    if found.record.as_deref() == Some(stored.uid.as_str()) {
        return Ok(());
    }
    let text = format!(
        "{} has no tag {}={}: FireCamp did not make it for this record; delete the record",
        found.id,
        tag::INTERFACE,
        stored.uid
    );
    Err(PerformError::Failed(text))
}

fn refused(why: CloudFailure) -> PerformError {
    PerformError::Failed(why.detail)
}

fn late(_elapsed: tokio::time::error::Elapsed) -> PerformError {
    PerformError::Failed(format!("EC2 did not answer within {READ_BOUND:?}"))
}
