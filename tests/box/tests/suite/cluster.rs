//! The containers with the Kubernetes registry: kube's client, a strict API server, and the number
//! of requests in a member's lifecycle.

use nix::sys::signal::Signal;
use serde_json::Value;

use firecamp_apiserver::{Ending, Fault};

use crate::support::cluster::{Cluster, RequestCounts};
use crate::support::eventually;
use crate::support::member::{Cost, Member};
use crate::support::pod::Pod;
use crate::support::process::Ended;
use crate::support::test_box::TestBox;

/// The budget of a restart on the same node.
const RESTART: RequestCounts = RequestCounts { reads: 4, writes: 2, events: 1 };

/// The Events of an init container, by reason and type.
const ATTACHED: (&str, &str) = ("AddressAttached", "Normal");
const FAILED: (&str, &str) = ("AddressAttachFailed", "Warning");

/// The log message of a container that failed to write its Event.
const EVENT_FAILED: &str = "failed to write event";

/// Whether the container's Event timed out.
fn event_timed_out(ended: &Ended) -> bool {
    let timed_out = |line: &str| line.contains(EVENT_FAILED) && line.contains("no answer within");
    ended.log.lines().any(timed_out)
}

/// The Event of this container about this pod and address. On a busy machine the container's only
/// attempt may time out; it logs that, and then this returns `None`.
#[track_caller]
fn event_of(
    (cluster, ended): (&Cluster<'_>, &Ended),
    (reason, kind): (&str, &str),
    uid: &str,
    address: Option<&str>,
) -> Option<Value> {
    let mut events = cluster.events();
    events.retain(|event| event["reason"] == reason && event["regarding"]["uid"] == uid);
    assert!(events.len() <= 1, "{events:#?}");
    let Some(event) = events.pop() else {
        assert!(event_timed_out(ended), "{}", ended.log);
        return None;
    };
    assert_eq!(event["type"], kind, "{event:#}");
    assert_eq!(event["regarding"]["kind"], "Pod", "{event:#}");
    assert_eq!(event["related"]["name"].as_str(), address, "{event:#}");
    Some(event)
}

#[test]
fn f108_lifecycle_in_a_cluster_stays_within_its_api_request_budget() {
    let test_box = TestBox::start();
    let cluster = Cluster::start(&test_box);
    let (_a, _b) = (cluster.connect("node-a"), cluster.connect("node-b"));
    let mut member = Member::new(&test_box, "redis-0");

    let first = member.pod("pod-1", "node-a");
    cluster.set_pod(&first);
    let ended = cluster.init(&first).end();
    let started = first.started(&ended);
    member.add_holder(&first, &started);
    let address = started.address.to_string();
    let shown = Some(address.as_str());
    let event = event_of((&cluster, &ended), ATTACHED, "pod-1", shown);

    let second = member.pod("pod-2", "node-a");
    cluster.set_pod(&second);
    let (asked, calls) = (cluster.api.requests().len(), test_box.last_call());
    let ended = cluster.init(&second).end();
    let started = second.started(&ended);
    member.add_holder(&second, &started);
    assert_eq!(started.report["path"], "same-node", "{}", started.report);
    let cost = cluster.requests_since(asked);
    assert!(cost.reads <= RESTART.reads, "{:#?}", cluster.api.requests().split_off(asked));
    assert!(cost.writes <= RESTART.writes, "{:#?}", cluster.api.requests().split_off(asked));
    assert!(cost.events <= RESTART.events, "{}", cost.events);
    assert!(event_of((&cluster, &ended), ATTACHED, "pod-2", shown).is_some() || event.is_some());
    assert_eq!(Cost::of(&member.ec2_calls(calls), "").mutating, 0);

    let third = member.pod("pod-3", "node-b");
    cluster.set_pod(&third);
    let calls = test_box.last_call();
    let ended = cluster.init(&third).end();
    let started = third.started(&ended);
    event_of((&cluster, &ended), ATTACHED, "pod-3", shown);
    member.add_holder(&third, &started);
    let server = member.start_service(&third, &started);
    assert_eq!(Cost::of(&member.ec2_calls(calls), "").mutating, 1);
    test_box.assert_always_on_an_eni(started.address);

    assert_superseded(&cluster, &second, shown);

    // A stop container releases nothing until its pod is terminating.
    let early = cluster.stop(&third, "release").end().succeeded();
    assert_eq!(early["path"], "not-ending");
    cluster.terminate_pod(&third);
    drop(server);
    let released = cluster.stop(&third, "release").end().succeeded();
    assert_eq!((&released["path"], released["address"].as_str()), (&"parked".into(), shown));
    let stored = cluster.api.static_ip(started.address).unwrap().object;
    assert_eq!(stored.attachment.unwrap().state, firecamp_core::record::State::Parked);
    let events = cluster.events();
    let known = [ATTACHED.0, FAILED.0];
    let is_known = |event: &Value| known.iter().any(|reason| event["reason"] == *reason);
    assert!(events.iter().all(is_known), "a successful release emits no Event: {events:#?}");
    member.assert_only_holders_answered();
}

/// Asserts that neither the stop nor the init container of a superseded pod changes anything.
#[track_caller]
fn assert_superseded(cluster: &Cluster<'_>, second: &Pod<'_>, shown: Option<&str>) {
    let asked = cluster.api.requests().len();
    let late = cluster.stop(second, "release").end().succeeded();
    assert_eq!(late["path"], "not-holder");
    let ended = cluster.init(second).end();
    ended.failed(10, "Superseded", &["pod-3"]);
    assert_eq!(cluster.requests_since(asked).writes, 0);
    if let Some(event) = event_of((cluster, &ended), FAILED, "pod-2", shown) {
        let note = event["note"].as_str().unwrap();
        assert!(note.starts_with("Superseded (10): "), "{note}");
    }
}

#[test]
fn missing_permission_error_names_the_request_and_the_roles() {
    let test_box = TestBox::start();
    let cluster = Cluster::start(&test_box);
    let _a = cluster.connect("node-a");
    let pod = Member::new(&test_box, "redis-0").pod("pod-1", "node-a");
    cluster.set_pod(&pod);
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
        let emitted = cluster.events().len() > before;
        assert!(emitted || event_timed_out(&ended), "{}", ended.log);
    }
    let events = cluster.events();
    assert!((1..=requests.len()).contains(&events.len()), "{events:#?}");
    assert!(events.iter().all(|event| event["reason"] == "AddressAttachFailed"), "{events:#?}");
    assert!(!test_box.control().calls(0).unwrap().iter().any(|call| call.mutating));
    // Init succeeds although the API server denies its Event, and logs the failure.
    cluster.api.fail_next("POST", "events", denied);
    let ended = cluster.init(&pod).end();
    ended.succeeded();
    assert!(ended.log.contains(EVENT_FAILED), "{}", ended.log);
}

#[test]
fn f022_init_waits_for_an_unavailable_api_server_and_logs_it() {
    let test_box = TestBox::start();
    let cluster = Cluster::start(&test_box);
    let pod = Member::new(&test_box, "redis-0").pod("pod-1", "node-a");
    cluster.set_pod(&pod);
    // Nothing listens on the API server's port.
    let ended = cluster.init(&pod).set("FIRECAMP_TIMEOUT", "2s").end();
    ended.failed(15, "RegistryUnavailable", &["read StaticIPClaim demo/redis-0"]);
    // The API server accepts the connection and never answers.
    let forward = cluster.connect("node-a");
    cluster.api.fail_next("GET", "staticipclaims", Fault::Silence);
    let mut init = cluster.init(&pod).start();
    init.wait_for_log("read StaticIPClaim demo/redis-0: no answer within");
    drop(forward);
    init.wait_for_log("waiting");
    assert!(!test_box.control().calls(0).unwrap().iter().any(|call| call.mutating));
    let _back = cluster.connect("node-a");
    init.end().succeeded();
}

#[test]
fn sidecar_waits_until_its_pod_terminates() {
    let test_box = TestBox::start();
    let cluster = Cluster::start(&test_box);
    let _a = cluster.connect("node-a");
    let pod = Member::new(&test_box, "redis-0").pod("pod-1", "node-a");
    cluster.set_pod(&pod);
    let started = pod.started(&cluster.init(&pod).end());
    let mut sidecar = cluster.stop(&pod, "wait").start();
    sidecar.wait_for_log("release.0");
    assert!(sidecar.is_running());
    cluster.terminate_pod(&pod);
    sidecar.terminate();
    let ended = sidecar.end();
    assert_eq!(ended.succeeded()["path"], "parked");
    assert_ne!(ended.code, Some(128 + Signal::SIGTERM as i32));
    let address = started.address.to_string();
    assert!(!test_box.kernel("node-a").iter().any(|line| line.contains(&address)));
}

#[test]
fn dry_run_in_a_cluster_writes_nothing_and_emits_no_event() {
    let test_box = TestBox::start();
    let cluster = Cluster::start(&test_box);
    let _a = cluster.connect("node-a");
    let pod = Member::new(&test_box, "redis-0").pod("pod-1", "node-a");
    cluster.set_pod(&pod);
    let ended = cluster.init(&pod).arg("--dry-run").end();
    ended.succeeded();
    assert!(ended.out.contains("create the claim of demo/redis-0"), "{}", ended.out);
    let asked = cluster.requests_since(0);
    assert_eq!((asked.writes, asked.events), (0, 0), "{:#?}", cluster.api.requests());
}

/// Pods on other nodes.
const PODS_ELSEWHERE: u32 = 5_000;

#[test]
fn f109_five_thousand_pods_on_other_nodes_cost_an_agent_less_than_one_mebibyte() {
    let test_box = TestBox::start();
    let cluster = Cluster::start(&test_box);
    let _a = cluster.connect("node-a");
    let mut member = Member::new(&test_box, "redis-0");
    let pod = member.pod("pod-1", "node-a");
    cluster.set_pod(&pod);
    let started = pod.started(&cluster.init(&pod).end());
    member.add_holder(&pod, &started);
    let agent = cluster.agent("node-a");
    // Both measurements follow the same number of lists.
    let count = |what: &str| cluster.api.requests().iter().filter(|it| *it == what).count();
    let relist = || {
        let (lists, watches) = (count("GET pods/*"), count("WATCH pods/*"));
        cluster.api.end_watches(Ending::Expired);
        eventually("the agent lists and watches its pods again", || {
            let relisted = count("GET pods/*") > lists && count("WATCH pods/*") > watches;
            relisted.then_some(())
        });
    };
    (0..4).for_each(|_time| relist());
    let before = agent.resident_kib();
    for number in 0..PODS_ELSEWHERE {
        let other = Member::new(&test_box, &format!("web-{number}"));
        cluster.set_pod(&other.pod(&format!("uid-{number}"), "node-b"));
    }
    (0..2).for_each(|_time| relist());
    let grown = agent.resident_kib().saturating_sub(before);
    println!("{PODS_ELSEWHERE} pods on other nodes: {before} KiB before, {grown} KiB more after");
    assert!(grown < 1024, "the agent's memory grew by {grown} KiB");
}
