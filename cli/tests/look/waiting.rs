//! `firecamp wait`: what is missing, and how long the command waits. No cluster.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use firecamp_cli::common::command_result::UnreadableObject;
use firecamp_cli::failure::Failure;
use firecamp_cli::wait::decide::missing;
use firecamp_cli::wait::facts::{Address, Facts, Holder, Want};
use firecamp_cli::wait::reason::Reason;
use firecamp_cli::wait::wait;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::SetName;
use firecamp_core::ports::Controller;
use firecamp_kube::{ObservedPod, ObservedSet, PodState};
use firecamp_registry::api::AttachmentState;
use tokio::time::Instant;

use AttachmentState::{Attached, Attaching, Parked, Released, Releasing};
use Reason as R;

const NODE: &str = "node-a";

fn set(replicas: u32) -> ObservedSet {
    ObservedSet { replicas, first: 0, observed: true, deleting: false }
}

fn controller(name: &str) -> Controller {
    Controller::StatefulSet(SetName::new(name).unwrap())
}

/// A live pod of StatefulSet `redis`, whose UID is its name.
fn pod(name: &str) -> ObservedPod {
    ObservedPod {
        requested: firecamp_core::agent::ResourceList::new(),
        name: name.to_owned(),
        uid: name.to_owned(),
        node: Some(NODE.to_owned()),
        controller: Some(controller("redis")),
        made_by_set: true,
        created: Some("2026-11-20T15:00:00Z".to_owned()),
        lifecycle: PodState::Live,
    }
}

/// An orphaned pod.
fn orphan(name: &str) -> ObservedPod {
    ObservedPod { controller: None, ..pod(name) }
}

fn ending(pod: ObservedPod) -> ObservedPod {
    let since = Some("2026-11-20T15:10:00Z".to_owned());
    ObservedPod {
        lifecycle: PodState::Ending { since, until: "2026-11-20T15:10:30Z".to_owned() },
        ..pod
    }
}

/// The address of a member, which the pod with this UID holds or held last.
fn address(member: &str, state: AttachmentState, uid: &str) -> Address {
    Address {
        address: "10.1.0.20".to_owned(),
        member: member.to_owned(),
        holder: Some(Holder { state, pod_uid: uid.to_owned(), node: NODE.to_owned() }),
        written: Some("2026-11-20T15:05:00Z".to_owned()),
    }
}

/// The facts about StatefulSet `prod/redis`.
fn facts(object: Option<ObservedSet>, pods: Vec<ObservedPod>, addresses: Vec<Address>) -> Facts {
    Facts {
        namespace: "prod".to_owned(),
        set: SetName::new("redis").unwrap(),
        object,
        pods,
        addresses,
        bound: BTreeMap::new(),
        unread: Vec::new(),
    }
}

fn reasons(want: Want, facts: &Facts) -> Vec<Reason> {
    missing(want, facts).into_iter().map(|one| one.reason).collect()
}

#[test]
fn f096_released_means_no_pods_and_no_attached_addresses() {
    let stopped = || Some(set(0));
    let held = |state| vec![address("redis-0", state, "redis-0")];
    let ended = ObservedPod { lifecycle: PodState::Ended, ..pod("redis-0") };
    let unseen = ObservedSet { observed: false, ..set(0) };
    let deleted = ObservedSet { deleting: true, ..set(3) };
    let cases = [
        (facts(stopped(), vec![], vec![]), vec![]),
        (facts(None, vec![], vec![]), vec![]),
        (facts(stopped(), vec![], held(Parked)), vec![]),
        (facts(stopped(), vec![], held(Released)), vec![]),
        (facts(stopped(), vec![], held(Attached)), vec![R::AddressHeld]),
        (facts(stopped(), vec![], held(Attaching)), vec![R::AddressHeld]),
        (facts(stopped(), vec![], held(Releasing)), vec![R::Releasing]),
        (facts(stopped(), vec![ending(pod("redis-0"))], held(Parked)), vec![R::PodTerminating]),
        (
            facts(None, vec![ending(pod("redis-0"))], held(Attached)),
            vec![R::PodTerminating, R::AddressHeld],
        ),
        (facts(stopped(), vec![pod("redis-0")], vec![]), vec![R::PodNotDeleted]),
        (facts(stopped(), vec![ended], vec![]), vec![R::PodFinished]),
        (facts(Some(set(3)), vec![], held(Parked)), vec![R::ReplicasNotZero]),
        (facts(Some(unseen), vec![], vec![]), vec![R::StatefulSetNotObserved]),
        (facts(Some(deleted), vec![], vec![]), vec![]),
    ];
    for (facts, wanted) in cases {
        assert_eq!(reasons(Want::Released, &facts), wanted, "{facts:?}");
    }
}

#[test]
fn f096_orphaned_pods_of_a_deleted_set_count_and_other_pods_do_not() {
    let bound = |set: Option<&str>| Some(set.map(str::to_owned));
    let bare = ObservedPod { made_by_set: false, ..orphan("redis-0") };
    let of_other = ObservedPod { controller: Some(controller("other")), ..pod("redis-0") };
    let of_job =
        ObservedPod { controller: Some(Controller::Other("Job x".to_owned())), ..pod("redis-0") };
    let cases = [
        (orphan("redis-0"), bound(Some("redis")), true),
        (orphan("redis-0"), bound(None), true),
        (orphan("redis-0"), None, true),
        (orphan("redis-0"), bound(Some("other")), false),
        (bare.clone(), bound(Some("redis")), true),
        (bare.clone(), bound(None), true),
        // The name alone is not sufficient.
        (bare, None, false),
        (pod("redis-0"), bound(Some("other")), true),
        (of_other, bound(Some("redis")), false),
        (of_job, None, false),
        (orphan("redis-00"), None, false),
        (orphan("redis-0-0"), None, false),
        (orphan("redis-a"), None, false),
        (orphan("redis0"), None, false),
        (orphan("redis-4294967296"), None, false),
    ];
    for (pod, claim, wanted) in cases {
        let mut facts = facts(None, vec![pod.clone()], vec![]);
        facts.bound.extend(claim.map(|set| (pod.name.clone(), set)));
        let left = missing(Want::Released, &facts);
        assert_eq!(!left.is_empty(), wanted, "{facts:?}: {left:?}");
        let reported = left.first().is_none_or(|one| {
            one.message.contains("no StatefulSet controls it") == pod.controller.is_none()
        });
        assert!(reported, "{left:?}");
    }
}

#[test]
fn f096_addresses_of_other_sets_do_not_count() {
    for (member, set, wanted) in [
        ("redis-7", None, true),
        ("redis-7", Some("redis"), true),
        ("redis-7", Some("other"), false),
        ("redis-ha-0", None, false),
    ] {
        let mut facts = facts(None, vec![], vec![address(member, Attached, "gone")]);
        facts.bound.insert(member.to_owned(), set.map(str::to_owned));
        assert_eq!(!missing(Want::Released, &facts).is_empty(), wanted, "{member} {set:?}");
    }
}

#[test]
fn each_missing_object_has_kind_name_node_and_time() {
    let facts =
        facts(None, vec![ending(orphan("redis-1"))], vec![address("redis-0", Attached, "gone")]);
    let all = missing(Want::Released, &facts);
    let reported: Vec<_> = all
        .iter()
        .map(|one| (one.kind, one.name.as_str(), one.node.as_deref(), one.since.as_deref()))
        .collect();
    let expected = [
        ("Pod", "prod/redis-1", Some(NODE), Some("2026-11-20T15:10:00Z")),
        ("StaticIP", "10.1.0.20", Some(NODE), Some("2026-11-20T15:05:00Z")),
    ];
    assert_eq!(reported, expected);
    assert!(all[0].message.contains("its grace period ends at 2026-11-20T15:10:30Z"), "{all:?}");
    assert!(all[1].message.contains("prod/redis-0 is attached"), "{all:?}");
    assert!(all[1].message.ends_with("UID gone, which is gone"), "{all:?}");
}

#[test]
fn unreadable_addresses_of_the_set_are_not_released() {
    for (member, wanted) in [
        (None, vec![R::Unreadable]),
        (Some("redis-0"), vec![R::Unreadable]),
        (Some("kafka-0"), vec![]),
    ] {
        let mut facts = facts(Some(set(0)), vec![], vec![]);
        let unread = UnreadableObject::new("10.1.0.9", &"unknown field `x`");
        facts.unread = vec![(member.map(str::to_owned), unread)];
        assert_eq!(reasons(Want::Released, &facts), wanted, "{member:?}");
    }
}

#[test]
fn attached_means_each_address_is_attached_to_the_live_pod() {
    let one = || Some(set(1));
    let own = |state| vec![address("redis-0", state, "redis-0")];
    let with = |pod: ObservedPod| facts(one(), vec![pod], own(Attached));
    let ip = |all| facts(one(), vec![pod("redis-0")], all);
    let unseen = ObservedSet { observed: false, ..set(1) };
    let never = Address { holder: None, ..address("redis-0", Parked, "") };
    let cases = [
        (with(pod("redis-0")), vec![]),
        (facts(Some(set(0)), vec![], vec![]), vec![]),
        (facts(None, vec![pod("redis-0")], own(Attached)), vec![R::StatefulSetNotFound]),
        (
            facts(Some(ObservedSet { deleting: true, ..set(1) }), vec![], vec![]),
            vec![R::StatefulSetTerminating],
        ),
        (facts(Some(unseen), vec![pod("redis-0")], own(Attached)), vec![R::StatefulSetNotObserved]),
        (facts(one(), vec![], own(Attached)), vec![R::PodMissing]),
        (with(ending(pod("redis-0"))), vec![R::PodTerminating]),
        (with(ObservedPod { lifecycle: PodState::Ended, ..pod("redis-0") }), vec![R::PodFinished]),
        (with(ObservedPod { node: None, ..pod("redis-0") }), vec![R::PodUnscheduled]),
        (with(orphan("redis-0")), vec![R::ControllerMismatch]),
        (ip(vec![]), vec![R::NoAddress]),
        (ip(vec![address("redis-1", Attached, "redis-0")]), vec![R::NoAddress]),
        (ip(vec![never]), vec![R::NotAttached]),
        (ip(own(Parked)), vec![R::NotAttached]),
        (ip(own(Releasing)), vec![R::NotAttached]),
        (ip(own(Attaching)), vec![R::Attaching]),
        (ip(vec![address("redis-0", Attached, "older")]), vec![R::HeldByAnotherPod]),
        (ip(vec![address("redis-0", Attaching, "older")]), vec![R::HeldByAnotherPod]),
        // An earlier address of the member does not matter.
        (ip([own(Parked), own(Attached)].concat()), vec![]),
    ];
    for (facts, wanted) in cases {
        assert_eq!(reasons(Want::Attached, &facts), wanted, "{facts:?}");
    }
}

#[test]
fn replicas_are_counted_from_the_start_ordinal() {
    let object = ObservedSet { first: 5, ..set(2) };
    let facts = facts(
        Some(object),
        vec![pod("redis-5")],
        vec![address("redis-5", Attached, "redis-5"), address("redis-6", Parked, "redis-6")],
    );
    let names: Vec<_> = missing(Want::Attached, &facts).into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["prod/redis-6"]);
}

#[test]
fn the_number_of_reported_replicas_is_limited() {
    let facts = facts(Some(set(u32::MAX)), vec![], vec![]);
    let all = missing(Want::Attached, &facts);
    assert_eq!((all.len(), all[0].reason), (200, R::PodMissing));
}

fn failure(kind: RegistryKind) -> RegistryFailure {
    RegistryFailure { kind, effect: Effect::None, detail: "list the pods: no answer".to_owned() }
}

type Poll = Result<Facts, RegistryFailure>;

/// Waits with these polls; the last one repeats. Returns the result, the duration and the progress
/// reports.
async fn waited(polls: Vec<Poll>, seconds: u64) -> (Result<usize, Failure>, u64, Vec<String>) {
    let mut polls = VecDeque::from(polls);
    let poll = async || {
        let last = polls.len() == 1;
        let next = if last { polls.front().cloned() } else { polls.pop_front() };
        next.unwrap()
    };
    let (start, mut reported) = (Instant::now(), Vec::new());
    let mut report = |line: &str| reported.push(line.to_owned());
    let within = Duration::from_secs(seconds);
    let ended = wait(Want::Released, within, poll, &mut report).await;
    (ended.map(|missing| missing.len()), start.elapsed().as_secs(), reported)
}

fn stopped() -> Poll {
    Ok(facts(Some(set(0)), vec![], vec![]))
}

fn stopping() -> Poll {
    Ok(facts(Some(set(0)), vec![ending(pod("redis-0"))], vec![]))
}

#[tokio::test(start_paused = true)]
async fn wait_ends_at_the_first_poll_without_missing_objects() {
    let (ended, seconds, reported) = waited(vec![stopped()], 300).await;
    assert_eq!((ended.unwrap(), seconds, reported.len()), (0, 0, 0));
    let polls = vec![stopping(), stopping(), stopping(), stopping(), stopped()];
    let (ended, seconds, reported) = waited(polls, 300).await;
    assert_eq!((ended.unwrap(), seconds), (0, 4));
    let line = "prod/redis is not released yet: Pod prod/redis-0 on node-a: PodTerminating since \
                2026-11-20T15:10:00Z (2 s)";
    assert_eq!(reported, [line], "unchanged progress is not reported at each poll");
}

#[tokio::test(start_paused = true)]
async fn wait_ends_at_the_timeout_with_the_missing_objects() {
    let (ended, seconds, reported) = waited(vec![stopping()], 40).await;
    assert_eq!((ended.unwrap(), seconds), (1, 40));
    assert_eq!(reported.len(), 3, "{reported:?}");
    let (ended, seconds, _) = waited(vec![stopping()], 0).await;
    assert_eq!((ended.unwrap(), seconds), (1, 0), "0 polls once");
}

#[tokio::test(start_paused = true)]
async fn a_temporarily_unavailable_api_server_is_tolerated() {
    let unavailable = || Err(failure(RegistryKind::Unavailable));
    let polls = vec![stopping(), unavailable(), unavailable(), unavailable(), stopped()];
    let (ended, seconds, reported) = waited(polls, 300).await;
    assert_eq!((ended.unwrap(), seconds), (0, 4));
    assert!(reported.iter().any(|line| line.contains("no answer; retrying")), "{reported:?}");
    let (ended, seconds, _) = waited(vec![stopping(), unavailable()], 30).await;
    assert_eq!((ended.unwrap_err().exit().code(), seconds), (15, 30));
    let (ended, seconds, _) = waited(vec![unavailable()], 300).await;
    assert_eq!((ended.unwrap_err().exit().code(), seconds), (15, 0), "no poll has succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_ends_the_wait_immediately() {
    for (kind, code) in [(RegistryKind::Refused, 22), (RegistryKind::NotFound, 16)] {
        let (ended, seconds, _) = waited(vec![stopping(), Err(failure(kind))], 300).await;
        assert_eq!((ended.unwrap_err().exit().code(), seconds), (code, 1), "{kind:?}");
    }
}
