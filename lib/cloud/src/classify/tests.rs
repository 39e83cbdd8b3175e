//! Every recorded sample, and what must not be guessed.

use proptest::prelude::*;

use super::samples::*;
use super::*;
use CloudKind as K;
use Operation::{Assign, Attach, Create, Delete, Describe, Detach, Unassign};

const ALL: [&[Row]; 10] =
    [HELD, NOT_OURS, LIMITS, INTERFACES, BAD_ADDRESS, GONE, AUTH, THROTTLED, TRANSIENT, UNKNOWN];
const OPERATIONS: [Operation; 7] = [Describe, Assign, Unassign, Create, Attach, Detach, Delete];

fn meaning(row: &Row) -> (CloudKind, Effect) {
    let (operation, status, code, message, _, _) = *row;
    let failure = RequestFailure::Response { status, code: Some(code), message: Some(message) };
    classify(operation, &failure)
}

fn check(rows: &[Row]) {
    for row in rows {
        assert_eq!(meaning(row), (row.4, row.5), "{row:?}");
    }
}

#[test]
fn f045_every_recorded_response_has_the_class_and_effect_of_the_taxonomy() {
    for rows in ALL {
        check(rows);
    }
}

#[test]
fn f045_one_code_means_different_things_for_assign_and_unassign() {
    let not_here = "Some of the specified addresses are not assigned to interface eni-0";
    let held = "[10.0.0.9] assigned, but move is not allowed.";
    check(&[
        (Assign, 400, "InvalidParameterValue", not_here, K::Unknown, NONE),
        (Unassign, 400, "InvalidParameterValue", held, K::Unknown, NONE),
        (Describe, 400, "InvalidParameterValue", held, K::Unknown, NONE),
        (Assign, 400, "InvalidParameterValue", "the primary address", K::Unknown, NONE),
        (Unassign, 400, "InvalidParameterValue", "in the reserved range", K::Unknown, NONE),
    ]);
}

#[test]
fn a_message_about_an_interface_has_a_meaning_only_for_the_operations_that_return_it() {
    let taken = "Instance 'i-0' already has an interface attached at device index '2'.";
    let in_use = "Network interface 'eni-0' is currently in use.";
    for operation in [Create, Detach, Delete, Assign, Unassign, Describe] {
        check(&[(operation, 400, "InvalidParameterValue", taken, K::Unknown, NONE)]);
    }
    for operation in [Create, Detach, Assign, Unassign, Describe] {
        check(&[(operation, 400, "InvalidParameterValue", in_use, K::Unknown, NONE)]);
    }
}

#[test]
fn a_response_without_a_code_is_classified_by_its_status() {
    let bare = |operation, status| {
        classify(operation, &RequestFailure::Response { status, code: None, message: None })
    };
    assert_eq!(bare(Assign, 429), (K::Throttled, NONE));
    for status in [500, 502, 503, 504] {
        assert_eq!(bare(Assign, status), (K::Transient, Effect::Unknown), "{status}");
        assert_eq!(bare(Describe, status), (K::Transient, NONE), "{status}");
    }
    for status in [400, 401, 403, 404, 407, 408, 301] {
        assert_eq!(bare(Assign, status), (K::Unknown, NONE), "{status}");
    }
    assert_eq!(bare(Assign, 501), (K::Unknown, Effect::Unknown));
}

#[test]
fn an_undecodable_success_may_have_taken_effect() {
    for status in [200, 204, 299] {
        let failure = RequestFailure::Response { status, code: None, message: None };
        assert_eq!(classify(Assign, &failure), (K::Transient, Effect::Unknown));
        assert_eq!(classify(Unassign, &failure), (K::Transient, Effect::Unknown));
        assert_eq!(classify(Describe, &failure), (K::Transient, NONE));
    }
}

#[test]
fn a_lost_write_may_have_taken_effect_but_an_unsent_one_has_not() {
    for operation in [Assign, Unassign, Create, Attach, Detach, Delete] {
        assert_eq!(classify(operation, &RequestFailure::Lost), (K::Transient, Effect::Unknown));
    }
    assert_eq!(classify(Describe, &RequestFailure::Lost), (K::Transient, NONE));
    assert_eq!(classify(Assign, &RequestFailure::Refused), (K::Transient, NONE));
    assert_eq!(
        classify(Assign, &RequestFailure::NotSent(NotSentReason::Late)),
        (K::Transient, NONE)
    );
    assert_eq!(
        classify(Assign, &RequestFailure::NotSent(NotSentReason::Misconfigured)),
        (K::Auth, NONE)
    );
    assert_eq!(
        classify(Assign, &RequestFailure::NotSent(NotSentReason::Malformed)),
        (K::Unknown, NONE)
    );
}

#[test]
fn metadata_failures_are_classified_by_status() {
    assert_eq!(classify_metadata(None), K::Transient);
    let rows = [(401, K::Auth), (403, K::Auth), (404, K::Transient), (503, K::Transient)];
    for (status, kind) in rows {
        assert_eq!(classify_metadata(Some(status)), kind, "{status}");
    }
    assert_eq!(classify_metadata(Some(400)), K::Unknown);
    assert_eq!(classify_metadata(Some(429)), K::Throttled);
}

#[test]
fn f053_a_role_is_denied_only_by_permanent_errors() {
    assert!(denies_role(403, Some("AccessDenied")));
    assert!(denies_role(400, Some("ExpiredTokenException")));
    assert!(!denies_role(400, Some("Throttling")));
    assert!(!denies_role(429, None));
    assert!(!denies_role(500, Some("InternalFailure")));
}

/// Known codes and parts of known messages among arbitrary text.
fn text() -> impl Strategy<Value = String> {
    let mut known: Vec<&str> = ALL.into_iter().flatten().flat_map(|row| [row.2, row.3]).collect();
    known.dedup();
    prop_oneof![".*", proptest::sample::select(known).prop_map(str::to_owned)]
}

proptest! {
    #[test]
    fn reads_have_no_effect_and_case_does_not_matter(
        operation in proptest::sample::select(OPERATIONS.to_vec()),
        status in any::<u16>(),
        code in proptest::option::of(text()),
        message in proptest::option::of(text()),
    ) {
        let failure = |message| RequestFailure::Response { status, code: code.as_deref(), message };
        let (kind, effect) = classify(operation, &failure(message.as_deref()));
        if operation == Describe {
            prop_assert_eq!(effect, Effect::None);
        }
        let loud = message.as_deref().map(str::to_ascii_uppercase);
        let shouted = classify(operation, &failure(loud.as_deref()));
        prop_assert_eq!((kind, effect), shouted);
    }

    #[test]
    fn an_unlisted_code_is_unknown(code in "Zz[A-Za-z.]{1,30}", message in ".*") {
        for operation in OPERATIONS {
            let (code, message) = (Some(code.as_str()), Some(message.as_str()));
            let failure = RequestFailure::Response { status: 400, code, message };
            prop_assert_eq!(classify(operation, &failure), (K::Unknown, Effect::None));
        }
    }
}
