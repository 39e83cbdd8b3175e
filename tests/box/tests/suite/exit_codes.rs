//! Exit codes and termination messages of containers for each cause in their environment.

use std::fs;

use firecamp_vpc::{Act, Fault, Selector};
use nix::sys::signal::Signal;

use crate::support::member::Member;
use crate::support::test_box::TestBox;

const ASSIGN: &str = "AssignPrivateIpAddresses";
const DESCRIBE: &str = "DescribeNetworkInterfaces";

fn calls_of(node: &str, action: &str) -> Selector {
    let (op, caller) = (Some(action.to_owned()), Some(node.to_owned()));
    Selector { op, caller, ..Selector::default() }
}

/// Starts a member and its service on node-a.
macro_rules! running {
    ($test_box:ident, $member:ident, $first:ident, $up:ident) => {
        let $test_box = TestBox::start();
        let mut $member = Member::new(&$test_box, "redis-0");
        let $first = $member.pod("pod-1", "node-a");
        let $up = $member.bring_up(&$first);
    };
}

#[test]
fn invalid_configuration_ends_with_2() {
    let test_box = TestBox::start();
    let pod = Member::new(&test_box, "redis-0").pod("pod-1", "node-a");
    pod.init().arg("--timeout=soon").end().failed(2, "UsageError", &["--timeout", "soon"]);
    pod.stop("release").arg("--drain=never").end().failed(2, "UsageError", &["--drain"]);
}

#[test]
fn f054_f119_address_on_a_foreign_interface_is_not_reassigned_and_ends_with_11() {
    running!(test_box, member, first, up);
    drop(up.server);
    first.stop("release").end().succeeded();
    // The address returns to the subnet, and EC2 assigns it to an unrelated instance.
    let address = member.address();
    test_box.control().act(Act::Unassign { address }).unwrap();
    test_box.control().act(Act::Reassign { address, to: Some("stranger".to_owned()) }).unwrap();
    let foreign = test_box.control().address(address).unwrap().unwrap();
    let (since, record) = (test_box.last_call(), test_box.record(address));
    for node in ["node-a", "node-b"] {
        let next = member.pod("pod-2", node);
        let holder = foreign.owner.clone().unwrap();
        let texts = ["10.0.1.", &*holder, "not FireCamp"];
        next.init().end().failed(11, "AddressUnavailable", &texts);
        let kernel = test_box.kernel(node);
        let here = |line: &String| line.contains(&address.to_string());
        assert!(!kernel.iter().any(here), "{kernel:#?}");
    }
    assert!(
        !member.ec2_calls(since).iter().any(|call| call.mutating),
        "init must not reassign an address from a foreign ENI"
    );
    assert_eq!(test_box.control().address(address).unwrap().unwrap().owner, foreign.owner);
    // Init removes the lost reservation from the record.
    assert!(record.reserved_on.is_some());
    assert_eq!(test_box.record(address).reserved_on, None);
}

#[test]
fn f021_full_eni_does_not_disturb_the_holder_and_ends_with_12() {
    running!(test_box, member, first, up);
    let limit = Fault::Limit { instance_type: "m5.4xlarge".to_owned(), ips: 1 };
    let full = test_box.fault(limit, Selector::default());
    let next = member.pod("pod-2", "node-b");
    next.init().end().failed(12, "NoCapacity", &[&member.address().to_string()]);
    // The old pod still serves.
    member.client().wait_for_answer_of("pod-1", test_box.clock().now_us());
    test_box.assert_always_on_an_eni(member.address());
    member.assert_only_holders_answered();
    test_box.control().fault_clear(Some(full)).unwrap();
    drop(up.server);
    let up = member.bring_up(&next);
    member.assert_healthy(&next, &up.started);
}

#[test]
fn f053_denied_call_is_named_and_ends_with_13() {
    running!(test_box, member, first, up);
    for action in [ASSIGN, DESCRIBE] {
        let denied = test_box.fault(Fault::IamDeny {}, calls_of("node-b", action));
        let next = member.pod("pod-2", "node-b");
        let ended = next.init().end();
        ended.failed(13, "CloudRefused", &["UnauthorizedOperation", action]);
        test_box.control().fault_clear(Some(denied)).unwrap();
        member.client().wait_for_answer_of("pod-1", test_box.clock().now_us());
    }
    drop((first, up));
}

#[test]
fn f053_expired_credentials_and_a_wrong_clock_end_with_13() {
    let test_box = TestBox::start();
    let pod = Member::new(&test_box, "redis-0").pod("pod-1", "node-a");
    for fault in [Fault::CredentialsExpire {}, Fault::ClockSkew { ms: 3_600_000 }] {
        let set = test_box.fault(fault, Selector::default());
        pod.init().end().failed(13, "CloudRefused", &["RequestExpired"]);
        test_box.control().fault_clear(Some(set)).unwrap();
    }
    pod.run_init();
}

#[test]
fn f051_hanging_ec2_call_ends_with_14_within_the_timeout_and_one_call() {
    running!(test_box, member, first, up);
    drop(up.server);
    first.stop("release").end().succeeded();
    for (at, action) in [DESCRIBE, ASSIGN].into_iter().enumerate() {
        let hang = Fault::Hang { after_commit: false };
        let hang = test_box.fault(hang, calls_of("node-b", action));
        let next = member.pod(&format!("pod-2{at}"), "node-b");
        let report = next.init().arg("--timeout=2s").end().failed(14, "TimedOut", &[]);
        let elapsed = report["elapsedMs"].as_u64().unwrap();
        // A call in flight at the deadline has its own bound of 5 s.
        assert!((2_000..8_500).contains(&elapsed), "{report}");
        test_box.control().fault_clear(Some(hang)).unwrap();
    }
    let last = member.pod("pod-3", "node-b");
    let up = member.bring_up(&last);
    member.assert_healthy(&last, &up.started);
}

#[test]
fn missing_registry_ends_with_15() {
    let test_box = TestBox::start();
    let pod = Member::new(&test_box, "redis-0").pod("pod-1", "node-a");
    let missing = format!("--registry=file://{}", test_box.path("nowhere").display());
    let init = pod.init().arg(&missing).end();
    init.failed(15, "RegistryUnavailable", &["nowhere"]);
    let stop = pod.stop("release").arg(&missing).end();
    stop.failed(15, "RegistryUnavailable", &["nowhere"]);
}

#[test]
fn corrupt_record_is_named_not_changed_and_ends_with_16() {
    running!(test_box, member, first, up);
    let file = format!("staticips/{}.yaml", member.address());
    let file = test_box.registry_dir().join(file);
    let content = fs::read(&file).unwrap();
    let (since, kernel) = (test_box.last_call(), test_box.kernel("node-a"));
    let (truncated, huge) = (&content[..content.len() / 2], vec![b'a'; 2_000_000]);
    for garbage in [truncated, b"", b"spec: [", b"\xff\xfe\0\0", &huge] {
        fs::write(&file, garbage).unwrap();
        let texts = [&*member.address().to_string()];
        first.init().end().failed(16, "RegistryInvalid", &texts);
        first.stop("release").end().failed(16, "RegistryInvalid", &texts);
        assert_eq!(fs::read(&file).unwrap(), garbage);
    }
    assert_eq!(member.ec2_calls(since), []);
    assert_eq!(test_box.kernel("node-a"), kernel);
    member.client().wait_for_answer_of("pod-1", test_box.clock().now_us());
    fs::write(&file, content).unwrap();
    drop(up.server);
    first.stop("release").end().succeeded();
}

#[test]
fn f020_node_in_another_zone_ends_with_17_and_names_both_zones() {
    running!(test_box, member, first, up);
    let since = test_box.last_call();
    let other_zone = member.pod("pod-2", "node-z");
    let texts = ["us-east-1a", "us-east-1b", &member.address().to_string()];
    other_zone.init().end().failed(17, "NodeUnsuitable", &texts);
    assert!(!member.ec2_calls(since).iter().any(|call| call.mutating));
    member.client().wait_for_answer_of("pod-1", test_box.clock().now_us());
    member.assert_healthy(&first, &up.started);
}

#[test]
fn f012_read_only_volume_is_detected_before_any_change_and_ends_with_18() {
    running!(test_box, member, first, up);
    drop(up.server);
    first.stop("release").end().succeeded();
    let next = member.pod("pod-2", "node-b");
    let (since, record) = (test_box.last_call(), test_box.record(member.address()));
    let kernel = test_box.kernel("node-b");
    let volume = next.conf_dir();
    let ended = next.init_on_a_read_only_volume().end();
    ended.failed(18, "DiskRefused", &[&volume.display().to_string()]);
    assert!(!member.ec2_calls(since).iter().any(|call| call.mutating));
    assert_eq!(test_box.record(member.address()), record);
    assert_eq!(test_box.kernel("node-b"), kernel);
    let up = member.bring_up(&next);
    member.assert_healthy(&next, &up.started);
}

#[test]
fn f029_missing_lock_directory_changes_nothing_and_ends_with_19() {
    running!(test_box, member, first, up);
    let missing = "--run-dir=/proc/firecamp";
    let kernel = test_box.kernel("node-a");
    first.init().arg(missing).end().failed(19, "KernelRefused", &["/proc/firecamp"]);
    first.stop("release").arg(missing).end().failed(19, "KernelRefused", &["/proc/firecamp"]);
    assert_eq!(test_box.kernel("node-a"), kernel);
    member.client().wait_for_answer_of("pod-1", test_box.clock().now_us());
    drop(up);
}

#[test]
fn f017_sigterm_during_a_hanging_assign_ends_within_a_second_without_further_calls() {
    running!(test_box, member, first, up);
    drop(up.server);
    first.stop("release").end().succeeded();
    let hang = Fault::Hang { after_commit: false };
    let hang = test_box.fault(hang, calls_of("node-b", ASSIGN));
    // On a busy machine the signal may take longer, so one of three attempts suffices.
    let mut tries = ["pod-2", "pod-3", "pod-4"].into_iter();
    let in_time = tries.any(|uid| signal_to_exit_us(&test_box, &member, uid) < 1_000_000);
    assert!(in_time, "init took a second or longer to end after SIGTERM in every attempt");
    test_box.control().fault_clear(Some(hang)).unwrap();
    let next = member.pod("pod-5", "node-b");
    let up = member.bring_up(&next);
    member.assert_healthy(&next, &up.started);
}

/// The microseconds from SIGTERM to the end of an init container whose Assign hangs on node-b.
fn signal_to_exit_us(test_box: &TestBox, member: &Member<'_>, uid: &str) -> u64 {
    let since = test_box.last_call();
    let mut init = member.pod(uid, "node-b").init().start();
    init.wait_for_log("step=attach.7");
    let called = |calls: Vec<vpcbox::protocol::Call>| calls.iter().any(|c| c.action == ASSIGN);
    crate::support::eventually("init sends the Assign", || {
        called(member.ec2_calls(since)).then_some(())
    });
    let signalled_us = test_box.clock().now_us();
    init.terminate();
    let ended = init.end();
    ended.failed(128 + Signal::SIGTERM as i32, "Interrupted", &["signal"]);
    assert_eq!(member.ec2_calls(since).iter().filter(|call| call.mutating).count(), 1);
    let address = member.address().to_string();
    assert!(!test_box.kernel("node-b").iter().any(|line| line.contains(&address)));
    ended.at_us - signalled_us
}
