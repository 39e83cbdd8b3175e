//! Lists and watches of the objects of one node.

use std::time::Duration;

use firecamp_apiserver::{Ending, Fault};
use firecamp_core::ids::NodeName;
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::StaticIp;
use firecamp_kube::{Event, Events, Key, WatchFailure, Watched};
use serde_json::json;

use super::support::{Cluster, IPS};

const LONG: Duration = Duration::from_mins(5);

/// The node of the sample attachment.
fn node() -> NodeName {
    "ip-10-0-0-7.ec2.internal".parse().unwrap()
}

fn key(namespace: Option<&str>, name: &str) -> Key {
    Key { namespace: namespace.map(str::to_owned), name: name.to_owned() }
}

async fn open<T>(watched: &Watched<T>) -> Events<T> {
    let (_items, version) = watched.list().await.unwrap();
    watched.watch(&version, LONG).await.unwrap()
}

async fn next<T: std::fmt::Debug>(events: &mut Events<T>) -> Option<Event<T>> {
    events.next().await.unwrap()
}

fn lost<T: std::fmt::Debug>(result: Result<T, WatchFailure>) -> (bool, String) {
    match result.unwrap_err() {
        WatchFailure::Expired(why) => (true, why.detail),
        WatchFailure::Broken(why) => (false, why.detail),
    }
}

/// Moves the address to another node.
fn move_away(cluster: &Cluster) {
    let moved = cluster.server.change(IPS, None, "10.1.0.20", |object| {
        object["spec"]["attachment"]["nodeName"] = json!("elsewhere");
        object["spec"]["epoch"] = json!(2);
    });
    assert!(moved);
}

#[tokio::test]
async fn only_the_static_ips_of_the_node_are_listed() {
    let cluster = Cluster::new().await;
    let watched = cluster.registry.static_ips_of(&node());
    assert!(watched.list().await.unwrap().0.is_empty());
    cluster.registry.write(&cluster.attach()).await.unwrap();
    let (items, _version) = watched.list().await.unwrap();
    let [item] = items.as_slice() else { panic!("{items:?}") };
    let record: &StaticIp = item.object.as_ref().unwrap();
    assert_eq!((item.key.clone(), record.epoch.0), (key(None, "10.1.0.20"), 1));
}

#[tokio::test]
async fn a_watch_reports_added_changed_and_moved_addresses() {
    let cluster = Cluster::new().await;
    let mut events = open(&cluster.registry.static_ips_of(&node())).await;
    cluster.registry.write(&cluster.attach()).await.unwrap();
    let Some(Event::Set(item)) = next(&mut events).await else { panic!("no event") };
    assert_eq!(item.object.unwrap().epoch.0, 1);
    move_away(&cluster);
    assert_eq!(next(&mut events).await, Some(Event::Gone(key(None, "10.1.0.20"))));
    let version = cluster.stored()["metadata"]["resourceVersion"].clone();
    assert_eq!(json!(events.version()), version);
}

#[tokio::test]
async fn a_watch_resumes_at_the_version_where_the_last_one_ended() {
    let cluster = Cluster::new().await;
    let watched = cluster.registry.static_ips_of(&node());
    let mut events = open(&watched).await;
    cluster.server.bookmark();
    assert_eq!(next(&mut events).await, Some(Event::Bookmark));
    let version = events.version().to_owned();
    cluster.server.end_watches(Ending::Regular);
    assert_eq!(next(&mut events).await, None);
    cluster.registry.write(&cluster.attach()).await.unwrap();
    let mut events = watched.watch(&version, LONG).await.unwrap();
    assert!(matches!(next(&mut events).await, Some(Event::Set(_))));
}

#[tokio::test]
async fn a_watch_reports_a_pod_by_name_with_its_view() {
    let cluster = Cluster::new().await;
    let pod = json!({
        "metadata": { "uid": "0b0d3ed4-2b8c-4b2a-9a54-3c1f6a1e1e11" },
        "spec": { "nodeName": node().as_str(), "containers": [{ "name": "redis" }] },
        "status": { "phase": "Running" },
    });
    cluster.server.set_pod("prod", "redis-0", pod.clone());
    cluster.server.set_pod("prod", "redis-1", json!({ "metadata": {}, "spec": {} }));
    let watched = cluster.registry.pods_of(&node());
    let (items, version) = watched.list().await.unwrap();
    let [item] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!(item.key, key(Some("prod"), "redis-0"));
    let view = item.object.as_ref().map(|pod| &pod.view);
    assert!(matches!(view, Ok(PodView::Present { node: Some(on), .. }) if *on == node()));
    let mut events = watched.watch(&version, LONG).await.unwrap();
    cluster.server.remove("pods", Some("prod"), "redis-0");
    assert_eq!(next(&mut events).await, Some(Event::Gone(key(Some("prod"), "redis-0"))));
}

#[tokio::test]
async fn an_unreadable_object_is_reported_by_name_and_affects_no_other() {
    let cluster = Cluster::new().await;
    cluster.registry.write(&cluster.attach()).await.unwrap();
    cluster.server.change(IPS, None, "10.1.0.20", |object| {
        object["spec"]["ofALaterVersion"] = json!(true);
    });
    let (items, _version) = cluster.registry.static_ips_of(&node()).list().await.unwrap();
    let [item] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!(item.key, key(None, "10.1.0.20"));
    assert!(item.object.as_ref().unwrap_err().contains("ofALaterVersion"));
}

#[tokio::test]
async fn long_lists_are_read_in_pages_and_complete() {
    let cluster = Cluster::new().await;
    let (on, pods) = (node(), 120);
    for index in 0..pods {
        let pod = json!({
            "metadata": { "uid": format!("00000000-0000-4000-8000-{index:012}") },
            "spec": { "nodeName": on.as_str() },
        });
        cluster.server.set_pod("prod", &format!("redis-{index}"), pod);
    }
    let watched = cluster.registry.pods_of(&on);
    assert_eq!(watched.list().await.unwrap().0.len(), pods);
    cluster.server.keep_no_snapshots();
    let why = watched.list().await.unwrap_err();
    assert!(why.detail.contains("410"), "a partial list is an error: {why:?}");
}

#[tokio::test]
async fn compacted_versions_are_expired_and_broken_watches_can_resume() {
    for (ending, expired) in
        [(Ending::Expired, true), (Ending::Broken, false), (Ending::MidLine, false)]
    {
        let cluster = Cluster::new().await;
        let mut events = open(&cluster.registry.static_ips_of(&node())).await;
        cluster.server.end_watches(ending);
        let (is_expired, why) = lost(events.next().await);
        assert_eq!(is_expired, expired, "{ending:?}: {why}");
        assert!(why.contains("watch the StaticIPs of"), "{why}");
    }
}

#[tokio::test]
async fn a_compacted_or_future_version_requires_a_new_list() {
    let cluster = Cluster::new().await;
    let watched = cluster.registry.static_ips_of(&node());
    let (_items, version) = watched.list().await.unwrap();
    cluster.server.compact();
    for version in [version.as_str(), "999999999"] {
        let (expired, why) = lost(watched.watch(version, LONG).await.map(|_open| ()));
        assert!(expired, "{version}: {why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_error_does_not_expire_the_version() {
    let faults = [
        Fault::Code(500, "InternalError"),
        Fault::Code(429, "TooManyRequests"),
        Fault::Proxy(502),
        Fault::LostRequest,
        Fault::Silence,
    ];
    for fault in faults {
        let cluster = Cluster::new().await;
        let watched = cluster.registry.static_ips_of(&node());
        let (_items, version) = watched.list().await.unwrap();
        cluster.server.fail_next("WATCH", IPS, fault);
        let (expired, why) = lost(watched.watch(&version, LONG).await.map(|_open| ()));
        assert!(!expired, "{fault:?}: {why}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_ends_a_watch_after_its_timeout() {
    let cluster = Cluster::new().await;
    let mut events = open(&cluster.registry.static_ips_of(&node())).await;
    let start = tokio::time::Instant::now();
    assert_eq!(next(&mut events).await, None);
    assert_eq!(start.elapsed().as_secs(), LONG.as_secs());
}
