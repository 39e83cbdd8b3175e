//! Whether a claim has its address, and what keeps it from having one: the condition `Bound`.
//!
//! It follows from claims, addresses and pools alone. Where the member's pod is does not matter to
//! it, so a claim is written once in its life, and again when its address is lost or what it waits
//! for changes: a move or a restart writes nothing.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::allocate::is_assignable;
use firecamp_core::contract::cluster::{condition, reason};
use firecamp_core::ids::{Member, PoolName};
use firecamp_core::record::{Claim, Pool, StaticIp};
use firecamp_core::time::Moment;
use firecamp_registry::api::Condition;

use crate::leader::planner::Duty;
use crate::leader::pools::{Verdict, hands_out, is_told, settled, usage};
use crate::leader::suspects::Suspects;
use crate::leader::turns::Turns;
use crate::leader::view::{ClaimSeen, Uid, View};

/// So many claims are written in one pass.
const TOLD_AT_ONCE: usize = 200;

#[derive(Debug, Clone, Default)]
pub(crate) struct Bindings {
    /// What lacks its address: a claim is there moments before its StaticIP.
    lacking: Suspects<Member, (Uid, &'static str)>,
    turns: Turns<Member>,
}

/// A reason, and the same for people.
type Said = (&'static str, String);

/// Something that decides it is there and cannot be read.
#[derive(Debug, Clone, Copy)]
struct Unread;

impl Bindings {
    /// The claims whose condition is not as it should be. One that another duty is about to change
    /// keeps until the next pass.
    pub(crate) fn plan(&mut self, view: &View, others: &[Duty], now: Moment) -> Vec<Duty> {
        let busy: BTreeSet<&Member> = others.iter().filter_map(changed).collect();
        let used = LazyCell::new(|| usage(view));
        let is_full = |pool: &PoolName| used.get(pool).is_some_and(|used| used.free == 0);
        let (mut found, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        let (mut news, mut early) = (BTreeSet::new(), BTreeSet::new());
        for (member, seen) in &view.claims {
            let stays = |seen: &&ClaimSeen| !seen.id.deleting && !busy.contains(member);
            let judged = seen.as_ref().filter(stays);
            let judged = judged.map(|seen| (seen, verdict(view, seen, &is_full)));
            let Some((seen, Ok(verdict))) = judged else {
                unknown.insert(member.clone());
                continue;
            };
            let (lacks, reason) = (verdict.holds != Some(true), verdict.reason);
            if conditions(seen, verdict).is_none() {
                continue;
            }
            if lacks {
                found.insert(member.clone(), (seen.id.uid.clone(), reason));
                early.insert(member);
            } else {
                news.insert(member);
            }
        }
        self.lacking.pass(found, &unknown, now);
        let due = self.lacking.due(now, |_, _| Duration::ZERO);
        news.extend(due.filter_map(|(member, _)| early.take(member)));
        let duty = |member: &Member| told(view, member, &is_full);
        let turn = self.turns.take(news, TOLD_AT_ONCE);
        turn.into_iter().filter_map(duty).collect()
    }
}

/// What is to be written of a claim. Of thousands only a turn's is kept at once.
fn told(view: &View, member: &Member, is_full: &impl Fn(&PoolName) -> bool) -> Option<Duty> {
    let seen = view.claims.get(member)?.as_ref()?;
    let conditions = conditions(seen, verdict(view, seen, is_full).ok()?)?;
    Some(Duty::TellClaim { member: member.clone(), id: seen.id.clone(), conditions })
}

/// The member whose claim a duty changes.
fn changed(duty: &Duty) -> Option<&Member> {
    match duty {
        Duty::Own { member, .. }
        | Duty::DropClaim { member, .. }
        | Duty::EndWait { member, .. }
        | Duty::TellClaim { member, .. } => Some(member),
        Duty::Release { .. }
        | Duty::Unassign { .. }
        | Duty::DropAddress { .. }
        | Duty::FreeAddress { .. }
        | Duty::TellAddress { .. }
        | Duty::TellPool { .. } => None,
    }
}

/// What is to stand in the claim, if something else does.
fn conditions(seen: &ClaimSeen, verdict: Verdict) -> Option<Vec<Condition>> {
    let all = settled(&seen.conditions, vec![verdict.condition(seen.generation)]);
    (!is_told(&seen.conditions, &all)).then_some(all)
}

/// What there is to say of a claim.
fn verdict(
    view: &View,
    seen: &ClaimSeen,
    is_full: &impl Fn(&PoolName) -> bool,
) -> Result<Verdict, Unread> {
    let claim = &seen.claim;
    let named = claim.address.map_or(Ok(None), |address| record(view, address))?;
    let kind = condition::BOUND;
    if let Some(own) = named.filter(|record| record.member == claim.member) {
        let StaticIp { address, subnet, zone, .. } = own;
        let message = format!("{address} of {subnet} is the member's: it starts in {zone}");
        return Ok(Verdict { kind, holds: Some(true), reason: reason::BOUND, message });
    }
    let (reason, message) = match view.pools.get(&claim.pool) {
        Some(Some(seen)) => lacking(view, claim, (&seen.pool, is_full), named)?,
        Some(None) => return Err(Unread),
        None => (reason::POOL_NOT_FOUND, format!("there is no StaticIPPool {}", claim.pool)),
    };
    Ok(Verdict { kind, holds: Some(false), reason, message })
}

/// The record of an address, if it has one.
fn record(view: &View, address: Ipv4Addr) -> Result<Option<&StaticIp>, Unread> {
    match view.addresses.get(&address) {
        Some(Some(seen)) => Ok(Some(&seen.record)),
        Some(None) => Err(Unread),
        None => Ok(None),
    }
}

/// Why the claim lacks an address, in the order in which an init container meets it. `named` is the
/// record of the address that it names: another member's.
fn lacking(
    view: &View,
    claim: &Claim,
    (pool, is_full): (&Pool, &impl Fn(&PoolName) -> bool),
    named: Option<&StaticIp>,
) -> Result<Said, Unread> {
    if let Some(asked) = claim.requested
        && let Some(why) = refused(record(view, asked)?, claim, pool, asked)
    {
        return Ok((reason::ADDRESS_UNAVAILABLE, why));
    }
    let name = &pool.name;
    Ok(match (claim.address, named, claim.requested) {
        (Some(_), Some(_), _) | (None, _, None) if is_full(name) => {
            (reason::NO_FREE_ADDRESS, format!("pool {name} has no free address"))
        }
        (Some(address), Some(other), _) => {
            let whose = format!("StaticIP {address} belongs to {}", other.member);
            let text = format!("{whose}: the member's next start chooses another address");
            (reason::ADDRESS_OF_OTHER, text)
        }
        (Some(address), None, None) if is_barred(pool, address) => {
            let text = format!("{address} has no StaticIP, and no range of pool {name} has it");
            (reason::ADDRESS_UNAVAILABLE, text)
        }
        (Some(address), None, _) => {
            let text = format!(
                "there is no StaticIP {address}: the member's next start makes it again, or \
                 chooses another address, unless EC2 has it on an ENI of this cluster"
            );
            (reason::ADDRESS_MISSING, text)
        }
        (None, _, Some(asked)) => {
            (reason::AWAITING_FIRST_START, format!("the member's first start takes {asked}"))
        }
        (None, _, None) => {
            let text = format!("the member's first start chooses an address of pool {name}");
            (reason::AWAITING_FIRST_START, text)
        }
    })
}

/// Why the member cannot be given what was asked for.
fn refused(
    record: Option<&StaticIp>,
    claim: &Claim,
    pool: &Pool,
    asked: Ipv4Addr,
) -> Option<String> {
    match record {
        Some(record) if record.member == claim.member => {
            Some(format!("{asked} is kept for the member: name it in spec.address, too"))
        }
        Some(record) => Some(format!("{asked} is asked for, and belongs to {}", record.member)),
        None if hands_out(pool, asked) => None,
        None => Some(format!("{asked} is asked for, and no range of pool {} has it", pool.name)),
    }
}

/// Whether it is in a block of the pool, so that it is tried again, and in none of its ranges.
fn is_barred(pool: &Pool, address: Ipv4Addr) -> bool {
    let mut blocks = pool.subnets.iter().map(|entry| entry.cidr);
    blocks.any(|cidr| is_assignable(cidr, address)) && !hands_out(pool, address)
}
