//! What AWS says.

use firecamp_core::failure::{CloudFailure, CloudKind};

use crate::preflight::condition::Condition;
use crate::preflight::facts::{Fact, Facts, Permission, Reading, Right};
use crate::preflight::reason::{Kind, Reason};

/// From here on a clock is worth a word.
const SKEWED: u64 = 60;
/// From here on signatures are refused.
const FAR_OFF: u64 = 300;

pub(super) fn metadata(facts: &Facts) -> Condition {
    let say = |reason, found: &dyn std::fmt::Display| {
        Condition::new(Kind::MetadataReachable, reason, found)
    };
    match &facts.identity {
        Fact::NotAsked => say(Reason::NotAsked, &"The metadata service was not asked"),
        Fact::Known(it) => say(Reason::Reachable, &format!("It says that this is {}", it.instance)),
        Fact::Failed(failure) => say(silence(failure.kind), failure),
    }
}

fn silence(kind: CloudKind) -> Reason {
    match kind {
        CloudKind::Auth => Reason::MetadataRefuses,
        CloudKind::Throttled => Reason::MetadataOverloaded,
        CloudKind::Transient => Reason::MetadataSilent,
        CloudKind::HeldElsewhere
        | CloudKind::NotOurs
        | CloudKind::CapacityExceeded
        | CloudKind::SubnetExhausted
        | CloudKind::BadAddress
        | CloudKind::Gone
        | CloudKind::Unknown => Reason::NotKnown,
    }
}

/// Denied if anything is, which is only a warning of what no address depends on; not known if
/// nothing could be tried.
pub(super) fn rights(facts: &Facts) -> Condition {
    let say = |reason, found: String| Condition::new(Kind::Ec2Allowed, reason, found);
    let denials: Vec<(Right, String)> = facts
        .rights
        .iter()
        .filter_map(|(right, fact)| Some((*right, denial(*right, fact)?)))
        .collect();
    if !denials.is_empty() {
        let harmless = denials.iter().all(|(right, _)| right.is_optional());
        let reason = if harmless { Reason::OptionalDenied } else { Reason::Denied };
        let told: Vec<String> = denials.into_iter().map(|(_, told)| told).collect();
        return say(reason, told.join("; "));
    }
    let failed = facts.rights.iter().find_map(|(_, fact)| failure(fact));
    if let Some(failure) = failed {
        return say(Reason::NotKnown, failure.to_string());
    }
    let names = |wanted: bool| {
        let allowed = |right: &Right| facts.rights.get(right).and_then(Fact::known).is_some();
        let all = Right::ALL.iter().filter(|right| allowed(right) == wanted);
        all.map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let (tried, open) = (names(true), names(false));
    if tried.is_empty() {
        return say(Reason::NotAsked, "EC2 was not asked yet".to_owned());
    }
    let rest = if open.is_empty() {
        String::new()
    } else {
        format!("; known only once it is tried: {open}")
    };
    say(Reason::Allowed, format!("Allowed: {tried}{rest}"))
}

fn denial(right: Right, fact: &Fact<Permission, CloudFailure>) -> Option<String> {
    match fact {
        Fact::Known(Permission::Denied(told)) => Some(format!("{right} is denied: {told}")),
        Fact::Failed(failure) if failure.kind == CloudKind::Auth => {
            Some(format!("{right} is refused: {failure}"))
        }
        Fact::Known(Permission::Allowed) | Fact::Failed(_) | Fact::NotAsked => None,
    }
}

fn failure<T>(fact: &Fact<T, CloudFailure>) -> Option<&CloudFailure> {
    match fact {
        Fact::Failed(failure) => Some(failure),
        Fact::Known(_) | Fact::NotAsked => None,
    }
}

pub(super) fn clock(facts: &Facts) -> Condition {
    let worst = facts.clocks.iter().max_by_key(|reading| reading.ahead.unsigned_abs());
    let Some(worst) = worst else {
        let found = "No answer with a date has come yet";
        return Condition::new(Kind::ClockRight, Reason::NotAsked, found);
    };
    let off = worst.ahead.unsigned_abs();
    let reason = match off {
        0..SKEWED => Reason::Agrees,
        SKEWED..FAR_OFF => Reason::Skewed,
        FAR_OFF.. => Reason::FarOff,
    };
    if reason == Reason::Agrees {
        return Condition::new(Kind::ClockRight, reason, "Less than a minute off");
    }
    Condition::new(Kind::ClockRight, reason, off_by(worst))
}

/// In whole minutes: a message that changes each second would be published each second.
fn off_by(reading: &Reading) -> String {
    let side = if reading.ahead > 0 { "ahead of" } else { "behind" };
    let minutes = reading.ahead.unsigned_abs() / 60;
    format!("This node's clock is {minutes} min {side} that of {}", reading.clock)
}
