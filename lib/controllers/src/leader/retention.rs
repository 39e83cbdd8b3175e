//! Whose a claim is, and claims of members that nobody wants any more.
//!
//! A claim belongs to the StatefulSet that controlled the member's pod: the holder reads that from
//! the live pod's own controller reference and records name and UID in the claim. A name proves
//! nothing, so a claim without that record stays. A pod that another StatefulSet adopted renews
//! the record. A pod without a controller (its StatefulSet was deleted with `--cascade=orphan`)
//! clears it where the pool would have the claim deleted for that; elsewhere the claim stays bound
//! to the name of its set, and init containers of other pods are refused by it.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::ids::{Member, PodUid};
use firecamp_core::outside::PodView;
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_registry::api::{ClaimRetention, ClaimRetentionPolicy};

use crate::leader::planner::{Duty, Unwanted};
use crate::leader::suspects::Suspects;
use crate::leader::timing;
use crate::leader::turns::Turns;
use crate::leader::view::{
    Answers, ClaimSeen, Owner, PodSeen, Questions, SetName, StatefulSet, Uid, View,
};

/// So many pods are asked in one pass to whom they belong, or whether they are gone.
const ASKED_AT_ONCE: usize = 500;

/// What is to be done about a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// Nothing.
    Wanted,
    /// To learn from this pod to whom it belongs.
    Unknown(PodUid),
    /// To go, if its pod is gone.
    Unwanted(Unwanted),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    suspects: Suspects<Member, (Uid, Unwanted)>,
    /// The pods that were asked for an owner, and had none or one that is on record by now.
    asked: BTreeMap<Member, PodUid>,
    turns: Turns<Member>,
}

/// The ordinal of a member of the StatefulSet of this name.
fn ordinal(member: &Member, set: &str) -> Option<u32> {
    let digits = member.name().strip_prefix(set)?.strip_prefix('-')?;
    let canonical = digits == "0" || !digits.starts_with('0');
    let plain = canonical && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Whether a claim's member is wanted no more, and by which part of the policy its claim goes.
/// `set` is the StatefulSet that has the recorded owner's name now.
pub fn unwanted(
    member: &Member,
    owner: &Owner,
    policy: ClaimRetentionPolicy,
    set: Option<&StatefulSet>,
) -> Option<Unwanted> {
    let ordinal = ordinal(member, &owner.name)?;
    let (why, retention) = match set {
        None => (Unwanted::SetDeleted, policy.when_deleted),
        Some(set) if set.uid == owner.uid && !set.wants(ordinal) => {
            (Unwanted::ScaledDown, policy.when_scaled)
        }
        // Another one of the same name says nothing about the members of the first.
        Some(_) => return None,
    };
    (retention == ClaimRetention::Delete).then_some(why)
}

/// The StaticIP that a claim names, if it could be read.
fn record<'a>(view: &'a View, seen: &ClaimSeen) -> Option<&'a StaticIp> {
    let found = view.addresses.get(&seen.claim.address?)?.as_ref()?;
    (found.record.member == seen.claim.member).then_some(&found.record)
}

/// Whether nobody holds the claim's address, as far as that is known.
fn is_free(view: &View, seen: &ClaimSeen) -> bool {
    let Some(address) = seen.claim.address else { return true };
    match view.addresses.get(&address) {
        None => true,
        Some(None) => false,
        Some(Some(found)) => found.record.member != seen.claim.member || !found.is_held(),
    }
}

impl Claims {
    fn standing(&self, view: &View, seen: &ClaimSeen) -> Standing {
        if seen.id.deleting {
            return Standing::Wanted;
        }
        let policy = policy(view, seen);
        let member = &seen.claim.member;
        if let Some(owner) = &seen.owner {
            let set = match view.sets.get(&SetName::of(member, owner)) {
                Some(None) => return Standing::Wanted,
                Some(Some(set)) => Some(set),
                None => None,
            };
            if let Some(why) = unwanted(member, owner, policy, set) {
                return Standing::Unwanted(why);
            }
            if set.is_some_and(|set| set.uid == owner.uid) {
                return Standing::Wanted;
            }
        }
        let attached = record(view, seen).and_then(|record| record.attachment.as_ref());
        let live = attached.filter(|it| match it.state {
            State::Attaching | State::Attached => true,
            State::Parked | State::Releasing | State::Released => false,
        });
        match live {
            Some(it) if self.asked.get(member) != Some(&it.pod) => {
                Standing::Unknown(it.pod.clone())
            }
            Some(_) | None => Standing::Wanted,
        }
    }

    fn standings<'a>(
        &self,
        view: &'a View,
    ) -> impl Iterator<Item = (&'a Member, &'a ClaimSeen, Standing)> {
        view.claims.iter().filter_map(|(member, seen)| {
            let seen = seen.as_ref()?;
            Some((member, seen, self.standing(view, seen)))
        })
    }

    pub(crate) fn ask(&mut self, view: &View, questions: &mut Questions) {
        let asks = self.standings(view).filter(|(_, _, it)| *it != Standing::Wanted);
        let asks = asks.map(|(member, ..)| member).collect();
        let turn = self.turns.take(asks, ASKED_AT_ONCE);
        questions.pods.extend(turn.into_iter().cloned());
    }

    pub(crate) fn plan(&mut self, view: &View, answers: &Answers, now: Moment) -> Vec<Duty> {
        self.turns.cut_short(&answers.unasked_pods);
        let (mut found, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        let (mut duties, mut asked) = (Vec::new(), BTreeMap::new());
        for (member, seen, standing) in self.standings(view) {
            let pod = answers.pods.get(member);
            match (standing, pod) {
                (Standing::Unknown(_) | Standing::Unwanted(_), None) => {
                    unknown.insert(member.clone());
                }
                (Standing::Unknown(uid), Some(pod)) if is_pod(pod, &uid) => {
                    match own(view, seen, pod.controller.clone()) {
                        Some(duty) => duties.push(duty),
                        None => drop(asked.insert(member.clone(), uid)),
                    }
                }
                (Standing::Wanted, _) | (Standing::Unknown(_), Some(_)) => {}
                (Standing::Unwanted(why), Some(pod)) => match &pod.view {
                    PodView::Absent if is_free(view, seen) => {
                        found.insert(member.clone(), (seen.id.uid.clone(), why));
                    }
                    PodView::Present { .. } => {
                        duties.extend(own(view, seen, pod.controller.clone()));
                    }
                    PodView::Absent | PodView::Vouched => {}
                },
            }
        }
        self.asked.retain(|member, _| view.claims.contains_key(member));
        self.asked.append(&mut asked);
        self.suspects.pass(found, &unknown, now);
        let due = self.suspects.due(now, |_, _| timing::CLAIM_GRACE);
        let due = due.filter(|(member, _)| answers.pods.contains_key(*member));
        duties.extend(due.filter_map(|(member, (_, why))| {
            let seen = view.claims.get(member)?.as_ref()?;
            let (member, id) = (member.clone(), seen.id.clone());
            Some(Duty::DropClaim { member, id, owner: seen.owner.clone()?, why: *why })
        }));
        duties
    }
}

fn is_pod(seen: &PodSeen, wanted: &PodUid) -> bool {
    matches!(&seen.view, PodView::Present { pod, .. } if pod == wanted)
}

/// The record of the owner, if it is another one. None takes its place only where a claim is
/// deleted for the owner it has.
fn own(view: &View, seen: &ClaimSeen, owner: Option<Owner>) -> Option<Duty> {
    let owner = owner.filter(|owner| ordinal(&seen.claim.member, &owner.name).is_some());
    let policy = policy(view, seen);
    let deletes = [policy.when_deleted, policy.when_scaled].contains(&ClaimRetention::Delete);
    let (member, id) = (seen.claim.member.clone(), seen.id.clone());
    let news = owner != seen.owner && (owner.is_some() || deletes);
    news.then_some(Duty::Own { member, id, owner })
}

/// What becomes of a claim, by its pool.
fn policy(view: &View, seen: &ClaimSeen) -> ClaimRetentionPolicy {
    view.pool(&seen.claim.pool).map(|pool| pool.retention).unwrap_or_default()
}
