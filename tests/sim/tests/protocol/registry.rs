//! Failure cases of the registry, seen from the protocol.

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
    assert_ne!(a.address, b.address, "one address for two members");
    let before = cluster.registry.snapshot().static_ips[&a.address].version.clone();
    released(two.stop(&cluster, Release::default()).await);
    assert_eq!(cluster.registry.snapshot().static_ips[&a.address].version, before);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f074_ten_members_that_start_at_once_get_ten_addresses() {
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
                assert!(found.insert(start.await.expect("an attach")), "an address twice");
            }
            assert_eq!(found.len(), 10);
        })
        .await;
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f075_the_intent_is_in_the_registry_before_ec2_is_changed() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    let died = Script::new().breaking(Op::Assign, 1, Break::Never);
    let crash = pod.clone().breaking(died);
    crash.dies_in_init(&cluster).await.expect("a death before the call");
    let record = cluster.record(FIRST);
    assert_eq!(record.epoch, Epoch(1));
    assert_eq!(record.pending_mutations.len(), 1, "the Assign is marked before it is sent");
    assert_eq!(cluster.owner(FIRST), None);
    attached(pod.init(&cluster).await);
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f075_a_lost_answer_to_the_take_does_not_take_twice() {
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
async fn f080_a_registry_restored_from_a_backup_moves_no_address_and_epochs_only_grow() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    let backup = cluster.registry.snapshot();
    for round in 0..3 {
        attached(Pod::new(&format!("uid-b{round}"), "node-b").init(&cluster).await);
    }
    cluster.settle().await;
    let mark = cluster.mark();
    cluster.registry.restore(backup);
    assert_eq!(cluster.costs(mark), Costs { calls: 0, mutating: 0 });
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    // The member starts again where it really is: the restored epoch is behind the node's own
    // record, and must overtake it.
    let done = attached(Pod::new("uid-next", "node-b").init(&cluster).await);
    assert!(done.epoch > Epoch(4), "epoch {} does not overtake the node's record", done.epoch);
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.audit();
}

/// Identity is (instance, ENI), not the node's name: EC2 decides whether a holder still exists.
#[tokio::test(start_paused = true)]
async fn f077_a_record_that_names_a_vanished_instance_blocks_nobody() {
    for delete_on_termination in [true, false] {
        let cluster = Cluster::default();
        let first = Pod::new("uid-1", "node-a");
        attached(first.init(&cluster).await);
        let node = "node-a".to_owned();
        let delete_on_termination = Some(delete_on_termination);
        cluster.act(&firecamp_vpc::Act::Terminate { node, delete_on_termination });
        cluster.settle().await;
        // The release of the dead node's pod is finished by whoever can still speak for it.
        assert_eq!(released(first.stop(&cluster, Release::default()).await), Done::Parked);
        let done = attached(Pod::new("uid-2", "node-b").init(&cluster).await);
        assert_eq!(done.address, FIRST);
        assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
        cluster.audit();
    }
}

#[tokio::test(start_paused = true)]
async fn f075_a_claim_that_died_before_its_address_can_start_in_another_zone() {
    let cluster = Cluster::default();
    // Its claim names an address of zone a; the second write, the allocation, never happens.
    let died = Script::new().breaking(Op::Write, 2, Break::Never);
    let pod = Pod::new("uid-1", "node-a").breaking(died);
    pod.dies_in_init(&cluster).await.expect("a death after the claim");
    let done = attached(Pod::new("uid-1", "node-c").init(&cluster).await);
    assert_eq!(cluster.data_path(done.address), Some(cluster.eni("node-c")));
    assert_eq!(cluster.registry.snapshot().static_ips.len(), 1);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn a_crash_costs_one_slow_restart_and_not_all_later_ones() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    released(pod.stop(&cluster, Release::default()).await);
    cluster.settle().await;
    let died = Script::new().breaking(Op::AddAddress, 1, Break::Never);
    let crash = Pod::new("uid-2", "node-b").breaking(died);
    crash.dies_in_init(&cluster).await.expect("a death after its Assign");
    let again = Pod::new("uid-2", "node-b");
    attached(again.init(&cluster).await);
    assert!(cluster.record(FIRST).pending_mutations.is_empty(), "the mark of the dead run stays");
    released(again.stop(&cluster, Release::default()).await);
    let mark = cluster.mark();
    attached(Pod::new("uid-3", "node-b").init(&cluster).await);
    assert_eq!(cluster.costs(mark), Costs { calls: 0, mutating: 0 });
    cluster.audit();
}
