//! The member's pod, as the API server has it now.

use std::time::Duration;

use firecamp_core::ids::{NodeName, PodUid};
use firecamp_core::outside::{Life, PodView, Registry};
use serde_json::{Value, json};

use super::support::Cluster;

async fn view(cluster: &Cluster, pod: Value) -> PodView {
    cluster.server.set_pod("prod", "redis-0", pod);
    cluster.registry.pod(&cluster.member).await.unwrap()
}

fn present(node: Option<&str>, life: Life) -> PodView {
    PodView::Present {
        pod: PodUid::new("u-1").unwrap(),
        node: node.map(|node| NodeName::new(node).unwrap()),
        life,
        controller: None,
    }
}

#[tokio::test]
async fn a_member_without_a_pod_has_none_and_its_neighbours_pod_is_not_its_own() {
    let cluster = Cluster::new().await;
    assert_eq!(cluster.registry.pod(&cluster.member).await, Ok(PodView::Absent));
    for (namespace, name) in [("prod", "redis-00"), ("test", "redis-0")] {
        cluster.server.set_pod(namespace, name, json!({ "metadata": { "uid": "u-9" } }));
    }
    assert_eq!(cluster.registry.pod(&cluster.member).await, Ok(PodView::Absent));
}

#[tokio::test]
async fn a_pods_life_is_read_from_its_own_object() {
    let cluster = Cluster::new().await;
    let pending = json!({ "metadata": { "uid": "u-1" }, "status": { "phase": "Pending" } });
    assert_eq!(view(&cluster, pending).await, present(None, Life::Running));
    let mut running = json!({
        "metadata": { "uid": "u-1" },
        "spec": { "nodeName": "n1", "containers": [] },
        "status": { "phase": "Running" },
    });
    assert_eq!(view(&cluster, running.clone()).await, present(Some("n1"), Life::Running));
    running["metadata"]["deletionTimestamp"] = json!("2026-11-20T15:00:21Z");
    let life = Life::Terminating(Some(Duration::from_secs(20)));
    assert_eq!(view(&cluster, running.clone()).await, present(Some("n1"), life));
    running["status"]["phase"] = json!("Failed");
    assert_eq!(view(&cluster, running).await, present(Some("n1"), Life::Terminal));
}

#[tokio::test]
async fn what_is_left_of_a_grace_period_is_told_by_the_servers_clock_alone() {
    let cluster = Cluster::new().await;
    let pod = json!({ "metadata": { "uid": "u-1", "deletionTimestamp": "2026-11-20T15:00:21Z" } });
    cluster.server.set_date(Some("Fri, 20 Nov 2026 15:00:11 GMT"));
    let life = Life::Terminating(Some(Duration::from_secs(9)));
    assert_eq!(view(&cluster, pod.clone()).await, present(None, life));
    cluster.server.set_date(None);
    assert_eq!(view(&cluster, pod).await, present(None, Life::Terminating(None)));
}
