//! Duties, each from a fresh read of what it is about.

use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    Change, Cluster, Duty, Identity, Owner, SetName, Unneeded, Unwanted, View, is_orphan, unwanted,
    without_wait,
};
use firecamp_core::agent::{Duty as CoreDuty, Errand};
use firecamp_core::contract::timing;
use firecamp_core::decide;
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::Member;
use firecamp_core::machine::{Outcome, Release as Released};
use firecamp_core::outside::{Cloud, PodView, Registry, SocketScope};
use firecamp_core::record::{Attachment, Pool, State, StaticIp, Stored, Write};
use firecamp_core::release::{Release, ReleaseInput, Releaser};
use firecamp_engine::{Ended, Run, Signal};
use firecamp_registry::api::ClaimRetentionPolicy;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::Steward;

/// Why a duty was not done.
#[derive(Debug, Error)]
enum Undone {
    /// Things are not as they were when it was planned: the next pass plans anew.
    #[error("it is not as it was: {0}")]
    Moot(&'static str),
    #[error("{0}")]
    Registry(#[from] RegistryFailure),
    #[error("{0}")]
    Failed(String),
}

/// What a duty needs of the cluster as it was planned: none of it authorises anything.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The address that it is about. A claim's Events are found at its StaticIP.
    address: Option<Ipv4Addr>,
    /// Whose that is.
    member: Option<Member>,
    pool: Option<Pool>,
    retention: ClaimRetentionPolicy,
}

impl Facts {
    pub(super) fn of(duty: &Duty, view: &View) -> Self {
        let claim = whose(duty).and_then(|member| view.claims.get(member)?.as_ref());
        let address = about(duty).or_else(|| claim?.claim.address);
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

fn about(duty: &Duty) -> Option<Ipv4Addr> {
    match duty {
        Duty::Release { address, .. }
        | Duty::Unassign { address, .. }
        | Duty::DropAddress { address, .. }
        | Duty::FreeAddress { address, .. }
        | Duty::TellAddress { address, .. } => Some(*address),
        Duty::Own { .. }
        | Duty::DropClaim { .. }
        | Duty::EndWait { .. }
        | Duty::TellClaim { .. }
        | Duty::TellPool { .. } => None,
    }
}

/// The member whose claim a duty is about.
fn whose(duty: &Duty) -> Option<&Member> {
    match duty {
        Duty::Own { member, .. } | Duty::DropClaim { member, .. } => Some(member),
        Duty::Release { .. }
        | Duty::Unassign { .. }
        | Duty::DropAddress { .. }
        | Duty::FreeAddress { .. }
        | Duty::EndWait { .. }
        | Duty::TellAddress { .. }
        | Duty::TellClaim { .. }
        | Duty::TellPool { .. } => None,
    }
}

impl<C: Cloud> Steward<C> {
    pub(super) async fn perform(&self, duty: &Duty, facts: &Facts, term: &CancellationToken) {
        let done = match duty {
            Duty::Release { address, errand, .. } => {
                self.release_for(*address, errand, facts, term).await
            }
            Duty::Own { member, id, owner } => {
                self.change(Change::Own(member.clone(), id.clone(), owner.clone())).await
            }
            Duty::DropClaim { member, id, owner, why } => {
                self.drop_claim(member, id, (owner, *why), facts).await
            }
            Duty::Unassign { address, why, .. } => self.unassign(*address, *why, facts, term).await,
            Duty::DropAddress { address, id } => self.drop_address(*address, id, facts).await,
            Duty::FreeAddress { address, id, rest } => {
                self.change(Change::FreeAddress(*address, id.clone(), rest.clone())).await
            }
            Duty::EndWait { member, id } => self.end_wait(member, id).await,
            Duty::TellAddress { address, id, status } => {
                self.change(Change::TellAddress(*address, id.clone(), status.clone())).await
            }
            Duty::TellClaim { member, id, conditions } => {
                let change = Change::TellClaim(member.clone(), id.clone(), conditions.clone());
                self.change(change).await
            }
            Duty::TellPool { pool, id, status } => {
                self.change(Change::TellPool(pool.clone(), id.clone(), status.clone())).await
            }
        };
        match done {
            Ok(()) => {
                tracing::info!(%duty, reason = duty.reason(), "Done for the cluster");
                self.tell(duty, facts).await;
            }
            Err(Undone::Moot(why)) => tracing::debug!(%duty, why, "Not done: things have changed"),
            Err(why) => tracing::warn!(%duty, error = %why, "Not done; it is planned anew"),
        }
    }

    /// An Event is worth one attempt: the log has it all the same.
    async fn tell(&self, duty: &Duty, facts: &Facts) {
        let (Some(reason), Some(address)) = (duty.reason(), facts.address) else { return };
        let said = (duty.action(), reason, duty.to_string());
        if let Err(why) = self.cluster.tell(&self.node, address, said).await {
            tracing::debug!(%duty, error = %why, "An Event was not written");
        }
    }

    async fn change(&self, change: Change) -> Result<(), Undone> {
        match self.cluster.change(&change).await {
            Ok(()) => Ok(()),
            Err(why) => Err(match why.kind {
                RegistryKind::Conflict => Undone::Moot("somebody has changed it"),
                RegistryKind::NotFound => Undone::Moot("it is gone"),
                RegistryKind::AlreadyExists
                | RegistryKind::Unavailable
                | RegistryKind::Invalid
                | RegistryKind::Refused => Undone::Registry(why),
            }),
        }
    }

    async fn release_for(
        &self,
        address: Ipv4Addr,
        errand: &CoreDuty,
        facts: &Facts,
        term: &CancellationToken,
    ) -> Result<(), Undone> {
        let CoreDuty::Release { member, .. } = errand else {
            return Err(Undone::Moot("it is no release"));
        };
        let (id, cluster) = (self.dice.run_id(), self.name.clone());
        let errand = errand.clone();
        let machine = move |now| Errand::new(&errand, &cluster, id, now);
        let systems = self.outside.systems(address, facts.pool.clone());
        let ended = firecamp_engine::run(machine, &systems, &self.run_of(member, term)).await;
        released(ended)
    }

    fn run_of(&self, member: &Member, term: &CancellationToken) -> Run {
        let signal = Signal::Interrupt(term.clone());
        Run { member: member.clone(), pool: None, signal, dice: self.dice.clone() }
    }

    async fn record(&self, address: Ipv4Addr) -> Result<Stored<StaticIp>, Undone> {
        let read = self.outside.registry.static_ip(address).await?;
        read.ok_or(Undone::Moot("there is no such StaticIP"))
    }

    /// A member that comes back in the moment of the deletion gets its claim back.
    async fn drop_claim(
        &self,
        member: &Member,
        id: &Identity,
        (owner, why): (&Owner, Unwanted),
        facts: &Facts,
    ) -> Result<(), Undone> {
        let claim = self.cluster.claim(member).await?.ok_or(Undone::Moot("it is gone"))?;
        if claim.id != *id || claim.owner.as_ref() != Some(owner) {
            return Err(Undone::Moot("the claim has changed"));
        }
        let set = self.cluster.set(&SetName::of(member, owner)).await?;
        if unwanted(member, owner, facts.retention, set.as_ref()) != Some(why) {
            return Err(Undone::Moot("its StatefulSet has changed"));
        }
        if self.cluster.pod(member).await?.view != PodView::Absent {
            return Err(Undone::Moot("it has a pod"));
        }
        self.change(Change::DropClaim(member.clone(), id.clone())).await?;
        let again = self.cluster.pod(member).await;
        if again.is_ok_and(|seen| seen.view == PodView::Absent) {
            return Ok(());
        }
        let restored = self.change(Change::Restore(claim.claim, claim.owner)).await;
        restored.and(Err(Undone::Moot("its pod came back in that moment, and so did the claim")))
    }

    /// A pod that comes and lacks the volume is told of anew by the agent of its node.
    async fn end_wait(&self, member: &Member, id: &Identity) -> Result<(), Undone> {
        let claim = self.cluster.claim(member).await?.ok_or(Undone::Moot("it is gone"))?;
        if claim.id != *id {
            return Err(Undone::Moot("the claim has changed"));
        }
        let others = without_wait(&claim).ok_or(Undone::Moot("it waits no more"))?;
        if self.cluster.pod(member).await?.view != PodView::Absent {
            return Err(Undone::Moot("it has a pod"));
        }
        self.change(Change::TellClaim(member.clone(), claim.id, others)).await
    }

    async fn orphan(&self, address: Ipv4Addr, member: &Member) -> Result<(), Undone> {
        let claim = self.cluster.claim(member).await?;
        let orphan = is_orphan(address, claim.as_ref());
        if orphan { Ok(()) } else { Err(Undone::Moot("a claim names it")) }
    }

    /// Announces the release that unassigns, under an epoch of its own, and goes through it. What
    /// is announced and not finished is finished by the next pass.
    async fn unassign(
        &self,
        address: Ipv4Addr,
        why: Unneeded,
        facts: &Facts,
        term: &CancellationToken,
    ) -> Result<(), Undone> {
        let Stored { version, object } = self.record(address).await?;
        match why {
            Unneeded::NoClaim => self.orphan(address, &object.member).await?,
            Unneeded::Deleted => {}
        }
        let attachment = object.attachment.clone().ok_or(Undone::Moot("nobody ever held it"))?;
        match attachment.state {
            State::Releasing => {}
            State::Parked => self.announce(version, &object).await?,
            State::Attaching | State::Attached | State::Released => {
                return Err(Undone::Moot("it is held, or out of EC2"));
            }
        }
        let input = self.input(&object.member, &attachment);
        let systems = self.outside.systems(address, facts.pool.clone());
        let machine = move |now| Release::new(input, now);
        let run = self.run_of(&object.member, term);
        released(firecamp_engine::run(machine, &systems, &run).await)
    }

    async fn announce(
        &self,
        version: firecamp_core::ids::Version,
        record: &StaticIp,
    ) -> Result<(), Undone> {
        let next = decide::releasing(record, &self.dice.run_id());
        let (object, _) = next.ok_or(Undone::Moot("no ENI is on record"))?;
        let write = Write::UpdateStaticIp(Stored { version, object });
        self.outside.registry.write(&write).await?;
        Ok(())
    }

    fn input(&self, member: &Member, attachment: &Attachment) -> ReleaseInput {
        ReleaseInput {
            member: member.clone(),
            pod: attachment.pod.clone(),
            run: self.dice.run_id(),
            unassign: true,
            await_stop: false,
            by: Releaser::AgentElsewhere,
            scope: SocketScope::All,
            drain: timing::DRAIN,
            grace: timing::ERRAND_DEADLINE,
        }
    }

    async fn drop_address(
        &self,
        address: Ipv4Addr,
        id: &Identity,
        facts: &Facts,
    ) -> Result<(), Undone> {
        let member = facts.member.as_ref().ok_or(Undone::Moot("it is gone"))?;
        self.orphan(address, member).await?;
        self.change(Change::DropAddress(address, id.clone())).await
    }
}

fn released(ended: Ended) -> Result<(), Undone> {
    match ended {
        Ended::Outcome(Outcome::Released { release, .. }) => match release {
            Released::Parked | Released::Unassigned => Ok(()),
            Released::NotHolder => Err(Undone::Moot("another epoch holds it")),
            Released::NotEnding => Err(Undone::Moot("its pod lives")),
        },
        Ended::Outcome(Outcome::Failed(why)) => Err(Undone::Failed(why.message)),
        Ended::Outcome(Outcome::Attached(_) | Outcome::Mended { .. }) => {
            Err(Undone::Failed("it ended as no release ends".to_owned()))
        }
        Ended::Interrupted => Err(Undone::Moot("the term is over")),
    }
}
