//! Pods with a network of their own at the endpoint. The simulated kernel has no such network.

use std::net::Ipv4Addr;

use firecamp_core::contract::exit::Exit;
use serde_json::{Value, json};

use super::asking::{TOKEN, asking, asking_of, raw, raw_from};
use super::harness::{ELSEWHERE, POD};

fn own() -> Value {
    json!({ "hostNetwork": false })
}

#[tokio::test]
async fn a_pod_with_a_network_of_its_own_is_refused_with_the_reason_where_that_is_off() {
    asking_of(false, async |asking| {
        asking.set_pod(POD, &own());
        let report = asking.attach(TOKEN).await;
        assert_eq!(report.exit, Exit::NodeUnsuitable, "{report:?}");
        assert!(report.message.contains("endpoint.podNetworks.clusterCIDRs"), "{report:?}");
    })
    .await;
}

#[tokio::test]
async fn f127_a_pod_is_served_only_from_the_address_that_the_api_shows() {
    asking_of(true, async |asking| {
        let before = asking.node.record().await;
        let shown = |ip: &str| json!({ "phase": "Pending", "podIPs": [{ "ip": ip }] });
        asking.set_pod_with(POD, &own(), &shown("10.244.1.6"));
        let report = asking.attach(TOKEN).await;
        assert_eq!(report.exit, Exit::TokenRefused, "{report:?}");
        assert!(report.message.contains("the request is from 127.0.0.1"), "{report:?}");
        asking.set_pod_with(POD, &own(), &shown("127.0.0.1"));
        let report = asking.attach(TOKEN).await;
        assert_eq!(report.exit, Exit::KernelRefused, "{report:?}");
        assert!(report.message.contains("network of pod"), "{report:?}");
        assert_eq!(asking.node.record().await, before, "nothing was taken");
    })
    .await;
}

#[tokio::test]
async fn a_pod_asks_again_until_the_kubelet_has_reported_its_address() {
    asking_of(true, async |asking| {
        asking.set_pod(POD, &own());
        let later = async {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            let status = json!({ "phase": "Pending", "podIPs": [{ "ip": "127.0.0.1" }] });
            asking.set_pod_with(POD, &own(), &status);
        };
        let (report, ()) = tokio::join!(asking.attach(TOKEN), later);
        // The simulated kernel does not know it, which is asked only then.
        assert_eq!(report.exit, Exit::KernelRefused, "{report:?}");
    })
    .await;
}

#[tokio::test]
async fn f127_the_token_of_a_pod_with_host_network_is_refused_from_another_network() {
    for pod_networks in [false, true] {
        asking_of(pod_networks, async |asking| {
            let another: Ipv4Addr = "127.0.0.7".parse().unwrap();
            let response = raw_from(another, asking.at, request()).await;
            assert!(response.starts_with("HTTP/1.1 401 "), "{response}");
            assert!(response.contains("the request is from 127.0.0.7"), "{response}");
            let response = raw(asking.at, request()).await;
            assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        })
        .await;
    }
}

#[tokio::test]
async fn f134_connections_of_other_machines_are_closed_whatever_they_show() {
    asking(async |asking| {
        let here = raw(asking.at, request()).await;
        assert!(here.starts_with("HTTP/1.1 "), "{here}");
        assert_eq!(raw_from(ELSEWHERE, asking.at, request()).await, "");
        assert_eq!(asking.metric("firecamp_agent_endpoint_refused_connections_total"), 1);
    })
    .await;
}

fn request() -> Vec<u8> {
    let head = format!("host: a\r\nauthorization: Bearer {TOKEN}");
    format!("GET /v1/address HTTP/1.1\r\n{head}\r\n\r\n").into_bytes()
}
