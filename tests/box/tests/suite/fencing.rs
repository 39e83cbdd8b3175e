//! Two pods of one member: a successor on the same node beside the old pod, and a superseded pod
//! that still runs on another node.

use firecamp_vpc::{Fault, Selector};

use crate::support::eventually;
use crate::support::member::{Cost, Member};
use crate::support::pod::Pod;
use crate::support::process::Process;
use crate::support::test_box::TestBox;

/// A sidecar that has read its epoch.
fn sidecar(pod: &Pod<'_>) -> Process {
    let mut sidecar = pod.stop("wait").start();
    sidecar.wait_for_log("release.0");
    sidecar
}

#[test]
fn f113_successor_on_the_same_node_takes_over_from_a_running_pod() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let old = member.pod("pod-1", "node-a");
    let up = member.bring_up(&old);
    let old_sidecar = sidecar(&old);
    let address = member.address();
    let mut watch = test_box.tool("node-a", &["watch", &address.to_string()]);
    watch.wait_for_output("watching\n");
    let since = test_box.last_call();

    // The pod is deleted by force: the successor's init container runs while the old pod serves.
    let new = member.pod("pod-2", "node-a");
    let mut init = new.init().start();
    init.wait_for_log("step=attach.16");
    let (taken, taken_us) = (test_box.record(address), test_box.clock().now_us());
    assert_eq!(taken.epoch.0, 2);
    assert_eq!(taken.attachment.as_ref().unwrap().pod.as_str(), "pod-2");
    member.client().wait_for_answer_of("pod-1", taken_us);
    // The old pod's preStop hook runs after the new attach and finds that it is not the holder.
    let report = old.stop("release").end().succeeded();
    assert_eq!(report["path"], "not-holder", "{report}");
    member.client().wait_for_answer_of("pod-1", test_box.clock().now_us());
    assert!(init.is_running(), "init must not succeed while the old pod serves");
    assert_eq!(test_box.record(address), taken);

    // The old pod ends and the new pod's init container succeeds. Then the old sidecar ends.
    drop(up.server);
    let ended = init.end();
    let started = new.started(&ended);
    member.add_holder(&new, &started);
    let _server = member.start_service(&new, &started);
    let before = test_box.record(address);
    old_sidecar.terminate();
    let report = old_sidecar.end().succeeded();
    assert_eq!(report["path"], "not-holder", "{report}");
    assert_eq!(test_box.record(address), before);
    member.client().wait_for_answer_of("pod-2", test_box.clock().now_us());

    assert_eq!(Cost::of(&member.ec2_calls(since), "").mutating, 0);
    assert!(
        !watch.out().contains("removed"),
        "the address was removed from the kernel: {}",
        watch.out()
    );
    member.assert_healthy(&new, &started);
}

#[test]
fn f113_init_waits_for_a_running_predecessor_only_for_the_grace_period() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let up = member.bring_up(&member.pod("pod-1", "node-a"));
    let new = member.pod("pod-2", "node-a");
    let ended = new.init().arg("--predecessor-grace=3s").end();
    let report = ended.succeeded();
    let elapsed = report["elapsedMs"].as_u64().unwrap();
    assert!((3_000..10_000).contains(&elapsed), "{report}");
    let message = report["message"].as_str().unwrap();
    assert!(message.contains("predecessor"), "the message must mention the predecessor: {message}");
    assert!(ended.log.contains("a predecessor on this node to stop using"), "{}", ended.log);
    drop(up.server);
    let started = new.started(&ended);
    member.add_holder(&new, &started);
    let _server = member.start_service(&new, &started);
    member.assert_healthy(&new, &started);
}

#[test]
fn f023_late_stop_of_a_superseded_pod_changes_nothing() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let superseded = member.pod("pod-1", "node-a");
    let up = member.bring_up(&superseded);
    let sidecar = sidecar(&superseded);
    // The kubelet of node-a is unreachable: server and sidecar keep running while the member moves.
    let last = member.pod("pod-2", "node-b");
    let moved = member.bring_up(&last);
    let (since, record) = (test_box.last_call(), test_box.record(member.address()));
    let nodes = ["node-a", "node-b"];
    let kernels = nodes.map(|node| test_box.kernel(node));

    // The kubelet returns: both get SIGTERM, and a preStop hook runs.
    drop(up.server);
    sidecar.terminate();
    for ended in [sidecar.end(), superseded.stop("release").end()] {
        assert_eq!(ended.succeeded()["path"], "not-holder", "{}", ended.log);
    }
    let unassigning = superseded.stop("release").arg("--unassign").end();
    assert_eq!(unassigning.succeeded()["path"], "not-holder", "{}", unassigning.log);

    assert_eq!(test_box.record(member.address()), record);
    assert_eq!(member.ec2_calls(since), []);
    assert_eq!(nodes.map(|node| test_box.kernel(node)), kernels);
    member.client().wait_for_answer_of("pod-2", test_box.clock().now_us());
    member.assert_healthy(&last, &moved.started);
}

#[test]
fn f032_late_init_of_a_superseded_pod_acquires_nothing() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    drop(member.bring_up(&member.pod("pod-1", "node-a")).server);
    // Its init container reads the record and freezes until the member has moved.
    let superseded = member.pod("pod-1", "node-a");
    let mut init = superseded.init().freeze_at("attach.2").start();
    init.wait_until_frozen();
    let last = member.pod("pod-2", "node-b");
    let up = member.bring_up(&last);
    let (since, record) = (test_box.last_call(), test_box.record(member.address()));
    init.resume();
    init.end().failed(10, "Superseded", &["pod-2", "node-b"]);
    assert_eq!(test_box.record(member.address()), record);
    assert!(!member.ec2_calls(since).iter().any(|call| call.mutating));
    member.client().wait_for_answer_of("pod-2", test_box.clock().now_us());
    member.assert_healthy(&last, &up.started);
}

#[test]
fn f007_successor_waits_for_a_late_assign_of_a_killed_init() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    drop(member.bring_up(&member.pod("pod-1", "node-a")).server);
    let assign = Some("AssignPrivateIpAddresses".to_owned());
    let of_node_b =
        Selector { op: assign, caller: Some("node-b".to_owned()), ..Selector::default() };
    test_box.fault(Fault::LateLanding { after_ms: 3_000, silent: true }, of_node_b);
    let (since, address) = (test_box.last_call(), member.address());
    let init = member.pod("pod-2", "node-b").init().start();
    let late = || test_box.ec2_calls(address, since).into_iter().find(|call| call.mutating);
    let sent = eventually("node-b sends the Assign", late);
    assert_eq!(sent.landed_at_us, None, "the Assign must not have taken effect yet");
    drop(init);

    let last = member.pod("pod-3", "node-c");
    let up = member.bring_up(&last);
    let landed = eventually("the late Assign takes effect", || late().unwrap().landed_at_us);
    assert!(landed < up.started.at_us, "the successor must wait for the late Assign at {landed}");
    member.client().wait_for_answer_of("pod-3", test_box.clock().now_us());
    member.assert_healthy(&last, &up.started);
}
