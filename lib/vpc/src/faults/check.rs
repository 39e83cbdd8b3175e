//! Validation of faults.

use super::{Fault, FaultError, FaultSpec, StuckIn};

/// The longest duration in a fault.
const MAX_MS: u64 = 365 * 86_400_000;
/// The shortest interval of a background actor.
const MIN_EVERY_MS: u64 = 1;

/// Checks what the types do not express.
pub(super) fn check(spec: &FaultSpec) -> Result<(), FaultError> {
    let kind = kind_of(&spec.fault);
    let bad = |field: &'static str, problem: &str| {
        Err(FaultError::Invalid { kind: kind.clone(), field, problem: problem.to_owned() })
    };
    let when = &spec.when;
    if when.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
        return bad("probability", "must be from 0 to 1");
    }
    if when.nth == Some(0) {
        return bad("nth", "must be at least 1");
    }
    if when.count == Some(0) {
        return bad("count", "must be at least 1");
    }
    let times = [when.from_ms, when.until_ms];
    if times.iter().flatten().any(|ms| *ms > MAX_MS) {
        return bad("from_ms", "must be at most a year");
    }
    match problem_of(&spec.fault) {
        Some((field, problem)) => bad(field, problem),
        None => Ok(()),
    }
}

/// The name of a fault kind in JSON.
pub(crate) fn kind_of(fault: &Fault) -> String {
    let value = serde_json::to_value(fault).unwrap_or_default();
    value.get("kind").and_then(|kind| kind.as_str()).unwrap_or("unknown").to_owned()
}

fn problem_of_limit(
    instance_type: &str,
    field: &'static str,
    limit: u32,
) -> Option<(&'static str, &'static str)> {
    let known = crate::model::type_named(instance_type).is_some();
    let known = (!known).then_some(("instance_type", "unknown instance type"));
    known.or((limit == 0).then_some((field, "must be at least 1")))
}

fn problem_of_enis(fault: &Fault) -> Option<(&'static str, &'static str)> {
    if let Fault::Limit { instance_type, ips } = fault {
        return problem_of_limit(instance_type, "ips", *ips);
    }
    if let Fault::EniLimit { instance_type, enis } = fault {
        return problem_of_limit(instance_type, "enis", *enis);
    }
    let busy = matches!(fault, Fault::EniStuck { stage: StuckIn::Busy });
    busy.then_some(("stage", "only volumes can be busy"))
}

fn interval_problem(ms: u64) -> Option<(&'static str, &'static str)> {
    let bad = !(MIN_EVERY_MS..=MAX_MS).contains(&ms);
    bad.then_some(("every_ms", "must be from 1 ms to a year"))
}

fn problem_of(fault: &Fault) -> Option<(&'static str, &'static str)> {
    let long = |ms: u64| ms > MAX_MS;
    let often = |ms: Option<u64>| ms.and_then(interval_problem);
    match fault {
        Fault::Error { status, .. } | Fault::ImdsError { status } => {
            (!(400..=599).contains(status)).then_some(("status", "must be from 400 to 599"))
        }
        Fault::HttpStatus { status, .. } => {
            (!(200..=599).contains(status)).then_some(("status", "must be from 200 to 599"))
        }
        Fault::Delay { ms: time } | Fault::LateLanding { after_ms: time, .. } => {
            long(*time).then_some(("ms", "must be at most a year"))
        }
        Fault::Bucket { refill, .. } => {
            let good = refill.is_finite() && *refill >= 0.0;
            (!good).then_some(("refill", "must be a finite number of at least 0"))
        }
        Fault::ShortPages { items } => (*items == 0).then_some(("items", "must be at least 1")),
        Fault::ImdsPpsDrop { per_second } => {
            (*per_second == 0).then_some(("per_second", "must be at least 1"))
        }
        Fault::ExternalReassignment { every_ms, .. } | Fault::ExternalUnassign { every_ms, .. } => {
            often(*every_ms)
        }
        Fault::AutoAssignPressure { every_ms, .. } => often(Some(*every_ms)),
        Fault::Limit { .. } | Fault::EniLimit { .. } | Fault::EniStuck { .. } => {
            problem_of_enis(fault)
        }
        Fault::LostResponse { .. }
        | Fault::Hang { .. }
        | Fault::DropConn { .. }
        | Fault::ThrottleStorm { .. }
        | Fault::StaleDescribe { .. }
        | Fault::DescribeTimeTravel { .. }
        | Fault::DescribeOmits {}
        | Fault::EmptyPageWithToken {}
        | Fault::LoopingToken {}
        | Fault::TokenExpires {}
        | Fault::ImdsFrozen {}
        | Fault::ImdsGhost {}
        | Fault::ImdsMissing { .. }
        | Fault::ImdsPartial { .. }
        | Fault::ImdsEmpty {}
        | Fault::ImdsDown {}
        | Fault::ImdsToken401 {}
        | Fault::ImdsHopTimeout {}
        | Fault::ImdsDeviceNumberZero {}
        | Fault::ImdsTimeTravel { .. }
        | Fault::SubnetFull { .. }
        | Fault::EniQuota { .. }
        | Fault::VolumeStuck { .. }
        | Fault::IamDeny {}
        | Fault::CredentialsExpire {}
        | Fault::ClockSkew { .. }
        | Fault::AssignOwn { .. }
        | Fault::ResourceAlreadyAssignedCode {} => None,
    }
}
