//! Reads for diagnosis: complete objects, served resources, and permissions.

use std::collections::BTreeSet;

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_core::failure::{Effect, RegistryKind};
use firecamp_core::ports::Registry;
use firecamp_core::record::Write;
use firecamp_kube::{Inventory, ObservedNode, Right};
use firecamp_registry::api::{
    Kind, NodeAttachmentsSpec, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec,
};
use firecamp_registry::conformance::{claim, member};
use serde_json::{Value, json};

use super::support::{CLAIMS, Cluster, IPS, QUICK, failed};

fn inventory(server: &ApiServer) -> Inventory {
    Inventory::new(server.client(), QUICK)
}

fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().filter_map(|object| object.pointer("/metadata/name")?.as_str()).collect()
}

#[tokio::test]
async fn objects_of_all_namespaces_are_listed_page_by_page() {
    let cluster = Cluster::new().await;
    for index in 1..120 {
        let claim = claim(&member(index).unwrap(), &cluster.pool);
        cluster.registry.write(&Write::CreateClaim(claim)).await.unwrap();
    }
    let claims = inventory(&cluster.server).ours::<StaticIPClaimSpec>().await.unwrap();
    assert_eq!(claims.len(), 120);
    assert_eq!(claims[0]["spec"]["address"], json!("10.1.0.20"));
    assert_eq!(names(&claims).into_iter().collect::<BTreeSet<_>>().len(), 120);
    let lists =
        cluster.server.requests().iter().filter(|one| *one == "GET staticipclaims/*").count();
    assert_eq!(lists, 3);
}

#[tokio::test]
async fn a_partial_list_is_an_error() {
    let cluster = Cluster::new().await;
    cluster.server.fail_next("GET", IPS, Fault::Cut);
    let (_, effect, text) = failed(inventory(&cluster.server).ours::<StaticIPSpec>().await);
    assert_eq!(effect, Effect::None);
    assert!(text.contains("list the objects of kind StaticIP"), "{text}");
}

#[tokio::test]
async fn one_object_exists_or_is_absent() {
    let cluster = Cluster::new().await;
    let inventory = inventory(&cluster.server);
    let pool = inventory.one::<StaticIPPoolSpec>("a").await.unwrap().unwrap();
    assert_eq!(pool["kind"], json!("StaticIPPool"));
    assert_eq!(inventory.one::<StaticIPPoolSpec>("b").await, Ok(None));
}

#[tokio::test]
async fn nodes_are_read_with_their_instance_and_addresses() {
    let server = ApiServer::default();
    let address = |kind: &str, text: &str| json!({ "type": kind, "address": text });
    let node = json!({
        "metadata": { "annotations": { "alpha.kubernetes.io/provided-node-ip": "10.0.1.10" } },
        "spec": { "providerID": "aws:///us-east-1a/i-0123456789abcdef0" },
        "status": { "addresses": [
            address("InternalIP", "10.0.1.10"),
            address("InternalIP", "fd00::1"),
            address("ExternalIP", "10.0.1.11"),
            address("InternalIP", "10.0.1.12"),
        ] },
    });
    server.set("nodes", (None, "b.internal"), json!({ "metadata": {} }));
    server.set("nodes", (None, "a.internal"), node);
    let nodes = inventory(&server).nodes().await.unwrap();
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["a.internal", "b.internal"]);
    let wanted = ObservedNode {
        instance: Some("i-0123456789abcdef0".to_owned()),
        internal: vec![[10, 0, 1, 10].into(), [10, 0, 1, 12].into()],
        fixed: true,
    };
    assert_eq!((&nodes["a.internal"], &nodes["b.internal"]), (&wanted, &ObservedNode::default()));
}

#[tokio::test]
async fn the_volume_limit_of_the_ebs_driver_is_read_if_it_reports_one() {
    let server = ApiServer::default();
    let driver =
        |name: &str, count: u32| json!({ "name": name, "allocatable": { "count": count } });
    let set = |name: &str, drivers: Value| {
        let object = json!({ "metadata": {}, "spec": { "drivers": drivers } });
        server.set("csinodes", (None, name), object);
    };
    set("a", json!([driver("efs.csi.aws.com", 9), driver("ebs.csi.aws.com", 25)]));
    set("b", json!([{ "name": "ebs.csi.aws.com" }]));
    let offered = async |name| inventory(&server).offered_volumes(name).await;
    assert_eq!(offered("a").await, Ok(Some(25)));
    assert_eq!(offered("b").await, Ok(None));
    assert_eq!(offered("c").await, Ok(None), "there is no such CSINode");
    server.fail_next("GET", "csinodes", Fault::Cut);
    assert!(offered("a").await.is_err());
}

#[tokio::test]
async fn the_settings_of_the_vpc_cni_are_read_from_its_daemon_set() {
    let server = ApiServer::default();
    assert_eq!(inventory(&server).vpc_cni().await, Ok(None));
    let env = json!([
        { "name": "AWS_VPC_K8S_CNI_EXTERNALSNAT", "value": "true" },
        { "name": "MY_NODE_NAME", "valueFrom": {} },
    ]);
    let spec = json!({ "template": { "spec": { "containers": [{ "env": env }] } } });
    let object = json!({ "metadata": {}, "spec": spec });
    server.set("daemonsets", (Some("kube-system"), "aws-node"), object);
    let set = inventory(&server).vpc_cni().await.unwrap().unwrap();
    let wanted = ("AWS_VPC_K8S_CNI_EXTERNALSNAT".to_owned(), "true".to_owned());
    assert_eq!(set, [wanted].into());
}

#[tokio::test]
async fn the_served_resources_contain_all_firecamp_kinds_or_none() {
    let server = ApiServer::default();
    let resources = inventory(&server).served().await.unwrap().unwrap();
    let found = |name: &str| resources.iter().find(|one| one.name == name);
    assert!(found(StaticIPClaimSpec::PLURAL).is_some_and(|one| one.namespaced));
    assert!(found(NodeAttachmentsSpec::PLURAL).is_some_and(|one| !one.namespaced));
    assert!(found("staticips/status").is_some());
    server.uninstall();
    assert_eq!(inventory(&server).served().await, Ok(None));
}

/// A load balancer's 404 does not mean that the CRDs are not installed.
#[tokio::test]
async fn a_404_of_a_proxy_does_not_mean_that_nothing_is_served() {
    let server = ApiServer::default();
    server.fail_next("GET", "resources", Fault::Proxy(404));
    let (kind, _, text) = failed(inventory(&server).served().await);
    assert_eq!(kind, RegistryKind::Refused, "{text}");
}

#[tokio::test]
async fn the_server_reports_its_version_and_the_clients_permissions() {
    let server = ApiServer::default();
    let inventory = inventory(&server);
    assert_eq!(inventory.version().await.as_deref(), Ok("v1.34.4"));
    server.deny("patch", IPS);
    let right = |verb, resource| Right {
        verb,
        group: "firecamp.io",
        resource,
        subresource: "",
        name: "",
        namespace: None,
    };
    assert_eq!(inventory.may(&right("patch", IPS)).await, Ok(false));
    assert_eq!(inventory.may(&right("list", IPS)).await, Ok(true));
    assert_eq!(right("list", CLAIMS).to_string(), "list staticipclaims of firecamp.io");
}
