//! What others take away from a node with an agent: rules, routes, links, and the address in EC2.

use std::time::Duration;

use firecamp_vpc::Act;
use serde_json::Value;
use vpcbox::protocol::{Call, KernelAct};

use crate::secondary::TWO_ENIS;
use crate::support::member::{Cost, Member, Up};
use crate::support::pod::Pod;
use crate::support::process::Process;
use crate::support::world::World;
use crate::support::{eventually, within};

const NODE: &str = "node-a";
/// The link and the table of a node's second ENI.
const LINK: &str = "ens6";
const TABLE: &str = "20001";

/// The metadata service is believed late, EC2 is asked once a minute, and the machine may be busy.
const EC2_PATIENCE: Duration = Duration::from_mins(4);

/// What a flap may cost a member.
const AT_MOST: Duration = Duration::from_secs(2);

/// A member on the second ENI of a node with an agent.
fn on_the_second_eni<'w>(member: &mut Member<'w>) -> (Pod<'w>, Up) {
    let pod = member.pod("pod-1", NODE);
    let ended = pod.init().arg("--eni=1").end();
    let started = pod.started(&ended);
    member.is_held_by(&pod, &started);
    let server = member.serves(&pod, &started);
    (pod, Up { started, server })
}

/// The kernel has again what it had.
#[track_caller]
fn is_whole_again(world: &World, before: &[String], what: &str) {
    eventually(&format!("{what}: {before:#?}"), || (world.kernel(NODE) == before).then_some(()));
}

/// What a tool of the tests does to the node's kernel.
#[track_caller]
fn takes(world: &World, words: &[&str]) {
    let ended = world.tool(NODE, words).end();
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.log);
}

#[test]
fn f065_rules_and_routes_that_something_strips_are_back() {
    let world = World::of(TWO_ENIS);
    let mut member = Member::new(&world, "redis-0");
    let (pod, up) = on_the_second_eni(&mut member);
    let _agent = world.agent(NODE);
    let (before, since) = (world.kernel(NODE), world.now());
    for _ in 0..3 {
        takes(&world, &["unrule", &member.address().to_string(), TABLE]);
        is_whole_again(&world, &before, "a rule that was stripped");
        takes(&world, &["unroute", TABLE]);
        is_whole_again(&world, &before, "a route that was stripped");
    }
    member.client().is_answered_by(&pod.uid, world.clock().now_us());
    member.is_well(&pod, &up.started);
    let cost = Cost::of(&world.calls_of(NODE, since), NODE);
    assert_eq!((cost.mutating, cost.moves), (0, 0), "{cost:?}");
}

#[test]
fn f068_a_link_that_goes_down_under_an_address_comes_back_with_all_of_it() {
    let world = World::of(TWO_ENIS);
    let mut member = Member::new(&world, "redis-0");
    let (pod, up) = on_the_second_eni(&mut member);
    let _agent = world.agent(NODE);
    let before = world.kernel(NODE);
    let (node, link) = (NODE.to_owned(), Some(LINK.to_owned()));
    let acts = [
        KernelAct::LinkFlap { node: node.clone(), link: link.clone(), down_ms: 0 },
        KernelAct::LinkFlap { node: node.clone(), link: link.clone(), down_ms: 50 },
        KernelAct::LinkDown { node, link },
    ];
    for act in acts {
        let what = format!("{act:?}");
        let lasts = || {
            let begun = world.clock().now_us();
            world.ask().kernel(act.clone()).unwrap();
            is_whole_again(&world, &before, &what);
            member.client().is_answered_by(&pod.uid, world.clock().now_us());
            Duration::from_micros(world.clock().now_us() - begun)
        };
        // A busy machine may keep an agent waiting longer than the agent takes.
        let times: Vec<Duration> = (0..3).map(|_try| lasts()).collect();
        assert!(times.iter().min() <= Some(&AT_MOST), "{what}: {times:?}");
    }
    member.is_well(&pod, &up.started);
}

/// Calls that changed EC2.
fn mutating(mut calls: Vec<Call>) -> Vec<Call> {
    calls.retain(|call| call.mutating);
    calls
}

/// The agent takes an address back that is nobody's or a node's of its own cluster: by one call,
/// which the record announced and forgets.
fn is_taken_back(act: impl FnOnce(&World, std::net::Ipv4Addr)) {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    let pod = member.pod("pod-1", NODE);
    let up = member.comes_up(&pod);
    let _agent = world.agent(NODE);
    let since = world.now();
    let address = member.address();
    act(&world, address);
    within(EC2_PATIENCE, "the address is on its ENI again", || {
        let truth = world.ask().address(address).unwrap()?;
        (truth.node.as_deref() == Some(NODE)).then_some(())
    });
    eventually("the record forgets the call", || {
        let record = world.record(address);
        record.pending_mutations.is_empty().then_some(())
    });
    member.client().is_answered_by(&pod.uid, world.clock().now_us());
    world.is_settled(&pod, &up.started);
    let calls = mutating(world.calls_of(NODE, since));
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!(calls[0].action, "AssignPrivateIpAddresses");
}

#[test]
fn f007_an_address_that_somebody_unassigned_is_taken_back_by_one_call() {
    is_taken_back(|world, address| world.ask().act(Act::Unassign { address }).unwrap());
}

#[test]
fn f007_an_address_that_a_late_call_moved_to_another_node_is_taken_back_by_one_call() {
    is_taken_back(|world, address| {
        let truth = world.ask().truth().unwrap();
        let other = truth.nodes.iter().find(|node| node.name == "node-b").unwrap();
        let to = Some(other.enis[0].id.clone());
        world.ask().act(Act::Reassign { address, to }).unwrap();
    });
}

/// Why the agent's operations for an address failed so far.
fn failures(agent: &Process) -> Vec<String> {
    let log = agent.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let failed = lines.filter(|line| line["operation"] == "reassert" && line["reason"].is_string());
    failed.map(|line| line["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn f119_an_address_that_a_stranger_took_is_an_alarm_and_never_a_fight() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    let pod = member.pod("pod-1", NODE);
    let _up = member.comes_up(&pod);
    let agent = world.agent(NODE);
    let since = world.now();
    let address = member.address();
    world.ask().act(Act::Reassign { address, to: Some("stranger".to_owned()) }).unwrap();
    let stolen = world.ask().address(address).unwrap().unwrap();
    within(EC2_PATIENCE, "the alarm", || {
        let failures = failures(&agent);
        assert!(failures.iter().all(|reason| reason == "AddressUnavailable"), "{failures:?}");
        (!failures.is_empty()).then_some(())
    });
    let calls = mutating(world.calls_of(NODE, since));
    assert!(calls.is_empty(), "{calls:#?}");
    assert_eq!(world.ask().address(address).unwrap().unwrap().owner, stolen.owner);
    let record = world.record(address);
    assert!(record.pending_mutations.is_empty(), "{record:#?}");
}
