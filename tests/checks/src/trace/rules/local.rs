//! The rules for the kernel, the file and waiting.

use std::net::Ipv4Addr;

use firecamp_core::action::Delay;
use firecamp_core::contract::timing;
use firecamp_core::ports::Holder;
use firecamp_engine::Input;

use super::history::History;
use super::writes::holds_fixed;
use super::{Broken, Rule, holds};

/// The kernel gets the address for the pod and epoch of this run, once packets come here.
pub(super) fn add(history: &History, holder: &Holder) -> Result<(), Broken> {
    holds(Rule::OwnHolder, is_own(history, holder), "it is added for another holder")?;
    holds(Rule::DataPath, history.leads_here, "nothing shows that packets come here")
}

fn is_own(history: &History, holder: &Holder) -> bool {
    let epoch = history.taken.as_ref().map(|taken| taken.epoch);
    holder.pod == *history.pod_uid() && Some(holder.epoch) == epoch
}

/// A superseded attach takes back its own; a release what it holds.
pub(super) fn remove(history: &History, holder: &Holder) -> Result<(), Broken> {
    let Input::Release(_) = &history.input else {
        holds(Rule::OwnHolder, is_own(history, holder), "it is removed for another holder")?;
        return holds(Rule::OwnHolder, history.superseded, "nobody superseded this run");
    };
    let own = holder.pod == *history.pod_uid() && Some(holder.epoch) == history.fixed;
    holds(Rule::OwnHolder, own, "it is removed for another holder")?;
    holds(Rule::EndingPod, history.ending, "the pod was not seen ending")?;
    let held = history.own_record().is_some_and(|record| holds_fixed(history, record));
    holds(Rule::EndingPod, held, "the epoch is not the one that was fixed")
}

/// The file says what the kernel was seen to have.
pub(super) fn stage(history: &History, address: Ipv4Addr) -> Result<(), Broken> {
    holds(Rule::KernelBeforeFile, history.observed, "the kernel was not read back")?;
    let own = history.own_record().is_some_and(|record| record.address == address);
    holds(Rule::KernelBeforeFile, own, "it is not the member's address")
}

/// Only what was staged is published.
pub(super) fn publish(history: &History) -> Result<(), Broken> {
    holds(Rule::KernelBeforeFile, history.staged, "nothing was staged")
}

/// No wait is longer than the longest that the protocol knows.
pub(super) fn wait(delay: &Delay) -> Result<(), Broken> {
    let known = timing::DESCRIBE_LAG.max(timing::THROTTLE_PAUSE_CAP).max(timing::CALL_BOUND);
    let longest = delay.longest();
    holds(Rule::BoundedWait, longest <= known, &format!("{longest:?} is too long"))
}
