//! The conditions of a `StaticIP`, written by the agent of the node that its record names.

use firecamp_core::record::State;
use firecamp_registry::api::Condition;

use crate::publish::address_status::AddressTracker;
use crate::publish::public_reasons::AddressReason;

/// A condition without its times.
pub(crate) fn condition(
    kind: &str,
    good: Option<bool>,
    reason: &str,
    message: String,
) -> Condition {
    let status = match good {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: None,
        observed_generation: None,
    }
}

/// The conditions of a static IP, without times; empty until its record is stable. A record becomes
/// *attached* only after EC2, kernel and file agreed, so it counts until a problem lasts.
pub(crate) fn conditions(tracker: &AddressTracker) -> Vec<Condition> {
    let Some(record) = tracker.shown() else { return Vec::new() };
    let Some(attachment) = &record.attachment else { return Vec::new() };
    let ip = Status { tracker, state: attachment.state };
    vec![ip.ready(), ip.assigned(), ip.configured(), ip.conflicted(), ip.in_pool()]
}

struct Status<'a> {
    tracker: &'a AddressTracker,
    state: State,
}

impl Status<'_> {
    fn problem(&self, kind: &str, reasons: &[AddressReason]) -> Option<Condition> {
        reasons.iter().find_map(|reason| {
            let text = self.tracker.text(*reason)?;
            Some(condition(kind, Some(false), reason.name(), text.to_owned()))
        })
    }

    /// The reason that is the state of the record.
    fn state_reason(&self) -> &'static str {
        match self.state {
            State::Attaching => "Attaching",
            State::Attached => "Attached",
            State::Parked => "Parked",
            State::Releasing => "Releasing",
            State::Released => "Released",
        }
    }

    fn ready(&self) -> Condition {
        let reasons = [
            AddressReason::HeldByForeignInterface,
            AddressReason::Misplaced,
            AddressReason::MissingInKernel,
            AddressReason::StuckAttaching,
            AddressReason::StuckReleasing,
        ];
        self.problem("Ready", &reasons).unwrap_or_else(|| {
            let good = self.state == State::Attached;
            condition("Ready", Some(good), self.state_reason(), String::new())
        })
    }

    fn assigned(&self) -> Condition {
        let problem = self.problem(
            "Assigned",
            &[AddressReason::HeldByForeignInterface, AddressReason::Misplaced],
        );
        let good = match self.state {
            State::Attached | State::Parked => self.tracker.in_ec2().or(Some(true)),
            State::Attaching | State::Releasing => None,
            State::Released => Some(false),
        };
        problem.unwrap_or_else(|| condition("Assigned", good, self.state_reason(), String::new()))
    }

    fn configured(&self) -> Condition {
        let problem = self.problem("Configured", &[AddressReason::MissingInKernel]);
        let good = match self.state {
            State::Attached => Some(true),
            State::Attaching => None,
            State::Parked | State::Releasing | State::Released => Some(false),
        };
        problem.unwrap_or_else(|| condition("Configured", good, self.state_reason(), String::new()))
    }

    fn conflicted(&self) -> Condition {
        match self.tracker.text(AddressReason::HeldByForeignInterface) {
            Some(text) => {
                let reason = AddressReason::HeldByForeignInterface.name();
                condition("Conflicted", Some(true), reason, text.to_owned())
            }
            None => condition("Conflicted", Some(false), "NoConflict", String::new()),
        }
    }

    fn in_pool(&self) -> Condition {
        let problem = self.problem("InPool", &[AddressReason::OutsidePool]);
        problem.unwrap_or_else(|| condition("InPool", Some(true), "InPool", String::new()))
    }
}

/// Merges new conditions into the current ones. Conditions of other types stay, a changed message
/// alone changes nothing, and the transition time changes only with the status. Each condition
/// keeps its place in the list, and so does one that is temporarily not reported.
pub(crate) fn merged(
    old: &[Condition],
    new: &[Condition],
    generation: Option<u64>,
    timestamp: &str,
) -> Vec<Condition> {
    merged_where(old, new, (generation, timestamp), |_old| true)
}

/// Like [`merged`], but keeps an old message only if it still `fits`.
pub(crate) fn merged_where(
    old: &[Condition],
    new: &[Condition],
    (generation, timestamp): (Option<u64>, &str),
    fits: impl Fn(&str) -> bool,
) -> Vec<Condition> {
    let merge = |new: &Condition, before: Option<&Condition>| {
        let same = before.filter(|old| old.status == new.status);
        let time = same.and_then(|old| old.last_transition_time.clone());
        let stands = same.filter(|old| old.reason == new.reason && fits(&old.message));
        let message = stands.map(|old| old.message.clone());
        Condition {
            last_transition_time: Some(time.unwrap_or_else(|| timestamp.to_owned())),
            observed_generation: generation,
            message: message.unwrap_or_else(|| new.message.clone()),
            ..new.clone()
        }
    };
    let standing = old.iter().map(|old| {
        let changed = new.iter().find(|new| new.kind == old.kind);
        changed.map_or_else(|| old.clone(), |new| merge(new, Some(old)))
    });
    let is_new = |new: &&Condition| old.iter().all(|old| old.kind != new.kind);
    standing.chain(new.iter().filter(is_new).map(|new| merge(new, None))).collect()
}
