//! Two pods of one member: a successor on the same node while the old pod lives, and a zombie.

use firecamp_vpc::{Fault, Selector};

use crate::support::eventually;
use crate::support::member::{Cost, Member};
use crate::support::pod::Pod;
use crate::support::process::Process;
use crate::support::world::World;

/// A sidecar that has fixed its epoch.
fn sidecar(pod: &Pod<'_>) -> Process {
    let mut sidecar = pod.stop("wait").start();
    sidecar.logs("release.0");
    sidecar
}

#[test]
fn f113_a_successor_on_the_same_node_takes_over_from_a_pod_that_still_serves() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    let old = member.pod("pod-1", "node-a");
    let up = member.comes_up(&old);
    let old_sidecar = sidecar(&old);
    let address = member.address();
    let mut watch = world.tool("node-a", &["watch", &address.to_string()]);
    watch.prints("watching\n");
    let since = world.now();

    // Deleted by force: the successor's init container runs while the old pod serves.
    let new = member.pod("pod-2", "node-a");
    let mut init = new.init().start();
    init.logs("step=attach.16");
    let (taken, taken_us) = (world.record(address), world.clock().now_us());
    assert_eq!(taken.epoch.0, 2);
    assert_eq!(taken.attachment.as_ref().unwrap().pod.as_str(), "pod-2");
    member.client().is_answered_by("pod-1", taken_us);
    // The old pod's preStop hook comes after the new attach, and finds that it holds nothing.
    let report = old.stop("release").end().succeeded();
    assert_eq!(report["path"], "not-holder", "{report}");
    member.client().is_answered_by("pod-1", world.clock().now_us());
    assert!(init.is_running(), "no success while the old pod serves");
    assert_eq!(world.record(address), taken);

    // The old pod ends, the new one's init container succeeds; then comes the old sidecar's end.
    drop(up.server);
    let ended = init.end();
    let started = new.started(&ended);
    member.is_held_by(&new, &started);
    let _server = member.serves(&new, &started);
    let before = world.record(address);
    old_sidecar.terminate();
    let report = old_sidecar.end().succeeded();
    assert_eq!(report["path"], "not-holder", "{report}");
    assert_eq!(world.record(address), before);
    member.client().is_answered_by("pod-2", world.clock().now_us());

    assert_eq!(Cost::of(&member.ec2(since), "").mutating, 0);
    assert!(!watch.out().contains("removed"), "the kernel lost it: {}", watch.out());
    member.is_well(&new, &started);
}

#[test]
fn f113_a_predecessor_that_does_not_die_is_waited_for_within_its_grace_period() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    let up = member.comes_up(&member.pod("pod-1", "node-a"));
    let new = member.pod("pod-2", "node-a");
    let ended = new.init().arg("--predecessor-grace=3s").end();
    let report = ended.succeeded();
    let elapsed = report["elapsedMs"].as_u64().unwrap();
    assert!((3_000..10_000).contains(&elapsed), "{report}");
    let message = report["message"].as_str().unwrap();
    assert!(message.contains("predecessor"), "it says so: {message}");
    assert!(ended.log.contains("a predecessor on this node to stop using"), "{}", ended.log);
    drop(up.server);
    let started = new.started(&ended);
    member.is_held_by(&new, &started);
    let _server = member.serves(&new, &started);
    member.is_well(&new, &started);
}

#[test]
fn f023_the_late_stop_of_a_zombie_changes_nothing() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    let zombie = member.pod("pod-1", "node-a");
    let up = member.comes_up(&zombie);
    let sidecar = sidecar(&zombie);
    // The kubelet of node-a is away: server and sidecar go on while the member moves.
    let last = member.pod("pod-2", "node-b");
    let moved = member.comes_up(&last);
    let (since, record) = (world.now(), world.record(member.address()));
    let nodes = ["node-a", "node-b"];
    let kernels = nodes.map(|node| world.kernel(node));

    // The kubelet is back: SIGTERM for both, and a hook for good measure.
    drop(up.server);
    sidecar.terminate();
    for ended in [sidecar.end(), zombie.stop("release").end()] {
        assert_eq!(ended.succeeded()["path"], "not-holder", "{}", ended.log);
    }
    let unassigning = zombie.stop("release").arg("--unassign").end();
    assert_eq!(unassigning.succeeded()["path"], "not-holder", "{}", unassigning.log);

    assert_eq!(world.record(member.address()), record);
    assert_eq!(member.ec2(since), []);
    assert_eq!(nodes.map(|node| world.kernel(node)), kernels);
    member.client().is_answered_by("pod-2", world.clock().now_us());
    member.is_well(&last, &moved.started);
}

#[test]
fn f032_the_late_init_of_a_zombie_takes_nothing_back() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    drop(member.comes_up(&member.pod("pod-1", "node-a")).server);
    // Its init container had read the record, and stood still until the member had moved on.
    let zombie = member.pod("pod-1", "node-a");
    let mut init = zombie.init().freeze_at("attach.2").start();
    init.is_frozen();
    let last = member.pod("pod-2", "node-b");
    let up = member.comes_up(&last);
    let (since, record) = (world.now(), world.record(member.address()));
    init.resume();
    init.end().failed(10, "Superseded", &["pod-2", "node-b"]);
    assert_eq!(world.record(member.address()), record);
    assert!(!member.ec2(since).iter().any(|call| call.mutating));
    member.client().is_answered_by("pod-2", world.clock().now_us());
    member.is_well(&last, &up.started);
}

#[test]
fn f007_an_assign_of_a_dead_init_that_lands_late_is_waited_out_by_the_successor() {
    let world = World::start();
    let mut member = Member::new(&world, "redis-0");
    drop(member.comes_up(&member.pod("pod-1", "node-a")).server);
    let assign = Some("AssignPrivateIpAddresses".to_owned());
    let of_node_b =
        Selector { op: assign, caller: Some("node-b".to_owned()), ..Selector::default() };
    world.fault(Fault::LateLanding { after_ms: 3_000, silent: true }, of_node_b);
    let (since, address) = (world.now(), member.address());
    let init = member.pod("pod-2", "node-b").init().start();
    let late = || world.ec2(address, since).into_iter().find(|call| call.mutating);
    let sent = eventually("the Assign of node-b", late);
    assert_eq!(sent.landed_at_us, None, "it is on its way");
    drop(init);

    let last = member.pod("pod-3", "node-c");
    let up = member.comes_up(&last);
    let landed = eventually("the late landing", || late().unwrap().landed_at_us);
    assert!(landed < up.started.at_us, "the successor waited: {landed}");
    member.client().is_answered_by("pod-3", world.clock().now_us());
    member.is_well(&last, &up.started);
}
