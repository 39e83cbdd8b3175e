//! Lists and watches of the objects of one node.

use std::pin::{Pin, pin};
use std::time::Duration;

use firecamp_apiserver::{Ending, Fault};
use firecamp_core::ids::NodeName;
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::StaticIp;
use firecamp_kube::watcher::Event;
use firecamp_kube::{Interrupted, Item, KubeCluster, Watchable, Watched};
use futures_util::{Stream, StreamExt};
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::support::{Cluster, IPS};

/// The node of the sample attachment.
fn node() -> NodeName {
    "ip-10-0-0-7.ec2.internal".parse().unwrap()
}

type Heard<'a, T> = Pin<&'a mut dyn Stream<Item = Result<Event<Item<T>>, Interrupted>>>;

async fn next<T>(events: &mut Heard<'_, T>) -> Result<Event<Item<T>>, Interrupted> {
    events.next().await.unwrap()
}

/// The next list.
async fn list<T>(events: &mut Heard<'_, T>) -> Result<Vec<Item<T>>, Interrupted> {
    let mut items = Vec::new();
    loop {
        match next(events).await? {
            Event::Init => items.clear(),
            Event::InitApply(item) => items.push(item),
            Event::InitDone => return Ok(items),
            other @ (Event::Apply(_) | Event::Delete(_)) => panic!("{}", name_of(&other)),
        }
    }
}

/// `added redis-0`.
fn name_of<T>(event: &Event<Item<T>>) -> String {
    match event {
        Event::Apply(item) => format!("set {}", item.name()),
        Event::Delete(item) => format!("gone {}", item.name()),
        Event::Init | Event::InitApply(_) | Event::InitDone => "a list".to_owned(),
    }
}

/// Lists, and waits for the watch.
async fn open<T: Watchable>(watched: &Watched<T>, events: &mut Heard<'_, T>) {
    list(events).await.unwrap();
    is_open(watched, events).await;
}

async fn is_open<T: Watchable>(watched: &Watched<T>, events: &mut Heard<'_, T>) {
    tokio::select! {
        () = watched.opened() => {}
        event = next(events) => panic!("{:?}", event.map(|event| name_of(&event))),
    }
}

/// How often the kind was listed.
fn lists(cluster: &Cluster, plural: &str) -> usize {
    let list = format!("GET {plural}/*");
    cluster.server.requests().iter().filter(|request| **request == list).count()
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
    assert!(watched.list().await.unwrap().is_empty());
    cluster.registry.write(&cluster.attach()).await.unwrap();
    let items = watched.list().await.unwrap();
    let [item] = items.as_slice() else { panic!("{items:?}") };
    let record: &StaticIp = item.object.as_ref().unwrap();
    assert_eq!((item.namespace(), item.name(), record.epoch.0), (None, "10.1.0.20", 1));
}

#[tokio::test]
async fn a_watch_reports_added_changed_and_moved_addresses() {
    let cluster = Cluster::new().await;
    let watched = cluster.registry.static_ips_of(&node());
    let mut events: Heard<'_, _> = pin!(watched.events());
    open(&watched, &mut events).await;
    cluster.registry.write(&cluster.attach()).await.unwrap();
    let Event::Apply(item) = next(&mut events).await.unwrap() else { panic!("no event") };
    assert_eq!(item.object.unwrap().epoch.0, 1);
    move_away(&cluster);
    assert_eq!(name_of(&next(&mut events).await.unwrap()), "gone 10.1.0.20");
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_it_ended() {
    for ending in [Ending::Regular, Ending::MidLine] {
        let cluster = Cluster::new().await;
        let watched = cluster.registry.static_ips_of(&node());
        let mut events: Heard<'_, _> = pin!(watched.events());
        open(&watched, &mut events).await;
        cluster.server.bookmark();
        cluster.server.end_watches(ending);
        cluster.registry.write(&cluster.attach()).await.unwrap();
        let event = next(&mut events).await.unwrap();
        assert_eq!(name_of(&event), "set 10.1.0.20", "{ending:?}");
        assert_eq!(lists(&cluster, IPS), 1, "{ending:?}");
    }
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
    let mut events: Heard<'_, _> = pin!(watched.events());
    let items = list(&mut events).await.unwrap();
    let [item] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!((item.namespace(), item.name()), (Some("prod"), "redis-0"));
    let view = item.object.as_ref().map(|pod| &pod.view);
    assert!(matches!(view, Ok(PodView::Present { node: Some(on), .. }) if *on == node()));
    cluster.server.remove("pods", Some("prod"), "redis-0");
    let Event::Delete(gone) = next(&mut events).await.unwrap() else { panic!("no event") };
    assert_eq!((gone.namespace(), gone.name()), (Some("prod"), "redis-0"));
}

#[tokio::test]
async fn an_unreadable_object_is_reported_by_name_and_affects_no_other() {
    let cluster = Cluster::new().await;
    cluster.registry.write(&cluster.attach()).await.unwrap();
    cluster.server.change(IPS, None, "10.1.0.20", |object| {
        object["spec"]["ofALaterVersion"] = json!(true);
    });
    let watched = cluster.registry.static_ips_of(&node());
    let items = watched.list().await.unwrap();
    let [item] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!(item.name(), "10.1.0.20");
    assert!(item.object.as_ref().unwrap_err().contains("ofALaterVersion"));
}

/// Fills a cluster with pods without a node.
async fn many_pods(pods: usize) -> Cluster {
    let cluster = Cluster::new().await;
    for index in 0..pods {
        let uid = format!("00000000-0000-4000-8000-{index:012}");
        let metadata = json!({ "uid": uid, "resourceVersion": "1" });
        let pod = json!({ "metadata": metadata, "spec": {} });
        cluster.server.set_pod("prod", &format!("redis-{index}"), pod);
    }
    cluster
}

#[tokio::test]
async fn lists_of_the_cluster_are_read_in_pages_and_complete() {
    let cluster = many_pods(1_200).await;
    let watched = KubeCluster::new(&cluster.registry).unscheduled_pods();
    assert_eq!(watched.list().await.unwrap().len(), 1_200);
    assert_eq!(lists(&cluster, "pods"), 3);
    cluster.server.keep_no_snapshots();
    let why = watched.list().await.unwrap_err();
    assert!(why.detail.contains("410"), "a partial list is no list: {why:?}");
}

#[tokio::test]
async fn what_a_node_lists_is_read_at_once() {
    let cluster = Cluster::new().await;
    let pod = json!({ "metadata": {}, "spec": { "nodeName": node().as_str() } });
    (0..600).for_each(|it| cluster.server.set_pod("prod", &format!("redis-{it}"), pod.clone()));
    let watched = cluster.registry.pods_of(&node());
    let items = watched.list().await.unwrap();
    assert_eq!((items.len(), lists(&cluster, "pods")), (600, 1));
}

#[tokio::test]
async fn a_broken_watch_goes_on_and_an_expired_one_is_lost() {
    for (ending, lost) in [(Ending::Expired, true), (Ending::Broken, false)] {
        let cluster = Cluster::new().await;
        let watched = cluster.registry.static_ips_of(&node());
        let mut events: Heard<'_, _> = pin!(watched.events());
        open(&watched, &mut events).await;
        cluster.server.end_watches(ending);
        let why = next(&mut events).await.map(|event| name_of(&event)).unwrap_err();
        assert_eq!(why.is_lost, lost, "{ending:?}: {why}");
        assert!(why.failure.detail.contains("watch the StaticIPs of"), "{why}");
        if !lost {
            is_open(&watched, &mut events).await;
        }
    }
}

#[tokio::test]
async fn a_watch_whose_version_was_compacted_is_lost() {
    let cluster = Cluster::new().await;
    let watched = cluster.registry.static_ips_of(&node());
    let mut events: Heard<'_, _> = pin!(watched.events());
    open(&watched, &mut events).await;
    cluster.registry.write(&cluster.attach()).await.unwrap();
    next(&mut events).await.unwrap();
    move_away(&cluster);
    cluster.server.compact();
    cluster.server.end_watches(Ending::Broken);
    let mut heard = Vec::new();
    let lost = async {
        loop {
            match next(&mut events).await {
                Ok(event) => heard.push(name_of(&event)),
                Err(why) if why.is_lost => return,
                Err(_passing) => {}
            }
        }
    };
    timeout(Duration::from_secs(5), lost).await.unwrap();
    assert_eq!(heard, ["gone 10.1.0.20"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_the_server_fails_to_open_is_not_lost() {
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
        let mut events: Heard<'_, _> = pin!(watched.events());
        cluster.server.fail_next("WATCH", IPS, fault);
        list(&mut events).await.unwrap();
        let why = next(&mut events).await.map(|event| name_of(&event)).unwrap_err();
        assert!(!why.is_lost, "{fault:?}: {why}");
        is_open(&watched, &mut events).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_for_another_reason_is_lost() {
    let refusals = [(410, "Expired"), (401, "Unauthorized"), (403, "Forbidden"), (404, "NotFound")];
    for (code, reason) in refusals {
        let cluster = Cluster::new().await;
        let watched = cluster.registry.static_ips_of(&node());
        let mut events: Heard<'_, _> = pin!(watched.events());
        cluster.server.fail_next("WATCH", IPS, Fault::Code(code, reason));
        list(&mut events).await.unwrap();
        let why = next(&mut events).await.map(|event| name_of(&event)).unwrap_err();
        assert!(why.is_lost && why.failure.detail.contains(reason), "{why:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_opened_anew_after_90_seconds() {
    let cluster = Cluster::new().await;
    let watched = cluster.registry.static_ips_of(&node());
    let mut events: Heard<'_, _> = pin!(watched.events());
    open(&watched, &mut events).await;
    let start = Instant::now();
    let why = next(&mut events).await.map(|event| name_of(&event)).unwrap_err();
    assert_eq!((start.elapsed().as_secs(), why.is_lost), (90, false), "{why}");
    is_open(&watched, &mut events).await;
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_at_once_are_opened_ever_more_rarely() {
    let cluster = Cluster::new().await;
    let watched = cluster.registry.static_ips_of(&node());
    let mut events: Heard<'_, _> = pin!(watched.events());
    list(&mut events).await.unwrap();
    let mut opened = 0;
    let endless = async {
        loop {
            is_open(&watched, &mut events).await;
            opened += 1;
            cluster.server.end_watches(Ending::Regular);
        }
    };
    timeout(Duration::from_mins(10), endless).await.unwrap_err();
    assert!((10..40).contains(&opened), "{opened} watches in ten minutes");
}
