//! Failure cases of EC2 and the metadata service.

use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::machine::Path;
use firecamp_sim_tests::{Cluster, Costs, FIRST, Pod, Release, attached, failed, released};
use firecamp_vpc::{Act, Fault, Profile, Selector};
use tokio::time::{Instant, sleep};

/// Starts and stops a member on node-a.
async fn parked_on_a(cluster: &Cluster) {
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(cluster).await);
    released(pod.stop(cluster, Release::default()).await);
    cluster.settle().await;
}

const ASSIGN: &str = "AssignPrivateIpAddresses";
const DESCRIBE: &str = "DescribeNetworkInterfaces";

#[tokio::test(start_paused = true)]
async fn f046_stale_describe_causes_no_second_move() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    cluster.fault(DESCRIBE, Fault::StaleDescribe { lag_ms: None });
    let since = cluster.last_call();
    let done = attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(done.path, Path::Moved);
    assert_eq!(cluster.costs(since), Costs { calls: 2, mutating: 1 });
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.clear_faults();
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f046_success_waits_until_the_data_path_has_switched() {
    for _ in 0..5 {
        let cluster = Cluster::new(Profile::realistic());
        parked_on_a(&cluster).await;
        sleep(Duration::from_mins(2)).await;
        attached(Pod::new("uid-2", "node-b").init(&cluster).await);
        assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
        cluster.audit();
    }
}

#[tokio::test(start_paused = true)]
async fn f047_frozen_metadata_service_only_delays_success() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    let when = Selector { caller: Some("node-b".to_owned()), ..Selector::default() };
    cluster.fault_when(Fault::ImdsFrozen {}, when);
    let begun = Instant::now();
    attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert!(begun.elapsed() >= timing::METADATA_PATIENCE);
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f118_stale_presence_in_imds_does_not_prove_the_assign() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    // The IMDS of node-a is frozen while the address moves to node-b and back.
    let when = Selector { caller: Some("node-a".to_owned()), ..Selector::default() };
    cluster.fault_when(Fault::ImdsFrozen {}, when);
    let second = Pod::new("uid-2", "node-b");
    attached(second.init(&cluster).await);
    released(second.stop(&cluster, Release::default()).await);
    let since = cluster.last_call();
    let begun = Instant::now();
    attached(Pod::new("uid-3", "node-a").init(&cluster).await);
    assert_eq!(
        cluster.costs(since).mutating,
        1,
        "init skipped the Assign because of stale metadata"
    );
    assert!(begun.elapsed() >= timing::SETTLE, "init took stale metadata for proof");
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-a")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f051_hanging_ec2_calls_time_out_within_the_documented_time() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    let node_b = Selector { caller: Some("node-b".to_owned()), ..Selector::default() };
    cluster.fault_when(Fault::Hang { after_commit: false }, node_b.clone());
    let begun = Instant::now();
    let pod = Pod::new("uid-2", "node-b").within(Duration::from_mins(1));
    let failure = failed(pod.init(&cluster).await);
    assert_eq!(failure.exit, Exit::TimedOut, "{}", failure.message);
    assert!(begun.elapsed() < Duration::from_secs(75), "{:?}", begun.elapsed());
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f051_silent_metadata_service_times_out() {
    let cluster = Cluster::default();
    cluster.fault_when(Fault::ImdsDown {}, Selector::default());
    let begun = Instant::now();
    let pod = Pod::new("uid-1", "node-a").within(Duration::from_secs(30));
    let failure = failed(pod.init(&cluster).await);
    assert_eq!(failure.exit, Exit::TimedOut);
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    cluster.clear_faults();
}

#[tokio::test(start_paused = true)]
async fn f052_response_lost_after_commit_causes_reads_and_no_second_mutation() {
    for lost in [
        Fault::LostResponse { after_commit: true },
        Fault::HttpStatus { status: 503, body: firecamp_vpc::Body::Html, after_commit: true },
        Fault::HttpStatus { status: 200, body: firecamp_vpc::Body::Empty, after_commit: true },
    ] {
        let cluster = Cluster::default();
        parked_on_a(&cluster).await;
        let when = Selector { op: Some(ASSIGN.to_owned()), nth: Some(1), ..Selector::default() };
        cluster.fault_when(lost.clone(), when);
        let since = cluster.last_call();
        attached(Pod::new("uid-2", "node-b").init(&cluster).await);
        assert_eq!(cluster.costs(since).mutating, 1, "{lost:?}");
        assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-b")));
        assert!(cluster.record(FIRST).pending_mutations.is_empty());
        cluster.clear_faults();
        cluster.audit();
    }
}

#[tokio::test(start_paused = true)]
async fn f052_call_lost_before_commit_is_repeated_after_a_fresh_read() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    let when = Selector { op: Some(ASSIGN.to_owned()), nth: Some(1), ..Selector::default() };
    cluster.fault_when(Fault::LostResponse { after_commit: false }, when);
    let pod = Pod::new("uid-2", "node-b");
    attached(pod.init(&cluster).await);
    assert!(
        pod.script.made(firecamp_testkit::sim::Op::StaticIp) >= 1,
        "no fresh read before the repeat"
    );
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.clear_faults();
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f053_denied_call_is_not_retried() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    cluster.fault(ASSIGN, Fault::IamDeny {});
    let since = cluster.last_call();
    let failure = failed(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(failure.exit, Exit::CloudRefused);
    assert!(failure.message.contains("UnauthorizedOperation"), "{}", failure.message);
    assert!(failure.message.contains(ASSIGN), "{}", failure.message);
    assert_eq!(cluster.costs(since).mutating, 1);
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
    cluster.clear_faults();
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f054_address_on_a_foreign_interface_is_never_reassigned() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    cluster.act(&Act::Reassign { address: FIRST, to: None });
    cluster.settle().await;
    let foreign = cluster.owner(FIRST).expect("the foreign ENI");
    let since = cluster.last_call();
    let failure = failed(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(failure.exit, Exit::AddressUnavailable);
    assert!(failure.message.contains(foreign.as_str()), "{}", failure.message);
    assert_eq!(cluster.costs(since).mutating, 0);
    assert_eq!(cluster.owner(FIRST), Some(foreign));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f119_address_freed_and_assigned_to_a_foreign_interface_is_not_reassigned() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    let terminate = Act::Terminate { node: "node-a".to_owned(), delete_on_termination: Some(true) };
    cluster.act(&terminate);
    cluster.act(&Act::Reassign { address: FIRST, to: None });
    cluster.settle().await;
    let foreign = cluster.owner(FIRST).expect("the foreign ENI");
    let since = cluster.last_call();
    let failure = failed(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(failure.exit, Exit::AddressUnavailable);
    assert!(failure.message.contains(foreign.as_str()), "{}", failure.message);
    assert_eq!(cluster.costs(since).mutating, 0);
    assert_eq!(cluster.owner(FIRST), Some(foreign));
}

#[tokio::test(start_paused = true)]
async fn f055_free_address_is_assigned_again_after_its_reservation_is_lost() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    let terminate = Act::Terminate { node: "node-a".to_owned(), delete_on_termination: Some(true) };
    cluster.act(&terminate);
    cluster.settle().await;
    assert_eq!(cluster.owner(FIRST), None);
    let since = cluster.last_call();
    let done = attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(done.address, FIRST, "the member was renumbered");
    assert_eq!(cluster.costs(since), Costs { calls: 2, mutating: 1 });
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f056_an_address_in_use_outside_the_registry_is_not_adopted() {
    let cluster = Cluster::default();
    cluster.act(&Act::Reassign { address: FIRST, to: None });
    cluster.settle().await;
    let holder = cluster.owner(FIRST);
    let done = attached(Pod::new("uid-1", "node-a").init(&cluster).await);
    assert_ne!(done.address, FIRST);
    assert_eq!(cluster.owner(FIRST), holder);
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f061_move_waits_while_ec2_is_unavailable_and_then_succeeds() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    let until = cluster.now() + Duration::from_secs(40);
    let when = Selector {
        caller: Some("node-b".to_owned()),
        until_ms: Some(u64::try_from(until.as_millis()).expect("a short test")),
        ..Selector::default()
    };
    let unavailable =
        Fault::HttpStatus { status: 503, body: firecamp_vpc::Body::Html, after_commit: false };
    cluster.fault_when(unavailable, when);
    attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert!(cluster.now() >= until);
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f088_successor_does_not_wait_for_a_terminated_node() {
    for keeps_enis in [true, false] {
        let cluster = Cluster::default();
        attached(Pod::new("uid-1", "node-a").init(&cluster).await);
        let node = "node-a".to_owned();
        cluster.act(&Act::Terminate { node, delete_on_termination: Some(!keeps_enis) });
        cluster.settle().await;
        let begun = Instant::now();
        let since = cluster.last_call();
        let done = attached(Pod::new("uid-2", "node-b").init(&cluster).await);
        assert_eq!((done.address, done.barrier), (FIRST, false));
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(cluster.costs(since), Costs { calls: 2, mutating: 1 });
        cluster.audit();
    }
}

#[tokio::test(start_paused = true)]
async fn f045_describe_resolves_a_rejected_assign_of_an_address_already_held() {
    let cluster = Cluster::default();
    let crashed =
        Pod::new("uid-1", "node-a").breaking(firecamp_testkit::sim::Script::new().breaking(
            firecamp_testkit::sim::Op::AddAddress,
            1,
            firecamp_testkit::sim::Break::Never,
        ));
    crashed.killed_in_init(&cluster).await.expect("the script kills init after its Assign");
    cluster.fault(ASSIGN, Fault::AssignOwn { answer: firecamp_vpc::OwnAnswer::Error });
    let done = attached(Pod::new("uid-1", "node-a").init(&cluster).await);
    assert_eq!(done.address, FIRST);
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-a")));
    cluster.clear_faults();
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f042_failing_assign_is_retried_with_backoff() {
    for (fault, most) in [
        (
            Fault::HttpStatus { status: 503, body: firecamp_vpc::Body::Html, after_commit: false },
            60,
        ),
        (Fault::ThrottleStorm { form: firecamp_vpc::ThrottleForm::Old, retry_after_ms: None }, 80),
    ] {
        let cluster = Cluster::default();
        parked_on_a(&cluster).await;
        cluster.fault(ASSIGN, fault.clone());
        let since = cluster.last_call();
        let failure = failed(Pod::new("uid-2", "node-b").init(&cluster).await);
        assert_eq!(failure.exit, Exit::TimedOut);
        let costs = cluster.costs(since);
        assert!(costs.mutating <= most, "{costs:?} under {fault:?}");
        assert!(costs.calls <= 2 * most, "{costs:?} under {fault:?}");
        // EC2 has not changed.
        assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
        cluster.clear_faults();
        cluster.audit();
    }
}

#[tokio::test(start_paused = true)]
async fn f047_stale_imds_does_not_attach_an_address_that_a_foreign_interface_holds() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    // The IMDS of node-a is frozen and lists the address, which moves to a foreign ENI.
    let when = Selector { caller: Some("node-a".to_owned()), ..Selector::default() };
    cluster.fault_when(Fault::ImdsFrozen {}, when);
    cluster.act(&Act::Reassign { address: FIRST, to: None });
    cluster.settle().await;
    let refused = failed(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(refused.exit, Exit::AddressUnavailable);
    let again = failed(Pod::new("uid-3", "node-a").init(&cluster).await);
    assert_eq!(
        again.exit,
        Exit::AddressUnavailable,
        "init must not succeed while a foreign ENI has the address"
    );
    cluster.audit();
}
