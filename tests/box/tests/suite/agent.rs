//! The agent on a node: what it mends, how fast, and that its own life changes nothing.

use std::net::Ipv4Addr;

use firecamp_core::contract::env::PASSES_FOR;
use firecamp_core::contract::protocol::Protocol;
use serde_json::Value;

use crate::support::client::Client;
use crate::support::eventually;
use crate::support::member::{Cost, Member};
use crate::support::process::Process;
use crate::support::world::{World, binaries};

const NODE: &str = "node-a";

/// Strips the address; so many milliseconds later it is back.
#[track_caller]
fn strip(world: &World, address: Ipv4Addr) -> f64 {
    let ended = world.probe(NODE, &["strip", &address.to_string()]).end();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let text = ended.out.trim().strip_prefix("restored after ").expect("a time").to_owned();
    text.parse::<f64>().unwrap() / 1_000.0
}

/// The lines of an agent's log that tell of the operations that it began.
fn executions(agent: &Process) -> Vec<String> {
    let log = agent.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let begun = lines.filter(|line| line["message"] == "operation started");
    begun.map(|line| line["operation"].as_str().unwrap_or_default().to_owned()).collect()
}

/// SIGTERM, and a good end.
#[track_caller]
fn ends_well(agent: Process) {
    agent.terminate();
    agent.end().well();
}

#[test]
fn f063_what_something_strips_is_back_in_the_kernel_of_its_node() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    let pod = member.pod("pod-1", NODE);
    let up = member.comes_up(&pod);
    let agent = world.agent(NODE);
    let times: Vec<f64> = (0..10).map(|_| strip(&world, member.address())).collect();
    println!("stripped and restored within milliseconds: {times:?}");
    // Of its own accord it looks every ten seconds: this is the kernel's news.
    assert!(times.iter().all(|time| *time < 5_000.0), "{times:?}");
    eventually("ten restores in the log", || {
        let begun = executions(&agent);
        assert!(begun.iter().all(|operation| operation == "restore"), "{begun:?}");
        (begun.len() >= 10).then_some(())
    });
    member.is_well(&pod, &up.started);
    ends_well(agent);
}

#[test]
fn f033_f040_an_agent_that_ends_and_begins_again_changes_nothing() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    let pod = member.pod("pod-1", NODE);
    let up = member.comes_up(&pod);
    let (record, since) = (world.record(member.address()), world.now());
    let mut watch = world.tool(NODE, &["watch", &member.address().to_string()]);
    watch.prints("watching");
    let before = world.kernel(NODE);
    for _ in 0..3 {
        let agent = world.agent(NODE);
        assert_eq!(executions(&agent), [""; 0]);
        ends_well(agent);
    }
    // A second one beside the first waits, and goes on once the first is killed.
    let agent = world.agent(NODE);
    let mut second = world.agent_beside(NODE);
    second.logs("another agent runs on this node");
    assert!(!second.log().contains("agent started"), "{}", second.log());
    drop(agent);
    second.logs("agent ready");
    assert_eq!(executions(&second), [""; 0]);
    ends_well(second);

    let cost = Cost::of(&world.calls_of(NODE, since), NODE);
    assert_eq!((cost.mutating, cost.moves), (0, 0), "{cost:?}");
    assert_eq!(watch.out().trim(), "watching", "the kernel's address never went or came");
    assert_eq!(world.kernel(NODE), before);
    assert_eq!(world.record(member.address()), record);
    member.is_well(&pod, &up.started);
}

/// An agent of the version after this one.
fn next_version(world: &World) -> Process {
    let current = Protocol::OURS.current;
    let mut command = world.command(NODE, &binaries().agent);
    command.env(PASSES_FOR, format!("{}:{current}:7.7.7", current + 1));
    world.agent_as(NODE, command, &world.file_registry())
}

#[test]
fn p12_of_two_versions_of_the_agent_on_one_node_one_restores_and_the_other_after_it() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    let pod = member.pod("pod-1", NODE);
    let up = member.comes_up(&pod);
    let since = world.now();
    let old = world.agent(NODE);
    let mut new = next_version(&world);
    new.logs("another agent runs on this node");
    strip(&world, member.address());
    assert_eq!((executions(&old), executions(&new)), (vec!["restore".to_owned()], vec![]));
    // It is killed, and what is stripped then is for the next one, and so is a rollback.
    drop(old);
    new.logs("agent ready");
    strip(&world, member.address());
    let mut back = world.agent_beside(NODE);
    back.logs("another agent runs on this node");
    strip(&world, member.address());
    assert_eq!((executions(&new), executions(&back)), (vec!["restore".to_owned(); 2], vec![]));
    drop(new);
    back.logs("agent ready");
    strip(&world, member.address());
    assert_eq!(executions(&back), ["restore"]);
    let cost = Cost::of(&world.calls_of(NODE, since), NODE);
    assert_eq!((cost.mutating, cost.moves), (0, 0), "{cost:?}");
    member.is_well(&pod, &up.started);
    ends_well(back);
}

#[test]
fn f032_f071_the_old_node_gives_way_when_a_member_has_moved_without_its_stop() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    let first = member.pod("pod-1", NODE);
    drop(member.comes_up(&first).server);
    let agent = world.agent(NODE);
    // What dials from the old node has its kernel answer, as long as that has the address.
    let there = Client::dials_from(&world, NODE, member.address());
    let second = member.pod("pod-2", "node-b");
    let up = member.comes_up(&second);
    there.is_answered_by("pod-2", up.started.at_us);
    let text = format!("{}/", member.address());
    eventually("the old node has given way", || {
        let left = world.kernel(NODE).iter().any(|line| line.starts_with(&text));
        (!left).then_some(())
    });
    assert!(
        executions(&agent).iter().all(|operation| operation == "withdraw"),
        "{:?}",
        executions(&agent)
    );
    member.is_well(&second, &up.started);
    ends_well(agent);
}
