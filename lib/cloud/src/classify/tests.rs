//! Every recorded sample, and what must not be guessed.

use proptest::prelude::*;

use super::samples::*;
use super::*;
use CloudKind as K;
use Operation::{Assign, Describe, Unassign};

fn meaning(row: &Row) -> (CloudKind, Effect) {
    let (operation, status, code, message, _, _) = *row;
    let ending = Ending::Answered { status, code: Some(code), message: Some(message) };
    classify(operation, &ending)
}

fn check(rows: &[Row]) {
    for row in rows {
        assert_eq!(meaning(row), (row.4, row.5), "{row:?}");
    }
}

#[test]
fn f045_every_recorded_answer_has_the_class_and_effect_of_the_taxonomy() {
    for rows in [HELD, NOT_OURS, LIMITS, BAD_ADDRESS, GONE, AUTH, THROTTLED, TRANSIENT, UNKNOWN] {
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
fn an_answer_without_a_code_is_read_from_its_status_alone() {
    let bare = |operation, status| {
        classify(operation, &Ending::Answered { status, code: None, message: None })
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
fn a_success_that_cannot_be_read_may_have_taken_effect() {
    for status in [200, 204, 299] {
        let ending = Ending::Answered { status, code: None, message: None };
        assert_eq!(classify(Assign, &ending), (K::Transient, Effect::Unknown));
        assert_eq!(classify(Unassign, &ending), (K::Transient, Effect::Unknown));
        assert_eq!(classify(Describe, &ending), (K::Transient, NONE));
    }
}

#[test]
fn a_lost_write_may_have_taken_effect_and_one_that_was_not_sent_has_not() {
    assert_eq!(classify(Assign, &Ending::Lost), (K::Transient, Effect::Unknown));
    assert_eq!(classify(Describe, &Ending::Lost), (K::Transient, NONE));
    assert_eq!(classify(Assign, &Ending::Refused), (K::Transient, NONE));
    assert_eq!(classify(Assign, &Ending::NotSent(Cause::Late)), (K::Transient, NONE));
    assert_eq!(classify(Assign, &Ending::NotSent(Cause::Misconfigured)), (K::Auth, NONE));
    assert_eq!(classify(Assign, &Ending::NotSent(Cause::Malformed)), (K::Unknown, NONE));
}

#[test]
fn the_metadata_service_is_read_from_its_status() {
    assert_eq!(classify_metadata(None), K::Transient);
    let rows = [(401, K::Auth), (403, K::Auth), (404, K::Transient), (503, K::Transient)];
    for (status, kind) in rows {
        assert_eq!(classify_metadata(Some(status)), kind, "{status}");
    }
    assert_eq!(classify_metadata(Some(400)), K::Unknown);
    assert_eq!(classify_metadata(Some(429)), K::Throttled);
}

#[test]
fn f053_a_role_is_denied_by_what_will_not_pass_by_itself() {
    assert!(denies_role(403, Some("AccessDenied")));
    assert!(denies_role(400, Some("ExpiredTokenException")));
    assert!(!denies_role(400, Some("Throttling")));
    assert!(!denies_role(429, None));
    assert!(!denies_role(500, Some("InternalFailure")));
}

/// Known codes and pieces of known messages among anything at all.
fn text() -> impl Strategy<Value = String> {
    let rows = [HELD, NOT_OURS, LIMITS, BAD_ADDRESS, GONE, AUTH, THROTTLED, TRANSIENT, UNKNOWN];
    let mut known: Vec<&str> = rows.into_iter().flatten().flat_map(|row| [row.2, row.3]).collect();
    known.dedup();
    prop_oneof![".*", proptest::sample::select(known).prop_map(str::to_owned)]
}

proptest! {
    #[test]
    fn nothing_panics_reads_take_no_effect_and_case_does_not_matter(
        operation in proptest::sample::select(vec![Describe, Assign, Unassign]),
        status in any::<u16>(),
        code in proptest::option::of(text()),
        message in proptest::option::of(text()),
    ) {
        let ending = |message| Ending::Answered { status, code: code.as_deref(), message };
        let (kind, effect) = classify(operation, &ending(message.as_deref()));
        if operation == Describe {
            prop_assert_eq!(effect, Effect::None);
        }
        let loud = message.as_deref().map(str::to_ascii_uppercase);
        let shouted = classify(operation, &ending(loud.as_deref()));
        prop_assert_eq!((kind, effect), shouted);
    }

    #[test]
    fn a_code_that_nobody_listed_is_unknown(code in "Zz[A-Za-z.]{1,30}", message in ".*") {
        for operation in [Describe, Assign, Unassign] {
            let ending =
                Ending::Answered { status: 400, code: Some(&code), message: Some(&message) };
            prop_assert_eq!(classify(operation, &ending), (K::Unknown, Effect::None));
        }
    }
}
