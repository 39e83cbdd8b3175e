//! Records the owners of claims, and deletes claims by the pool's retention policy.
//!
//! A claim belongs to the StatefulSet that controlled the member's pod: the leader reads the
//! controller reference of the live pod and records name and UID in the claim. A name proves
//! nothing, so a claim without that record stays. If another StatefulSet adopts the pod, the leader
//! updates the record. If a pod has no controller (its StatefulSet was deleted with
//! `--cascade=orphan`), the leader clears the record where the policy deletes claims; elsewhere the
//! claim stays bound to the name of its set and rejects init containers of other pods.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::ids::{Member, PodUid, Uid};
use firecamp_core::ports::PodView;
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_registry::api::{ClaimRetention, ClaimRetentionPolicy};

use crate::leader::persistent_findings::Findings;
use crate::leader::planner::{DeletionReason, Operation};
use crate::leader::round_robin::RoundRobin;
use crate::leader::timing;
use crate::leader::view::{
    ObservedClaim, ObservedPod, Owner, Queries, QueryResults, StatefulSet, View,
};

/// The maximum number of pods read in one pass.
const QUERIES_PER_PASS: usize = 500;

/// What to do about a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ClaimAction {
    /// Nothing.
    Keep,
    /// Read its owner from this pod.
    ReadOwner(PodUid),
    /// Delete it if its pod is gone.
    Delete(DeletionReason),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    findings: Findings<Member, (Uid, DeletionReason)>,
    /// The pods whose owner was read and is none or on record.
    checked: BTreeMap<Member, PodUid>,
    round_robin: RoundRobin<Member>,
}

/// The ordinal of the member in the StatefulSet of this name.
pub(crate) fn ordinal(member: &str, set: &str) -> Option<u32> {
    let digits = member.strip_prefix(set)?.strip_prefix('-')?;
    let canonical = digits == "0" || !digits.starts_with('0');
    let plain = canonical && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Why the policy deletes a member's claim, if it does. `set` is the StatefulSet that now has the
/// recorded owner's name.
pub fn deletion_reason(
    member: &Member,
    owner: &Owner,
    policy: ClaimRetentionPolicy,
    set: Option<&StatefulSet>,
) -> Option<DeletionReason> {
    let ordinal = ordinal(member.name(), owner.name.as_str())?;
    let (why, retention) = match set {
        None => (DeletionReason::SetDeleted, policy.when_deleted),
        Some(set) if set.uid == owner.uid && !set.wants(ordinal) => {
            (DeletionReason::ScaledDown, policy.when_scaled)
        }
        // Another StatefulSet of the same name shows nothing about the members of the first.
        Some(_) => return None,
    };
    (retention == ClaimRetention::Delete).then_some(why)
}

/// The StaticIP that a claim names, if it could be read.
fn record<'a>(view: &'a View, observed: &ObservedClaim) -> Option<&'a StaticIp> {
    let found = view.addresses.get(&observed.claim.address?)?.as_ref()?;
    (found.record.member == observed.claim.member).then_some(&found.record)
}

/// Whether the claim's address is known not to be held.
fn is_free(view: &View, observed: &ObservedClaim) -> bool {
    let Some(address) = observed.claim.address else { return true };
    match view.addresses.get(&address) {
        None => true,
        Some(None) => false,
        Some(Some(found)) => found.record.member != observed.claim.member || !found.is_held(),
    }
}

impl Claims {
    fn action(&self, view: &View, observed: &ObservedClaim) -> ClaimAction {
        if observed.id.deleting {
            return ClaimAction::Keep;
        }
        let policy = policy(view, observed);
        let member = &observed.claim.member;
        if let Some(owner) = &observed.owner {
            let set = match view.sets.get(&owner.full_name(member)) {
                Some(None) => return ClaimAction::Keep,
                Some(Some(set)) => Some(set),
                None => None,
            };
            if let Some(why) = deletion_reason(member, owner, policy, set) {
                return ClaimAction::Delete(why);
            }
            if set.is_some_and(|set| set.uid == owner.uid) {
                return ClaimAction::Keep;
            }
        }
        let attached = record(view, observed).and_then(|record| record.attachment.as_ref());
        let live = attached.filter(|it| match it.state {
            State::Attaching | State::Attached => true,
            State::Parked | State::Releasing | State::Released => false,
        });
        match live {
            Some(it) if self.checked.get(member) != Some(&it.pod) => {
                ClaimAction::ReadOwner(it.pod.clone())
            }
            Some(_) | None => ClaimAction::Keep,
        }
    }

    fn actions<'a>(
        &self,
        view: &'a View,
    ) -> impl Iterator<Item = (&'a Member, &'a ObservedClaim, ClaimAction)> {
        view.claims.iter().filter_map(|(member, observed)| {
            let observed = observed.as_deref()?;
            Some((member, observed, self.action(view, observed)))
        })
    }

    pub(crate) fn ask(&mut self, view: &View, questions: &mut Queries) {
        let queried = self.actions(view).filter(|(_, _, it)| *it != ClaimAction::Keep);
        let queried = queried.map(|(member, ..)| member).collect();
        let batch = self.round_robin.take(queried, QUERIES_PER_PASS);
        questions.pods.extend(batch.into_iter().cloned());
    }

    pub(crate) fn plan(
        &mut self,
        view: &View,
        answers: &QueryResults,
        now: Moment,
    ) -> Vec<Operation> {
        self.round_robin.skipped(&answers.skipped_pods);
        let (mut found, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        let (mut operations, mut checked) = (Vec::new(), BTreeMap::new());
        for (member, observed, action) in self.actions(view) {
            let pod = answers.pods.get(member);
            match (action, pod) {
                (ClaimAction::ReadOwner(_) | ClaimAction::Delete(_), None) => {
                    unknown.insert(member.clone());
                }
                (ClaimAction::ReadOwner(uid), Some(pod)) if is_pod(pod, &uid) => {
                    match record_owner(view, observed, pod.controller.clone()) {
                        Some(operation) => operations.push(operation),
                        None => drop(checked.insert(member.clone(), uid)),
                    }
                }
                (ClaimAction::Keep, _) | (ClaimAction::ReadOwner(_), Some(_)) => {}
                (ClaimAction::Delete(why), Some(pod)) => match &pod.view {
                    PodView::Absent if is_free(view, observed) => {
                        found.insert(member.clone(), (observed.id.uid.clone(), why));
                    }
                    PodView::Present { .. } => {
                        operations.extend(record_owner(view, observed, pod.controller.clone()));
                    }
                    PodView::Absent | PodView::Vouched => {}
                },
            }
        }
        self.checked.retain(|member, _| view.claims.contains_key(member));
        self.checked.append(&mut checked);
        self.findings.pass(found, &unknown, now);
        let due = self.findings.due(now, |_, _| timing::CLAIM_GRACE);
        let due = due.filter(|(member, _)| answers.pods.contains_key(*member));
        operations.extend(due.filter_map(|(member, (_, why))| {
            let observed = view.claims.get(member)?.as_ref()?;
            let (member, id) = (member.clone(), observed.id.clone());
            Some(Operation::DeleteClaim { member, id, owner: observed.owner.clone()?, why: *why })
        }));
        operations
    }
}

fn is_pod(observed: &ObservedPod, wanted: &PodUid) -> bool {
    matches!(&observed.view, PodView::Present { pod, .. } if pod == wanted)
}

/// The operation that records the owner, if it changed. The record is cleared only where the policy
/// may delete the claim.
fn record_owner(view: &View, observed: &ObservedClaim, owner: Option<Owner>) -> Option<Operation> {
    let owner =
        owner.filter(|owner| ordinal(observed.claim.member.name(), owner.name.as_str()).is_some());
    let policy = policy(view, observed);
    let deletes = [policy.when_deleted, policy.when_scaled].contains(&ClaimRetention::Delete);
    let (member, id) = (observed.claim.member.clone(), observed.id.clone());
    let changed = owner != observed.owner && (owner.is_some() || deletes);
    changed.then_some(Operation::RecordOwner { member, id, owner })
}

/// The retention policy of the claim's pool.
fn policy(view: &View, observed: &ObservedClaim) -> ClaimRetentionPolicy {
    view.pool(&observed.claim.pool).map(|pool| pool.retention).unwrap_or_default()
}
