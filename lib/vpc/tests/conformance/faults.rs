//! SDK errors under faults: section 3, and the faults of section 11.

use std::time::Duration;

use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::error::SdkError;
use aws_sdk_ec2::operation::assign_private_ip_addresses::AssignPrivateIpAddressesError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use firecamp_vpc::{Act, Body, CutAt, Fault};

use crate::harness::{NODE_1, NODE_2, OTHER, TestVpc, refused};

const ASSIGN: &str = "AssignPrivateIpAddresses";

type Failure = SdkError<AssignPrivateIpAddressesError, HttpResponse>;

fn failed(vpc: &TestVpc, fault: Fault, retry: RetryConfig) -> (Failure, bool) {
    let id = vpc.once(ASSIGN, fault);
    let call = vpc.ec2_with("node-1", retry).assign_private_ip_addresses();
    let call = call.network_interface_id(NODE_1).private_ip_addresses("10.0.1.101");
    let error = vpc.run(call.allow_reassignment(true).send()).unwrap_err();
    assert_eq!(vpc.fired(id), 1);
    let committed = vpc.simulator().calls(0).iter().any(|call| call.committed);
    (error, committed)
}

fn once(fault: Fault) -> (Failure, bool) {
    failed(&TestVpc::new(), fault, RetryConfig::disabled())
}

#[test]
fn a_call_with_a_lost_response_may_have_taken_effect() {
    let (error, committed) = once(Fault::LostResponse { after_commit: true });
    assert!(matches!(error, SdkError::DispatchFailure(_)) && committed);
    let (error, committed) = once(Fault::LostResponse { after_commit: false });
    assert!(matches!(error, SdkError::DispatchFailure(_)) && !committed);
}

#[test]
fn a_call_without_a_response_ends_at_the_client_timeout() {
    for after_commit in [false, true] {
        let (error, committed) = once(Fault::Hang { after_commit });
        assert!(matches!(error, SdkError::TimeoutError(_)), "{error:?}");
        assert_eq!(committed, after_commit);
    }
}

#[test]
fn a_truncated_body_is_a_response_error_after_the_commit() {
    let (error, committed) = once(Fault::DropConn { at: CutAt::Body, bytes: 60 });
    assert!(matches!(error, SdkError::ResponseError(_)), "{error:?}");
    assert!(committed);
    let (error, committed) = once(Fault::DropConn { at: CutAt::Headers, bytes: 0 });
    assert!(matches!(error, SdkError::DispatchFailure(_)) && committed);
}

#[test]
fn silence_after_the_headers_is_an_error() {
    let (error, committed) = once(Fault::DropConn { at: CutAt::Silence, bytes: 10 });
    let late = matches!(error, SdkError::TimeoutError(_) | SdkError::ResponseError(_));
    assert!(late && committed, "{error:?}");
}

#[test]
fn error_statuses_have_an_xml_html_or_empty_body() {
    for status in [500, 502, 503, 504] {
        for body in [Body::Xml, Body::Html, Body::Empty] {
            let (error, _) = once(Fault::HttpStatus { status, body, after_commit: false });
            let refused = refused(&error);
            assert_eq!(refused.status, status);
            assert_eq!(refused.code.is_empty(), body != Body::Xml, "{status} {body:?}");
        }
    }
}

#[test]
fn an_empty_200_looks_like_a_refusal_of_a_committed_write() {
    let fault = Fault::HttpStatus { status: 200, body: Body::Empty, after_commit: true };
    let (error, committed) = once(fault);
    let refused = refused(&error);
    assert_eq!((refused.status, refused.code.as_str(), committed), (200, "", true));
    assert!(matches!(error, SdkError::ServiceError(_)));
}

#[test]
fn the_sdk_retries_a_lost_write() {
    let vpc = TestVpc::new();
    vpc.once(ASSIGN, Fault::LostResponse { after_commit: true });
    let call = vpc.retrying("node-1").assign_private_ip_addresses();
    let call = call.network_interface_id(NODE_1).private_ip_addresses("10.0.1.101");
    vpc.run(call.allow_reassignment(true).send()).unwrap();
    assert_eq!(vpc.simulator().calls(0).len(), 2);
}

/// The number of calls that the SDK's standard retries make while a fault lasts.
fn calls_made(fault: Fault) -> usize {
    let vpc = TestVpc::new();
    vpc.fault(fault);
    vpc.run(vpc.retrying("node-1").describe_subnets().send()).unwrap_err();
    vpc.simulator().calls(0).len()
}

#[test]
fn the_sdk_retries_the_code_throttling_but_not_a_bare_408_or_429() {
    let bare = |status| Fault::HttpStatus { status, body: Body::Empty, after_commit: false };
    for status in [400, 408, 429, 501] {
        assert_eq!(calls_made(bare(status)), 1, "{status}");
    }
    for status in [500, 502, 503, 504] {
        assert_eq!(calls_made(bare(status)), 3, "{status}");
    }
    let (code, message) = ("Throttling".to_owned(), "Rate exceeded".to_owned());
    assert_eq!(calls_made(Fault::Error { code, message, status: 400 }), 3);
}

#[test]
fn a_delay_delays_the_response_but_not_the_effect() {
    let vpc = TestVpc::new();
    vpc.once(ASSIGN, Fault::Delay { ms: 3_000 });
    vpc.run(vpc.assign("node-1", NODE_1, &["10.0.1.101"], true)).unwrap();
    let call = vpc.last_call();
    assert!(call.answered_at_us.unwrap() >= 3_000_000);
    assert!(call.landed_at_us.unwrap() < 100_000);
}

#[test]
fn an_external_reassignment_happens_once_or_repeatedly() {
    let vpc = TestVpc::new();
    let reassignment = |every_ms, at_ms| Fault::ExternalReassignment {
        address: "10.0.1.101".parse().unwrap(),
        to: Some("other".to_owned()),
        every_ms,
        at_ms,
    };
    let once = vpc.fault(reassignment(None, Some(1_000)));
    vpc.run(vpc.clock.pass(Duration::from_millis(999)));
    assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_2));
    vpc.run(vpc.clock.pass(Duration::from_millis(2)));
    assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(OTHER));
    assert_eq!(vpc.fired(once), 1);
    let again = vpc.fault(reassignment(Some(5_000), None));
    for _ in 0..3 {
        vpc.run(vpc.assign("node-2", NODE_2, &["10.0.1.101"], true)).unwrap();
        vpc.run(vpc.clock.pass(Duration::from_secs(5)));
        assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(OTHER));
    }
    assert_eq!(vpc.fired(again), 3);
}

#[test]
fn a_freed_address_is_taken_by_others_unless_it_is_reserved() {
    let vpc = TestVpc::new();
    vpc.run(vpc.assign("node-2", NODE_2, &["10.0.1.230"], false)).unwrap();
    vpc.fault(Fault::AutoAssignPressure { subnet: "a".to_owned(), every_ms: 1_000 });
    let free = Fault::ExternalUnassign {
        address: "10.0.1.102".parse().unwrap(),
        every_ms: None,
        at_ms: None,
    };
    vpc.fault(free);
    vpc.run(vpc.unassign("node-2", NODE_2, &["10.0.1.101", "10.0.1.230"])).unwrap();
    vpc.run(vpc.clock.pass(Duration::from_secs(5)));
    for taken in ["10.0.1.101", "10.0.1.102"] {
        assert!(vpc.truth_of(taken).owner.is_some(), "{taken}");
    }
    assert_eq!(vpc.truth_of("10.0.1.230").owner, None);
    vpc.run(vpc.assign("node-2", NODE_2, &["10.0.1.230"], false)).unwrap();
}

#[test]
fn acts_perform_the_actions_of_other_parties() {
    let vpc = TestVpc::new();
    let act = |act: &Act| vpc.simulator().act(Duration::ZERO, act);
    let address = "10.0.1.101".parse().unwrap();
    act(&Act::Reassign { address, to: None }).unwrap();
    assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(OTHER));
    act(&Act::Unassign { address }).unwrap();
    assert_eq!(vpc.truth_of("10.0.1.101").owner, None);
    act(&Act::StripEni { eni: "node-2/2".to_owned() }).unwrap();
    assert_eq!(vpc.truth_of("10.0.1.102").owner, None);
    let primary = "10.0.1.22".parse().unwrap();
    assert!(act(&Act::Reassign { address: primary, to: None }).is_err());
    assert!(act(&Act::Detach { eni: "node-2/0".to_owned() }).is_err());
    assert!(act(&Act::Stop { node: "no-such".to_owned() }).is_err());
}
