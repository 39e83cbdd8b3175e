//! The leader's operations; each reads its objects again first.

use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    Change, Cluster, DeletionReason, Ec2Call, Facts, Identity, Operation, Owner, UnassignReason,
    address_of, deletion_reason, is_orphan, without_volume_wait,
};
use firecamp_controllers::publish::{About, Event};
use firecamp_core::agent::{Execution, Operation as NodeOperation};
use firecamp_core::contract::{cluster::reason, timing};
use firecamp_core::decide;
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::Member;
use firecamp_core::machine::{Outcome, Release as Released};
use firecamp_core::ports::{Cloud, CloudInterfaces, PodView, Registry, SocketScope};
use firecamp_core::record::{Attachment, State, StaticIp, Stored, Write};
use firecamp_core::release::{Release, ReleaseInput, Releaser};
use firecamp_engine::{Ended, NoFile, Rng, Run, Signal, Systems};
use firecamp_run::connect::AnyRegistry;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::recorded_calls::RecordedCalls;
use super::remote_systems::{NoKernel, RemoteSystems};
use crate::by_address::ByAddress;
use crate::observed_cloud::ObservedCloud;

/// Why an operation was not performed.
#[derive(Debug, Error)]
pub(super) enum PerformError {
    /// The state differs from the plan; the next pass plans again.
    #[error("the state has changed: {0}")]
    Moot(&'static str),
    #[error("{0}")]
    Registry(#[from] RegistryFailure),
    /// Nothing would keep the parked address for its pool.
    #[error("{0}")]
    NotReserved(String),
    #[error("{0}")]
    Failed(String),
}

type RecordedCloud<'a, C> = ObservedCloud<&'a C, RecordedCalls>;

/// An attempt to perform an operation, which stops between two steps at the end of the term.
pub(super) struct Attempt<'a, C> {
    pub(super) remote: &'a RemoteSystems<C>,
    cloud: RecordedCloud<'a, C>,
    facts: &'a Facts,
    term: &'a CancellationToken,
    rng: Rng,
}

impl<'a, C: Cloud + CloudInterfaces> Attempt<'a, C> {
    pub(super) fn new(
        remote: &'a RemoteSystems<C>,
        facts: &'a Facts,
        term: &'a CancellationToken,
    ) -> Self {
        let cloud = RecordedCloud { inner: &remote.cloud, observer: RecordedCalls::begin() };
        Self { remote, cloud, facts, term, rng: Rng::default() }
    }

    /// Performs the operation. Returns its calls to EC2.
    pub(super) async fn perform(self, operation: &Operation) -> Vec<Ec2Call> {
        match self.attempt(operation).await {
            Ok(()) => {
                tracing::info!(%operation, reason = operation.reason(), "operation succeeded");
                self.report(operation).await;
            }
            Err(PerformError::Moot(why)) => {
                tracing::debug!(%operation, why, "operation obsolete");
            }
            Err(PerformError::NotReserved(note)) => {
                tracing::info!(%operation, %note, "address stays on its interface");
                self.emit(operation, reason::ADDRESS_NOT_RESERVED, note).await;
            }
            Err(why) => {
                tracing::warn!(%operation, error = %why, "operation failed; will retry");
            }
        }
        self.cloud.observer.into_calls()
    }

    async fn attempt(&self, operation: &Operation) -> Result<(), PerformError> {
        match operation {
            Operation::Release { address, node_operation, .. } => {
                self.release_for(*address, node_operation).await
            }
            Operation::RecordOwner { member, id, owner } => {
                self.change(Change::RecordOwner(member.clone(), id.clone(), owner.clone())).await
            }
            Operation::DeleteClaim { member, id, owner, why } => {
                self.drop_claim(member, id, (owner, *why)).await
            }
            Operation::Unassign { address, why, .. } => self.unassign(*address, *why).await,
            Operation::DeleteStaticIp { address, id } => self.drop_address(*address, id).await,
            Operation::DrainInterface(stored) => self.drain(stored).await,
            Operation::DetachInterface { interface, attachment } => {
                self.detach(interface, attachment).await
            }
            Operation::DeleteInterface(stored) => self.delete(stored).await,
            Operation::RemoveFinalizer { address, id, rest } => {
                self.change(Change::RemoveFinalizer(*address, id.clone(), rest.clone())).await
            }
            Operation::ClearVolumeWait { member, id } => self.end_wait(member, id).await,
            Operation::RemoveZoneGate { member, id, rest, address, zone, .. } => {
                self.is_address_of(member, *address).await?;
                let (member, id, rest) = (member.clone(), id.clone(), rest.clone());
                self.change(Change::RemoveZoneGate(member, id, rest, zone.clone())).await
            }
            Operation::ReportZoneConflict { .. } => Ok(()),
            Operation::UpdateStaticIpStatus { address, id, phase, change } => {
                let (id, change) = (id.clone(), change.clone());
                self.change(Change::UpdateStaticIpStatus(*address, id, *phase, change)).await
            }
            Operation::UpdateClaimStatus { member, id, change } => {
                let (id, change) = (id.clone(), change.clone());
                self.change(Change::UpdateClaimStatus(member.clone(), id, change)).await
            }
            Operation::UpdatePoolStatus { pool, id, status } => {
                self.change(Change::UpdatePoolStatus(pool.clone(), id.clone(), status.clone()))
                    .await
            }
        }
    }

    /// Emits the Event of an operation that succeeded.
    async fn report(&self, operation: &Operation) {
        if let Some(reason) = operation.reason() {
            self.emit(operation, reason, operation.note()).await;
        }
    }

    /// Emits an Event, in one attempt: the log has the same information. It is a warning if it is
    /// about a pod, or if the operation was not performed.
    async fn emit(&self, operation: &Operation, reason: &'static str, note: String) {
        let Some(about) = self.about(operation) else { return };
        let warns = operation.reason() != Some(reason) || matches!(about, About::Pod { .. });
        let (action, at) = (operation.action(), String::new());
        let event = Event { about, related: None, reason, action, warns, note, at };
        if let Err(why) = self.remote.cluster.report(&self.remote.node, event).await {
            tracing::debug!(%operation, error = %why, "failed to emit Event");
        }
    }

    /// The object of the Event.
    fn about(&self, operation: &Operation) -> Option<About> {
        let (Operation::RemoveZoneGate { member, id: Identity { uid, .. }, .. }
        | Operation::ReportZoneConflict { member, pod: uid, .. }) = operation
        else {
            return self.facts.address.map(About::StaticIp);
        };
        let (namespace, name) = (member.namespace().to_owned(), member.name().to_owned());
        Some(About::Pod { namespace, name, uid: uid.to_string() })
    }

    /// The zone of a gated pod was planned for this address. Lists and watches of claims and pods
    /// may show different times, so the claim is read again.
    async fn is_address_of(
        &self,
        member: &Member,
        planned: Option<Ipv4Addr>,
    ) -> Result<(), PerformError> {
        let address = match self.remote.cluster.claim(member).await {
            Ok(observed) => observed.and_then(|observed| address_of(&observed.claim)),
            // As planned for a claim that cannot be parsed.
            Err(why) if why.kind == RegistryKind::Invalid => None,
            Err(why) => return Err(why.into()),
        };
        let same = address == planned;
        if same { Ok(()) } else { Err(PerformError::Moot("the claim has changed")) }
    }

    pub(super) async fn change(&self, change: Change) -> Result<(), PerformError> {
        match self.remote.cluster.change(&change).await {
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
    ) -> Result<(), PerformError> {
        let NodeOperation::Release { member, .. } = node_operation else {
            return Err(PerformError::Moot("the operation is not a release"));
        };
        let (id, cluster) = (self.rng.run_id(), self.remote.name.clone());
        let node_operation = node_operation.clone();
        let machine = move |now| Execution::new(&node_operation, &cluster, id, now);
        let ended =
            firecamp_engine::run(machine, &self.systems(address), &self.run_of(member)).await;
        released(ended)
    }

    fn run_of(&self, member: &Member) -> Run {
        let signal = Signal::Interrupt(self.term.clone());
        Run { member: member.clone(), pool: None, signal, rng: self.rng.clone(), watcher: None }
    }

    /// The systems of a release in place of another node's agent.
    fn systems(
        &self,
        address: Ipv4Addr,
    ) -> Systems<&RecordedCloud<'a, C>, NoKernel, ByAddress<AnyRegistry>, NoFile> {
        let (registry, pool) = (self.remote.registry.clone(), self.facts.pool.clone());
        let registry = ByAddress { registry, address, pool };
        Systems { cloud: &self.cloud, host: NoKernel, registry, file: NoFile }
    }

    async fn record(&self, address: Ipv4Addr) -> Result<Stored<StaticIp>, PerformError> {
        let read = self.remote.registry.static_ip(address).await?;
        read.ok_or(PerformError::Moot("the StaticIP is deleted"))
    }

    /// Deletes a claim. If the member's pod appears during the deletion, restores the claim.
    async fn drop_claim(
        &self,
        member: &Member,
        id: &Identity,
        (owner, why): (&Owner, DeletionReason),
    ) -> Result<(), PerformError> {
        let claim = self
            .remote
            .cluster
            .claim(member)
            .await?
            .ok_or(PerformError::Moot("the object is deleted"))?;
        if claim.id != *id || claim.owner.as_ref() != Some(owner) {
            return Err(PerformError::Moot("the claim has changed"));
        }
        let set = self.remote.cluster.set(&owner.full_name(member)).await?;
        if deletion_reason(member, owner, self.facts.retention, set.as_ref()) != Some(why) {
            return Err(PerformError::Moot("its StatefulSet has changed"));
        }
        if self.remote.cluster.pod(member).await?.view != PodView::Absent {
            return Err(PerformError::Moot("the member has a pod"));
        }
        self.change(Change::DeleteClaim(member.clone(), id.clone())).await?;
        let pod = self.remote.cluster.pod(member).await;
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
        let claim = self
            .remote
            .cluster
            .claim(member)
            .await?
            .ok_or(PerformError::Moot("the object is deleted"))?;
        if claim.id != *id {
            return Err(PerformError::Moot("the claim has changed"));
        }
        let change = without_volume_wait(&claim)
            .ok_or(PerformError::Moot("the claim has no such condition"))?;
        if self.remote.cluster.pod(member).await?.view != PodView::Absent {
            return Err(PerformError::Moot("the member has a pod"));
        }
        self.change(Change::UpdateClaimStatus(member.clone(), claim.id, change)).await
    }

    async fn orphan(&self, address: Ipv4Addr, member: &Member) -> Result<(), PerformError> {
        let claim = self.remote.cluster.claim(member).await?;
        let orphan = is_orphan(address, claim.as_ref());
        if orphan { Ok(()) } else { Err(PerformError::Moot("a claim names the address")) }
    }

    /// Records a release with unassignment under its own epoch, then performs it. The next pass
    /// completes a release that was recorded but not finished.
    async fn unassign(&self, address: Ipv4Addr, why: UnassignReason) -> Result<(), PerformError> {
        let Stored { version, object } = self.record(address).await?;
        match why {
            UnassignReason::NoClaim => self.orphan(address, &object.member).await?,
            UnassignReason::Deleted => {}
            UnassignReason::InterfaceRemoved => self.may_evict(&object).await?,
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
        let machine = move |now| Release::new(input, now);
        let run = self.run_of(&object.member);
        released(firecamp_engine::run(machine, &self.systems(address), &run).await)
    }

    async fn announce(
        &self,
        version: firecamp_core::ids::Version,
        record: &StaticIp,
    ) -> Result<(), PerformError> {
        let next = decide::releasing(record, &self.rng.run_id());
        let (object, _) = next.ok_or(PerformError::Moot("the record names no ENI"))?;
        let write = Write::UpdateStaticIp(Stored { version, object });
        self.remote.registry.write(&write).await?;
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

    async fn drop_address(&self, address: Ipv4Addr, id: &Identity) -> Result<(), PerformError> {
        let member =
            self.facts.member.as_ref().ok_or(PerformError::Moot("the object is deleted"))?;
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
