//! Failure cases of the registry.

use firecamp_core::contract::exit::Exit;
use firecamp_core::ids::Epoch;
use firecamp_core::machine::Release as Done;
use firecamp_sim_tests::{Cluster, Costs, FIRST, Pod, Release, attached, failed, released};
use firecamp_testkit::sim::{Break, Op, Script};

#[tokio::test(start_paused = true)]
async fn f074_members_never_write_the_same_object() {
    let cluster = Cluster::default();
    let (one, two) = (Pod::of("redis-0", "u0", "node-a"), Pod::of("redis-1", "u1", "node-b"));
    let (a, b) = tokio::join!(one.init(&cluster), two.init(&cluster));
    let (a, b) = (attached(a), attached(b));
    assert_ne!(a.address, b.address, "two members have the same address");
    let before = cluster.registry.snapshot().static_ips[&a.address].version.clone();
    released(two.stop(&cluster, Release::default()).await);
    assert_eq!(cluster.registry.snapshot().static_ips[&a.address].version, before);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f074_ten_concurrent_first_starts_get_ten_addresses() {
    let cluster = std::rc::Rc::new(Cluster::default());
    let local = tokio::task::LocalSet::new();
    let mut starts = Vec::new();
    for number in 0..10 {
        let cluster = std::rc::Rc::clone(&cluster);
        let node = if number % 2 == 0 { "node-a" } else { "node-b" };
        starts.push(local.spawn_local(async move {
            let pod = Pod::of(&format!("redis-{number}"), &format!("u{number}"), node);
            attached(pod.init(&cluster).await).address
        }));
    }
    local
        .run_until(async {
            let mut found = std::collections::BTreeSet::new();
            for start in starts {
                assert!(
                    found.insert(start.await.expect("an attach")),
                    "two members have the same address"
                );
            }
            assert_eq!(found.len(), 10);
        })
        .await;
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f075_record_has_the_pending_mutation_before_ec2_changes() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    let script = Script::new().breaking(Op::Assign, 1, Break::Never);
    let crash = pod.clone().breaking(script);
    crash.killed_in_init(&cluster).await.expect("the script kills init before the call");
    let record = cluster.record(FIRST);
    assert_eq!(record.epoch, Epoch(1));
    assert_eq!(record.pending_mutations.len(), 1, "the record has the pending Assign");
    assert_eq!(cluster.owner(FIRST), None);
    attached(pod.init(&cluster).await);
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f075_lost_response_to_the_acquire_does_not_acquire_twice() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    released(first.stop(&cluster, Release::default()).await);
    for nth in [1, 2] {
        let epoch = cluster.record(FIRST).epoch;
        let script = Script::new().breaking(Op::Write, nth, Break::After);
        let pod = Pod::new("uid-2", "node-b").breaking(script.clone());
        let done = attached(pod.init(&cluster).await);
        assert_eq!((done.epoch, script.fired()), (epoch.next(), 1), "write {nth}");
    }
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f079_an_earlier_incarnation_can_neither_claim_nor_release() {
    let cluster = Cluster::default();
    let old = Pod::new("uid-old", "node-a");
    attached(old.init(&cluster).await);
    let new = Pod::new("uid-new", "node-a");
    let node = Some("node-a".parse().expect("a node name"));
    let view = firecamp_core::ports::PodView::Present {
        pod: new.uid().clone(),
        node,
        lifecycle: firecamp_core::ports::PodLifecycle::Running,
        controller: None,
    };
    cluster.registry.set_pod(new.member(), view);
    let done = attached(new.init(&cluster).await);
    assert_eq!(failed(old.init(&cluster).await).exit, Exit::Superseded);
    assert_eq!(released(old.stop(&cluster, Release::default()).await), Done::NotHolder);
    assert!(cluster.record(FIRST).held_by(new.uid(), done.epoch));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f080_restored_backup_moves_no_address_and_does_not_decrease_epochs() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    let backup = cluster.registry.snapshot();
    for round in 0..3 {
        attached(Pod::new(&format!("uid-b{round}"), "node-b").init(&cluster).await);
    }
    cluster.settle().await;
    let since = cluster.last_call();
    cluster.registry.restore(backup);
    assert_eq!(cluster.costs(since), Costs { calls: 0, mutating: 0 });
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    // The member starts again on the node that has the address. The restored epoch is lower than
    // the epoch in the node's lock file, and the new epoch must be higher.
    let done = attached(Pod::new("uid-next", "node-b").init(&cluster).await);
    assert!(
        done.epoch > Epoch(4),
        "epoch {} is not higher than the one in the node's lock file",
        done.epoch
    );
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.audit();
}

/// A holder is identified by instance and ENI, not by node name; EC2 decides whether it exists.
#[tokio::test(start_paused = true)]
async fn f077_record_of_a_terminated_instance_does_not_block_the_member() {
    for delete_on_termination in [true, false] {
        let cluster = Cluster::default();
        let first = Pod::new("uid-1", "node-a");
        attached(first.init(&cluster).await);
        let node = "node-a".to_owned();
        let delete_on_termination = Some(delete_on_termination);
        cluster.act(&firecamp_vpc::Act::Terminate { node, delete_on_termination });
        cluster.settle().await;
        // The stop container of the terminated node's pod completes its release.
        assert_eq!(released(first.stop(&cluster, Release::default()).await), Done::Parked);
        let done = attached(Pod::new("uid-2", "node-b").init(&cluster).await);
        assert_eq!(done.address, FIRST);
        assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
        cluster.audit();
    }
}

#[tokio::test(start_paused = true)]
async fn f075_member_may_start_in_another_zone_after_a_crash_before_allocation() {
    let cluster = Cluster::default();
    // The claim exists; the second write, the allocation of an address in zone a, does not happen.
    let script = Script::new().breaking(Op::Write, 2, Break::Never);
    let pod = Pod::new("uid-1", "node-a").breaking(script);
    pod.killed_in_init(&cluster).await.expect("the script kills init after the claim");
    let done = attached(Pod::new("uid-1", "node-c").init(&cluster).await);
    assert_eq!(cluster.data_path(done.address), Some(cluster.eni("node-c")));
    assert_eq!(cluster.registry.snapshot().static_ips.len(), 1);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn crash_slows_only_the_next_restart() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    released(pod.stop(&cluster, Release::default()).await);
    cluster.settle().await;
    let script = Script::new().breaking(Op::AddAddress, 1, Break::Never);
    let crash = Pod::new("uid-2", "node-b").breaking(script);
    crash.killed_in_init(&cluster).await.expect("the script kills init after its Assign");
    let again = Pod::new("uid-2", "node-b");
    attached(again.init(&cluster).await);
    assert!(
        cluster.record(FIRST).pending_mutations.is_empty(),
        "the pending mutation of the killed run is left"
    );
    released(again.stop(&cluster, Release::default()).await);
    let since = cluster.last_call();
    attached(Pod::new("uid-3", "node-b").init(&cluster).await);
    assert_eq!(cluster.costs(since), Costs { calls: 0, mutating: 0 });
    cluster.audit();
}
