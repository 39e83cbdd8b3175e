//! Answers of EC2 and of the metadata service that are empty, cut, garbled or wrong: each ends in
//! a clear error, changes nothing, and is forgotten when it is over.

use firecamp_vpc::{Body, CutAt, Fault, Selector};

use crate::support::member::Member;
use crate::support::world::World;

const DESCRIBE: &str = "DescribeNetworkInterfaces";

fn calls_of(node: &str, action: Option<&str>) -> Selector {
    let caller = Some(node.to_owned());
    Selector { op: action.map(str::to_owned), caller, ..Selector::default() }
}

/// The member runs on node-a. With the fault set for node-b, its start there fails with this code
/// and changes nothing; without it, it succeeds.
fn fails(world: &World, (fault, action): (Fault, Option<&str>), codes: &[i32]) {
    let mut member = Member::new(world, "redis-0");
    let up = member.comes_up(&member.pod("pod-1", "node-a"));
    let what = format!("{fault:?}");
    let (since, kernel) = (world.now(), world.kernel("node-b"));
    let set = world.fault(fault, calls_of("node-b", action));
    let next = member.pod("pod-2", "node-b");
    let ended = next.init().arg("--timeout=2s").end();
    assert!(ended.code.is_some_and(|code| codes.contains(&code)), "{what}: {}", ended.log);
    let report = ended.report();
    let message = report["message"].as_str().unwrap();
    assert!(message.len() > 20 && !message.contains("panic"), "{what}: {report}");
    assert!(!member.ec2(since).iter().any(|call| call.committed), "{what}");
    assert_eq!(world.kernel("node-b"), kernel, "{what}");
    member.client().is_answered_by("pod-1", world.clock().now_us());
    world.ask().fault_clear(Some(set)).unwrap();
    drop(up.server);
    let up = member.comes_up(&next);
    member.is_well(&next, &up.started);
}

#[test]
fn f048_a_metadata_service_that_answers_nonsense_is_no_data() {
    let world = World::start();
    fails(&world, (Fault::ImdsEmpty {}, None), &[13, 14]);
}

#[test]
fn f048_a_metadata_service_that_answers_in_part_is_no_data() {
    let keys = ["local-ipv4s", "subnet-id", "device-number"].map(str::to_owned).to_vec();
    let world = World::start();
    fails(&world, (Fault::ImdsPartial { keys }, None), &[13, 14, 17]);
}

#[test]
fn f048_a_metadata_service_that_fails_is_no_data() {
    let world = World::start();
    fails(&world, (Fault::ImdsError { status: 500 }, None), &[13, 14]);
}

#[test]
fn f049_a_metadata_service_that_is_away_ends_in_a_time_out() {
    let world = World::start();
    fails(&world, (Fault::ImdsDown {}, None), &[14]);
}

#[test]
fn f047_a_metadata_service_that_lists_an_eni_that_is_not_there_misleads_nobody() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    drop(member.comes_up(&member.pod("pod-1", "node-a")).server);
    world.fault(Fault::ImdsGhost {}, calls_of("node-b", None));
    let next = member.pod("pod-2", "node-b");
    let up = member.comes_up(&next);
    member.is_well(&next, &up.started);
}

#[test]
fn a_page_of_a_proxy_is_no_answer_of_ec2() {
    let page = Fault::HttpStatus { status: 503, body: Body::Html, after_commit: false };
    let world = World::start();
    fails(&world, (page, Some(DESCRIBE)), &[14]);
}

#[test]
fn an_empty_success_is_no_answer_of_ec2() {
    let empty = Fault::HttpStatus { status: 200, body: Body::Empty, after_commit: false };
    let world = World::start();
    fails(&world, (empty, Some(DESCRIBE)), &[13, 14]);
}

#[test]
fn an_answer_of_ec2_that_is_cut_off_is_none() {
    let world = World::start();
    let cut = Fault::DropConn { at: CutAt::Body, bytes: 60 };
    fails(&world, (cut, Some(DESCRIBE)), &[13, 14]);
}

#[test]
fn f052_an_assign_whose_answer_is_lost_is_not_made_again_by_the_next_holder_of_the_truth() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    drop(member.comes_up(&member.pod("pod-1", "node-a")).server);
    let lost = Selector { nth: Some(1), ..calls_of("node-b", Some("AssignPrivateIpAddresses")) };
    world.fault(Fault::LostResponse { after_commit: true }, lost);
    let since = world.now();
    let next = member.pod("pod-2", "node-b");
    let up = member.comes_up(&next);
    member.is_well(&next, &up.started);
    let calls = member.ec2(since);
    let moves = calls.iter().filter(|call| !call.effects.is_empty()).count();
    let mutating = calls.iter().filter(|call| call.mutating).count();
    assert!(moves == 1 && mutating <= 2, "{calls:#?}");
}
