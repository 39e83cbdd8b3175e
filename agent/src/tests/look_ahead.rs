//! The owner is looked up before the pod asks.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::record::{Attachment, State};
use firecamp_run::connect::AnyRegistry;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::asking::{Asking, TOKEN, asking};
use super::harness::{ADDRESS, NODE, Node, OTHER_POD, POD};
use crate::source::{BoundPod, KubeSource, Source as _};

fn bound(pod: &str) -> BoundPod {
    BoundPod { member: "prod/redis-0".parse().unwrap(), pod: pod.parse().unwrap() }
}

/// The member's last pod ran on another node and has released the address there.
async fn released_elsewhere(asking: &Asking<'_>) {
    let epoch = asking.node.record().await.epoch.next();
    asking.node.hand_to("node-2", OTHER_POD, epoch.0).await;
    let released = |held: &mut Attachment| held.state = State::Parked;
    asking.node.write(|record| record.attachment.iter_mut().for_each(released)).await;
    asking.node.moves_away(ADDRESS);
}

fn look_ups(node: &Node) -> u32 {
    node.cloud.account().calls.owners
}

async fn looked_up(node: &Node) {
    let done = async {
        while look_ups(node) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(5), done).await.expect("it is looked up");
    // The answer is on its way to the endpoint.
    sleep(Duration::from_millis(50)).await;
}

/// Look-ups of an attach whose owner was looked up when its pod was bound, if this happens between.
async fn look_ups_of_attach(between: impl AsyncFnOnce(&Node)) -> u32 {
    let mut count = 0;
    asking(async |asking| {
        released_elsewhere(&asking).await;
        asking.bound.send(bound(POD)).await.unwrap();
        looked_up(asking.node).await;
        between(asking.node).await;
        let report = asking.attach(TOKEN).await;
        assert_eq!((report.exit, report.path), (Exit::Success, Some("moved")), "{report:?}");
        count = look_ups(asking.node) - 1;
    })
    .await;
    count
}

#[tokio::test]
async fn f146_an_attach_uses_what_was_looked_up_for_its_pod() {
    assert_eq!(look_ups_of_attach(async |_| {}).await, 0);
}

#[tokio::test]
async fn f146_what_was_looked_up_before_the_record_changed_is_not_used() {
    let changed = async |node: &Node| node.write(|record| record.epoch = record.epoch.next()).await;
    assert_eq!(look_ups_of_attach(changed).await, 1);
}

#[tokio::test]
async fn f146_what_was_looked_up_too_long_ago_is_not_used() {
    let late = async |_: &Node| sleep(timing::EARLY_LOOK_UP).await;
    assert_eq!(look_ups_of_attach(late).await, 1);
}

#[tokio::test]
async fn an_address_that_is_here_is_not_looked_up_ahead() {
    asking(async |asking| {
        asking.bound.send(bound(POD)).await.unwrap();
        sleep(Duration::from_millis(300)).await;
        assert_eq!(look_ups(asking.node), 0);
    })
    .await;
}

/// The pods of which the source tells within a moment.
async fn told(told: &mut mpsc::Receiver<BoundPod>) -> Vec<BoundPod> {
    let mut pods = Vec::new();
    while let Ok(Some(pod)) = timeout(Duration::from_millis(300), told.recv()).await {
        pods.push(pod);
    }
    pods
}

#[tokio::test]
async fn a_labelled_pod_that_has_not_started_is_told_once() {
    let node = Node::new().await;
    let (bound_to, mut bound_pods) = mpsc::channel(8);
    let registry = AnyRegistry::from(node.registry.clone());
    let source = KubeSource::new(NODE.parse().unwrap(), registry, bound_to);
    let set = |uid: &str, labels: Value, phase: &str, ip: Option<Ipv4Addr>| {
        let metadata = json!({ "uid": uid, "labels": labels });
        let ips: Vec<_> = ip.iter().map(|ip| json!({ "ip": ip })).collect();
        let status = json!({ "phase": phase, "podIPs": ips });
        let pod = json!({ "metadata": metadata, "spec": { "nodeName": NODE }, "status": status });
        node.server.set_pod("prod", "redis-0", pod);
    };
    let (labels, end) = (|| json!({ "firecamp.io/pool": "a" }), CancellationToken::new());
    let body = async {
        assert_eq!(told(&mut bound_pods).await, [], "this pod runs");
        set("no-label", json!({}), "Pending", None);
        assert_eq!(told(&mut bound_pods).await, []);
        set(OTHER_POD, labels(), "Pending", None);
        assert_eq!(told(&mut bound_pods).await, [bound(OTHER_POD)]);
        set(OTHER_POD, labels(), "Pending", Some(ADDRESS));
        set(OTHER_POD, labels(), "Running", Some(ADDRESS));
        assert_eq!(told(&mut bound_pods).await, [], "it is known");
        end.cancel();
    };
    tokio::join!(source.follow(&end), body);
}
