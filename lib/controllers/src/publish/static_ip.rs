//! The conditions of a `StaticIP`, said by the agent of the node that its record names.

use firecamp_core::record::State;
use firecamp_registry::api::Condition;

use crate::publish::address::Memory;
use crate::publish::reason::AddressReason;

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

/// What is said of a static IP, without times; nothing until its record has settled. A record says
/// *attached* only after EC2, kernel and file agreed, so that it counts until something else is
/// seen for long enough.
pub(crate) fn conditions(memory: &Memory) -> Vec<Condition> {
    let Some(record) = memory.shown() else { return Vec::new() };
    let Some(attachment) = &record.attachment else { return Vec::new() };
    let said = Said { memory, state: attachment.state };
    vec![said.ready(), said.assigned(), said.configured(), said.conflicted(), said.in_pool()]
}

struct Said<'a> {
    memory: &'a Memory,
    state: State,
}

impl Said<'_> {
    fn wrong(&self, kind: &str, reasons: &[AddressReason]) -> Option<Condition> {
        reasons.iter().find_map(|reason| {
            let text = self.memory.text(*reason)?;
            Some(condition(kind, Some(false), reason.name(), text.to_owned()))
        })
    }

    /// The state of the record in one word.
    fn word(&self) -> &'static str {
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
            AddressReason::HeldByOther,
            AddressReason::NotOnEni,
            AddressReason::NotConfigured,
            AddressReason::StuckAttaching,
            AddressReason::StuckReleasing,
        ];
        self.wrong("Ready", &reasons).unwrap_or_else(|| {
            let good = self.state == State::Attached;
            condition("Ready", Some(good), self.word(), String::new())
        })
    }

    fn assigned(&self) -> Condition {
        let wrong = self.wrong("Assigned", &[AddressReason::HeldByOther, AddressReason::NotOnEni]);
        let good = match self.state {
            State::Attached | State::Parked => self.memory.in_ec2().or(Some(true)),
            State::Attaching | State::Releasing => None,
            State::Released => Some(false),
        };
        wrong.unwrap_or_else(|| condition("Assigned", good, self.word(), String::new()))
    }

    fn configured(&self) -> Condition {
        let wrong = self.wrong("Configured", &[AddressReason::NotConfigured]);
        let good = match self.state {
            State::Attached => Some(true),
            State::Attaching => None,
            State::Parked | State::Releasing | State::Released => Some(false),
        };
        wrong.unwrap_or_else(|| condition("Configured", good, self.word(), String::new()))
    }

    fn conflicted(&self) -> Condition {
        match self.memory.text(AddressReason::HeldByOther) {
            Some(text) => {
                let reason = AddressReason::HeldByOther.name();
                condition("Conflicted", Some(true), reason, text.to_owned())
            }
            None => condition("Conflicted", Some(false), "NoConflict", String::new()),
        }
    }

    fn in_pool(&self) -> Condition {
        let wrong = self.wrong("InPool", &[AddressReason::OutsidePool]);
        wrong.unwrap_or_else(|| condition("InPool", Some(true), "InPool", String::new()))
    }
}

/// The conditions as they are to be written over those that are there: what is of other types
/// stays, a text alone changes nothing, and the time moves only with the status. Each keeps its
/// place: one that is not said for a while changes nothing either.
pub(crate) fn merged(
    old: &[Condition],
    new: &[Condition],
    generation: Option<u64>,
    wall: &str,
) -> Vec<Condition> {
    merged_where(old, new, (generation, wall), |_old| true)
}

/// The same where a text stands only if it still `fits`.
pub(crate) fn merged_where(
    old: &[Condition],
    new: &[Condition],
    (generation, wall): (Option<u64>, &str),
    fits: impl Fn(&str) -> bool,
) -> Vec<Condition> {
    let merge = |new: &Condition, before: Option<&Condition>| {
        let same = before.filter(|old| old.status == new.status);
        let time = same.and_then(|old| old.last_transition_time.clone());
        let stands = same.filter(|old| old.reason == new.reason && fits(&old.message));
        let message = stands.map(|old| old.message.clone());
        Condition {
            last_transition_time: Some(time.unwrap_or_else(|| wall.to_owned())),
            observed_generation: generation,
            message: message.unwrap_or_else(|| new.message.clone()),
            ..new.clone()
        }
    };
    let standing = old.iter().map(|old| {
        let said = new.iter().find(|new| new.kind == old.kind);
        said.map_or_else(|| old.clone(), |new| merge(new, Some(old)))
    });
    let is_new = |new: &&Condition| old.iter().all(|old| old.kind != new.kind);
    standing.chain(new.iter().filter(is_new).map(|new| merge(new, None))).collect()
}
