//! Checks of the metadata service, the permissions in EC2 and the clock.

use firecamp_core::failure::{CloudFailure, CloudKind};

use crate::preflight::condition::Condition;
use crate::preflight::facts::{Fact, Facts, Permission, Reading, Right};
use crate::preflight::reason::{Kind, Reason};

/// A skew of this many seconds is a warning.
const SKEWED: u64 = 60;
/// With a skew of this many seconds AWS rejects signatures.
const TOO_LARGE: u64 = 300;

pub(super) fn metadata(facts: &Facts) -> Condition {
    let report = |reason, found: &dyn std::fmt::Display| {
        Condition::new(Kind::MetadataReachable, reason, found)
    };
    match &facts.identity {
        Fact::NotChecked => report(Reason::NotChecked, &"The metadata service was not queried"),
        Fact::Known(it) => report(Reason::Reachable, &format!("This instance is {}", it.instance)),
        Fact::Failed(failure) => report(metadata_failure(failure.kind), failure),
    }
}

fn metadata_failure(kind: CloudKind) -> Reason {
    match kind {
        CloudKind::Auth => Reason::MetadataRefused,
        CloudKind::Throttled => Reason::MetadataOverloaded,
        CloudKind::Transient => Reason::MetadataUnreachable,
        CloudKind::HeldElsewhere
        | CloudKind::NotOnInterface
        | CloudKind::CapacityExceeded
        | CloudKind::SubnetExhausted
        | CloudKind::AttachmentLimitExceeded
        | CloudKind::DeviceIndexTaken
        | CloudKind::InterfaceInUse
        | CloudKind::QuotaExceeded
        | CloudKind::BadAddress
        | CloudKind::NotFound
        | CloudKind::Unknown => Reason::Unknown,
    }
}

/// Denied if EC2 denies any action; only a warning if no address depends on the denied actions.
pub(super) fn rights(facts: &Facts) -> Condition {
    let report = |reason, found: String| Condition::new(Kind::Ec2Allowed, reason, found);
    let denials: Vec<(Right, String)> = facts
        .rights
        .iter()
        .filter_map(|(right, fact)| Some((*right, denial(*right, fact)?)))
        .collect();
    if !denials.is_empty() {
        let harmless = denials.iter().all(|(right, _)| right.is_optional());
        let reason = if harmless { Reason::OptionalDenied } else { Reason::Denied };
        let reported: Vec<String> = denials.into_iter().map(|(_, reported)| reported).collect();
        return report(reason, reported.join("; "));
    }
    let failed = facts.rights.iter().find_map(|(_, fact)| failure(fact));
    if let Some(failure) = failed {
        return report(Reason::Unknown, failure.to_string());
    }
    let names = |wanted: bool| {
        let allowed = |right: &Right| facts.rights.get(right).and_then(Fact::known).is_some();
        let all = Right::ALL.iter().filter(|right| allowed(right) == wanted);
        all.map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let (tried, untested) = (names(true), names(false));
    if tried.is_empty() {
        return report(Reason::NotChecked, "No action was tested yet".to_owned());
    }
    let rest = if untested.is_empty() {
        String::new()
    } else {
        format!("; not testable without a call: {untested}")
    };
    report(Reason::Allowed, format!("Allowed: {tried}{rest}"))
}

fn denial(right: Right, fact: &Fact<Permission, CloudFailure>) -> Option<String> {
    match fact {
        Fact::Known(Permission::Denied(reported)) => Some(format!("{right} is denied: {reported}")),
        Fact::Failed(failure) if failure.kind == CloudKind::Auth => {
            Some(format!("{right} failed authentication: {failure}"))
        }
        Fact::Known(Permission::Allowed) | Fact::Failed(_) | Fact::NotChecked => None,
    }
}

fn failure<T>(fact: &Fact<T, CloudFailure>) -> Option<&CloudFailure> {
    match fact {
        Fact::Failed(failure) => Some(failure),
        Fact::Known(_) | Fact::NotChecked => None,
    }
}

pub(super) fn clock(facts: &Facts) -> Condition {
    let worst = facts.clocks.iter().max_by_key(|reading| reading.ahead.unsigned_abs());
    let Some(worst) = worst else {
        let found = "No response with a date has arrived yet";
        return Condition::new(Kind::ClockSynchronized, Reason::NotChecked, found);
    };
    let off = worst.ahead.unsigned_abs();
    let reason = match off {
        0..SKEWED => Reason::Synchronized,
        SKEWED..TOO_LARGE => Reason::Skewed,
        TOO_LARGE.. => Reason::SkewTooLarge,
    };
    if reason == Reason::Synchronized {
        return Condition::new(Kind::ClockSynchronized, reason, "Less than a minute off");
    }
    Condition::new(Kind::ClockSynchronized, reason, off_by(worst))
}

/// In whole minutes: a message that changes every second would be published every second.
fn off_by(reading: &Reading) -> String {
    let side = if reading.ahead > 0 { "ahead of" } else { "behind" };
    let minutes = reading.ahead.unsigned_abs() / 60;
    format!("This node's clock is {minutes} min {side} that of {}", reading.clock)
}
