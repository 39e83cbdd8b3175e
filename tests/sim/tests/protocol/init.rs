//! Failure cases of the init container.

use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::ids::Epoch;
use firecamp_core::machine::Path;
use firecamp_core::ports::{PodLifecycle, PodView, SocketUse};
use firecamp_core::record::State;
use firecamp_engine::Ended;
use firecamp_sim_tests::{Cluster, Costs, FIRST, Pod, Release, attached, failed, released};
use firecamp_testkit::sim::{Break, Op, Script};
use firecamp_vpc::{Fault, Selector};
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn f002_crash_after_assign_does_not_block_the_member_on_a_third_node() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    released(first.stop(&cluster, Release::default()).await);
    let killed =
        Pod::new("uid-2", "node-b").breaking(Script::new().breaking(Op::Write, 2, Break::Never));
    killed.killed_in_init(&cluster).await.expect("the script kills init before its completion");
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-b")));
    // Shortly after the address left node-a, IMDS may still list it, and proof costs one Describe
    // more.
    sleep(timing::CALL_BOUND + timing::METADATA_LAG).await;
    let since = cluster.last_call();
    let done = attached(Pod::new("uid-3", "node-a").init(&cluster).await);
    assert!(done.barrier, "an Assign on node-b may have been in flight");
    assert_eq!(cluster.costs(since), Costs { calls: 2, mutating: 1 });
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-a")));
    assert!(
        cluster.record(FIRST).pending_mutations.is_empty(),
        "the barrier clears the pending mutation"
    );
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f003_an_attach_changes_no_address_but_its_own() {
    let cluster = Cluster::default();
    let other = Pod::of("redis-1", "uid-o", "node-b");
    let theirs = attached(other.init(&cluster).await).address;
    let version = cluster.registry.snapshot().static_ips[&theirs].version.clone();
    let first = Pod::new("uid-1", "node-a");
    let ours = attached(first.init(&cluster).await).address;
    released(first.stop(&cluster, Release::default()).await);
    attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_ne!(ours, theirs);
    assert_eq!(cluster.owner(theirs), Some(cluster.eni("node-b")));
    assert!(cluster.node("node-b").host.addresses().contains_key(&theirs));
    assert_eq!(cluster.registry.snapshot().static_ips[&theirs].version, version);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f005_second_init_run_beside_the_running_service_does_not_disturb_it() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    let live = SocketUse { listeners: 1, connections: 4, datagrams: 0 };
    cluster.node("node-a").host.use_sockets(FIRST, live);
    let since = cluster.last_call();
    let begun = Instant::now();
    let again = attached(pod.init(&cluster).await);
    assert!(begun.elapsed() < Duration::from_secs(1), "init must not wait for its own service");
    assert!(!again.overlapped);
    assert_eq!((again.epoch, again.path), (Epoch(2), Path::SameNode));
    assert_eq!(cluster.costs(since), Costs { calls: 0, mutating: 0 });
    assert_eq!(pod.script.made(Op::RemoveAddress), 0);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f012_failing_volume_changes_neither_ec2_nor_kernel_nor_record() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    released(first.stop(&cluster, Release::default()).await);
    let before = cluster.record(FIRST);
    cluster.volume.change(|disk| disk.broken = Some("write the probe: no space left".to_owned()));
    let since = cluster.last_call();
    let failure = failed(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(failure.exit, Exit::DiskRefused);
    assert!(failure.exit.retryable());
    assert_eq!(cluster.costs(since).mutating, 0);
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
    assert_eq!(cluster.record(FIRST), before);
    assert!(cluster.node("node-b").host.addresses().is_empty());
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f013_the_file_becomes_visible_only_after_the_kernel_has_the_address() {
    let cluster = Cluster::default();
    for (op, visible) in [(Op::Stage, false), (Op::Publish, false), (Op::Sync, true)] {
        let script = Script::new().breaking(op, 1, Break::Never);
        let pod = Pod::new("uid-1", "node-a").breaking(script);
        pod.killed_in_init(&cluster)
            .await
            .unwrap_or_else(|| panic!("the script did not kill init before {op:?}"));
        assert_eq!(cluster.volume.disk().visible.is_some(), visible, "before {op:?}");
        assert!(cluster.node("node-a").host.addresses().contains_key(&FIRST));
        cluster.volume.change(|disk| disk.visible = None);
    }
    attached(Pod::new("uid-1", "node-a").init(&cluster).await);
    assert_eq!(cluster.volume.disk().durable.as_deref(), Some("10.0.1.50"));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f017_interrupted_init_ends_at_once_and_makes_no_further_call() {
    let cluster = Cluster::default();
    cluster.fault("AssignPrivateIpAddresses", Fault::Hang { after_commit: false });
    let pod = Pod::new("uid-1", "node-a");
    let interrupt = async {
        sleep(Duration::from_millis(500)).await;
        pod.interrupt.cancel();
        Instant::now()
    };
    let (ended, interrupted) = tokio::join!(pod.init(&cluster), interrupt);
    assert_eq!(ended, Ended::Interrupted);
    assert!(interrupted.elapsed() < Duration::from_secs(1));
    let since = cluster.last_call();
    sleep(Duration::from_mins(1)).await;
    assert_eq!(cluster.last_call(), since, "a call after init has ended");
    cluster.clear_faults();
    attached(Pod::new("uid-1", "node-a").init(&cluster).await);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f018_success_is_reported_only_when_ec2_kernel_and_file_agree() {
    let cluster = Cluster::default();
    // For a while, another program on the node removes the address as soon as init adds it.
    let host = cluster.node("node-a").host.clone();
    let remover = async {
        for _ in 0..40 {
            sleep(Duration::from_millis(10)).await;
            host.strip(FIRST);
        }
    };
    let pod = Pod::new("uid-1", "node-a");
    let (ended, ()) = tokio::join!(pod.init(&cluster), remover);
    attached(ended);
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-a")));
    assert_eq!(cluster.volume.disk().durable.as_deref(), Some("10.0.1.50"));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f020_an_address_of_another_zone_stays_with_its_holder() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    let since = cluster.last_call();
    let failure = failed(Pod::new("uid-2", "node-c").init(&cluster).await);
    assert_eq!(failure.exit, Exit::NodeUnsuitable);
    for zone in ["us-east-1a", "us-east-1b"] {
        assert!(failure.message.contains(zone), "{} does not name {zone}", failure.message);
    }
    assert_eq!(cluster.costs(since).mutating, 0);
    let record = cluster.record(FIRST);
    assert_eq!(record.epoch, Epoch(1));
    assert_eq!(record.attachment.expect("the holder").state, State::Attached);
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-a")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f092_member_does_not_start_outside_its_zone_and_starts_when_the_zone_is_back() {
    let cluster = Cluster::default();
    attached(Pod::new("uid-1", "node-a").init(&cluster).await);
    let since = cluster.last_call();
    // Its zone is down, and the scheduler places it in another zone.
    for again in 2..5 {
        let failure = failed(Pod::new(&format!("uid-{again}"), "node-c").init(&cluster).await);
        assert_eq!(failure.exit, Exit::NodeUnsuitable, "{}", failure.message);
    }
    assert_eq!(cluster.costs(since), Costs { calls: 0, mutating: 0 });
    // The zone is back.
    attached(Pod::new("uid-5", "node-a").init(&cluster).await);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f021_full_eni_does_not_affect_the_previous_holder() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    released(first.stop(&cluster, Release::default()).await);
    let when = Selector { resource: None, ..Selector::default() };
    cluster.fault_when(Fault::Limit { instance_type: "m5.large".to_owned(), ips: 1 }, when);
    let failure = failed(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(failure.exit, Exit::NoCapacity, "{}", failure.message);
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
    let record = cluster.record(FIRST);
    assert!(record.settled_on(&cluster.eni("node-a")), "{record:?}");
    cluster.clear_faults();
    // The old node attaches it again without a call.
    let since = cluster.last_call();
    attached(Pod::new("uid-3", "node-a").init(&cluster).await);
    assert_eq!(cluster.costs(since), Costs { calls: 0, mutating: 0 });
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f022_init_changes_ec2_only_after_the_registry_recovers() {
    let cluster = Cluster::default();
    let first = Pod::new("uid-1", "node-a");
    attached(first.init(&cluster).await);
    released(first.stop(&cluster, Release::default()).await);
    let mut script = Script::new();
    for nth in 1..=5 {
        script = script.breaking(Op::Member, nth, Break::Before);
    }
    script = script.breaking(Op::Write, 1, Break::Before).breaking(Op::Pod, 1, Break::Before);
    let pod = Pod::new("uid-2", "node-b").breaking(script.clone());
    let since = cluster.last_call();
    attached(pod.init(&cluster).await);
    assert_eq!(script.fired(), 7);
    assert_eq!(cluster.costs(since).mutating, 1);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f022_unavailable_registry_has_its_own_exit_code() {
    let cluster = Cluster::default();
    let mut script = Script::new();
    for nth in 1..=100 {
        script = script.breaking(Op::Member, nth, Break::Before);
    }
    let pod = Pod::new("uid-1", "node-a").breaking(script).within(Duration::from_secs(30));
    let begun = Instant::now();
    let failure = failed(pod.init(&cluster).await);
    assert_eq!(failure.exit, Exit::RegistryUnavailable);
    assert!(begun.elapsed() <= Duration::from_secs(31), "{:?}", begun.elapsed());
    assert_eq!(cluster.last_call(), 0, "an EC2 call without a registry");
}

#[tokio::test(start_paused = true)]
async fn f087_a_reboot_costs_no_mutation_and_at_most_one_read() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    cluster.node("node-a").host.reboot();
    cluster.volume.lose_power();
    let since = cluster.last_call();
    let again = attached(pod.init(&cluster).await);
    assert_eq!((again.address, again.epoch), (FIRST, Epoch(2)));
    let costs = cluster.costs(since);
    assert!(costs.calls <= 1 && costs.mutating == 0, "{costs:?}");
    assert!(cluster.node("node-a").host.addresses().contains_key(&FIRST));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f087_one_describe_suffices_when_imds_lists_nothing_after_a_reboot() {
    let cluster = Cluster::default();
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(&cluster).await);
    cluster.settle().await;
    // IMDS returns its state from before the Assign.
    let back_ms = u64::try_from(cluster.now().as_millis()).expect("a short test");
    let when = Selector { op: Some("meta-data/network/*".to_owned()), ..Selector::default() };
    cluster.fault_when(Fault::ImdsTimeTravel { back_ms }, when);
    let since = cluster.last_call();
    attached(pod.init(&cluster).await);
    assert_eq!(cluster.costs(since), Costs { calls: 1, mutating: 0 });
    cluster.clear_faults();
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f091_init_waits_for_a_terminating_predecessor_on_its_node() {
    let cluster = Cluster::default();
    attached(Pod::new("uid-1", "node-a").init(&cluster).await);
    let host = cluster.node("node-a").host.clone();
    host.use_sockets(FIRST, SocketUse { listeners: 1, connections: 2, datagrams: 0 });
    let terminating = async {
        sleep(Duration::from_secs(3)).await;
        host.use_sockets(FIRST, SocketUse::default());
    };
    let begun = Instant::now();
    let next = Pod::new("uid-2", "node-a");
    let (ended, ()) = tokio::join!(next.init(&cluster), terminating);
    assert!(!attached(ended).overlapped);
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(next.script.made(Op::RemoveAddress), 0, "init must not remove the address");
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f091_init_waits_for_a_predecessor_only_for_the_grace_period() {
    let cluster = Cluster::default();
    attached(Pod::new("uid-1", "node-a").init(&cluster).await);
    let host = cluster.node("node-a").host.clone();
    host.use_sockets(FIRST, SocketUse { listeners: 1, connections: 0, datagrams: 0 });
    let begun = Instant::now();
    let done = attached(Pod::new("uid-2", "node-a").init(&cluster).await);
    assert!(done.overlapped, "the outcome must report the overlap");
    assert!(begun.elapsed() >= Duration::from_secs(30));
    assert!(begun.elapsed() < Duration::from_secs(32));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f006_superseded_pod_acquires_nothing() {
    let cluster = Cluster::default();
    let live = Pod::new("uid-2", "node-b");
    let node = Some("node-b".parse().expect("a node name"));
    let view = PodView::Present {
        pod: live.uid().clone(),
        node,
        lifecycle: PodLifecycle::Running,
        controller: None,
    };
    cluster.registry.set_pod(live.member(), view);
    attached(live.init(&cluster).await);
    let record = cluster.record(FIRST);
    let since = cluster.last_call();
    for _ in 0..10 {
        let failure = failed(Pod::new("uid-1", "node-a").init(&cluster).await);
        assert_eq!(failure.exit, Exit::Superseded, "{}", failure.message);
    }
    assert_eq!(cluster.costs(since).mutating, 0);
    assert_eq!(cluster.record(FIRST), record);
    cluster.audit();
}
