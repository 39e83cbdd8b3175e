//! The rules for calls that change EC2.

use std::net::Ipv4Addr;

use firecamp_core::action::{Action, Reply};
use firecamp_core::contract::timing;
use firecamp_core::failure::Effect;
use firecamp_core::ids::EniId;
use firecamp_core::ports::Owner;
use firecamp_core::record::{Mutation, PendingMutation};
use firecamp_core::time::Moment;
use firecamp_engine::Input;

use super::history::{History, Looked, Taken};
use super::{Broken, Rule, broken, holds};

/// A call that is about to be sent.
pub(super) struct Call<'a> {
    pub(super) eni: &'a EniId,
    pub(super) address: Ipv4Addr,
    pub(super) not_after: Moment,
    pub(super) now: Moment,
}

/// An Assign: authorised, marked, past the barrier.
pub(super) fn assign(history: &History, call: &Call<'_>) -> Result<(), Broken> {
    authorised(history, call, Mutation::Assign)?;
    let taken = taken(history)?;
    let threat = |mark: &PendingMutation| match mark.mutation {
        Mutation::Assign => mark.eni != *call.eni,
        Mutation::Unassign => mark.eni == *call.eni,
    };
    past_the_barrier(taken, call, threat)
}

/// An Unassign, likewise; only an Assign to the very same ENI can undo it.
pub(super) fn unassign(history: &History, call: &Call<'_>) -> Result<(), Broken> {
    authorised(history, call, Mutation::Unassign)?;
    let taken = taken(history)?;
    let first = taken.before.attachment.as_ref().and_then(|a| a.eni.as_ref());
    let threat =
        |mark: &PendingMutation| mark.mutation == Mutation::Assign && mark.eni == *call.eni;
    if first == Some(call.eni) { past_the_barrier(taken, call, threat) } else { Ok(()) }
}

fn taken(history: &History) -> Result<&Taken, Broken> {
    history.taken.as_ref().ok_or((Rule::NextEpoch, "no epoch was taken before the call".to_owned()))
}

fn past_the_barrier(
    taken: &Taken,
    call: &Call<'_>,
    threat: impl Fn(&PendingMutation) -> bool,
) -> Result<(), Broken> {
    let threatened = taken.before.pending_mutations.iter().any(threat);
    let passed = call.now >= taken.answered.plus(timing::CALL_BOUND);
    holds(
        Rule::Barrier,
        !threatened || passed,
        "a marked call may still land, and T has not passed",
    )
}

fn authorised(history: &History, call: &Call<'_>, mutation: Mutation) -> Result<(), Broken> {
    let Some(authority) = history.authority else {
        return broken(Rule::OncePerAuthority, "no read or write of the own record since the last");
    };
    let bound = authority.plus(timing::CALL_BOUND);
    let why = format!("its bound is {:?}, T after its authority is {bound:?}", call.not_after);
    holds(Rule::FreshAuthority, call.not_after <= bound, &why)?;
    let Some(record) = history.own_record() else {
        return broken(Rule::Marked, "the record is not known");
    };
    let ours = record.address == call.address && history.is_of_this_run(record);
    holds(Rule::FreshAuthority, ours, "the record is not this run's")?;
    let mark = PendingMutation { mutation, eni: call.eni.clone(), run: history.run().clone() };
    holds(Rule::Marked, record.pending_mutations.contains(&mark), "the record does not name it")
}

/// By force only from an owner that was looked up, and that the record or the tag names.
pub(super) fn force(history: &History, force: bool, now: Moment) -> Result<(), Broken> {
    if !force {
        return Ok(());
    }
    let (Some(taken), Some(Looked { address, owner, asked }), Input::Attach(input)) =
        (&history.taken, &history.looked, &history.input)
    else {
        return broken(Rule::NoTheft, "nobody was looked up");
    };
    // A look may be as old as what authorised the call was when it was read, and T on top.
    let recent = now.since(*asked) <= timing::CALL_BOUND * 2;
    holds(Rule::NoTheft, recent && *address == taken.before.address, "the look is too old")?;
    let Owner::Eni(holder) = owner else {
        return broken(Rule::NoTheft, "nobody holds it");
    };
    let tagged = holder.cluster.as_deref() == Some(input.cluster.as_str());
    let before = &taken.before;
    let attached = before.attachment.iter().filter_map(|a| a.eni.as_ref());
    let marked = before.pending_mutations.iter().map(|mark| &mark.eni);
    let recorded = attached.chain(&before.reserved_on).chain(marked).any(|eni| *eni == holder.id);
    let ours = !holder.primary && (tagged || recorded);
    holds(Rule::NoTheft, ours, &format!("{} is no ENI of this cluster", holder.id))
}

/// What is named too late is not sent.
pub(super) fn replied(history: &History, reply: &Reply) -> Result<(), Broken> {
    let (Some((action, asked)), Reply::Cloud(answer)) = (history.asking(), reply) else {
        return Ok(());
    };
    let (Action::Assign { not_after, .. } | Action::Unassign { not_after, .. }) = action else {
        return broken(Rule::FreshAuthority, "an answer to no call");
    };
    let sent = answer.as_ref().err().is_none_or(|failure| failure.effect == Effect::Unknown);
    let in_time = asked.plus(timing::CALL_MINIMUM) <= *not_after;
    holds(Rule::FreshAuthority, in_time || !sent, "it was sent with too little left of T")
}
