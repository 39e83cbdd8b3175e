//! How containers end when something is wrong: each exit code, with its termination message.

use std::fs;

use firecamp_vpc::{Act, Fault, Selector};
use nix::sys::signal::Signal;

use crate::support::member::Member;
use crate::support::world::World;

const ASSIGN: &str = "AssignPrivateIpAddresses";
const DESCRIBE: &str = "DescribeNetworkInterfaces";

fn calls_of(node: &str, action: &str) -> Selector {
    let (op, caller) = (Some(action.to_owned()), Some(node.to_owned()));
    Selector { op, caller, ..Selector::default() }
}

/// A member that runs on node-a, and its service.
macro_rules! running {
    ($world:ident, $member:ident, $first:ident, $up:ident) => {
        let $world = World::start();
        let mut $member = Member::new(&$world, "redis-0");
        let $first = $member.pod("pod-1", "node-a");
        let $up = $member.comes_up(&$first);
    };
}

#[test]
fn a_configuration_that_cannot_be_read_ends_with_2() {
    let world = World::start();
    let pod = Member::new(&world, "redis-0").pod("pod-1", "node-a");
    pod.init().arg("--timeout=soon").end().failed(2, "UsageError", &["--timeout", "soon"]);
    pod.stop("release").arg("--drain=never").end().failed(2, "UsageError", &["--drain"]);
}

#[test]
fn f054_f119_an_address_that_a_stranger_has_is_left_to_it_and_ends_with_11() {
    running!(world, member, first, up);
    drop(up.server);
    first.stop("release").end().succeeded();
    // It had returned to the subnet, and EC2 gave it to somebody else.
    let address = member.address();
    world.ask().act(Act::Unassign { address }).unwrap();
    world.ask().act(Act::Reassign { address, to: Some("stranger".to_owned()) }).unwrap();
    let stolen = world.ask().address(address).unwrap().unwrap();
    let (since, record) = (world.now(), world.record(address));
    for node in ["node-a", "node-b"] {
        let next = member.pod("pod-2", node);
        let holder = stolen.owner.clone().unwrap();
        let texts = ["10.0.1.", &*holder, "somebody else's"];
        next.init().end().failed(11, "AddressUnavailable", &texts);
        let kernel = world.kernel(node);
        let here = |line: &String| line.contains(&address.to_string());
        assert!(!kernel.iter().any(here), "{kernel:#?}");
    }
    assert!(!member.ec2(since).iter().any(|call| call.mutating), "nothing was forced");
    assert_eq!(world.ask().address(address).unwrap().unwrap().owner, stolen.owner);
    // The reservation is gone, and the record says so.
    assert!(record.reserved_on.is_some());
    assert_eq!(world.record(address).reserved_on, None);
}

#[test]
fn f021_a_full_eni_leaves_the_old_holder_alone_and_ends_with_12() {
    running!(world, member, first, up);
    let limit = Fault::Limit { instance_type: "m5.4xlarge".to_owned(), ips: 1 };
    let full = world.fault(limit, Selector::default());
    let next = member.pod("pod-2", "node-b");
    next.init().end().failed(12, "NoCapacity", &[&member.address().to_string()]);
    // The old pod's service goes on as if nothing had been.
    member.client().is_answered_by("pod-1", world.clock().now_us());
    world.was_never_lost(member.address());
    member.only_holders_answered();
    world.ask().fault_clear(Some(full)).unwrap();
    drop(up.server);
    let up = member.comes_up(&next);
    member.is_well(&next, &up.started);
}

#[test]
fn f053_a_denied_call_is_named_and_ends_with_13() {
    running!(world, member, first, up);
    for action in [ASSIGN, DESCRIBE] {
        let denied = world.fault(Fault::IamDeny {}, calls_of("node-b", action));
        let next = member.pod("pod-2", "node-b");
        let ended = next.init().end();
        ended.failed(13, "CloudRefused", &["UnauthorizedOperation", action]);
        world.ask().fault_clear(Some(denied)).unwrap();
        member.client().is_answered_by("pod-1", world.clock().now_us());
    }
    drop((first, up));
}

#[test]
fn f053_expired_credentials_and_a_wrong_clock_end_with_13() {
    let world = World::start();
    let pod = Member::new(&world, "redis-0").pod("pod-1", "node-a");
    for fault in [Fault::CredentialsExpire {}, Fault::ClockSkew { ms: 3_600_000 }] {
        let set = world.fault(fault, Selector::default());
        pod.init().end().failed(13, "CloudRefused", &["RequestExpired"]);
        world.ask().fault_clear(Some(set)).unwrap();
    }
    pod.starts();
}

#[test]
fn f051_a_black_hole_ends_within_the_time_out_and_one_call_with_14() {
    running!(world, member, first, up);
    drop(up.server);
    first.stop("release").end().succeeded();
    for (at, action) in [DESCRIBE, ASSIGN].into_iter().enumerate() {
        let hole = Fault::Hang { after_commit: false };
        let hole = world.fault(hole, calls_of("node-b", action));
        let next = member.pod(&format!("pod-2{at}"), "node-b");
        let report = next.init().arg("--timeout=2s").end().failed(14, "TimedOut", &[]);
        let elapsed = report["elapsedMs"].as_u64().unwrap();
        // Whatever is under way when the time is over has its own bound of 5 s.
        assert!((2_000..8_500).contains(&elapsed), "{report}");
        world.ask().fault_clear(Some(hole)).unwrap();
    }
    let last = member.pod("pod-3", "node-b");
    let up = member.comes_up(&last);
    member.is_well(&last, &up.started);
}

#[test]
fn a_registry_that_is_not_there_ends_with_15() {
    let world = World::start();
    let pod = Member::new(&world, "redis-0").pod("pod-1", "node-a");
    let nowhere = format!("--registry=file://{}", world.path("nowhere").display());
    let init = pod.init().arg(&nowhere).end();
    init.failed(15, "RegistryUnavailable", &["nowhere"]);
    let stop = pod.stop("release").arg(&nowhere).end();
    stop.failed(15, "RegistryUnavailable", &["nowhere"]);
}

#[test]
fn a_garbled_record_is_named_left_as_it_is_and_ends_with_16() {
    running!(world, member, first, up);
    let file = format!("staticips/{}.yaml", member.address());
    let file = world.registry_dir().join(file);
    let whole = fs::read(&file).unwrap();
    let (since, kernel) = (world.now(), world.kernel("node-a"));
    let (cut, huge) = (&whole[..whole.len() / 2], vec![b'a'; 2_000_000]);
    for garbage in [cut, b"", b"spec: [", b"\xff\xfe\0\0", &huge] {
        fs::write(&file, garbage).unwrap();
        let texts = [&*member.address().to_string()];
        first.init().end().failed(16, "RegistryInvalid", &texts);
        first.stop("release").end().failed(16, "RegistryInvalid", &texts);
        assert_eq!(fs::read(&file).unwrap(), garbage);
    }
    assert_eq!(member.ec2(since), []);
    assert_eq!(world.kernel("node-a"), kernel);
    member.client().is_answered_by("pod-1", world.clock().now_us());
    fs::write(&file, whole).unwrap();
    drop(up.server);
    first.stop("release").end().succeeded();
}

#[test]
fn f020_a_node_of_another_zone_is_refused_by_both_zones_and_ends_with_17() {
    running!(world, member, first, up);
    let since = world.now();
    let elsewhere = member.pod("pod-2", "node-z");
    let texts = ["us-east-1a", "us-east-1b", &member.address().to_string()];
    elsewhere.init().end().failed(17, "NodeUnsuitable", &texts);
    assert!(!member.ec2(since).iter().any(|call| call.mutating));
    member.client().is_answered_by("pod-1", world.clock().now_us());
    member.is_well(&first, &up.started);
}

#[test]
fn f012_a_read_only_volume_is_found_before_anything_changes_and_ends_with_18() {
    running!(world, member, first, up);
    drop(up.server);
    first.stop("release").end().succeeded();
    let next = member.pod("pod-2", "node-b");
    let (since, record) = (world.now(), world.record(member.address()));
    let kernel = world.kernel("node-b");
    let volume = next.conf_dir();
    let ended = next.init_on_a_read_only_volume().end();
    ended.failed(18, "DiskRefused", &[&volume.display().to_string()]);
    assert!(!member.ec2(since).iter().any(|call| call.mutating));
    assert_eq!(world.record(member.address()), record);
    assert_eq!(world.kernel("node-b"), kernel);
    let up = member.comes_up(&next);
    member.is_well(&next, &up.started);
}

#[test]
fn f029_a_node_without_a_place_for_locks_is_left_alone_and_ends_with_19() {
    running!(world, member, first, up);
    let nowhere = "--run-dir=/proc/firecamp";
    let kernel = world.kernel("node-a");
    first.init().arg(nowhere).end().failed(19, "KernelRefused", &["/proc/firecamp"]);
    first.stop("release").arg(nowhere).end().failed(19, "KernelRefused", &["/proc/firecamp"]);
    assert_eq!(world.kernel("node-a"), kernel);
    member.client().is_answered_by("pod-1", world.clock().now_us());
    drop(up);
}

#[test]
fn f017_a_sigterm_during_an_assign_that_hangs_ends_within_a_second_and_begins_nothing() {
    running!(world, member, first, up);
    drop(up.server);
    first.stop("release").end().succeeded();
    let hole = Fault::Hang { after_commit: false };
    let hole = world.fault(hole, calls_of("node-b", ASSIGN));
    // A busy machine may be late once.
    let mut tries = ["pod-2", "pod-3", "pod-4"].into_iter();
    let in_time = tries.any(|uid| signalled(&world, &member, uid) < 1_000_000);
    assert!(in_time, "each time it took longer");
    world.ask().fault_clear(Some(hole)).unwrap();
    let next = member.pod("pod-5", "node-b");
    let up = member.comes_up(&next);
    member.is_well(&next, &up.started);
}

/// How long an init container on node-b goes on after its signal, whose Assign hangs.
fn signalled(world: &World, member: &Member<'_>, uid: &str) -> u64 {
    let since = world.now();
    let mut init = member.pod(uid, "node-b").init().start();
    init.logs("step=attach.7");
    let called = |calls: Vec<vpcbox::protocol::Call>| calls.iter().any(|c| c.action == ASSIGN);
    crate::support::eventually("the Assign", || called(member.ec2(since)).then_some(()));
    let asked_us = world.clock().now_us();
    init.terminate();
    let ended = init.end();
    ended.failed(128 + Signal::SIGTERM as i32, "Interrupted", &["signal"]);
    assert_eq!(member.ec2(since).iter().filter(|call| call.mutating).count(), 1);
    let address = member.address().to_string();
    assert!(!world.kernel("node-b").iter().any(|line| line.contains(&address)));
    ended.at_us - asked_us
}
