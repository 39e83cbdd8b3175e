//! Recorded samples: every row of the error taxonomy, and what must not be guessed.

use proptest::prelude::*;

use super::*;
use CloudKind as K;
use Operation::{Assign, Describe, Unassign};

/// Operation, status, code, message, and what it means.
type Row = (Operation, u16, &'static str, &'static str, CloudKind, Effect);

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

const NONE: Effect = Effect::None;

const HELD: &[Row] = &[
    (
        Assign,
        400,
        "InvalidParameterValue",
        "[10.0.0.9] assigned, but move is not allowed.",
        K::HeldElsewhere,
        NONE,
    ),
    (
        Assign,
        400,
        "InvalidParameterValue",
        "[10.0.0.9, 10.0.0.10] ASSIGNED, but move is NOT allowed.",
        K::HeldElsewhere,
        NONE,
    ),
    (Assign, 400, "Resource.AlreadyAssigned", "", K::HeldElsewhere, NONE),
    (
        Assign,
        400,
        "InvalidIPAddress.InUse",
        "The specified address is already in use.",
        K::HeldElsewhere,
        NONE,
    ),
    (
        Assign,
        400,
        "InvalidIPAddress.InUse",
        "10.0.0.9 is already assigned.",
        K::HeldElsewhere,
        NONE,
    ),
    (Assign, 400, "InvalidParameterValue", "10.0.0.9 is already assigned.", K::HeldElsewhere, NONE),
    (Assign, 400, "InvalidParameterValue", "secondary-addresses", K::HeldElsewhere, NONE),
    (Assign, 400, "Resource.AlreadyAssociated", "", K::HeldElsewhere, NONE),
    (
        Assign,
        400,
        "VolumeInUse",
        "vol-0 is already attached to an instance",
        K::HeldElsewhere,
        NONE,
    ),
];

const NOT_OURS: &[Row] = &[
    (
        Unassign,
        400,
        "InvalidParameterValue",
        "Some of the specified addresses are not assigned to interface eni-0123456789abcdef0",
        K::NotOurs,
        NONE,
    ),
    (
        Unassign,
        400,
        "IncorrectState",
        "Volume 'vol-0'is in the 'available' state.",
        K::NotOurs,
        NONE,
    ),
    (Unassign, 400, "InvalidAttachment.NotFound", "", K::NotOurs, NONE),
    (Unassign, 400, "InvalidAssociationID.NotFound", "", K::NotOurs, NONE),
    (Unassign, 400, "InvalidAttachmentID.NotFound", "", K::NotOurs, NONE),
];

const LIMITS: &[Row] = &[
    (
        Assign,
        400,
        "PrivateIpAddressLimitExceeded",
        "Number of private addresses will exceed limit.",
        K::CapacityExceeded,
        NONE,
    ),
    (
        Assign,
        400,
        "AttachmentLimitExceeded",
        "Interface count 4 exceeds the limit for t3.medium",
        K::CapacityExceeded,
        NONE,
    ),
    (
        Assign,
        400,
        "InsufficientFreeAddressesInSubnet",
        "The specified subnet does not have enough free addresses to satisfy the request.",
        K::SubnetExhausted,
        NONE,
    ),
    (
        Assign,
        400,
        "InsufficientCidrBlocks",
        "The specified subnet does not have enough free cidr blocks to satisfy the request.",
        K::SubnetExhausted,
        NONE,
    ),
    (
        Assign,
        400,
        "InvalidParameterValue",
        "There aren't sufficient free Ipv4 addresses or prefixes",
        K::SubnetExhausted,
        NONE,
    ),
    (Assign, 400, "NetworkInterfaceLimitExceeded", "", K::SubnetExhausted, NONE),
];

const BAD_ADDRESS: &[Row] = &[
    (
        Assign,
        400,
        "InvalidParameterValue",
        "Address does not fall within the subnet's address range",
        K::BadAddress,
        NONE,
    ),
    (
        Assign,
        400,
        "InvalidParameterValue",
        "Address is in subnet's reserved address range",
        K::BadAddress,
        NONE,
    ),
    (
        Assign,
        400,
        "InvalidParameterValue",
        "Address 10.0.0.1 is in subnet's reserved range.",
        K::BadAddress,
        NONE,
    ),
    (
        Assign,
        400,
        "InvalidParameterValue",
        "invalid value for parameter address: x",
        K::BadAddress,
        NONE,
    ),
    (
        Unassign,
        400,
        "InvalidParameterValue",
        "The primary IP address of an interface cannot be unassigned",
        K::BadAddress,
        NONE,
    ),
    (Assign, 400, "InvalidVolume.ZoneMismatch", "", K::BadAddress, NONE),
    (Assign, 400, "InvalidVolumeID.ZoneMismatch", "", K::BadAddress, NONE),
    (
        Assign,
        400,
        "InvalidParameterCombination",
        "You may not attach a network interface to an instance if they are not in the same \
      availability zone",
        K::BadAddress,
        NONE,
    ),
];

const GONE: &[Row] = &[
    (
        Assign,
        400,
        "InvalidNetworkInterfaceID.NotFound",
        "The networkInterface ID 'eni-0' does not exist",
        K::Gone,
        NONE,
    ),
    (Unassign, 400, "InvalidNetworkInterface.NotFound", "", K::Gone, NONE),
    (
        Assign,
        400,
        "InvalidNetworkInterfaceId.Malformed",
        "Invalid id: \"x\" (expecting \"eni-...\")",
        K::Gone,
        NONE,
    ),
    (Assign, 400, "InvalidNetworkInterfaceID.Malformed", "", K::Gone, NONE),
    (
        Describe,
        400,
        "InvalidInstanceID.NotFound",
        "The instance ID 'i-0' does not exist",
        K::Gone,
        NONE,
    ),
    (Describe, 400, "InvalidVolume.NotFound", "The volume 'vol-0' does not exist.", K::Gone, NONE),
];

const AUTH: &[Row] = &[
    (
        Assign,
        401,
        "AuthFailure",
        "AWS was not able to validate the provided access credentials",
        K::Auth,
        NONE,
    ),
    (
        Assign,
        403,
        "UnauthorizedOperation",
        "You are not authorized to perform this operation.",
        K::Auth,
        NONE,
    ),
    (Describe, 403, "UnauthorizedOperation", "", K::Auth, NONE),
    (Assign, 400, "RequestExpired", "Request has expired.", K::Auth, NONE),
    (Assign, 400, "InvalidSecurity.RequestHasExpired", "", K::Auth, NONE),
    (Assign, 403, "SignatureDoesNotMatch", "", K::Auth, NONE),
    (Assign, 400, "IncompleteSignature", "", K::Auth, NONE),
    (Assign, 401, "OptInRequired", "", K::Auth, NONE),
    (Assign, 400, "Blocked", "", K::Auth, NONE),
    (Assign, 400, "PendingVerification", "", K::Auth, NONE),
];

const THROTTLED: &[Row] = &[
    (Assign, 503, "RequestLimitExceeded", "Request limit exceeded.", K::Throttled, NONE),
    (
        Assign,
        503,
        "RequestLimitExceeded",
        "Request limit exceeded. Account 1234 has been throttled on ec2:Op because it exceeded its \
      request rate limit.",
        K::Throttled,
        NONE,
    ),
    (Assign, 400, "Throttling", "Rate exceeded", K::Throttled, NONE),
    (Assign, 400, "ThrottlingException", "", K::Throttled, NONE),
    (Assign, 503, "EC2ThrottledException", "", K::Throttled, NONE),
];

const TRANSIENT: &[Row] = &[
    (Assign, 500, "InternalError", "An internal error has occurred", K::Transient, Effect::Unknown),
    (Unassign, 500, "InternalFailure", "", K::Transient, Effect::Unknown),
    (Assign, 400, "ServerInternal", "", K::Transient, Effect::Unknown),
    (Assign, 503, "Unavailable", "The server is overloaded", K::Transient, Effect::Unknown),
    (Assign, 503, "ServiceUnavailable", "", K::Transient, Effect::Unknown),
    (Assign, 502, "RetryableError", "", K::Transient, Effect::Unknown),
    (Assign, 504, "Whatever", "", K::Transient, Effect::Unknown),
    (Describe, 500, "InternalError", "", K::Transient, NONE),
    (Assign, 400, "IncorrectInstanceState", "Instance 'i-0' is not 'running'.", K::Transient, NONE),
    (Assign, 400, "IncorrectState", "vol-0 is not 'available'.", K::Transient, NONE),
    (Assign, 400, "ConcurrentTagAccess", "", K::Transient, NONE),
    (Describe, 400, "InvalidNextToken", "", K::Transient, NONE),
    (Describe, 400, "InvalidPaginationToken", "", K::Transient, NONE),
];

const UNKNOWN: &[Row] = &[
    (Assign, 400, "MissingParameter", "one of ... must be specified", K::Unknown, NONE),
    (Assign, 400, "InvalidParameter", "", K::Unknown, NONE),
    (Assign, 400, "InvalidParameterValue", "a text that nobody listed", K::Unknown, NONE),
    (Assign, 400, "InvalidParameterCombination", "one and only one of ...", K::Unknown, NONE),
    (Assign, 400, "UnknownParameter", "", K::Unknown, NONE),
    (Assign, 400, "InvalidAction", "", K::Unknown, NONE),
    (Assign, 400, "MalformedQueryString", "", K::Unknown, NONE),
    (Assign, 400, "OperationNotPermitted", "", K::Unknown, NONE),
    (Assign, 418, "Teapot", "", K::Unknown, NONE),
    (Assign, 501, "NotImplemented", "", K::Unknown, Effect::Unknown),
    (Assign, 599, "NewInTown", "", K::Unknown, Effect::Unknown),
    (Describe, 501, "NotImplemented", "", K::Unknown, NONE),
];

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
