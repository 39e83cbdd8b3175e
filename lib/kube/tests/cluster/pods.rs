//! The view of the member's pod.

use std::time::Duration;

use firecamp_core::ids::{NodeName, PodUid};
use firecamp_core::ports::{PodLifecycle, PodView, Registry};
use serde_json::{Value, json};

use super::support::Cluster;

async fn view(cluster: &Cluster, pod: Value) -> PodView {
    cluster.server.set_pod("prod", "redis-0", pod);
    cluster.registry.pod(&cluster.member).await.unwrap()
}

fn present(node: Option<&str>, lifecycle: PodLifecycle) -> PodView {
    PodView::Present {
        pod: PodUid::new("u-1").unwrap(),
        node: node.map(|node| NodeName::new(node).unwrap()),
        lifecycle,
        controller: None,
    }
}

#[tokio::test]
async fn the_pod_of_another_member_is_not_the_members_pod() {
    let cluster = Cluster::new().await;
    assert_eq!(cluster.registry.pod(&cluster.member).await, Ok(PodView::Absent));
    for (namespace, name) in [("prod", "redis-00"), ("test", "redis-0")] {
        cluster.server.set_pod(namespace, name, json!({ "metadata": { "uid": "u-9" } }));
    }
    assert_eq!(cluster.registry.pod(&cluster.member).await, Ok(PodView::Absent));
}

#[tokio::test]
async fn the_lifecycle_of_a_pod_is_read_from_its_object() {
    let cluster = Cluster::new().await;
    let pending = json!({ "metadata": { "uid": "u-1" }, "status": { "phase": "Pending" } });
    assert_eq!(view(&cluster, pending).await, present(None, PodLifecycle::Running));
    let mut running = json!({
        "metadata": { "uid": "u-1" },
        "spec": { "nodeName": "n1", "containers": [] },
        "status": { "phase": "Running" },
    });
    assert_eq!(view(&cluster, running.clone()).await, present(Some("n1"), PodLifecycle::Running));
    running["metadata"]["deletionTimestamp"] = json!("2026-11-20T15:00:21Z");
    let lifecycle = PodLifecycle::Terminating(Some(Duration::from_secs(20)));
    assert_eq!(view(&cluster, running.clone()).await, present(Some("n1"), lifecycle));
    running["status"]["phase"] = json!("Failed");
    assert_eq!(view(&cluster, running).await, present(Some("n1"), PodLifecycle::Terminal));
}

#[tokio::test]
async fn the_rest_of_a_grace_period_is_computed_by_the_servers_clock_alone() {
    let cluster = Cluster::new().await;
    let pod = json!({ "metadata": { "uid": "u-1", "deletionTimestamp": "2026-11-20T15:00:21Z" } });
    cluster.server.set_date(Some("Fri, 20 Nov 2026 15:00:11 GMT"));
    let lifecycle = PodLifecycle::Terminating(Some(Duration::from_secs(9)));
    assert_eq!(view(&cluster, pod.clone()).await, present(None, lifecycle));
    cluster.server.set_date(None);
    assert_eq!(view(&cluster, pod).await, present(None, PodLifecycle::Terminating(None)));
}
