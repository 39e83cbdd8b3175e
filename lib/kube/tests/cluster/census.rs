//! The census before an adoption: complete, or a failure.

use std::net::Ipv4Addr;

use firecamp_apiserver::Fault;
use firecamp_core::failure::Effect;
use firecamp_core::ids::NodeName;
use firecamp_core::ports::Registry;
use firecamp_core::record::{Claim, Write};
use firecamp_registry::conformance::{claim, member};
use serde_json::json;

use super::support::{CLAIMS, Cluster, POOLS, failed};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 25);

fn node() -> NodeName {
    "node-1".parse().unwrap()
}

async fn claimed(cluster: &Cluster, index: u32, change: impl FnOnce(&mut Claim)) {
    let mut claim = claim(&member(index).unwrap(), &cluster.pool);
    change(&mut claim);
    cluster.registry.write(&Write::CreateClaim(claim)).await.unwrap();
}

fn pod(cluster: &Cluster, name: &str, (node, phase): (&str, &str)) {
    let pod = json!({
        "metadata": { "uid": format!("uid-of-{name}") },
        "spec": { "nodeName": node },
        "status": { "phase": phase },
    });
    cluster.server.set_pod("prod", name, pod);
}

#[tokio::test]
async fn a_claim_of_the_address_on_a_later_page_is_found() {
    for requested in [false, true] {
        let cluster = Cluster::new().await;
        for index in 100..220 {
            claimed(&cluster, index, |_claim| {}).await;
        }
        let none = cluster.registry.census(ADDRESS, &node()).await.unwrap();
        assert_eq!(none.claimed, None);
        claimed(&cluster, 990, |claim| {
            let which = if requested { &mut claim.requested } else { &mut claim.address };
            *which = Some(ADDRESS);
        })
        .await;
        let found = cluster.registry.census(ADDRESS, &node()).await.unwrap();
        assert_eq!(found.claimed, Some(member(990).unwrap()), "in requestedAddress: {requested}");
        assert_eq!(found.pools, std::slice::from_ref(&cluster.pool));
    }
}

#[tokio::test]
async fn the_pods_of_the_node_count_until_all_containers_terminated() {
    let cluster = Cluster::new().await;
    for phase in ["Running", "Pending", "Unknown", "", "Succeeded", "Failed"] {
        pod(&cluster, &format!("here-{}x", phase.to_lowercase()), ("node-1", phase));
    }
    pod(&cluster, "elsewhere", ("node-2", "Running"));
    let pods = cluster.registry.census(ADDRESS, &node()).await.unwrap().pods;
    let pods: Vec<&str> = pods.iter().map(firecamp_core::ids::PodUid::as_str).collect();
    let expected = ["pending", "running", "unknown", ""].map(|one| format!("uid-of-here-{one}x"));
    assert_eq!(pods, expected);
}

#[tokio::test]
async fn a_failed_list_fails_the_census() {
    for plural in [POOLS, CLAIMS, "pods"] {
        let cluster = Cluster::new().await;
        cluster.server.fail_next("GET", plural, Fault::Cut);
        let (_, effect, text) = failed(cluster.registry.census(ADDRESS, &node()).await);
        assert_eq!(effect, Effect::None, "{plural}: {text}");
        assert_eq!(cluster.server.unmet_faults(), 0, "{plural}");
    }
}
