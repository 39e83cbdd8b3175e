//! The owner is looked up before the pod asks.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::CloudKind;
use firecamp_core::record::{Attachment, State};
use firecamp_run::connect::AnyRegistry;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::asking::{Asking, TOKEN, asking};
use super::harness::{ADDRESS, NODE, Node, OTHER_POD, POD};
use crate::source::{BoundPod, KubeSource, Source as _};

fn bound(pod: &str) -> BoundPod {
    let (member, pod) = ("prod/redis-0".parse().unwrap(), pod.parse().unwrap());
    BoundPod { member, pod, since: Instant::now() }
}

/// The member's last pod ran on another node and has released the address there.
pub(super) async fn released_elsewhere(asking: &Asking<'_>) {
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
}

/// Look-ups of an attach whose owner was looked up when its pod was bound, if this happens between.
async fn look_ups_of_attach(between: impl AsyncFnOnce(&Node)) -> u32 {
    look_ups_with(None, between).await
}

/// The same, where EC2 refuses the early look-up like this.
async fn look_ups_with(refusal: Option<CloudKind>, between: impl AsyncFnOnce(&Node)) -> u32 {
    let mut count = 0;
    asking(async |asking| {
        released_elsewhere(&asking).await;
        asking.node.cloud.account().faults.reads = refusal;
        asking.report_bound.send(bound(POD)).await.unwrap();
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
async fn f146_a_throttled_early_look_up_is_repeated_by_the_attach() {
    let recovers = async |node: &Node| node.cloud.account().faults.reads = None;
    assert_eq!(look_ups_with(Some(CloudKind::Throttled), recovers).await, 1);
}

#[tokio::test]
async fn f146_a_pod_that_asked_before_it_was_reported_is_not_looked_up_again() {
    asking(async |asking| {
        released_elsewhere(&asking).await;
        let report = asking.attach(TOKEN).await;
        assert_eq!((report.exit, report.path), (Exit::Success, Some("moved")), "{report:?}");
        released_elsewhere(&asking).await;
        assert_eq!(reads_for(bound(POD), &asking).await.1, 0);
    })
    .await;
}

/// What the endpoint reads from the API server and from EC2 for a bound pod.
async fn reads_for(pod: BoundPod, of: &Asking<'_>) -> (Vec<String>, u32) {
    let before = (of.node.server.requests().len(), look_ups(of.node));
    of.report_bound.send(pod).await.unwrap();
    // A node sends one request a second.
    sleep(Duration::from_millis(1_200)).await;
    (of.node.server.requests().split_off(before.0), look_ups(of.node) - before.1)
}

#[tokio::test]
async fn f146_addresses_that_are_here_members_without_a_claim_and_old_pods_are_not_looked_up() {
    asking(async |asking| {
        let (requests, calls) = reads_for(bound(POD), &asking).await;
        assert_eq!((requests.len(), calls), (2, 0), "it is here: {requests:?}");
        let stranger = BoundPod { member: "prod/web-0".parse().unwrap(), ..bound(POD) };
        let (requests, calls) = reads_for(stranger, &asking).await;
        assert_eq!((requests.len(), calls), (1, 0), "it has no claim: {requests:?}");
        released_elsewhere(&asking).await;
        let old = BoundPod { since: Instant::now() - timing::EARLY_LOOK_UP, ..bound(POD) };
        let (requests, calls) = reads_for(old, &asking).await;
        assert_eq!((requests.len(), calls), (0, 0), "it was bound long ago: {requests:?}");
        assert_eq!(reads_for(bound(POD), &asking).await.1, 1);
    })
    .await;
}

/// The pods that the source reports within a moment.
async fn reported(pods: &mut mpsc::Receiver<BoundPod>) -> Vec<String> {
    let mut all = Vec::new();
    while let Ok(Some(reported)) = timeout(Duration::from_millis(300), pods.recv()).await {
        assert_eq!(reported.member, bound(POD).member);
        all.push(reported.pod.to_string());
    }
    all
}

#[tokio::test]
async fn a_labelled_pod_without_volume_is_reported_once_before_it_starts() {
    let node = Node::new().await;
    let (bound_to, mut bound_pods) = mpsc::channel(8);
    let registry = AnyRegistry::from(node.registry.clone());
    let source = KubeSource::new(NODE.parse().unwrap(), registry, bound_to);
    let volumes = RefCell::new(json!([]));
    let set = |uid: &str, labels: Value, phase: &str, ip: Option<Ipv4Addr>| {
        let metadata = json!({ "uid": uid, "labels": labels });
        let ips: Vec<_> = ip.iter().map(|ip| json!({ "ip": ip })).collect();
        let status = json!({ "phase": phase, "podIPs": ips });
        let spec = json!({ "nodeName": NODE, "volumes": *volumes.borrow() });
        let pod = json!({ "metadata": metadata, "spec": spec, "status": status });
        node.server.set_pod("prod", "redis-0", pod);
    };
    let (labels, end) = (|| json!({ "firecamp.io/pool": "a" }), CancellationToken::new());
    let body = async {
        let nothing: [&str; 0] = [];
        assert_eq!(reported(&mut bound_pods).await, nothing, "this pod runs");
        set("no-label", json!({}), "Pending", None);
        let data = json!({ "name": "data", "persistentVolumeClaim": { "claimName": "data" } });
        volumes.replace(json!([data]));
        set("with-volume", labels(), "Pending", None);
        assert_eq!(reported(&mut bound_pods).await, nothing);
        volumes.replace(json!([{ "name": "token", "projected": { "sources": [] } }]));
        set(OTHER_POD, labels(), "Pending", None);
        assert_eq!(reported(&mut bound_pods).await, [OTHER_POD]);
        set(OTHER_POD, labels(), "Pending", Some(ADDRESS));
        set(OTHER_POD, labels(), "Running", Some(ADDRESS));
        assert_eq!(reported(&mut bound_pods).await, nothing, "it is known");
        end.cancel();
    };
    tokio::join!(source.follow(&end), body);
}
