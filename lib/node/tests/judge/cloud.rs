//! Checks of AWS, and the summary.

use std::collections::BTreeSet;

use firecamp_core::failure::CloudKind;
use firecamp_node::preflight::facts::{Clock, Fact, Facts, Permission, Reading, Right};
use firecamp_node::preflight::{Kind, Reason, Severity, Status, judge, passes, summary};

use crate::fixture::*;

#[test]
fn a_good_node_passes_with_every_condition_true() {
    let conditions = judge(&good());
    for one in &conditions {
        assert_eq!((one.status(), one.severity()), (Status::True, Severity::Ok), "{one:?}");
    }
    assert!(passes(&conditions));
    assert_eq!(summary(&conditions).reason, Reason::Passed);
    let kinds: Vec<Kind> = conditions.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, Kind::ALL[1..], "each kind once, in order, without the summary");
}

#[test]
fn unread_facts_are_unknown_and_never_true() {
    let conditions = judge(&Facts::default());
    assert!(conditions.iter().all(|one| one.status() == Status::Unknown), "{conditions:?}");
    assert!(passes(&conditions), "not knowing keeps nothing from working");
    assert_eq!(summary(&conditions).reason, Reason::PassedIncomplete);
}

#[test]
fn f049_an_unreachable_metadata_service_differs_from_one_that_refuses() {
    let reason = |kind| {
        let facts = with(|facts| facts.identity = Fact::Failed(failure(kind)));
        reason(&facts, Kind::MetadataReachable)
    };
    assert_eq!(reason(CloudKind::Transient), Reason::MetadataUnreachable);
    assert_eq!(reason(CloudKind::Auth), Reason::MetadataRefused);
    assert_eq!(reason(CloudKind::Throttled), Reason::MetadataOverloaded);
    let silent = with(|facts| facts.identity = Fact::Failed(failure(CloudKind::Transient)));
    let reported = one(&silent, Kind::MetadataReachable).message;
    assert!(
        reported.contains("read mac: no answer") && reported.contains("hop limit"),
        "{reported}"
    );
    assert!(!passes(&judge(&silent)));
}

#[test]
fn f053_a_denied_action_is_named_with_the_message_of_ec2() {
    let denied = with(|facts| {
        let reported = Permission::Denied("UnauthorizedOperation: explicit deny".to_owned());
        facts.rights.insert(Right::AssignPrivateIpAddresses, Fact::Known(reported));
    });
    let reported = one(&denied, Kind::Ec2Allowed);
    assert_eq!((reported.reason, reported.severity()), (Reason::Denied, Severity::Blocking));
    assert!(
        reported.message.contains("ec2:AssignPrivateIpAddresses is denied"),
        "{}",
        reported.message
    );
    assert!(reported.message.contains("explicit deny"), "{}", reported.message);
    assert_eq!(summary(&judge(&denied)).reason, Reason::Blocked);
}

#[test]
fn f053_a_denied_optional_action_is_a_warning() {
    let denied = |rights: &[Right]| {
        with(|facts| {
            for right in rights {
                let reported = Permission::Denied("UnauthorizedOperation".to_owned());
                facts.rights.insert(*right, Fact::Known(reported));
            }
        })
    };
    let optional = [Right::DescribeVolumes, Right::GetSubnetCidrReservations];
    let facts = denied(&optional);
    let reported = one(&facts, Kind::Ec2Allowed);
    assert_eq!((reported.reason, reported.severity()), (Reason::OptionalDenied, Severity::Warning));
    assert!(
        optional.iter().all(|right| reported.message.contains(&right.to_string())),
        "{reported:?}"
    );
    assert!(passes(&judge(&facts)));
    assert_eq!(summary(&judge(&facts)).reason, Reason::PassedWithWarnings);
    for needed in Right::ALL.into_iter().filter(|right| !optional.contains(right)) {
        let facts = denied(&[Right::DescribeVolumes, needed]);
        let reported = one(&facts, Kind::Ec2Allowed);
        assert_eq!(
            (reported.reason, reported.severity()),
            (Reason::Denied, Severity::Blocking),
            "{needed}"
        );
        assert!(!passes(&judge(&facts)), "{needed}");
    }
}

#[test]
fn f053_rejected_credentials_deny_and_a_throttle_proves_nothing() {
    let reason = |kind| {
        let facts = with(|facts| {
            facts.interfaces = Fact::Failed(failure(kind));
            facts.record_interface_permission();
        });
        reason(&facts, Kind::Ec2Allowed)
    };
    assert_eq!(reason(CloudKind::Auth), Reason::Denied);
    assert_eq!(reason(CloudKind::Throttled), Reason::Unknown);
}

#[test]
fn actions_without_a_dry_run_are_listed_as_untested() {
    let reported = one(&good(), Kind::Ec2Allowed).message;
    assert!(reported.contains("Allowed: ec2:DescribeNetworkInterfaces;"), "{reported}");
    assert!(reported.contains("ec2:UnassignPrivateIpAddresses"), "{reported}");
    let dry = Right::ALL.map(Right::has_dry_run);
    assert_eq!(dry, [true, true, true, false, false, false]);
}

#[test]
fn f094_a_clock_is_checked_against_the_largest_skew() {
    let off = |ahead: &[i64]| {
        with(|facts| {
            facts.clocks = ahead
                .iter()
                .map(|ahead| Reading { clock: Clock::Metadata, ahead: *ahead })
                .collect();
        })
    };
    assert_eq!(reason(&off(&[59, -59]), Kind::ClockSynchronized), Reason::Synchronized);
    assert_eq!(reason(&off(&[0, -60]), Kind::ClockSynchronized), Reason::Skewed);
    let reported = one(&off(&[600, 1]), Kind::ClockSynchronized);
    assert_eq!((reported.reason, reported.severity()), (Reason::SkewTooLarge, Severity::Blocking));
    assert!(reported.message.contains("10 min ahead of that of the metadata service"));
    let behind = one(&off(&[i64::MIN]), Kind::ClockSynchronized);
    assert!(behind.message.contains("behind"), "{}", behind.message);
}

#[test]
fn names_are_unique_and_each_bad_reason_has_a_remedy() {
    let names: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        let bad = matches!(reason.severity(), Severity::Blocking | Severity::Warning);
        let reported = !reason.remedy().is_empty() || *reason == Reason::PassedWithWarnings;
        assert!(!bad || reported, "{reason} has no remedy");
        let wrong = reason.status() == Status::True && reason.severity() == Severity::Blocking;
        assert!(!wrong, "{reason} blocks and is True");
    }
}
