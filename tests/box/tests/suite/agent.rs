//! The agent on a node: what it restores, how fast, and that its restarts change nothing.

use std::net::Ipv4Addr;

use firecamp_core::contract::env::PASSES_FOR;
use firecamp_core::contract::protocol::Protocol;
use serde_json::Value;

use crate::support::client::Client;
use crate::support::eventually;
use crate::support::member::{Cost, Member};
use crate::support::process::Process;
use crate::support::test_box::{TestBox, binaries};

const NODE: &str = "node-a";

/// Removes the address from the kernel; returns the milliseconds until the agent restores it.
#[track_caller]
fn strip(test_box: &TestBox, address: Ipv4Addr) -> f64 {
    let ended = test_box.probe(NODE, &["strip", &address.to_string()]).end();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let text = ended
        .out
        .trim()
        .strip_prefix("restored after ")
        .expect("the time of the restore")
        .to_owned();
    text.parse::<f64>().unwrap() / 1_000.0
}

/// The operations that the agent started, by its log.
fn executions(agent: &Process) -> Vec<String> {
    let log = agent.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let begun = lines.filter(|line| line["message"] == "operation started");
    begun.map(|line| line["operation"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Terminates the agent, which must exit with 0.
#[track_caller]
fn stop_agent(agent: Process) {
    agent.terminate();
    agent.end().assert_ended_well();
}

#[test]
fn f063_agent_restores_an_address_removed_from_the_kernel() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let pod = member.pod("pod-1", NODE);
    let up = member.bring_up(&pod);
    let agent = test_box.agent(NODE);
    let times: Vec<f64> = (0..10).map(|_| strip(&test_box, member.address())).collect();
    println!("milliseconds from removal to restore: {times:?}");
    // The resync timer fires every ten seconds, so the agent reacted to netlink events.
    assert!(times.iter().all(|time| *time < 5_000.0), "{times:?}");
    eventually("ten restores in the log", || {
        let begun = executions(&agent);
        assert!(begun.iter().all(|operation| operation == "restore"), "{begun:?}");
        (begun.len() >= 10).then_some(())
    });
    member.assert_healthy(&pod, &up.started);
    stop_agent(agent);
}

#[test]
fn f033_f040_agent_restart_changes_nothing() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let pod = member.pod("pod-1", NODE);
    let up = member.bring_up(&pod);
    let (record, since) = (test_box.record(member.address()), test_box.last_call());
    let mut watch = test_box.tool(NODE, &["watch", &member.address().to_string()]);
    watch.wait_for_output("watching");
    let before = test_box.kernel(NODE);
    for _ in 0..3 {
        let agent = test_box.agent(NODE);
        assert_eq!(executions(&agent), [""; 0]);
        stop_agent(agent);
    }
    // A second agent waits until the first one is killed.
    let agent = test_box.agent(NODE);
    let mut second = test_box.agent_beside(NODE);
    second.wait_for_log("another agent runs on this node");
    assert!(!second.log().contains("agent started"), "{}", second.log());
    drop(agent);
    second.wait_for_log("agent ready");
    assert_eq!(executions(&second), [""; 0]);
    stop_agent(second);

    let cost = Cost::of(&test_box.calls_of(NODE, since), NODE);
    assert_eq!((cost.mutating, cost.moves), (0, 0), "{cost:?}");
    assert_eq!(watch.out().trim(), "watching", "the address was added or removed in the kernel");
    assert_eq!(test_box.kernel(NODE), before);
    assert_eq!(test_box.record(member.address()), record);
    member.assert_healthy(&pod, &up.started);
}

/// An agent of the version after this one.
fn next_version(test_box: &TestBox) -> Process {
    let current = Protocol::OURS.current;
    let mut command = test_box.command(NODE, &binaries().agent);
    command.env(PASSES_FOR, format!("{}:{current}:7.7.7", current + 1));
    test_box.agent_as(NODE, command, &test_box.file_registry())
}

#[test]
fn p12_only_one_of_two_agent_versions_on_a_node_restores_at_a_time() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let pod = member.pod("pod-1", NODE);
    let up = member.bring_up(&pod);
    let since = test_box.last_call();
    let old = test_box.agent(NODE);
    let mut new = next_version(&test_box);
    new.wait_for_log("another agent runs on this node");
    strip(&test_box, member.address());
    assert_eq!((executions(&old), executions(&new)), (vec!["restore".to_owned()], vec![]));
    // After a kill the other version takes over, also in a rollback.
    drop(old);
    new.wait_for_log("agent ready");
    strip(&test_box, member.address());
    let mut back = test_box.agent_beside(NODE);
    back.wait_for_log("another agent runs on this node");
    strip(&test_box, member.address());
    assert_eq!((executions(&new), executions(&back)), (vec!["restore".to_owned(); 2], vec![]));
    drop(new);
    back.wait_for_log("agent ready");
    strip(&test_box, member.address());
    assert_eq!(executions(&back), ["restore"]);
    let cost = Cost::of(&test_box.calls_of(NODE, since), NODE);
    assert_eq!((cost.mutating, cost.moves), (0, 0), "{cost:?}");
    member.assert_healthy(&pod, &up.started);
    stop_agent(back);
}

#[test]
fn f032_f071_agent_of_the_old_node_withdraws_when_a_member_moves_without_stop() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let first = member.pod("pod-1", NODE);
    drop(member.bring_up(&first).server);
    let agent = test_box.agent(NODE);
    // While the old node's kernel has the address, it answers clients on that node itself.
    let there = Client::start_on(&test_box, NODE, member.address());
    let second = member.pod("pod-2", "node-b");
    let up = member.bring_up(&second);
    there.wait_for_answer_of("pod-2", up.started.at_us);
    let text = format!("{}/", member.address());
    eventually("the old node's agent withdraws the address", || {
        let left = test_box.kernel(NODE).iter().any(|line| line.starts_with(&text));
        (!left).then_some(())
    });
    assert!(
        executions(&agent).iter().all(|operation| operation == "withdraw"),
        "{:?}",
        executions(&agent)
    );
    member.assert_healthy(&second, &up.started);
    stop_agent(agent);
}
