//! The agent restores what other programs remove: rules, routes, links, and the address in EC2.

use std::time::Duration;

use firecamp_vpc::Act;
use serde_json::Value;
use vpcbox::protocol::{Call, KernelAct};

use crate::secondary::TWO_ENIS;
use crate::support::member::{Cost, Member, Up};
use crate::support::pod::Pod;
use crate::support::process::Process;
use crate::support::test_box::TestBox;
use crate::support::{eventually, within};

const NODE: &str = "node-a";
/// The link and the table of a node's second ENI.
const LINK: &str = "ens6";
const TABLE: &str = "20001";

/// The agent trusts metadata only after a delay and polls EC2 once a minute. The machine may be
/// busy, too.
const EC2_PATIENCE: Duration = Duration::from_mins(4);

/// The longest outage after a link flap.
const MAX_OUTAGE: Duration = Duration::from_secs(2);

/// Starts a member on the second ENI of the node.
fn on_the_second_eni<'w>(member: &mut Member<'w>) -> (Pod<'w>, Up) {
    let pod = member.pod("pod-1", NODE);
    let ended = pod.init().arg("--eni=1").end();
    let started = pod.started(&ended);
    member.add_holder(&pod, &started);
    let server = member.start_service(&pod, &started);
    (pod, Up { started, server })
}

/// Waits until the kernel has the same addresses, rules and routes as before.
#[track_caller]
fn wait_until_restored(test_box: &TestBox, before: &[String], what: &str) {
    eventually(&format!("{what}: {before:#?}"), || (test_box.kernel(NODE) == before).then_some(()));
}

/// Runs the tests' tool on the node.
#[track_caller]
fn run_tool(test_box: &TestBox, words: &[&str]) {
    let ended = test_box.tool(NODE, words).end();
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.log);
}

#[test]
fn f065_agent_restores_removed_rules_and_routes() {
    let test_box = TestBox::of(TWO_ENIS);
    let mut member = Member::new(&test_box, "redis-0");
    let (pod, up) = on_the_second_eni(&mut member);
    let _agent = test_box.agent(NODE);
    let (before, since) = (test_box.kernel(NODE), test_box.last_call());
    for _ in 0..3 {
        run_tool(&test_box, &["unrule", &member.address().to_string(), TABLE]);
        wait_until_restored(&test_box, &before, "the removed rule is restored");
        run_tool(&test_box, &["unroute", TABLE]);
        wait_until_restored(&test_box, &before, "the removed route is restored");
    }
    member.client().wait_for_answer_of(&pod.uid, test_box.clock().now_us());
    member.assert_healthy(&pod, &up.started);
    let cost = Cost::of(&test_box.calls_of(NODE, since), NODE);
    assert_eq!((cost.mutating, cost.moves), (0, 0), "{cost:?}");
}

#[test]
fn f068_agent_restores_addresses_rules_and_routes_after_a_link_flap() {
    let test_box = TestBox::of(TWO_ENIS);
    let mut member = Member::new(&test_box, "redis-0");
    let (pod, up) = on_the_second_eni(&mut member);
    let _agent = test_box.agent(NODE);
    let before = test_box.kernel(NODE);
    let (node, link) = (NODE.to_owned(), Some(LINK.to_owned()));
    let acts = [
        KernelAct::LinkFlap { node: node.clone(), link: link.clone(), down_ms: 0 },
        KernelAct::LinkFlap { node: node.clone(), link: link.clone(), down_ms: 50 },
        KernelAct::LinkDown { node, link },
    ];
    for act in acts {
        let what = format!("{act:?}");
        let outage = || {
            let begun = test_box.clock().now_us();
            test_box.control().kernel(act.clone()).unwrap();
            wait_until_restored(&test_box, &before, &what);
            member.client().wait_for_answer_of(&pod.uid, test_box.clock().now_us());
            Duration::from_micros(test_box.clock().now_us() - begun)
        };
        // On a busy machine an attempt may take longer, so one of three suffices.
        let times: Vec<Duration> = (0..3).map(|_try| outage()).collect();
        assert!(times.iter().min() <= Some(&MAX_OUTAGE), "{what}: {times:?}");
    }
    member.assert_healthy(&pod, &up.started);
}

/// Calls that changed EC2.
fn mutating(mut calls: Vec<Call>) -> Vec<Call> {
    calls.retain(|call| call.mutating);
    calls
}

/// Asserts that the agent re-asserts an address that is on no ENI or on another node of its
/// cluster, by one Assign, and then clears the pending mutation.
fn assert_reasserted(act: impl FnOnce(&TestBox, std::net::Ipv4Addr)) {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let pod = member.pod("pod-1", NODE);
    let up = member.bring_up(&pod);
    let _agent = test_box.agent(NODE);
    let since = test_box.last_call();
    let address = member.address();
    act(&test_box, address);
    within(EC2_PATIENCE, "the address is on its ENI again", || {
        let truth = test_box.control().address(address).unwrap()?;
        (truth.node.as_deref() == Some(NODE)).then_some(())
    });
    eventually("the agent clears the pending mutation", || {
        let record = test_box.record(address);
        record.pending_mutations.is_empty().then_some(())
    });
    member.client().wait_for_answer_of(&pod.uid, test_box.clock().now_us());
    test_box.assert_settled(&pod, &up.started);
    let calls = mutating(test_box.calls_of(NODE, since));
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!(calls[0].action, "AssignPrivateIpAddresses");
}

#[test]
fn f007_externally_unassigned_address_is_reasserted_by_one_call() {
    assert_reasserted(|test_box, address| {
        test_box.control().act(Act::Unassign { address }).unwrap();
    });
}

#[test]
fn f007_address_moved_by_a_late_call_is_reasserted_by_one_call() {
    assert_reasserted(|test_box, address| {
        let truth = test_box.control().truth().unwrap();
        let other = truth.nodes.iter().find(|node| node.name == "node-b").unwrap();
        let to = Some(other.enis[0].id.clone());
        test_box.control().act(Act::Reassign { address, to }).unwrap();
    });
}

/// The reasons why the agent's re-asserts failed so far.
fn failures(agent: &Process) -> Vec<String> {
    let log = agent.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let failed = lines.filter(|line| line["operation"] == "reassert" && line["reason"].is_string());
    failed.map(|line| line["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn f119_address_on_a_foreign_interface_is_reported_and_never_reasserted() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let pod = member.pod("pod-1", NODE);
    let _up = member.bring_up(&pod);
    let agent = test_box.agent(NODE);
    let since = test_box.last_call();
    let address = member.address();
    test_box.control().act(Act::Reassign { address, to: Some("stranger".to_owned()) }).unwrap();
    let foreign = test_box.control().address(address).unwrap().unwrap();
    within(EC2_PATIENCE, "the agent reports a failed re-assert", || {
        let failures = failures(&agent);
        assert!(failures.iter().all(|reason| reason == "AddressUnavailable"), "{failures:?}");
        (!failures.is_empty()).then_some(())
    });
    let calls = mutating(test_box.calls_of(NODE, since));
    assert!(calls.is_empty(), "{calls:#?}");
    assert_eq!(test_box.control().address(address).unwrap().unwrap().owner, foreign.owner);
    let record = test_box.record(address);
    assert!(record.pending_mutations.is_empty(), "{record:#?}");
}
