//! `firecamp wait`: what is missing, and how long it is waited for. No cluster.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use firecamp_cli::failure::Failure;
use firecamp_cli::look::outcome::Unread;
use firecamp_cli::wait::decide::missing;
use firecamp_cli::wait::facts::{Address, Facts, Holder, Want};
use firecamp_cli::wait::reason::Reason;
use firecamp_cli::wait::wait;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::SetName;
use firecamp_core::outside::Controller;
use firecamp_kube::{PodLife, PodSeen, SetSeen};
use firecamp_registry::api::AttachmentState;
use tokio::time::Instant;

use AttachmentState::{Attached, Attaching, Parked, Released, Releasing};
use Reason as R;

const NODE: &str = "node-a";

fn set(replicas: u32) -> SetSeen {
    SetSeen { replicas, first: 0, observed: true, deleting: false }
}

fn controller(name: &str) -> Controller {
    Controller::StatefulSet(SetName::new(name).unwrap())
}

/// A live pod of StatefulSet `redis`, whose UID is its name.
fn pod(name: &str) -> PodSeen {
    PodSeen {
        name: name.to_owned(),
        uid: name.to_owned(),
        node: Some(NODE.to_owned()),
        controller: Some(controller("redis")),
        made_by_set: true,
        created: Some("2026-11-20T15:00:00Z".to_owned()),
        life: PodLife::Live,
    }
}

/// One that its StatefulSet has left behind.
fn orphan(name: &str) -> PodSeen {
    PodSeen { controller: None, ..pod(name) }
}

fn ending(pod: PodSeen) -> PodSeen {
    let since = Some("2026-11-20T15:10:00Z".to_owned());
    PodSeen { life: PodLife::Ending { since, until: "2026-11-20T15:10:30Z".to_owned() }, ..pod }
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

/// What is there of StatefulSet `prod/redis`.
fn facts(object: Option<SetSeen>, pods: Vec<PodSeen>, addresses: Vec<Address>) -> Facts {
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
fn f096_released_is_what_has_neither_a_pod_object_nor_a_held_address() {
    let stopped = || Some(set(0));
    let held = |state| vec![address("redis-0", state, "redis-0")];
    let ended = PodSeen { life: PodLife::Ended, ..pod("redis-0") };
    let unseen = SetSeen { observed: false, ..set(0) };
    let deleted = SetSeen { deleting: true, ..set(3) };
    let cases = [
        (facts(stopped(), vec![], vec![]), vec![]),
        (facts(None, vec![], vec![]), vec![]),
        (facts(stopped(), vec![], held(Parked)), vec![]),
        (facts(stopped(), vec![], held(Released)), vec![]),
        (facts(stopped(), vec![], held(Attached)), vec![R::AddressHeld]),
        (facts(stopped(), vec![], held(Attaching)), vec![R::AddressHeld]),
        (facts(stopped(), vec![], held(Releasing)), vec![R::AddressReleasing]),
        (facts(stopped(), vec![ending(pod("redis-0"))], held(Parked)), vec![R::PodTerminating]),
        (
            facts(None, vec![ending(pod("redis-0"))], held(Attached)),
            vec![R::PodTerminating, R::AddressHeld],
        ),
        (facts(stopped(), vec![pod("redis-0")], vec![]), vec![R::PodLive]),
        (facts(stopped(), vec![ended], vec![]), vec![R::PodEnded]),
        (facts(Some(set(3)), vec![], held(Parked)), vec![R::SetWantsPods]),
        (facts(Some(unseen), vec![], vec![]), vec![R::SetNotObserved]),
        (facts(Some(deleted), vec![], vec![]), vec![]),
    ];
    for (facts, wanted) in cases {
        assert_eq!(reasons(Want::Released, &facts), wanted, "{facts:?}");
    }
}

#[test]
fn f096_pods_that_a_deleted_set_has_left_count_and_those_of_others_do_not() {
    let bound = |set: Option<&str>| Some(set.map(str::to_owned));
    let bare = PodSeen { made_by_set: false, ..orphan("redis-0") };
    let of_other = PodSeen { controller: Some(controller("other")), ..pod("redis-0") };
    let of_job =
        PodSeen { controller: Some(Controller::Other("Job x".to_owned())), ..pod("redis-0") };
    let cases = [
        (orphan("redis-0"), bound(Some("redis")), true),
        (orphan("redis-0"), bound(None), true),
        (orphan("redis-0"), None, true),
        (orphan("redis-0"), bound(Some("other")), false),
        (bare.clone(), bound(Some("redis")), true),
        (bare.clone(), bound(None), true),
        // A name alone proves nothing.
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
        let told = left.first().is_none_or(|one| {
            one.message.contains("no StatefulSet controls it") == pod.controller.is_none()
        });
        assert!(told, "{left:?}");
    }
}

#[test]
fn f096_addresses_of_another_set_or_of_other_names_hold_nobody_up() {
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
fn what_is_missing_says_what_where_and_since_when() {
    let facts =
        facts(None, vec![ending(orphan("redis-1"))], vec![address("redis-0", Attached, "gone")]);
    let all = missing(Want::Released, &facts);
    let told: Vec<_> = all
        .iter()
        .map(|one| (one.kind, one.name.as_str(), one.node.as_deref(), one.since.as_deref()))
        .collect();
    let expected = [
        ("Pod", "prod/redis-1", Some(NODE), Some("2026-11-20T15:10:00Z")),
        ("StaticIP", "10.1.0.20", Some(NODE), Some("2026-11-20T15:05:00Z")),
    ];
    assert_eq!(told, expected);
    assert!(all[0].message.contains("its grace period ends at 2026-11-20T15:10:30Z"), "{all:?}");
    assert!(all[1].message.contains("prod/redis-0 is attached"), "{all:?}");
    assert!(all[1].message.ends_with("UID gone, which is gone"), "{all:?}");
}

#[test]
fn what_cannot_be_read_is_not_taken_for_released_unless_it_is_somebody_elses() {
    for (member, wanted) in
        [(None, vec![R::Unread]), (Some("redis-0"), vec![R::Unread]), (Some("kafka-0"), vec![])]
    {
        let mut facts = facts(Some(set(0)), vec![], vec![]);
        let unread = Unread::new("10.1.0.9", &"unknown field `x`");
        facts.unread = vec![(member.map(str::to_owned), unread)];
        assert_eq!(reasons(Want::Released, &facts), wanted, "{member:?}");
    }
}

#[test]
fn attached_is_a_set_whose_every_replica_has_its_address_for_its_live_pod() {
    let one = || Some(set(1));
    let own = |state| vec![address("redis-0", state, "redis-0")];
    let with = |pod: PodSeen| facts(one(), vec![pod], own(Attached));
    let ip = |all| facts(one(), vec![pod("redis-0")], all);
    let unseen = SetSeen { observed: false, ..set(1) };
    let never = Address { holder: None, ..address("redis-0", Parked, "") };
    let cases = [
        (with(pod("redis-0")), vec![]),
        (facts(Some(set(0)), vec![], vec![]), vec![]),
        (facts(None, vec![pod("redis-0")], own(Attached)), vec![R::SetMissing]),
        (facts(Some(SetSeen { deleting: true, ..set(1) }), vec![], vec![]), vec![R::SetDeleted]),
        (facts(Some(unseen), vec![pod("redis-0")], own(Attached)), vec![R::SetNotObserved]),
        (facts(one(), vec![], own(Attached)), vec![R::PodMissing]),
        (with(ending(pod("redis-0"))), vec![R::PodTerminating]),
        (with(PodSeen { life: PodLife::Ended, ..pod("redis-0") }), vec![R::PodEnded]),
        (with(PodSeen { node: None, ..pod("redis-0") }), vec![R::PodUnscheduled]),
        (with(orphan("redis-0")), vec![R::PodOfOther]),
        (ip(vec![]), vec![R::NoAddress]),
        (ip(vec![address("redis-1", Attached, "redis-0")]), vec![R::NoAddress]),
        (ip(vec![never]), vec![R::NotAttached]),
        (ip(own(Parked)), vec![R::NotAttached]),
        (ip(own(Releasing)), vec![R::NotAttached]),
        (ip(own(Attaching)), vec![R::Attaching]),
        (ip(vec![address("redis-0", Attached, "older")]), vec![R::HeldByOther]),
        (ip(vec![address("redis-0", Attaching, "older")]), vec![R::HeldByOther]),
        // An earlier address of the member that was kept is no harm.
        (ip([own(Parked), own(Attached)].concat()), vec![]),
    ];
    for (facts, wanted) in cases {
        assert_eq!(reasons(Want::Attached, &facts), wanted, "{facts:?}");
    }
}

#[test]
fn replicas_are_counted_from_the_first_number_of_the_set() {
    let object = SetSeen { first: 5, ..set(2) };
    let facts = facts(
        Some(object),
        vec![pod("redis-5")],
        vec![address("redis-5", Attached, "redis-5"), address("redis-6", Parked, "redis-6")],
    );
    let names: Vec<_> = missing(Want::Attached, &facts).into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["prod/redis-6"]);
}

#[test]
fn no_number_of_replicas_is_too_large_to_be_told_of() {
    let facts = facts(Some(set(u32::MAX)), vec![], vec![]);
    let all = missing(Want::Attached, &facts);
    assert_eq!((all.len(), all[0].reason), (200, R::PodMissing));
}

fn failure(kind: RegistryKind) -> RegistryFailure {
    RegistryFailure { kind, effect: Effect::None, detail: "list the pods: no answer".to_owned() }
}

type Look = Result<Facts, RegistryFailure>;

/// What comes of waiting when these looks are made one after the other, the last again and again;
/// for how long, and what was told.
async fn waited(looks: Vec<Look>, seconds: u64) -> (Result<usize, Failure>, u64, Vec<String>) {
    let mut looks = VecDeque::from(looks);
    let look = async || {
        let last = looks.len() == 1;
        let next = if last { looks.front().cloned() } else { looks.pop_front() };
        next.unwrap()
    };
    let (begun, mut told) = (Instant::now(), Vec::new());
    let mut tell = |line: &str| told.push(line.to_owned());
    let within = Duration::from_secs(seconds);
    let ended = wait(Want::Released, within, look, &mut tell).await;
    (ended.map(|missing| missing.len()), begun.elapsed().as_secs(), told)
}

fn stopped() -> Look {
    Ok(facts(Some(set(0)), vec![], vec![]))
}

fn stopping() -> Look {
    Ok(facts(Some(set(0)), vec![ending(pod("redis-0"))], vec![]))
}

#[tokio::test(start_paused = true)]
async fn it_ends_at_the_first_look_at_which_nothing_is_missing() {
    let (ended, seconds, told) = waited(vec![stopped()], 300).await;
    assert_eq!((ended.unwrap(), seconds, told.len()), (0, 0, 0));
    let looks = vec![stopping(), stopping(), stopping(), stopping(), stopped()];
    let (ended, seconds, told) = waited(looks, 300).await;
    assert_eq!((ended.unwrap(), seconds), (0, 4));
    let line = "prod/redis is not released yet: Pod prod/redis-0 on node-a: PodTerminating since \
                2026-11-20T15:10:00Z (2 s)";
    assert_eq!(told, [line], "what does not change is not told at each look");
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_time_and_with_what_is_missing_then() {
    let (ended, seconds, told) = waited(vec![stopping()], 40).await;
    assert_eq!((ended.unwrap(), seconds), (1, 40));
    assert_eq!(told.len(), 3, "{told:?}");
    let (ended, seconds, _) = waited(vec![stopping()], 0).await;
    assert_eq!((ended.unwrap(), seconds), (1, 0), "0 looks once");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_for_a_while_is_neither_an_end_nor_an_answer() {
    let away = || Err(failure(RegistryKind::Unavailable));
    let looks = vec![stopping(), away(), away(), away(), stopped()];
    let (ended, seconds, told) = waited(looks, 300).await;
    assert_eq!((ended.unwrap(), seconds), (0, 4));
    assert!(told.iter().any(|line| line.contains("no answer; it is tried again")), "{told:?}");
    let (ended, seconds, _) = waited(vec![stopping(), away()], 30).await;
    assert_eq!((ended.unwrap_err().exit().code(), seconds), (15, 30));
    let (ended, seconds, _) = waited(vec![away()], 300).await;
    assert_eq!((ended.unwrap_err().exit().code(), seconds), (15, 0), "nothing was ever seen");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_by_itself_ends_it_at_once() {
    for (kind, code) in [(RegistryKind::Refused, 22), (RegistryKind::NotFound, 16)] {
        let (ended, seconds, _) = waited(vec![stopping(), Err(failure(kind))], 300).await;
        assert_eq!((ended.unwrap_err().exit().code(), seconds), (code, 1), "{kind:?}");
    }
}
