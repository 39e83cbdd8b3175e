//! What AWS says, and all of it together.

use std::collections::BTreeSet;

use firecamp_core::failure::CloudKind;
use firecamp_node::preflight::facts::{Clock, Fact, Facts, Permission, Reading, Right};
use firecamp_node::preflight::{Kind, Reason, Status, Weight, judge, passes, summary};

use crate::fixture::*;

#[test]
fn a_good_node_passes_with_every_condition_true() {
    let conditions = judge(&good());
    for one in &conditions {
        assert_eq!((one.status(), one.weight()), (Status::True, Weight::Fine), "{one:?}");
    }
    assert!(passes(&conditions));
    assert_eq!(summary(&conditions).reason, Reason::Passed);
    let kinds: Vec<Kind> = conditions.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, Kind::ALL[1..], "each kind once, in order, without the summary");
}

#[test]
fn nothing_asked_is_unknown_and_never_true() {
    let conditions = judge(&Facts::default());
    assert!(conditions.iter().all(|one| one.status() == Status::Unknown), "{conditions:?}");
    assert!(passes(&conditions), "not knowing keeps nothing from working");
    assert_eq!(summary(&conditions).reason, Reason::PassedSoFar);
}

#[test]
fn f049_a_silent_metadata_service_is_told_apart_from_one_that_refuses() {
    let reason = |kind| {
        let facts = with(|facts| facts.identity = Fact::Failed(failure(kind)));
        reason(&facts, Kind::MetadataReachable)
    };
    assert_eq!(reason(CloudKind::Transient), Reason::MetadataSilent);
    assert_eq!(reason(CloudKind::Auth), Reason::MetadataRefuses);
    assert_eq!(reason(CloudKind::Throttled), Reason::MetadataOverloaded);
    let silent = with(|facts| facts.identity = Fact::Failed(failure(CloudKind::Transient)));
    let told = one(&silent, Kind::MetadataReachable).message;
    assert!(told.contains("read mac: no answer") && told.contains("hop limit"), "{told}");
    assert!(!passes(&judge(&silent)));
}

#[test]
fn f053_a_denied_action_is_named_with_what_ec2_said() {
    let denied = with(|facts| {
        let told = Permission::Denied("UnauthorizedOperation: explicit deny".to_owned());
        facts.rights.insert(Right::AssignPrivateIpAddresses, Fact::Known(told));
    });
    let told = one(&denied, Kind::Ec2Allowed);
    assert_eq!((told.reason, told.weight()), (Reason::Denied, Weight::Blocks));
    assert!(told.message.contains("ec2:AssignPrivateIpAddresses is denied"), "{}", told.message);
    assert!(told.message.contains("explicit deny"), "{}", told.message);
    assert_eq!(summary(&judge(&denied)).reason, Reason::Blocked);
}

#[test]
fn f053_what_no_address_depends_on_may_be_denied_with_a_warning() {
    let denied = |rights: &[Right]| {
        with(|facts| {
            for right in rights {
                let told = Permission::Denied("UnauthorizedOperation".to_owned());
                facts.rights.insert(*right, Fact::Known(told));
            }
        })
    };
    let optional = [Right::DescribeVolumes, Right::GetSubnetCidrReservations];
    let facts = denied(&optional);
    let told = one(&facts, Kind::Ec2Allowed);
    assert_eq!((told.reason, told.weight()), (Reason::OptionalDenied, Weight::Warns));
    assert!(optional.iter().all(|right| told.message.contains(&right.to_string())), "{told:?}");
    assert!(passes(&judge(&facts)));
    assert_eq!(summary(&judge(&facts)).reason, Reason::PassedWithWarnings);
    for needed in Right::ALL.into_iter().filter(|right| !optional.contains(right)) {
        let facts = denied(&[Right::DescribeVolumes, needed]);
        let told = one(&facts, Kind::Ec2Allowed);
        assert_eq!((told.reason, told.weight()), (Reason::Denied, Weight::Blocks), "{needed}");
        assert!(!passes(&judge(&facts)), "{needed}");
    }
}

#[test]
fn f053_refused_credentials_deny_and_a_throttle_says_nothing() {
    let reason = |kind| {
        let facts = with(|facts| {
            facts.interfaces = Fact::Failed(failure(kind));
            facts.saw_interfaces();
        });
        reason(&facts, Kind::Ec2Allowed)
    };
    assert_eq!(reason(CloudKind::Auth), Reason::Denied);
    assert_eq!(reason(CloudKind::Throttled), Reason::NotKnown);
}

#[test]
fn what_has_no_dry_run_is_said_to_be_open() {
    let told = one(&good(), Kind::Ec2Allowed).message;
    assert!(told.contains("Allowed: ec2:DescribeNetworkInterfaces;"), "{told}");
    assert!(told.contains("ec2:UnassignPrivateIpAddresses"), "{told}");
    let dry = Right::ALL.map(Right::has_dry_run);
    assert_eq!(dry, [true, true, true, false, false, false]);
}

#[test]
fn f094_a_clock_is_judged_by_the_answer_that_differs_most() {
    let off = |ahead: &[i64]| {
        with(|facts| {
            facts.clocks = ahead
                .iter()
                .map(|ahead| Reading { clock: Clock::Metadata, ahead: *ahead })
                .collect();
        })
    };
    assert_eq!(reason(&off(&[59, -59]), Kind::ClockRight), Reason::Agrees);
    assert_eq!(reason(&off(&[0, -60]), Kind::ClockRight), Reason::Skewed);
    let told = one(&off(&[600, 1]), Kind::ClockRight);
    assert_eq!((told.reason, told.weight()), (Reason::FarOff, Weight::Blocks));
    assert!(told.message.contains("10 min ahead of that of the metadata service"));
    let behind = one(&off(&[i64::MIN]), Kind::ClockRight);
    assert!(behind.message.contains("behind"), "{}", behind.message);
}

#[test]
fn names_are_unique_and_each_reason_that_is_no_good_says_what_to_do() {
    let names: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        let bad = matches!(reason.weight(), Weight::Blocks | Weight::Warns);
        let told = !reason.remedy().is_empty() || *reason == Reason::PassedWithWarnings;
        assert!(!bad || told, "{reason} has no remedy");
        let wrong = reason.status() == Status::True && reason.weight() == Weight::Blocks;
        assert!(!wrong, "{reason} blocks and is True");
    }
}
