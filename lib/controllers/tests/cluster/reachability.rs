//! Whether EC2 answers the leader.

use std::time::Duration;

use firecamp_controllers::leader::{Call, Ec2Reachability, timing};
use firecamp_core::failure::CloudKind;
use firecamp_core::time::Moment;

/// What every call ends with.
#[derive(Debug, Clone, Copy)]
enum End {
    GivenUp,
    Answered,
    Failed(CloudKind),
}

/// Calls, one a minute, for that long.
fn called(
    reachability: &mut Ec2Reachability,
    call: Call,
    minutes: std::ops::RangeInclusive<u64>,
    end: End,
) {
    for minute in minutes {
        reachability.sent(call, at(minute));
        match end {
            End::GivenUp => {}
            End::Answered => reachability.ended(call, None),
            End::Failed(kind) => reachability.ended(call, Some(kind)),
        }
    }
}

fn at(minute: u64) -> Moment {
    Moment(Duration::from_mins(minute))
}

#[test]
fn without_calls_ec2_is_not_unreachable() {
    assert!(!Ec2Reachability::default().is_unreachable());
}

#[test]
fn ten_minutes_of_unanswered_calls_mean_unreachable() {
    assert_eq!(timing::EC2_UNREACHABLE, Duration::from_mins(10));
    let silences = [CloudKind::Auth, CloudKind::Transient, CloudKind::Unknown].map(End::Failed);
    for end in silences.into_iter().chain([End::GivenUp]) {
        for call in [Call::Read, Call::Change] {
            let mut reachability = Ec2Reachability::default();
            called(&mut reachability, call, 1..=10, end);
            assert!(!reachability.is_unreachable(), "{call:?} {end:?}: nine minutes");
            called(&mut reachability, call, 11..=11, end);
            assert!(reachability.is_unreachable(), "{call:?} {end:?}");
        }
    }
}

#[test]
fn every_ec2_answer_to_a_request_counts_as_an_answer() {
    let refusals = [
        CloudKind::HeldElsewhere,
        CloudKind::NotOnInterface,
        CloudKind::CapacityExceeded,
        CloudKind::SubnetExhausted,
        CloudKind::BadAddress,
        CloudKind::NotFound,
        CloudKind::Throttled,
    ];
    for answer in refusals.map(End::Failed).into_iter().chain([End::Answered]) {
        let mut reachability = Ec2Reachability::default();
        called(&mut reachability, Call::Change, 1..=30, End::GivenUp);
        assert!(reachability.is_unreachable());
        called(&mut reachability, Call::Change, 31..=31, answer);
        assert!(!reachability.is_unreachable(), "{answer:?}");
    }
}

#[test]
fn answered_reads_do_not_hide_unanswered_changes() {
    let mut reachability = Ec2Reachability::default();
    for minute in 1..=11 {
        called(&mut reachability, Call::Read, minute..=minute, End::Answered);
        called(&mut reachability, Call::Change, minute..=minute, End::Failed(CloudKind::Auth));
    }
    assert!(reachability.is_unreachable());
}

#[test]
fn unanswered_calls_far_apart_do_not_count_as_unreachable() {
    let mut reachability = Ec2Reachability::default();
    for minute in (4..60).step_by(4) {
        called(&mut reachability, Call::Read, minute..=minute, End::GivenUp);
        assert!(!reachability.is_unreachable(), "{minute}");
    }
}
