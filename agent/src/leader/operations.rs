//! The leader's operations; each reads its objects again first.

use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    Change, Cluster, DeletionReason, Identity, Operation, Owner, SetName, UnassignReason, View,
    deletion_reason, is_orphan, without_volume_wait,
};
use firecamp_core::agent::{Execution, Operation as NodeOperation};
use firecamp_core::contract::timing;
use firecamp_core::decide;
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::Member;
use firecamp_core::machine::{Outcome, Release as Released};
use firecamp_core::ports::{Cloud, PodView, Registry, SocketScope};
use firecamp_core::record::{Attachment, Pool, State, StaticIp, Stored, Write};
use firecamp_core::release::{Release, ReleaseInput, Releaser};
use firecamp_engine::{Ended, Run, Signal};
use firecamp_registry::api::ClaimRetentionPolicy;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::Leader;

/// Why an operation was not performed.
#[derive(Debug, Error)]
enum PerformError {
    /// The state differs from the plan; the next pass plans again.
    #[error("the state has changed: {0}")]
    Moot(&'static str),
    #[error("{0}")]
    Registry(#[from] RegistryFailure),
    #[error("{0}")]
    Failed(String),
}

/// Facts from the cache that an operation needs; none of them authorises a change.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The address of the operation. Events about a claim refer to its StaticIP.
    address: Option<Ipv4Addr>,
    /// The member of that address.
    member: Option<Member>,
    pool: Option<Pool>,
    retention: ClaimRetentionPolicy,
}

impl Facts {
    pub(super) fn of(operation: &Operation, view: &View) -> Self {
        let claim = member_of(operation).and_then(|member| view.claims.get(member)?.as_ref());
        let address = address_of(operation).or_else(|| claim?.claim.address);
        let record = address.and_then(|address| view.addresses.get(&address)?.as_ref());
        let record = record.map(|seen| &seen.record);
        let pool = claim.map(|seen| &seen.claim.pool).or(record.map(|record| &record.pool));
        let pool = pool.and_then(|name| view.pools.get(name)?.as_ref());
        Self {
            address,
            member: record.map(|record| record.member.clone()),
            pool: pool.map(|seen| seen.pool.clone()),
            retention: pool.map(|seen| seen.retention).unwrap_or_default(),
        }
    }
}

fn address_of(operation: &Operation) -> Option<Ipv4Addr> {
    match operation {
        Operation::Release { address, .. }
        | Operation::Unassign { address, .. }
        | Operation::DeleteStaticIp { address, .. }
        | Operation::RemoveFinalizer { address, .. }
        | Operation::UpdateStaticIpStatus { address, .. } => Some(*address),
        Operation::RecordOwner { .. }
        | Operation::DeleteClaim { .. }
        | Operation::ClearVolumeWait { .. }
        | Operation::UpdateClaimStatus { .. }
        | Operation::UpdatePoolStatus { .. } => None,
    }
}

/// The member whose claim the operation concerns.
fn member_of(operation: &Operation) -> Option<&Member> {
    match operation {
        Operation::RecordOwner { member, .. } | Operation::DeleteClaim { member, .. } => {
            Some(member)
        }
        Operation::Release { .. }
        | Operation::Unassign { .. }
        | Operation::DeleteStaticIp { .. }
        | Operation::RemoveFinalizer { .. }
        | Operation::ClearVolumeWait { .. }
        | Operation::UpdateStaticIpStatus { .. }
        | Operation::UpdateClaimStatus { .. }
        | Operation::UpdatePoolStatus { .. } => None,
    }
}

impl<C: Cloud> Leader<C> {
    pub(super) async fn perform(
        &self,
        operation: &Operation,
        facts: &Facts,
        term: &CancellationToken,
    ) {
        let done = match operation {
            Operation::Release { address, node_operation, .. } => {
                self.release_for(*address, node_operation, facts, term).await
            }
            Operation::RecordOwner { member, id, owner } => {
                self.change(Change::RecordOwner(member.clone(), id.clone(), owner.clone())).await
            }
            Operation::DeleteClaim { member, id, owner, why } => {
                self.drop_claim(member, id, (owner, *why), facts).await
            }
            Operation::Unassign { address, why, .. } => {
                self.unassign(*address, *why, facts, term).await
            }
            Operation::DeleteStaticIp { address, id } => {
                self.drop_address(*address, id, facts).await
            }
            Operation::RemoveFinalizer { address, id, rest } => {
                self.change(Change::RemoveFinalizer(*address, id.clone(), rest.clone())).await
            }
            Operation::ClearVolumeWait { member, id } => self.end_wait(member, id).await,
            Operation::UpdateStaticIpStatus { address, id, status } => {
                self.change(Change::UpdateStaticIpStatus(*address, id.clone(), status.clone()))
                    .await
            }
            Operation::UpdateClaimStatus { member, id, conditions } => {
                let change =
                    Change::UpdateClaimStatus(member.clone(), id.clone(), conditions.clone());
                self.change(change).await
            }
            Operation::UpdatePoolStatus { pool, id, status } => {
                self.change(Change::UpdatePoolStatus(pool.clone(), id.clone(), status.clone()))
                    .await
            }
        };
        match done {
            Ok(()) => {
                tracing::info!(%operation, reason = operation.reason(), "operation succeeded");
                self.report(operation, facts).await;
            }
            Err(PerformError::Moot(why)) => {
                tracing::debug!(%operation, why, "operation obsolete");
            }
            Err(why) => {
                tracing::warn!(%operation, error = %why, "operation failed; will retry");
            }
        }
    }

    /// Emits the Event, in one attempt: the log has the same information.
    async fn report(&self, operation: &Operation, facts: &Facts) {
        let (Some(reason), Some(address)) = (operation.reason(), facts.address) else { return };
        let event = (operation.action(), reason, operation.to_string());
        if let Err(why) = self.cluster.report(&self.node, address, event).await {
            tracing::debug!(%operation, error = %why, "failed to emit Event");
        }
    }

    async fn change(&self, change: Change) -> Result<(), PerformError> {
        match self.cluster.change(&change).await {
            Ok(()) => Ok(()),
            Err(why) => Err(match why.kind {
                RegistryKind::Conflict => PerformError::Moot("the object was modified"),
                RegistryKind::NotFound => PerformError::Moot("the object is deleted"),
                RegistryKind::AlreadyExists
                | RegistryKind::Unavailable
                | RegistryKind::Invalid
                | RegistryKind::Refused => PerformError::Registry(why),
            }),
        }
    }

    async fn release_for(
        &self,
        address: Ipv4Addr,
        node_operation: &NodeOperation,
        facts: &Facts,
        term: &CancellationToken,
    ) -> Result<(), PerformError> {
        let NodeOperation::Release { member, .. } = node_operation else {
            return Err(PerformError::Moot("the operation is not a release"));
        };
        let (id, cluster) = (self.rng.run_id(), self.name.clone());
        let node_operation = node_operation.clone();
        let machine = move |now| Execution::new(&node_operation, &cluster, id, now);
        let systems = self.ports.systems(address, facts.pool.clone());
        let ended = firecamp_engine::run(machine, &systems, &self.run_of(member, term)).await;
        released(ended)
    }

    fn run_of(&self, member: &Member, term: &CancellationToken) -> Run {
        let signal = Signal::Interrupt(term.clone());
        Run { member: member.clone(), pool: None, signal, rng: self.rng.clone() }
    }

    async fn record(&self, address: Ipv4Addr) -> Result<Stored<StaticIp>, PerformError> {
        let read = self.ports.registry.static_ip(address).await?;
        read.ok_or(PerformError::Moot("the StaticIP is deleted"))
    }

    /// Deletes a claim. If the member's pod appears during the deletion, restores the claim.
    async fn drop_claim(
        &self,
        member: &Member,
        id: &Identity,
        (owner, why): (&Owner, DeletionReason),
        facts: &Facts,
    ) -> Result<(), PerformError> {
        let claim =
            self.cluster.claim(member).await?.ok_or(PerformError::Moot("the object is deleted"))?;
        if claim.id != *id || claim.owner.as_ref() != Some(owner) {
            return Err(PerformError::Moot("the claim has changed"));
        }
        let set = self.cluster.set(&SetName::of(member, owner)).await?;
        if deletion_reason(member, owner, facts.retention, set.as_ref()) != Some(why) {
            return Err(PerformError::Moot("its StatefulSet has changed"));
        }
        if self.cluster.pod(member).await?.view != PodView::Absent {
            return Err(PerformError::Moot("the member has a pod"));
        }
        self.change(Change::DeleteClaim(member.clone(), id.clone())).await?;
        let pod = self.cluster.pod(member).await;
        if pod.is_ok_and(|seen| seen.view == PodView::Absent) {
            return Ok(());
        }
        let restored = self.change(Change::Restore(claim.claim, claim.owner)).await;
        restored.and(Err(PerformError::Moot(
            "the member's pod appeared during the deletion; the claim was restored",
        )))
    }

    /// Clears the claim's volume condition. If a later pod lacks the volume, its agent sets it
    /// again.
    async fn end_wait(&self, member: &Member, id: &Identity) -> Result<(), PerformError> {
        let claim =
            self.cluster.claim(member).await?.ok_or(PerformError::Moot("the object is deleted"))?;
        if claim.id != *id {
            return Err(PerformError::Moot("the claim has changed"));
        }
        let others = without_volume_wait(&claim)
            .ok_or(PerformError::Moot("the claim has no such condition"))?;
        if self.cluster.pod(member).await?.view != PodView::Absent {
            return Err(PerformError::Moot("the member has a pod"));
        }
        self.change(Change::UpdateClaimStatus(member.clone(), claim.id, others)).await
    }

    async fn orphan(&self, address: Ipv4Addr, member: &Member) -> Result<(), PerformError> {
        let claim = self.cluster.claim(member).await?;
        let orphan = is_orphan(address, claim.as_ref());
        if orphan { Ok(()) } else { Err(PerformError::Moot("a claim names the address")) }
    }

    /// Records a release with unassignment under its own epoch, then performs it. The next pass
    /// completes a release that was recorded but not finished.
    async fn unassign(
        &self,
        address: Ipv4Addr,
        why: UnassignReason,
        facts: &Facts,
        term: &CancellationToken,
    ) -> Result<(), PerformError> {
        let Stored { version, object } = self.record(address).await?;
        match why {
            UnassignReason::NoClaim => self.orphan(address, &object.member).await?,
            UnassignReason::Deleted => {}
        }
        let attachment = object
            .attachment
            .clone()
            .ok_or(PerformError::Moot("the address was never attached"))?;
        match attachment.state {
            State::Releasing => {}
            State::Parked => self.announce(version, &object).await?,
            State::Attaching | State::Attached | State::Released => {
                return Err(PerformError::Moot("the address is attached or already unassigned"));
            }
        }
        let input = self.input(&object.member, &attachment);
        let systems = self.ports.systems(address, facts.pool.clone());
        let machine = move |now| Release::new(input, now);
        let run = self.run_of(&object.member, term);
        released(firecamp_engine::run(machine, &systems, &run).await)
    }

    async fn announce(
        &self,
        version: firecamp_core::ids::Version,
        record: &StaticIp,
    ) -> Result<(), PerformError> {
        let next = decide::releasing(record, &self.rng.run_id());
        let (object, _) = next.ok_or(PerformError::Moot("the record names no ENI"))?;
        let write = Write::UpdateStaticIp(Stored { version, object });
        self.ports.registry.write(&write).await?;
        Ok(())
    }

    fn input(&self, member: &Member, attachment: &Attachment) -> ReleaseInput {
        ReleaseInput {
            member: member.clone(),
            pod: attachment.pod.clone(),
            run: self.rng.run_id(),
            unassign: true,
            await_stop: false,
            by: Releaser::AgentElsewhere,
            scope: SocketScope::All,
            drain: timing::DRAIN,
            grace: timing::OPERATION_DEADLINE,
        }
    }

    async fn drop_address(
        &self,
        address: Ipv4Addr,
        id: &Identity,
        facts: &Facts,
    ) -> Result<(), PerformError> {
        let member = facts.member.as_ref().ok_or(PerformError::Moot("the object is deleted"))?;
        self.orphan(address, member).await?;
        self.change(Change::DeleteStaticIp(address, id.clone())).await
    }
}

fn released(ended: Ended) -> Result<(), PerformError> {
    match ended {
        Ended::Outcome(Outcome::Released { release, .. }) => match release {
            Released::Parked | Released::Unassigned => Ok(()),
            Released::NotHolder => Err(PerformError::Moot("another epoch holds the address")),
            Released::NotEnding => Err(PerformError::Moot("the pod is running")),
        },
        Ended::Outcome(Outcome::Failed(why)) => Err(PerformError::Failed(why.message)),
        Ended::Outcome(Outcome::Attached(_) | Outcome::Maintained { .. }) => {
            Err(PerformError::Failed("the release ended with an unexpected outcome".to_owned()))
        }
        Ended::Interrupted => Err(PerformError::Moot("the leadership term is over")),
    }
}
