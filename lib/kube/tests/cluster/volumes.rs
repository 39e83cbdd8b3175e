//! The reads of a node's volumes, and their number.

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_core::failure::RegistryKind;
use firecamp_kube::{Timeouts, VolumeReader};
use firecamp_node::volumes::observation::ClusterView;
use serde_json::{Value, json};

use super::support::{QUICK, failed};

const NODE: &str = "node-1";
/// printf 'vol-0123456789abcdef0ebs.csi.aws.comnode-1' | sha256sum
const ATTACHMENT: &str = "csi-6590c3c4d4f850f3e8f4f8c40d5e10ee6664e18fa6365341856e1e13d0a7d0e4";
const HANDLE: &str = "vol-0123456789abcdef0";

fn pod(node: &str, uid: &str) -> Value {
    let claim = json!({ "claimName": "data-redis-0" });
    json!({
        "metadata": { "uid": uid },
        "spec": { "nodeName": node, "volumes": [{ "persistentVolumeClaim": claim }] },
        "status": { "phase": "Running" },
    })
}

fn set_attached(server: &ApiServer, attached: bool) {
    let name = format!("kubernetes.io/csi/ebs.csi.aws.com^{HANDLE}");
    let all = if attached { json!([{ "name": name }]) } else { json!([]) };
    let node = json!({ "metadata": {}, "status": { "volumesAttached": all } });
    server.set("nodes", (None, NODE), node);
    let attachment = json!({
        "metadata": {},
        "spec": { "nodeName": NODE, "source": { "persistentVolumeName": "pv-1" } },
        "status": { "attached": attached },
    });
    server.set("volumeattachments", (None, ATTACHMENT), attachment);
}

/// A node with one pod whose claim is bound to an EBS volume; another node's pod; and an unrelated
/// volume.
fn server() -> ApiServer {
    let server = ApiServer::default();
    server.set_pod("prod", "redis-0", pod(NODE, "u-1"));
    server.set_pod("prod", "redis-1", pod("node-2", "u-2"));
    let claim = json!({ "metadata": {}, "spec": { "volumeName": "pv-1" } });
    server.set("persistentvolumeclaims", (Some("prod"), "data-redis-0"), claim);
    let csi = json!({ "driver": "ebs.csi.aws.com", "volumeHandle": HANDLE });
    let claim = json!({ "namespace": "prod", "name": "data-redis-0" });
    let volume = json!({ "metadata": {}, "spec": { "csi": csi, "claimRef": claim } });
    server.set("persistentvolumes", (None, "pv-1"), volume.clone());
    server.set("persistentvolumes", (None, "pv-2"), volume);
    set_attached(&server, true);
    server
}

fn reader(server: &ApiServer) -> VolumeReader {
    VolumeReader::new(server.client(), QUICK, NODE.parse().unwrap())
}

/// The names of the objects of each kind.
fn names(view: &ClusterView) -> [Vec<String>; 4] {
    [
        view.pods.iter().map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect(),
        view.claims.iter().map(|claim| claim.name.to_string()).collect(),
        view.persistent_volumes.iter().map(|volume| volume.name.clone()).collect(),
        view.attachments.iter().map(|one| one.volume.clone()).collect(),
    ]
}

fn requests_since(server: &ApiServer, from: usize) -> Vec<String> {
    server.requests().into_iter().skip(from).collect()
}

#[tokio::test]
async fn f109_a_query_reads_only_the_objects_of_this_node() {
    let server = server();
    let view = reader(&server).read().await.unwrap();
    let wanted = ["prod/redis-0", "prod/data-redis-0", "pv-1", "pv-1"];
    assert_eq!(names(&view), wanted.map(|name| vec![name.to_owned()]));
    assert!(view.attachments[0].attached && !view.attachments[0].failing);
    assert_eq!(view.persistent_volumes[0].ebs.as_ref().unwrap().as_str(), HANDLE);
    let lists = requests_since(&server, 0).into_iter().filter(|request| request.ends_with("/*"));
    assert_eq!(lists.collect::<Vec<_>>(), ["GET pods/*"]);
}

#[tokio::test]
async fn pods_are_read_in_small_pages_only_if_one_page_is_too_large() {
    let server = server();
    let fill = |bytes: usize| {
        for number in 0..59 {
            let mut pod = pod(NODE, &format!("u-{number}"));
            pod["metadata"]["annotations"] = json!({ "filler": "x".repeat(bytes) });
            server.set_pod("prod", &format!("web-{number:02}"), pod);
        }
    };
    let reader = VolumeReader::new(server.client(), Timeouts::default(), NODE.parse().unwrap());
    for (bytes, lists) in [(1 << 10, 1), (75 << 10, 3)] {
        fill(bytes);
        let before = server.requests().len();
        assert_eq!(reader.read().await.unwrap().pods.len(), 60);
        let requests = requests_since(&server, before);
        assert_eq!(requests.iter().filter(|it| *it == "GET pods/*").count(), lists);
    }
}

#[tokio::test]
async fn a_query_without_changes_reads_only_pods_and_node() {
    let server = server();
    let reader = reader(&server);
    let first = reader.read().await.unwrap();
    assert_eq!(reader.read().await.unwrap(), first);
    let before = server.requests().len();
    assert_eq!(reader.read().await.unwrap(), first);
    assert_eq!(requests_since(&server, before), ["GET pods/*", "GET nodes/node-1"]);
}

#[tokio::test]
async fn f085_the_count_of_the_ebs_driver_is_read_again_once_a_pod_has_changed() {
    let server = server();
    let count = |count: u32| {
        let driver = json!({ "name": "ebs.csi.aws.com", "allocatable": { "count": count } });
        server.set(
            "csinodes",
            (None, NODE),
            json!({ "metadata": {}, "spec": { "drivers": [driver] } }),
        );
    };
    let reader = reader(&server);
    assert_eq!(reader.read().await.unwrap().offered, None, "the driver has not registered yet");
    count(26);
    assert_eq!(reader.read().await.unwrap().offered, Some(26));
    count(25);
    assert_eq!(reader.read().await.unwrap().offered, Some(26), "no pod has changed");
    server.fail_next("GET", "csinodes", Fault::Cut);
    server.set_pod(
        "kube-system",
        "ebs-csi-node-x",
        json!({
            "metadata": { "uid": "u-9" }, "spec": { "nodeName": NODE }, "status": {},
        }),
    );
    assert!(reader.read().await.is_err());
    assert_eq!(reader.read().await.unwrap().offered, Some(25), "a failed read is repeated");
}

#[tokio::test]
async fn f082_an_attachment_in_progress_is_read_again_until_it_is_complete() {
    let server = server();
    let reader = reader(&server);
    set_attached(&server, false);
    assert!(!reader.read().await.unwrap().attachments[0].attached);
    set_attached(&server, true);
    assert!(reader.read().await.unwrap().attachments[0].attached);
    // The Node no longer lists it: it is being detached.
    set_attached(&server, false);
    server.change("volumeattachments", None, ATTACHMENT, |object| {
        object["status"]["detachError"] = json!({ "message": "busy" });
    });
    assert!(reader.read().await.unwrap().attachments[0].failing);
}

#[tokio::test]
async fn f079_a_claim_of_the_same_name_for_another_pod_is_read_again() {
    let server = server();
    let reader = reader(&server);
    reader.read().await.unwrap();
    server.set_pod("prod", "redis-0", pod(NODE, "u-3"));
    let claim = json!({ "metadata": {}, "spec": { "volumeName": "pv-2" } });
    server.set("persistentvolumeclaims", (Some("prod"), "data-redis-0"), claim);
    let view = reader.read().await.unwrap();
    assert_eq!(view.claims[0].volume.as_deref(), Some("pv-2"));
    let before = server.requests().len();
    assert_eq!(reader.read().await.unwrap().claims, view.claims);
    assert!(
        !requests_since(&server, before).iter().any(|request| request.contains("claims")),
        "the claim is cached"
    );
}

#[tokio::test]
async fn a_directory_of_the_node_is_not_a_missing_volume() {
    let server = server();
    server.change("persistentvolumes", None, "pv-1", |volume| {
        volume["spec"]["csi"] = Value::Null;
        volume["spec"]["hostPath"] = json!({ "path": "/opt/local-path-provisioner/pvc-1" });
    });
    let reader = reader(&server);
    let view = reader.read().await.unwrap();
    assert!(view.pods[0].claims.is_empty(), "{:?}", view.pods);
    assert_eq!(reader.read().await.unwrap().pods, view.pods);
    let before = server.requests().len();
    assert_eq!(reader.read().await.unwrap().pods, view.pods);
    assert_eq!(
        requests_since(&server, before),
        ["GET pods/*", "GET nodes/node-1"],
        "the volume is read only once"
    );
}

#[tokio::test]
async fn an_attached_volume_without_a_pod_is_reported() {
    let server = server();
    let reader = reader(&server);
    reader.read().await.unwrap();
    server.remove("pods", Some("prod"), "redis-0");
    let view = reader.read().await.unwrap();
    assert_eq!((view.claims.len(), view.persistent_volumes.len()), (0, 1));
    set_attached(&server, false);
    server.remove("volumeattachments", None, ATTACHMENT);
    let view = reader.read().await.unwrap();
    assert_eq!(names(&view), [const { Vec::<String>::new() }; 4]);
}

#[tokio::test]
async fn a_query_fails_if_any_part_is_unreadable() {
    let server = server();
    let reader = reader(&server);
    for plural in
        ["pods", "nodes", "persistentvolumeclaims", "persistentvolumes", "volumeattachments"]
    {
        server.fail_next("GET", plural, Fault::Code(503, "ServiceUnavailable"));
        let (kind, _, text) = failed(reader.read().await);
        assert_eq!((kind, server.unmet_faults()), (RegistryKind::Unavailable, 0), "{text}");
    }
    assert_eq!(reader.read().await.unwrap().attachments.len(), 1);
}
