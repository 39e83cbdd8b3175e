//! The stop container is killed after each step; then a successor attaches on any node.

use std::net::Ipv4Addr;
use std::sync::Mutex;

use firecamp_core::record::{State, StaticIp};

use crate::support::member::{Cost, Member};
use crate::support::parallel;
use crate::support::test_box::TestBox;

/// Where the successor starts: on the same node, or on another one.
const NODES: [&str; 2] = ["node-a", "node-b"];

fn scenarios(steps: &[&'static str]) -> Vec<(&'static str, &'static str)> {
    steps.iter().flat_map(|step| NODES.map(|node| (*step, node))).collect()
}

fn name((step, node): &(&str, &str)) -> String {
    format!("{step}, then {node}")
}

/// The stop container of a pod on node-a is killed; then a successor starts on `node`. Returns the
/// address and the cost of the successor's calls.
fn crash((test_box, unassign): (&TestBox, bool), step: &str, node: &str) -> (Ipv4Addr, Cost) {
    let member = format!("redis{}-{}", node.replace("node-", ""), step.rsplit_once('.').unwrap().1);
    let mut member = Member::new(test_box, &member);
    let first = member.pod("pod-1", "node-a");
    let up = member.bring_up(&first);
    drop(up.server);
    let how = format!("--unassign={unassign}");
    first.stop("release").arg(how).crash_at(step).end().crashed();

    let since = test_box.last_call();
    let last = member.pod("pod-2", node);
    let up = member.bring_up(&last);
    test_box.assert_settled(&last, &up.started);
    member.assert_only_holders_answered();
    (member.address(), Cost::of(&member.ec2_calls(since), node))
}

#[test]
fn successor_attaches_on_any_node_after_a_crash_at_any_step_of_a_release() {
    let test_box = TestBox::start();
    let steps = ["release.0", "release.1", "release.2", "release.3", "release.4", "release.5"];
    parallel::each(&scenarios(&steps), name, |(step, node)| {
        let (address, cost) = crash((&test_box, false), step, node);
        test_box.assert_always_on_an_eni(address);
        if *node == "node-a" {
            assert!(cost.calls <= 1 && cost.mutating == 0, "{cost:?}");
        } else {
            assert_eq!(cost, Cost { calls: 2, mutating: 1, moves: 1 });
        }
    });
}

#[test]
fn successor_attaches_on_any_node_after_a_crash_at_any_step_of_an_unassigning_release() {
    let test_box = TestBox::start();
    let steps = ["free.2", "free.3", "free.4", "free.5"];
    parallel::each(&scenarios(&steps), name, |(step, node)| {
        let (_address, cost) = crash((&test_box, true), step, node);
        // Init first assigns without reassignment, which fails while another ENI has the address.
        assert!(cost.mutating <= 2 && cost.calls <= 4, "{cost:?}");
        assert!(cost.moves <= 1, "{cost:?}");
    });
}

#[test]
fn second_stop_completes_a_release_after_a_crash_at_any_step() {
    let test_box = TestBox::start();
    parallel::each(
        &[0, 1, 2, 3, 4, 5],
        |step| format!("release.{step}"),
        |step| {
            let mut member = Member::new(&test_box, &format!("redis-{step}"));
            let pod = member.pod("pod-1", "node-a");
            drop(member.bring_up(&pod).server);
            pod.stop("release").crash_at(&format!("release.{step}")).end().crashed();
            let since = test_box.last_call();
            let report = pod.stop("release").end().succeeded();
            let expected = if *step == 5 { "not-holder" } else { "parked" };
            assert_eq!(report["path"], expected, "{report}");
            let record = test_box.record(member.address());
            assert_eq!(record.attachment.unwrap().state, State::Parked);
            let (address, kernel) = (member.address().to_string(), test_box.kernel("node-a"));
            assert!(!kernel.iter().any(|line| line.contains(&address)), "{kernel:#?}");
            assert_eq!(member.ec2_calls(since), []);
            test_box.assert_always_on_an_eni(member.address());
        },
    );
}

/// A stop container is killed and nothing else starts. Returns the record, the node that has the
/// address in EC2, and whether the kernel has it.
fn crash_without_recovery(test_box: &TestBox, step: &str) -> (StaticIp, Option<String>, bool) {
    let unassign = step.starts_with("free");
    let member_name = format!("redis{}", step.replace('.', "-"));
    let mut member = Member::new(test_box, &member_name);
    let pod = member.pod("pod-1", "node-a");
    drop(member.bring_up(&pod).server);
    let how = format!("--unassign={unassign}");
    pod.stop("release").arg(how).crash_at(step).end().crashed();
    let address = member.address();
    let text = format!("{address}/32");
    let here = test_box.kernel("node-a").iter().any(|line| line.starts_with(&text));
    let owner = test_box.control().address(address).unwrap().unwrap().node;
    member.assert_only_holders_answered();
    (test_box.record(address), owner, here)
}

#[test]
fn nothing_changes_after_a_crash_of_a_release_until_something_acts() {
    let test_box = TestBox::start();
    let (on, off) = (Some("node-a"), None);
    // Step, state of the record, node that has the address in EC2, address in the kernel.
    let expected = [
        ("release.0", State::Attached, on, true),
        ("release.1", State::Attached, on, true),
        ("release.2", State::Attached, on, true),
        ("release.3", State::Attached, on, false),
        ("release.4", State::Attached, on, false),
        ("release.5", State::Parked, on, false),
        ("free.2", State::Releasing, on, false),
        ("free.3", State::Releasing, off, false),
        ("free.4", State::Releasing, off, false),
        ("free.5", State::Released, off, false),
    ];
    let states = Mutex::new(Vec::new());
    parallel::each(
        &expected,
        |(step, ..)| (*step).to_owned(),
        |(step, state, owner, kernel)| {
            let (record, owned, here) = crash_without_recovery(&test_box, step);
            assert_eq!(record.attachment.as_ref().unwrap().state, *state, "{step}");
            assert_eq!((owned.as_deref(), here), (*owner, *kernel), "{step}");
            states.lock().unwrap().push((record, owned));
        },
    );
    for (record, owner) in states.into_inner().unwrap() {
        assert_eq!(test_box.record(record.address), record);
        assert_eq!(test_box.control().address(record.address).unwrap().unwrap().node, owner);
    }
}

#[test]
fn second_stop_changes_nothing_after_a_crash_of_an_unassigning_release() {
    let test_box = TestBox::start();
    parallel::each(
        &["free.2", "free.3", "free.4", "free.5"],
        |step| (*step).to_owned(),
        |step| {
            // The epoch is no longer this pod's, so only the agent may complete the release.
            let member_name = format!("redis{}", step.replace('.', "-"));
            let (record, owner, _) = crash_without_recovery(&test_box, step);
            let pod = Member::new(&test_box, &member_name).pod("pod-1", "node-a");
            for how in ["--unassign=true", "--unassign=false"] {
                let report = pod.stop("release").arg(how).end().succeeded();
                assert_eq!(report["path"], "not-holder", "{report}");
            }
            assert_eq!(test_box.record(record.address), record);
            assert_eq!(test_box.control().address(record.address).unwrap().unwrap().node, owner);
        },
    );
}
