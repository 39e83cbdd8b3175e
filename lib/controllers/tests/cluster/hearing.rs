//! Whether EC2 answers the holder of the Lease.

use std::time::Duration;

use firecamp_controllers::leader::{Call, Hearing, timing};
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
fn called(hearing: &mut Hearing, call: Call, minutes: std::ops::RangeInclusive<u64>, end: End) {
    for minute in minutes {
        hearing.sent(call, at(minute));
        match end {
            End::GivenUp => {}
            End::Answered => hearing.ended(call, None),
            End::Failed(kind) => hearing.ended(call, Some(kind)),
        }
    }
}

fn at(minute: u64) -> Moment {
    Moment(Duration::from_mins(minute))
}

#[test]
fn who_has_called_nobody_is_not_deaf() {
    assert!(!Hearing::default().is_deaf());
}

#[test]
fn who_calls_for_ten_minutes_without_an_answer_is_deaf() {
    assert_eq!(timing::UNHEARD, Duration::from_mins(10));
    let silences = [CloudKind::Auth, CloudKind::Transient, CloudKind::Unknown].map(End::Failed);
    for end in silences.into_iter().chain([End::GivenUp]) {
        for call in [Call::Question, Call::Change] {
            let mut hearing = Hearing::default();
            called(&mut hearing, call, 1..=10, end);
            assert!(!hearing.is_deaf(), "{call:?} {end:?}: nine minutes");
            called(&mut hearing, call, 11..=11, end);
            assert!(hearing.is_deaf(), "{call:?} {end:?}");
        }
    }
}

#[test]
fn whatever_ec2_says_of_what_it_was_asked_is_an_answer() {
    let refusals = [
        CloudKind::HeldElsewhere,
        CloudKind::NotOurs,
        CloudKind::CapacityExceeded,
        CloudKind::SubnetExhausted,
        CloudKind::BadAddress,
        CloudKind::Gone,
        CloudKind::Throttled,
    ];
    for answer in refusals.map(End::Failed).into_iter().chain([End::Answered]) {
        let mut hearing = Hearing::default();
        called(&mut hearing, Call::Change, 1..=30, End::GivenUp);
        assert!(hearing.is_deaf());
        called(&mut hearing, Call::Change, 31..=31, answer);
        assert!(!hearing.is_deaf(), "{answer:?}");
    }
}

#[test]
fn who_is_answered_what_it_asks_is_deaf_all_the_same_if_it_may_change_nothing() {
    let mut hearing = Hearing::default();
    for minute in 1..=11 {
        called(&mut hearing, Call::Question, minute..=minute, End::Answered);
        called(&mut hearing, Call::Change, minute..=minute, End::Failed(CloudKind::Auth));
    }
    assert!(hearing.is_deaf());
}

#[test]
fn calls_that_lie_far_apart_are_no_long_silence() {
    let mut hearing = Hearing::default();
    for minute in (4..60).step_by(4) {
        called(&mut hearing, Call::Question, minute..=minute, End::GivenUp);
        assert!(!hearing.is_deaf(), "{minute}");
    }
}
