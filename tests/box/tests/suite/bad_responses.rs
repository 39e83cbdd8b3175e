//! Empty, truncated, garbled or wrong responses of EC2 and the metadata service: each causes a
//! clear error, changes nothing, and has no effect after it ends.

use firecamp_vpc::{Body, CutAt, Fault, Selector};

use crate::support::member::Member;
use crate::support::test_box::TestBox;

const DESCRIBE: &str = "DescribeNetworkInterfaces";

fn calls_of(node: &str, action: Option<&str>) -> Selector {
    let caller = Some(node.to_owned());
    Selector { op: action.map(str::to_owned), caller, ..Selector::default() }
}

/// A member runs on node-a. With the fault on node-b, its start there fails with one of these codes
/// and changes nothing; without the fault it succeeds.
fn assert_start_fails(test_box: &TestBox, (fault, action): (Fault, Option<&str>), codes: &[i32]) {
    let mut member = Member::new(test_box, "redis-0");
    let up = member.bring_up(&member.pod("pod-1", "node-a"));
    let what = format!("{fault:?}");
    let (since, kernel) = (test_box.last_call(), test_box.kernel("node-b"));
    let set = test_box.fault(fault, calls_of("node-b", action));
    let next = member.pod("pod-2", "node-b");
    let ended = next.init().arg("--timeout=2s").end();
    assert!(ended.code.is_some_and(|code| codes.contains(&code)), "{what}: {}", ended.log);
    let report = ended.report();
    let message = report["message"].as_str().unwrap();
    assert!(message.len() > 20 && !message.contains("panic"), "{what}: {report}");
    assert!(!member.ec2_calls(since).iter().any(|call| call.committed), "{what}");
    assert_eq!(test_box.kernel("node-b"), kernel, "{what}");
    member.client().wait_for_answer_of("pod-1", test_box.clock().now_us());
    test_box.control().fault_clear(Some(set)).unwrap();
    drop(up.server);
    let up = member.bring_up(&next);
    member.assert_healthy(&next, &up.started);
}

#[test]
fn f048_empty_metadata_responses_are_errors() {
    let test_box = TestBox::start();
    assert_start_fails(&test_box, (Fault::ImdsEmpty {}, None), &[13, 14]);
}

#[test]
fn f048_partial_metadata_responses_are_errors() {
    let keys = ["local-ipv4s", "subnet-id", "device-number"].map(str::to_owned).to_vec();
    let test_box = TestBox::start();
    assert_start_fails(&test_box, (Fault::ImdsPartial { keys }, None), &[13, 14, 17]);
}

#[test]
fn f048_failing_metadata_service_is_an_error() {
    let test_box = TestBox::start();
    assert_start_fails(&test_box, (Fault::ImdsError { status: 500 }, None), &[13, 14]);
}

#[test]
fn f049_unreachable_metadata_service_times_out() {
    let test_box = TestBox::start();
    assert_start_fails(&test_box, (Fault::ImdsDown {}, None), &[14]);
}

#[test]
fn f047_nonexistent_eni_in_metadata_is_ignored() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    drop(member.bring_up(&member.pod("pod-1", "node-a")).server);
    test_box.fault(Fault::ImdsGhost {}, calls_of("node-b", None));
    let next = member.pod("pod-2", "node-b");
    let up = member.bring_up(&next);
    member.assert_healthy(&next, &up.started);
}

#[test]
fn html_page_of_a_proxy_is_not_an_ec2_response() {
    let page = Fault::HttpStatus { status: 503, body: Body::Html, after_commit: false };
    let test_box = TestBox::start();
    assert_start_fails(&test_box, (page, Some(DESCRIBE)), &[14]);
}

#[test]
fn empty_200_is_not_an_ec2_response() {
    let empty = Fault::HttpStatus { status: 200, body: Body::Empty, after_commit: false };
    let test_box = TestBox::start();
    assert_start_fails(&test_box, (empty, Some(DESCRIBE)), &[13, 14]);
}

#[test]
fn truncated_response_is_not_an_ec2_response() {
    let test_box = TestBox::start();
    let cut = Fault::DropConn { at: CutAt::Body, bytes: 60 };
    assert_start_fails(&test_box, (cut, Some(DESCRIBE)), &[13, 14]);
}

#[test]
fn f052_assign_with_a_lost_response_moves_the_address_only_once() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    drop(member.bring_up(&member.pod("pod-1", "node-a")).server);
    let lost = Selector { nth: Some(1), ..calls_of("node-b", Some("AssignPrivateIpAddresses")) };
    test_box.fault(Fault::LostResponse { after_commit: true }, lost);
    let since = test_box.last_call();
    let next = member.pod("pod-2", "node-b");
    let up = member.bring_up(&next);
    member.assert_healthy(&next, &up.started);
    let calls = member.ec2_calls(since);
    let moves = calls.iter().filter(|call| !call.effects.is_empty()).count();
    let mutating = calls.iter().filter(|call| call.mutating).count();
    assert!(moves == 1 && mutating <= 2, "{calls:#?}");
}
