//! Which member is restarted next, and whether the last one is back. Pure.

use jiff::Timestamp;

use super::facts::{Facts, MemberFacts, Role};
use super::progress::{Order, Progress, Scope, StopReason, Stopped, Turn};

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Every member is restarted and back.
    Done,
    /// Delete the pod of this turn, through the eviction API unless the user chose otherwise.
    Delete(Turn),
    /// The member of this turn is back.
    Back,
    /// Nothing can be done yet.
    Wait(Stopped),
    /// A member did not come back in time, or the next one could not be restarted.
    Stop(Stopped),
}

/// Decides the next step. `now` is the clock of this command, as everything in its progress.
pub fn next(progress: &Progress, facts: &Facts, now: Timestamp) -> Next {
    match step(progress, facts) {
        Ok(next) => next,
        Err(waiting) => bounded(progress, waiting, now),
    }
}

/// Waits, or stops if the wait has taken too long.
pub fn bounded(progress: &Progress, waiting: Stopped, now: Timestamp) -> Next {
    let waited = now.duration_since(progress.since).as_secs();
    let limit = i64::from(progress.member_timeout_seconds);
    if waited >= limit { Next::Stop(waiting) } else { Next::Wait(waiting) }
}

fn step(progress: &Progress, facts: &Facts) -> Result<Next, Stopped> {
    if let Some(waiting) = facts.not_observed() {
        return Err(waiting);
    }
    let is_pending = |one: &&MemberFacts| is_pending(progress, facts, one);
    let is_broken = |one: &&MemberFacts| one.pod.as_ref().is_some_and(|pod| !pod.ready);
    // Between two turns, a member that is not ready can be restarted whatever the others are: it
    // is down already, and they may wait for it. During a turn it may wait for the turn's member.
    if progress.turn.is_none()
        && let Some(broken) = facts.members.iter().filter(is_pending).find(is_broken)
    {
        return Ok(turn(broken, facts).map_or(Next::Done, Next::Delete));
    }
    // While a member is not back, no second one goes down.
    let restarted = |one: &&MemberFacts| !is_pending(one);
    if let Some(waiting) = facts.members.iter().filter(restarted).find_map(not_back) {
        return Err(waiting);
    }
    let is_old = |turn: &Turn| facts.member(&turn.pod).is_some_and(|one| is_old(one, turn));
    if progress.turn.as_ref().is_some_and(|turn| !is_old(turn)) {
        return Ok(Next::Back);
    }
    // A turn that did not happen yet is decided again: the primary may have moved meanwhile.
    let pending: Vec<&MemberFacts> = facts.members.iter().filter(is_pending).collect();
    Ok(choose(progress, facts, &pending)?.map_or(Next::Done, Next::Delete))
}

/// Whether the pod of the turn is still there and not being deleted.
fn is_old(member: &MemberFacts, turn: &Turn) -> bool {
    member.pod.as_ref().is_some_and(|pod| pod.uid == turn.uid && !pod.terminating)
}

/// Whether a member is still to be restarted. A pod that terminates or is missing is not: its
/// successor will be of the current revision.
fn is_pending(progress: &Progress, facts: &Facts, member: &MemberFacts) -> bool {
    let Some(pod) = member.pod.as_ref().filter(|pod| !pod.terminating) else { return false };
    let outdated = pod.revision != facts.update_revision;
    match &progress.scope {
        Scope::Outdated => outdated,
        Scope::All { before } => outdated || before.get(&member.name) == Some(&pod.uid),
    }
}

/// Why a member that was restarted is not back.
pub fn not_back(member: &MemberFacts) -> Option<Stopped> {
    let stopped =
        |reason, message: String| Some(Stopped { object: member.name.clone(), reason, message });
    let Some(pod) = &member.pod else {
        return stopped(StopReason::PodMissing, "its pod does not exist".to_owned());
    };
    let place = pod.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
    if pod.terminating {
        return stopped(StopReason::PodTerminating, format!("its old pod{place} terminates"));
    }
    if pod.replaced {
        let message = format!("its pod{place} is of an earlier template");
        return stopped(StopReason::PodOutdated, message);
    }
    if !pod.ready {
        let why = pod.problem.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        return stopped(StopReason::PodNotReady, format!("its pod{place} is not ready{why}"));
    }
    if let Some(why) = &pod.address_missing {
        return stopped(StopReason::AddressNotAttached, why.clone());
    }
    None
}

/// The next member of those that are pending; none if there is none.
fn choose(
    progress: &Progress,
    facts: &Facts,
    pending: &[&MemberFacts],
) -> Result<Option<Turn>, Stopped> {
    // A member that does not work is first: its restart takes nothing away.
    if let Some(broken) = pending.iter().find(|one| not_back(one).is_some()) {
        return Ok(turn(broken, facts));
    }
    let ordinal = || pending.first().and_then(|one| turn(one, facts));
    match progress.order {
        Order::Ordinal => Ok(ordinal()),
        Order::Reverse => Ok(pending.last().and_then(|one| turn(one, facts))),
        Order::PrimaryFirst if progress.primary_restarted => Ok(ordinal()),
        Order::PrimaryFirst if pending.is_empty() => Ok(None),
        Order::PrimaryFirst => {
            let primary = primary(facts)?;
            let found = pending.iter().find(|one| one.name == primary.name);
            // It needs no restart: the others follow.
            Ok(found.map_or_else(ordinal, |one| turn(one, facts)))
        }
        // The last one may be the primary or not.
        Order::PrimaryLast if pending.len() < 2 => Ok(ordinal()),
        Order::PrimaryLast => {
            let primary = primary(facts)?;
            Ok(pending.iter().find(|one| one.name != primary.name).and_then(|one| turn(one, facts)))
        }
    }
}

fn turn(member: &MemberFacts, facts: &Facts) -> Option<Turn> {
    let pod = member.pod.as_ref()?;
    let primary = pod.role == Role::Primary && facts.primaries().count() == 1;
    Some(Turn { pod: member.name.clone(), uid: pod.uid.clone(), primary })
}

/// The only member that is the primary.
fn primary(facts: &Facts) -> Result<&MemberFacts, Stopped> {
    let stopped =
        |reason, message: String| Err(Stopped { object: facts.set.clone(), reason, message });
    let mut all = facts.primaries();
    match (all.next(), all.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => stopped(StopReason::PrimaryUnknown, facts.no_primary()),
        (Some(_), Some(_)) => {
            let names: Vec<&str> = facts.primaries().map(|one| one.name.as_str()).collect();
            let message = format!("more than one member is the primary: {}", names.join(", "));
            stopped(StopReason::PrimaryAmbiguous, message)
        }
    }
}

/// Whether the roles of the members matter for the next decision.
pub fn needs_roles(progress: &Progress) -> bool {
    match progress.order {
        Order::PrimaryFirst => !progress.primary_restarted,
        Order::PrimaryLast => true,
        Order::Ordinal | Order::Reverse => false,
    }
}

/// The progress after the decision. It is stored before anything is deleted.
pub fn after(progress: &Progress, next: &Next, now: Timestamp) -> Progress {
    let mut after = progress.clone();
    match next {
        Next::Delete(turn) if progress.turn.as_ref() != Some(turn) => {
            after.turn = Some(turn.clone());
            after.since = now;
        }
        Next::Delete(_) | Next::Wait(_) => {}
        Next::Back => {
            after.primary_restarted |= progress.turn.as_ref().is_some_and(|turn| turn.primary);
            after.turn = None;
            after.since = now;
        }
        Next::Stop(stopped) => after.stopped = Some(stopped.clone()),
        Next::Done => after.finished = Some(now),
    }
    after
}
