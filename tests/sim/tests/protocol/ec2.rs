//! Failure cases of EC2 and the metadata service.

use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::machine::Path;
use firecamp_sim_tests::{Cluster, Costs, FIRST, Pod, Release, attached, failed, released};
use firecamp_vpc::{Act, Fault, Profile, Selector};
use tokio::time::{Instant, sleep};

/// A member that is parked on node-a.
async fn parked_on_a(cluster: &Cluster) {
    let pod = Pod::new("uid-1", "node-a");
    attached(pod.init(cluster).await);
    released(pod.stop(cluster, Release::default()).await);
    cluster.settle().await;
}

const ASSIGN: &str = "AssignPrivateIpAddresses";
const DESCRIBE: &str = "DescribeNetworkInterfaces";

#[tokio::test(start_paused = true)]
async fn f046_a_describe_that_lags_causes_no_second_move() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    cluster.fault(DESCRIBE, Fault::StaleDescribe { lag_ms: None });
    let mark = cluster.mark();
    let done = attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(done.path, Path::Moved);
    assert_eq!(cluster.costs(mark), Costs { calls: 2, mutating: 1 });
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.heal();
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
async fn f047_a_frozen_metadata_service_delays_success_but_decides_nothing() {
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
async fn f118_presence_from_an_earlier_life_is_no_proof() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    // node-a's IMDS stands still while the address goes to node-b and comes back.
    let when = Selector { caller: Some("node-a".to_owned()), ..Selector::default() };
    cluster.fault_when(Fault::ImdsFrozen {}, when);
    let second = Pod::new("uid-2", "node-b");
    attached(second.init(&cluster).await);
    released(second.stop(&cluster, Release::default()).await);
    let mark = cluster.mark();
    let begun = Instant::now();
    attached(Pod::new("uid-3", "node-a").init(&cluster).await);
    assert_eq!(cluster.costs(mark).mutating, 1, "presence in IMDS was taken for no need to call");
    assert!(begun.elapsed() >= timing::SETTLE, "presence in IMDS was taken for proof");
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-a")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f051_a_black_hole_ends_in_a_timeout_within_the_documented_time() {
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
async fn f051_a_silent_metadata_service_ends_in_a_timeout_too() {
    let cluster = Cluster::default();
    cluster.fault_when(Fault::ImdsDown {}, Selector::default());
    let begun = Instant::now();
    let pod = Pod::new("uid-1", "node-a").within(Duration::from_secs(30));
    let failure = failed(pod.init(&cluster).await);
    assert_eq!(failure.exit, Exit::TimedOut);
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    cluster.heal();
}

#[tokio::test(start_paused = true)]
async fn f052_a_lost_answer_is_followed_by_reads_and_no_second_mutation() {
    for lost in [
        Fault::LostResponse { after_commit: true },
        Fault::HttpStatus { status: 503, body: firecamp_vpc::Body::Html, after_commit: true },
        Fault::HttpStatus { status: 200, body: firecamp_vpc::Body::Empty, after_commit: true },
    ] {
        let cluster = Cluster::default();
        parked_on_a(&cluster).await;
        let when = Selector { op: Some(ASSIGN.to_owned()), nth: Some(1), ..Selector::default() };
        cluster.fault_when(lost.clone(), when);
        let mark = cluster.mark();
        attached(Pod::new("uid-2", "node-b").init(&cluster).await);
        assert_eq!(cluster.costs(mark).mutating, 1, "{lost:?}");
        assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-b")));
        assert!(cluster.record(FIRST).pending_mutations.is_empty());
        cluster.heal();
        cluster.audit();
    }
}

#[tokio::test(start_paused = true)]
async fn f052_an_answer_lost_before_the_commit_is_repeated_after_a_fresh_read() {
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
    cluster.heal();
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f053_a_denied_call_is_final_and_not_repeated_in_a_loop() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    cluster.fault(ASSIGN, Fault::IamDeny {});
    let mark = cluster.mark();
    let failure = failed(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(failure.exit, Exit::CloudRefused);
    assert!(failure.message.contains("UnauthorizedOperation"), "{}", failure.message);
    assert!(failure.message.contains(ASSIGN), "{}", failure.message);
    assert_eq!(cluster.costs(mark).mutating, 1);
    assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
    cluster.heal();
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f054_an_address_that_a_stranger_holds_is_never_forced() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    cluster.act(&Act::Reassign { address: FIRST, to: None });
    cluster.settle().await;
    let external_caller = cluster.owner(FIRST).expect("the ENI of the external caller");
    let mark = cluster.mark();
    let failure = failed(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(failure.exit, Exit::AddressUnavailable);
    assert!(failure.message.contains(external_caller.as_str()), "{}", failure.message);
    assert_eq!(cluster.costs(mark).mutating, 0);
    assert_eq!(cluster.owner(FIRST), Some(external_caller));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f119_an_address_that_returned_to_the_subnet_and_went_to_a_stranger_is_left_alone() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    let terminate = Act::Terminate { node: "node-a".to_owned(), delete_on_termination: Some(true) };
    cluster.act(&terminate);
    cluster.act(&Act::Reassign { address: FIRST, to: None });
    cluster.settle().await;
    let stranger = cluster.owner(FIRST).expect("the stranger's ENI");
    let mark = cluster.mark();
    let failure = failed(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(failure.exit, Exit::AddressUnavailable);
    assert!(failure.message.contains(stranger.as_str()), "{}", failure.message);
    assert_eq!(cluster.costs(mark).mutating, 0);
    assert_eq!(cluster.owner(FIRST), Some(stranger));
}

#[tokio::test(start_paused = true)]
async fn f055_a_reservation_that_was_lost_is_assigned_again_while_it_is_free() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    let terminate = Act::Terminate { node: "node-a".to_owned(), delete_on_termination: Some(true) };
    cluster.act(&terminate);
    cluster.settle().await;
    assert_eq!(cluster.owner(FIRST), None);
    let mark = cluster.mark();
    let done = attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(done.address, FIRST, "the member was renumbered");
    assert_eq!(cluster.costs(mark), Costs { calls: 2, mutating: 1 });
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
async fn f061_with_ec2_away_moves_wait_and_succeed_when_it_returns() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    let until = cluster.now() + Duration::from_secs(40);
    let when = Selector {
        caller: Some("node-b".to_owned()),
        until_ms: Some(u64::try_from(until.as_millis()).expect("a short test")),
        ..Selector::default()
    };
    let away =
        Fault::HttpStatus { status: 503, body: firecamp_vpc::Body::Html, after_commit: false };
    cluster.fault_when(away, when);
    attached(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert!(cluster.now() >= until);
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-b")));
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f088_a_node_that_never_answers_again_is_not_waited_for() {
    for keeps_enis in [true, false] {
        let cluster = Cluster::default();
        attached(Pod::new("uid-1", "node-a").init(&cluster).await);
        let node = "node-a".to_owned();
        cluster.act(&Act::Terminate { node, delete_on_termination: Some(!keeps_enis) });
        cluster.settle().await;
        let begun = Instant::now();
        let mark = cluster.mark();
        let done = attached(Pod::new("uid-2", "node-b").init(&cluster).await);
        assert_eq!((done.address, done.barrier), (FIRST, false));
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(cluster.costs(mark), Costs { calls: 2, mutating: 1 });
        cluster.audit();
    }
}

#[tokio::test(start_paused = true)]
async fn f045_an_own_address_that_ec2_refuses_to_assign_again_is_settled_by_describe() {
    let cluster = Cluster::default();
    let crashed =
        Pod::new("uid-1", "node-a").breaking(firecamp_testkit::sim::Script::new().breaking(
            firecamp_testkit::sim::Op::AddAddress,
            1,
            firecamp_testkit::sim::Break::Never,
        ));
    crashed.dies_in_init(&cluster).await.expect("a death after its Assign");
    cluster.fault(ASSIGN, Fault::AssignOwn { answer: firecamp_vpc::OwnAnswer::Error });
    let done = attached(Pod::new("uid-1", "node-a").init(&cluster).await);
    assert_eq!(done.address, FIRST);
    assert_eq!(cluster.data_path(FIRST), Some(cluster.eni("node-a")));
    cluster.heal();
    cluster.audit();
}

#[tokio::test(start_paused = true)]
async fn f042_what_cannot_succeed_is_tried_ever_more_rarely() {
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
        let mark = cluster.mark();
        let failure = failed(Pod::new("uid-2", "node-b").init(&cluster).await);
        assert_eq!(failure.exit, Exit::TimedOut);
        let costs = cluster.costs(mark);
        assert!(costs.mutating <= most, "{costs:?} under {fault:?}");
        assert!(costs.calls <= 2 * most, "{costs:?} under {fault:?}");
        // Nothing was changed, and the record says so.
        assert_eq!(cluster.owner(FIRST), Some(cluster.eni("node-a")));
        cluster.heal();
        cluster.audit();
    }
}

#[tokio::test(start_paused = true)]
async fn f047_a_record_is_not_put_back_where_the_address_is_known_not_to_be() {
    let cluster = Cluster::default();
    parked_on_a(&cluster).await;
    // node-a's IMDS stands still and lists the address for ever; a stranger takes it.
    let when = Selector { caller: Some("node-a".to_owned()), ..Selector::default() };
    cluster.fault_when(Fault::ImdsFrozen {}, when);
    cluster.act(&Act::Reassign { address: FIRST, to: None });
    cluster.settle().await;
    let refused = failed(Pod::new("uid-2", "node-b").init(&cluster).await);
    assert_eq!(refused.exit, Exit::AddressUnavailable);
    let again = failed(Pod::new("uid-3", "node-a").init(&cluster).await);
    assert_eq!(again.exit, Exit::AddressUnavailable, "success while a stranger has it");
    cluster.audit();
}
