//! A member whose pod waits for its volume: what the agent says of its claim, and for how long.

use std::time::Duration;

use firecamp_apiserver::Fault;
use firecamp_node::volumes::observation::{
    Amount, Attachment, AttachmentState, BlockDevice, DeviceNumber, Mount, Usage,
};
use firecamp_node::volumes::path::KUBELET;
use firecamp_registry::api::VOLUME_READY;
use firecamp_testkit::sim::Instance;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::harness::{NODE, Node, POD, until};

const VOLUME: &str = "vol-0123456789abcdef0";
const CLAIM: &str = "data-redis-0";
const CLAIMS: &str = "staticipclaims";
const DISK: DeviceNumber = DeviceNumber { major: 259, minor: 16 };

/// The member's pod claims an EBS volume, and has no mount of it.
async fn node() -> Node {
    let node = Node::new().await;
    let object = json!({ "metadata": { "uid": "node-uid" }, "status": { "capacity": {} } });
    node.server.set("nodes", (None, NODE), object);
    let bound =
        json!({ "metadata": {}, "spec": { "volumeName": "pv-1" }, "status": { "phase": "Bound" } });
    node.server.set("persistentvolumeclaims", (Some("prod"), CLAIM), bound);
    let source = json!({ "driver": "ebs.csi.aws.com", "volumeHandle": VOLUME });
    let of = json!({ "namespace": "prod", "name": CLAIM });
    let volume = json!({ "metadata": {}, "spec": { "csi": source, "claimRef": of } });
    node.server.set("persistentvolumes", (None, "pv-1"), volume);
    waiting_pod(&node);
    node
}

fn waiting_pod(node: &Node) {
    let used = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": CLAIM } }]);
    let pod = json!({
        "metadata": { "uid": POD },
        "spec": { "nodeName": NODE, "volumes": used },
        "status": { "phase": "Pending" },
    });
    node.server.set_pod("prod", "redis-0", pod);
}

/// EC2 has it in this state for two minutes.
fn in_ec2(node: &Node, state: AttachmentState) {
    node.cloud.own(|own| own.volumes = vec![attachment_in(state)]);
}

fn attachment_in(state: AttachmentState) -> Attachment {
    Attachment {
        volume: VOLUME.parse().unwrap(),
        state,
        age: Some(Duration::from_mins(2)),
        label: "/dev/sdf".to_owned(),
        delete_on_termination: false,
        zone: "us-east-1a".parse().unwrap(),
        bytes: 1 << 30,
    }
}

/// EC2 has attached it at last, and kubelet mounts it.
fn comes(node: &Node) {
    in_ec2(node, AttachmentState::Attached);
    assert!(node.volumes.plug(BlockDevice {
        name: "nvme1n1".to_owned(),
        number: DISK,
        bytes: 1 << 30,
        read_only: false,
        model: Some("Amazon Elastic Block Store".to_owned()),
        serial: Some(VOLUME.replace('-', "")),
        partitions: Vec::new(),
        below: Vec::new(),
        links: Vec::new(),
    }));
    let bytes = Amount { total: 1 << 30, free: 1 << 29 };
    let mount = Mount {
        device: DISK,
        root: "/".to_owned(),
        point: format!("{KUBELET}/pods/{POD}/volumes/kubernetes.io~csi/pv-1/mount"),
        fstype: "ext4".to_owned(),
        source: "/dev/nvme1n1".to_owned(),
        read_only: false,
        filesystem_read_only: false,
    };
    assert!(node.volumes.mount(mount, Usage { bytes, inodes: Amount::default() }));
}

fn condition(node: &Node) -> Option<Value> {
    let claim = node.server.object(CLAIMS, Some("prod"), "redis-0").unwrap();
    let all = claim["status"]["conditions"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|one| one["type"] == VOLUME_READY)
}

/// Status and reason of what is said of the claim.
fn said(node: &Node) -> Option<String> {
    let one = condition(node)?;
    Some(format!("{} {}", one["status"].as_str()?, one["reason"].as_str()?))
}

async fn until_said(node: &Node, wanted: Option<&str>) {
    until(&format!("the claim says {wanted:?}"), || said(node).as_deref() == wanted).await;
}

/// The problems of the volume's row, and whether the node says that all of its volumes are well.
fn of_the_node(node: &Node) -> (Vec<String>, bool) {
    let object = node.server.object("nodeattachments", None, NODE).unwrap_or_default();
    let status = &object["status"];
    let rows = status["volumes"].as_array().cloned().unwrap_or_default();
    let row = rows.into_iter().find(|row| row["id"] == VOLUME).unwrap_or_default();
    let problems = row["problems"].as_array().cloned().unwrap_or_default();
    let reason = |one: &Value| one["reason"].as_str().unwrap_or_default().to_owned();
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let well =
        conditions.iter().any(|one| one["type"] == "VolumesReady" && one["status"] == "True");
    (problems.iter().map(reason).collect(), well)
}

/// Writes of claims so far.
fn of_claims(node: &Node) -> usize {
    let asked = node.server.requests();
    asked.iter().filter(|one| !one.starts_with("GET") && one.contains(CLAIMS)).count()
}

#[tokio::test(start_paused = true)]
async fn f081_stuck_volume_is_reported_on_node_and_claim_and_cleared_once_attached() {
    for (state, reason, word) in [
        (AttachmentState::Attaching, "StuckAttaching", "attaching"),
        (AttachmentState::Detaching, "StuckDetaching", "detaching"),
        (AttachmentState::Busy, "Busy", "busy"),
    ] {
        let node = node().await;
        in_ec2(&node, state);
        node.reporting_agent(async |agent| {
            agent.ready().await;
            until_said(&node, Some(&format!("False {reason}"))).await;
            let message = condition(&node).unwrap()["message"].as_str().unwrap().to_owned();
            let instance = node.server.object("nodeattachments", None, NODE).unwrap();
            let instance = instance["status"]["instance"].as_str().unwrap().to_owned();
            for part in [VOLUME, CLAIM, &instance, word, "Since 20"] {
                assert!(message.contains(part), "{part} in {message}");
            }
            assert!(message.starts_with("node-1 (i-"), "{message}");
            assert_eq!(condition(&node).unwrap()["observedGeneration"], 1);
            until("the node says so, too", || of_the_node(&node).0.contains(&reason.to_owned()))
                .await;
            let before = of_claims(&node);
            comes(&node);
            until_said(&node, Some("True Mounted")).await;
            assert_eq!(of_claims(&node), before + 1);
            let well = || of_the_node(&node) == (Vec::new(), true);
            let later = until("the node says the same", well).await;
            assert!(later < Duration::from_mins(1), "{later:?} after the claim");
        })
        .await;
        assert_eq!(node.cloud.mutations(), 0);
    }
}

/// The pod has come from another node, off which its volume does not come.
#[tokio::test(start_paused = true)]
async fn f081_volume_stuck_on_another_instance_is_reported_on_the_claim() {
    let node = node().await;
    let stuck = vec![attachment_in(AttachmentState::Detaching)];
    let other = Instance { volumes: stuck, ..Instance::default() };
    node.cloud.account().instances.insert("i-0000000b".to_owned(), other);
    node.reporting_agent(async |agent| {
        agent.ready().await;
        until_said(&node, Some("False StuckDetaching")).await;
        let message = condition(&node).unwrap()["message"].as_str().unwrap().to_owned();
        let stuck = "EC2 has been detaching the volume from i-0000000b and does not finish";
        assert!(message.contains(stuck), "{message}");
        until("the node says so, too", || {
            of_the_node(&node).0.contains(&"StuckDetaching".to_owned())
        })
        .await;
        node.cloud.account().instances.remove("i-0000000b");
        comes(&node);
        until_said(&node, Some("True Mounted")).await;
    })
    .await;
    assert_eq!(node.cloud.mutations(), 0);
}

#[tokio::test(start_paused = true)]
async fn f081_lasting_problem_is_written_once_despite_an_agent_restart() {
    let node = node().await;
    in_ec2(&node, AttachmentState::Attaching);
    node.reporting_agent(async |agent| {
        agent.ready().await;
        until_said(&node, Some("False StuckAttaching")).await;
        let before = (condition(&node), of_claims(&node));
        sleep(Duration::from_hours(1)).await;
        assert_eq!((condition(&node), of_claims(&node)), before);
    })
    .await;
    let (first, written) = (condition(&node), of_claims(&node));
    for _ in 0..2 {
        node.reporting_agent(async |agent| {
            agent.ready().await;
            sleep(Duration::from_mins(20)).await;
        })
        .await;
    }
    assert_eq!((condition(&node), of_claims(&node)), (first, written));
    // While no agent is there it gets well, and the next one says so.
    comes(&node);
    node.reporting_agent(async |_agent| until_said(&node, Some("True Mounted")).await).await;
}

#[tokio::test(start_paused = true)]
async fn f081_deleted_pod_clears_its_volume_condition() {
    let node = node().await;
    in_ec2(&node, AttachmentState::Attaching);
    node.reporting_agent(async |agent| {
        agent.ready().await;
        until_said(&node, Some("False StuckAttaching")).await;
        node.remove_pod();
        until_said(&node, None).await;
        waiting_pod(&node);
        until_said(&node, Some("False StuckAttaching")).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f081_condition_is_written_despite_refused_and_lost_requests() {
    let node = node().await;
    in_ec2(&node, AttachmentState::Attaching);
    let refused = Fault::Code(403, "Forbidden");
    for fault in [refused, refused, Fault::LostRequest, Fault::LostAnswer] {
        node.server.fail_next("PATCH", CLAIMS, fault);
    }
    node.reporting_agent(async |agent| {
        agent.ready().await;
        until("each fault was met", || node.server.unmet_faults() == 0).await;
        until_said(&node, Some("False StuckAttaching")).await;
        comes(&node);
        until_said(&node, Some("True Mounted")).await;
    })
    .await;
}
