//! The containers with the registry of a cluster: kube's client over a socket, a strict API server
//! behind it, and what a member's life costs there.

use nix::sys::signal::Signal;
use serde_json::Value;

use firecamp_apiserver::{Ending, Fault};

use crate::support::cluster::{Asked, Cluster};
use crate::support::eventually;
use crate::support::member::{Cost, Member};
use crate::support::pod::Pod;
use crate::support::process::Ended;
use crate::support::world::World;

/// A same-node restart costs at most this.
const RESTART: Asked = Asked { reads: 4, writes: 2, events: 1 };

/// The Events of an init container, by reason and type.
const ATTACHED: (&str, &str) = ("AddressAttached", "Normal");
const FAILED: (&str, &str) = ("AddressAttachFailed", "Warning");

/// What a container says whose Event was not taken in time.
const EVENT_FAILED: &str = "failed to write event";

/// Its Event was not taken in the moment that it has for that.
fn is_late(ended: &Ended) -> bool {
    let late = |line: &str| line.contains(EVENT_FAILED) && line.contains("no answer within");
    ended.log.lines().any(late)
}

/// The Event by which this container told of its end, about this pod and naming the address. None
/// where the machine was too busy for its one short attempt: it says so itself.
#[track_caller]
fn replied(
    (cluster, ended): (&Cluster<'_>, &Ended),
    (reason, kind): (&str, &str),
    uid: &str,
    address: Option<&str>,
) -> Option<Value> {
    let mut events = cluster.events();
    events.retain(|event| event["reason"] == reason && event["regarding"]["uid"] == uid);
    assert!(events.len() <= 1, "{events:#?}");
    let Some(event) = events.pop() else {
        assert!(is_late(ended), "{}", ended.log);
        return None;
    };
    assert_eq!(event["type"], kind, "{event:#}");
    assert_eq!(event["regarding"]["kind"], "Pod", "{event:#}");
    assert_eq!(event["related"]["name"].as_str(), address, "{event:#}");
    Some(event)
}

#[test]
fn f108_a_life_in_a_cluster_stays_within_its_budget_of_requests() {
    let world = World::start();
    let cluster = Cluster::start(&world);
    let (_a, _b) = (cluster.reach("node-a"), cluster.reach("node-b"));
    let mut member = Member::new(&world, "redis-0");

    let first = member.pod("pod-1", "node-a");
    cluster.shows(&first);
    let ended = cluster.init(&first).end();
    let started = first.started(&ended);
    member.is_held_by(&first, &started);
    let address = started.address.to_string();
    let shown = Some(address.as_str());
    let event = replied((&cluster, &ended), ATTACHED, "pod-1", shown);

    let second = member.pod("pod-2", "node-a");
    cluster.shows(&second);
    let (asked, calls) = (cluster.api.requests().len(), world.now());
    let ended = cluster.init(&second).end();
    let started = second.started(&ended);
    member.is_held_by(&second, &started);
    assert_eq!(started.report["path"], "same-node", "{}", started.report);
    let cost = cluster.asked_since(asked);
    assert!(cost.reads <= RESTART.reads, "{:#?}", cluster.api.requests().split_off(asked));
    assert!(cost.writes <= RESTART.writes, "{:#?}", cluster.api.requests().split_off(asked));
    assert!(cost.events <= RESTART.events, "{}", cost.events);
    assert!(replied((&cluster, &ended), ATTACHED, "pod-2", shown).is_some() || event.is_some());
    assert_eq!(Cost::of(&member.ec2(calls), "").mutating, 0);

    let third = member.pod("pod-3", "node-b");
    cluster.shows(&third);
    let calls = world.now();
    let ended = cluster.init(&third).end();
    let started = third.started(&ended);
    replied((&cluster, &ended), ATTACHED, "pod-3", shown);
    member.is_held_by(&third, &started);
    let server = member.serves(&third, &started);
    assert_eq!(Cost::of(&member.ec2(calls), "").mutating, 1);
    world.was_never_lost(started.address);

    superseded(&cluster, &second, shown);

    // A stop whose pod is not ending releases nothing; once it is, it does.
    let sidecar = cluster.stop(&third, "release").end().succeeded();
    assert_eq!(sidecar["path"], "not-ending");
    cluster.deletes(&third);
    drop(server);
    let released = cluster.stop(&third, "release").end().succeeded();
    assert_eq!((&released["path"], released["address"].as_str()), (&"parked".into(), shown));
    let stored = cluster.api.static_ip(started.address).unwrap().object;
    assert_eq!(stored.attachment.unwrap().state, firecamp_core::record::State::Parked);
    let events = cluster.events();
    let known = [ATTACHED.0, FAILED.0];
    let is_known = |event: &Value| known.iter().any(|reason| event["reason"] == *reason);
    assert!(events.iter().all(is_known), "a release that went well is told by nobody: {events:#?}");
    member.only_holders_answered();
}

/// Whoever was superseded changes nothing: neither a late stop nor a late init container.
#[track_caller]
fn superseded(cluster: &Cluster<'_>, second: &Pod<'_>, shown: Option<&str>) {
    let asked = cluster.api.requests().len();
    let late = cluster.stop(second, "release").end().succeeded();
    assert_eq!(late["path"], "not-holder");
    let ended = cluster.init(second).end();
    ended.failed(10, "Superseded", &["pod-3"]);
    assert_eq!(cluster.asked_since(asked).writes, 0);
    if let Some(event) = replied((cluster, &ended), FAILED, "pod-2", shown) {
        let note = event["note"].as_str().unwrap();
        assert!(note.starts_with("Superseded (10): "), "{note}");
    }
}

#[test]
fn a_right_that_is_missing_is_named_with_the_request_and_the_roles() {
    let world = World::start();
    let cluster = Cluster::start(&world);
    let _a = cluster.reach("node-a");
    let pod = Member::new(&world, "redis-0").pod("pod-1", "node-a");
    cluster.shows(&pod);
    let denied = Fault::Code(403, "Forbidden");
    let requests = [
        ("GET", "staticipclaims", "read StaticIPClaim demo/redis-0"),
        ("POST", "staticipclaims", "create StaticIPClaim demo/redis-0"),
        ("GET", "pods", "read pod demo/redis-0"),
    ];
    for (verb, plural, what) in requests {
        cluster.api.fail_next(verb, plural, denied);
        let texts = [what, "403 Forbidden", "see deploy/rbac"];
        let before = cluster.events().len();
        let ended = cluster.init(&pod).end();
        ended.failed(22, "RegistryRefused", &texts);
        assert_eq!(cluster.api.unmet_faults(), 0, "{what}");
        let replied = cluster.events().len() > before;
        assert!(replied || is_late(&ended), "{}", ended.log);
    }
    let events = cluster.events();
    assert!((1..=requests.len()).contains(&events.len()), "{events:#?}");
    assert!(events.iter().all(|event| event["reason"] == "AddressAttachFailed"), "{events:#?}");
    assert!(!world.ask().calls(0).unwrap().iter().any(|call| call.mutating));
    // An Event that is refused fails nothing, and is told in the log.
    cluster.api.fail_next("POST", "events", denied);
    let ended = cluster.init(&pod).end();
    ended.succeeded();
    assert!(ended.log.contains(EVENT_FAILED), "{}", ended.log);
}

#[test]
fn f022_init_waits_for_an_api_server_that_is_away_and_says_so() {
    let world = World::start();
    let cluster = Cluster::start(&world);
    let pod = Member::new(&world, "redis-0").pod("pod-1", "node-a");
    cluster.shows(&pod);
    // Nobody listens there at all.
    let ended = cluster.init(&pod).set("FIRECAMP_TIMEOUT", "2s").end();
    ended.failed(15, "RegistryUnavailable", &["read StaticIPClaim demo/redis-0"]);
    // It listens, and never answers.
    let away = cluster.reach("node-a");
    cluster.api.fail_next("GET", "staticipclaims", Fault::Silence);
    let mut init = cluster.init(&pod).start();
    init.logs("read StaticIPClaim demo/redis-0: no answer within");
    drop(away);
    init.logs("waiting");
    assert!(!world.ask().calls(0).unwrap().iter().any(|call| call.mutating));
    let _back = cluster.reach("node-a");
    init.end().succeeded();
}

#[test]
fn a_sidecar_waits_for_the_end_of_its_pod_in_a_cluster() {
    let world = World::start();
    let cluster = Cluster::start(&world);
    let _a = cluster.reach("node-a");
    let pod = Member::new(&world, "redis-0").pod("pod-1", "node-a");
    cluster.shows(&pod);
    let started = pod.started(&cluster.init(&pod).end());
    let mut sidecar = cluster.stop(&pod, "wait").start();
    sidecar.logs("release.0");
    assert!(sidecar.is_running());
    cluster.deletes(&pod);
    sidecar.terminate();
    let ended = sidecar.end();
    assert_eq!(ended.succeeded()["path"], "parked");
    assert_ne!(ended.code, Some(128 + Signal::SIGTERM as i32));
    let address = started.address.to_string();
    assert!(!world.kernel("node-a").iter().any(|line| line.contains(&address)));
}

#[test]
fn a_dry_run_in_a_cluster_writes_nothing_not_even_an_event() {
    let world = World::start();
    let cluster = Cluster::start(&world);
    let _a = cluster.reach("node-a");
    let pod = Member::new(&world, "redis-0").pod("pod-1", "node-a");
    cluster.shows(&pod);
    let ended = cluster.init(&pod).arg("--dry-run").end();
    ended.succeeded();
    assert!(ended.out.contains("create the claim of demo/redis-0"), "{}", ended.out);
    let asked = cluster.asked_since(0);
    assert_eq!((asked.writes, asked.events), (0, 0), "{:#?}", cluster.api.requests());
}

/// What others have that is none of an agent's business.
const PODS_ELSEWHERE: u32 = 5_000;

#[test]
fn f109_five_thousand_pods_elsewhere_cost_an_agent_less_than_a_mebibyte() {
    let world = World::start();
    let cluster = Cluster::start(&world);
    let _a = cluster.reach("node-a");
    let mut member = Member::new(&world, "redis-0");
    let pod = member.pod("pod-1", "node-a");
    cluster.shows(&pod);
    let started = pod.started(&cluster.init(&pod).end());
    member.is_held_by(&pod, &started);
    let agent = cluster.agent("node-a");
    // Everything is listed and watched anew, so that both measures come after the same things.
    let count = |what: &str| cluster.api.requests().iter().filter(|asked| *asked == what).count();
    let lists_again = || {
        let (lists, watches) = (count("GET pods/*"), count("WATCH pods/*"));
        cluster.api.end_watches(Ending::Expired);
        eventually("the agent lists and watches its pods anew", || {
            let anew = count("GET pods/*") > lists && count("WATCH pods/*") > watches;
            anew.then_some(())
        });
    };
    (0..4).for_each(|_time| lists_again());
    let before = agent.resident_kib();
    for number in 0..PODS_ELSEWHERE {
        let other = Member::new(&world, &format!("web-{number}"));
        cluster.shows(&other.pod(&format!("uid-{number}"), "node-b"));
    }
    (0..2).for_each(|_time| lists_again());
    let grown = agent.resident_kib().saturating_sub(before);
    println!("{PODS_ELSEWHERE} pods elsewhere: {before} KiB and {grown} KiB more");
    assert!(grown < 1024, "{grown} KiB");
}
