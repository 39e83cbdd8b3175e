//! What an agent tells the API of its node, and that a quiet node tells nothing.

use std::time::Duration;

use firecamp_core::node_identity::Eni;
use firecamp_registry::conformance;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::harness::{NODE, Node, until};

pub(super) async fn node() -> Node {
    let node = Node::new().await;
    let object = json!({ "metadata": { "uid": "node-uid" }, "status": { "capacity": {} } });
    node.server.set("nodes", (None, NODE), object);
    node
}

fn capacity(node: &Node) -> Option<u32> {
    let object = node.server.object("nodes", None, NODE)?;
    object["status"]["capacity"]["firecamp.io/static-ip"].as_str()?.parse().ok()
}

fn status(node: &Node) -> Value {
    let object = node.server.object("nodeattachments", None, NODE);
    object.map_or(Value::Null, |object| object["status"].clone())
}

/// Status and reason of a condition of the node.
fn said(node: &Node, kind: &str) -> Option<String> {
    let status = status(node);
    let found = status["conditions"].as_array()?.iter().find(|one| one["type"] == kind)?;
    Some(format!("{} {}", found["status"].as_str()?, found["reason"].as_str()?))
}

/// By now everything has been asked, and what was to settle has settled.
const SETTLED: Duration = Duration::from_mins(15);

#[tokio::test(start_paused = true)]
async fn idle_node_and_restarted_agent_write_nothing() {
    let node = node().await;
    node.reporting_agent(async |agent| {
        agent.ready().await;
        until("the node is ready", || said(&node, "Ready").as_deref() == Some("True AllHealthy"))
            .await;
        sleep(SETTLED).await;
        let before = node.writes();
        sleep(Duration::from_hours(2)).await;
        assert_eq!(node.writes(), before, "{:#?}", node.server.requests().split_off(before));
    })
    .await;
    let (shown, before) = (status(&node), node.writes());
    for _ in 0..3 {
        node.reporting_agent(async |agent| {
            agent.ready().await;
            sleep(SETTLED).await;
        })
        .await;
    }
    assert_eq!(node.writes(), before, "{shown:#}, and now {:#}", status(&node));
    assert_eq!(node.cloud.mutations(), 0);
}

#[tokio::test(start_paused = true)]
async fn node_says_whether_its_endpoint_listens() {
    let node = node().await;
    node.reporting_agent(async |agent| {
        agent.ready().await;
        let why = "the agent does not listen at 169.254.196.96:9814: Address already in use";
        let shown = [
            (Err(why.to_owned()), "False NotListening"),
            (Ok(true), "True Listening"),
            (Ok(false), "True NoEndpoint"),
        ];
        for (listens, shown) in shown {
            agent.shared_status.set_endpoint(listens);
            until(shown, || said(&node, "EndpointServed").as_deref() == Some(shown)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f021_capacity_follows_attached_and_detached_enis() {
    let node = node().await;
    node.reporting_agent(async |agent| {
        agent.ready().await;
        until("there is room for nine", || capacity(&node) == Some(9)).await;
        assert_eq!(said(&node, "EniUsable").as_deref(), Some("True Usable"));
        let first = node.cloud.own(|own| own.identity.clone()).unwrap().enis[0].clone();
        let second = Eni {
            id: "eni-0000000b".parse().unwrap(),
            mac: "06:00:00:00:00:02".parse().unwrap(),
            device_index: 1,
            subnet: "subnet-00000002".parse().unwrap(),
            primary_address: [10, 2, 0, 10].into(),
            listed: [].into(),
            ..first.clone()
        };
        node.cloud.set_enis(&[first.clone(), second.clone()]);
        until("it is shown", || status(&node)["enis"][1]["id"] == "eni-0000000b").await;
        assert_eq!(capacity(&node), Some(9), "no pool has addresses of its subnet");
        node.server.create_pool(&conformance::pool("b", &[2]).unwrap());
        until("there is room for eighteen", || capacity(&node) == Some(18)).await;
        node.cloud.set_enis(&[first]);
        until("there is room for nine again", || capacity(&node) == Some(9)).await;
        assert_eq!(status(&node)["slots"], json!({ "total": 9, "free": 8 }));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f049_unreachable_metadata_service_is_reported_and_its_last_data_kept() {
    let node = node().await;
    node.reporting_agent(async |agent| {
        agent.ready().await;
        until("the node is ready", || said(&node, "Ready").as_deref() == Some("True AllHealthy"))
            .await;
        let before = status(&node);
        node.cloud.hang();
        let silent = || said(&node, "Ready").as_deref() == Some("False MetadataUnreachable");
        until("its silence is told", silent).await;
        let now = status(&node);
        assert_eq!((&now["enis"], &now["slots"]), (&before["enis"], &before["slots"]));
        assert_eq!(capacity(&node), Some(9));
        node.cloud.recover();
        until("it is ready again", || said(&node, "Ready").as_deref() == Some("True AllHealthy"))
            .await;
    })
    .await;
}
