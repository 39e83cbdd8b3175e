//! Members whose data volume is missing: never mounted, not mounted yet, or lost.

use std::path::Path;

use serde_json::{Value, json};

use super::processes::output_of;
use super::set::{Data, NAMESPACE, Set};
use super::test_cluster::{CLAIMS, Pod, TestCluster, all_but, ensure, text};
use crate::cli::print_line;
use crate::images::BUSYBOX;
use crate::install::until;
use crate::topology::WORKERS;
use crate::{Outcome, failed};

const VOLUMES: &str = "/api/v1/persistentvolumes";
const VOLUME_CLAIMS: &str = "/api/v1/namespaces/prod/persistentvolumeclaims";
/// Arguments that fetch the metrics of a node's agent.
const METRICS: [&str; 3] = ["fetch", "127.0.0.1:9810", "/metrics"];
const PENDING_AGE: &str = r#"firecamp_agent_volume_problem_age_seconds{reason="NotMounted"}"#;
const PROBLEMS: &str = r#"firecamp_agent_volume_problems{reason="NotMounted"}"#;
/// A local volume; a node can mount it once its directory exists there.
pub(super) const LATE: &str = "late";
/// The class of volumes that all nodes have; nothing provisions them.
pub(super) const SHARED_CLASS: &str = "shared";
/// A volume that is unmounted under its member.
const JOURNAL: &str = "journal";

/// The directory of a volume on a node.
fn directory(volume: &str) -> String {
    format!("/srv/{volume}")
}

/// A volume for a claim of its name: a directory, which a node can mount once it has it.
fn local_volume(claim: &str, directory: &Path, class: &str) -> Value {
    let nodes = WORKERS.map(|worker| worker.name);
    let here = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": nodes });
    let terms = json!([{ "matchExpressions": [here] }]);
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": { "name": claim },
        "spec": {
            "capacity": { "storage": "1Gi" },
            "accessModes": ["ReadWriteOnce"],
            "claimRef": { "namespace": NAMESPACE, "name": claim },
            "storageClassName": class,
            "local": { "path": directory },
            "nodeAffinity": { "required": { "nodeSelectorTerms": terms } },
        },
    })
}

impl TestCluster<'_> {
    /// Creates a volume for a claim that follows its member, as an EBS volume does: all nodes have
    /// the cluster's own directory.
    pub(super) async fn create_shared_volume(&self, claim: &str) -> Outcome {
        let directory = self.running.home.path("volumes").join(claim);
        std::fs::create_dir_all(&directory).map_err(failed(directory.display()))?;
        self.create_object(VOLUMES, &local_volume(claim, &directory, SHARED_CLASS)).await
    }
}

fn losing_set() -> Set {
    Set { data: Data::Claim(JOURNAL), ..Set::new("losing", 1) }
}

impl TestCluster<'_> {
    /// Waits until an Event reports that the pod's volume cannot be mounted; returns its node.
    async fn wait_for_mount_failure(&self, pod: &str, reason: &str) -> Outcome<String> {
        until(&format!("{pod} waits for its volume, reason {reason}"), || async {
            let object = self.pod(pod).await?;
            let uid = text(&object["metadata"]["uid"]);
            ensure(self.has_pod_event(reason, &uid).await?, || object["status"].to_string())?;
            let init = &object["status"]["initContainerStatuses"][0];
            let waits = init["state"]["waiting"].is_object() && init["restartCount"] == 0;
            ensure(waits, || object["status"].to_string())?;
            Ok(text(&object["spec"]["nodeName"]))
        })
        .await
    }

    /// Creates a local volume for all nodes, and its claim.
    async fn create_volume(&self, volume: &str) -> Outcome {
        let claimed = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": { "name": volume, "namespace": NAMESPACE },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "1Gi" } },
                "storageClassName": "",
                "volumeName": volume,
            },
        });
        let offered = local_volume(volume, Path::new(&directory(volume)), "");
        self.create_object(VOLUMES, &offered).await?;
        self.create_object(VOLUME_CLAIMS, &claimed).await
    }

    /// Creates the directory of a volume on a node.
    fn create_directory(&self, volume: &str, worker: &str) -> Outcome {
        output_of(self.running.on(worker, "mkdir")?.args(["-p", &directory(volume)])).map(drop)
    }

    async fn delete_volume(&self, volume: &str) -> Outcome {
        let claim = ["-n", NAMESPACE, "delete", "persistentvolumeclaim", volume];
        self.admin.kubectl(&claim).await?;
        self.admin.kubectl(&["delete", "persistentvolume", volume]).await.map(drop)
    }

    /// The value of a metric of a node's agent, if it exists.
    pub(super) fn metric(&self, worker: &str, series: &str) -> Outcome<Option<u64>> {
        let page = output_of(self.running.in_network_of(worker)?.args(METRICS))?;
        let whole = page.lines().any(|line| line == "# EOF");
        ensure(whole, || format!("metrics of {worker}: {page}"))?;
        let value = page.lines().find_map(|line| line.strip_prefix(series));
        value.map(|value| value.trim().parse().map_err(failed(value))).transpose()
    }

    /// Waits until a metric of a node's agent is above `than`.
    async fn wait_for_metric_above(&self, worker: &str, series: &str, than: u64) -> Outcome<u64> {
        until(&format!("{series} of {worker} above {than}"), || async {
            let value = self.metric(worker, series)?;
            value.filter(|value| *value > than).ok_or_else(|| format!("{value:?}"))
        })
        .await
    }

    /// Waits until a node's agent has no such metric.
    async fn wait_for_no_metric(&self, worker: &str, series: &str) -> Outcome {
        until(&format!("no {series} of {worker}"), || async {
            let value = self.metric(worker, series)?;
            ensure(value.is_none(), || format!("{value:?}"))
        })
        .await
    }

    /// Waits for this condition VolumeReady of the member's claim; returns its message.
    async fn wait_for_volume_condition(
        &self,
        member: &str,
        status: &str,
        reason: &str,
    ) -> Outcome<String> {
        until(&format!("VolumeReady of {member} is {status}, {reason}"), || async {
            let claim = self.admin.get(&format!("{CLAIMS}/{member}")).await?;
            let all = claim["status"]["conditions"].as_array().into_iter().flatten();
            let found = all.into_iter().find(|one| one["type"] == "VolumeReady");
            let found = found.ok_or_else(|| claim["status"].to_string())?;
            let so = found["status"] == status && found["reason"] == reason;
            ensure(so, || found.to_string())?;
            Ok(text(&found["message"]))
        })
        .await
    }
}

pub(super) async fn f082_an_address_moves_only_once_the_volume_is_mounted(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { data: Data::Claim(LATE), ..Set::new("late", 1) };
    let first = "node-a";
    cluster.create_volume(LATE).await?;
    cluster.create_directory(LATE, first)?;
    let others = all_but(first);
    cluster.cordon(&others, true).await?;
    let all = cluster.start_members(&set).await?;
    let [(old, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let before = cluster.last_call()?;
    cluster.cordon(&others, false).await?;
    cluster.cordon(&[first], true).await?;
    cluster.begin_delete(old, &[]).await?;
    cluster.wait_released(old, held).await?;
    let node = cluster.wait_for_mount_failure("late-0", "FailedMount").await?;
    let seconds = cluster.wait_for_metric_above(&node, PENDING_AGE, 0).await?;
    let later = cluster.wait_for_metric_above(&node, PENDING_AGE, seconds).await?;
    print_line(&format!("        the metric of the wait shows {seconds} s, then {later} s"))?;
    // The waiting pod has not acquired the address.
    cluster.wait_released(old, held).await?;
    cluster.verify_mutations(before, 0)?;
    cluster.create_directory(LATE, &node)?;
    let next = cluster.wait_ready("late-0", Some(old)).await?;
    let now = cluster.wait_held(&next).await?;
    ensure(now.address == held.address && next.node == node, || format!("{next:?}, {now:?}"))?;
    cluster.verify_mutations(before, 1)?;
    cluster.wait_for_no_metric(&node, PENDING_AGE).await?;
    cluster.cordon(&[first], false).await?;
    cluster.delete(&set).await?;
    cluster.delete_volume(LATE).await
}

pub(super) async fn f086_init_refuses_a_data_directory_that_is_not_a_mount(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { data: Data::None, ..Set::new("unmounted", 1) };
    let before = cluster.last_call()?;
    cluster.create(&set).await?;
    cluster.refused(&set, 18, &["/data", "mount"]).await?;
    cluster.verify_mutations(before, 0)?;
    cluster.delete(&set).await?;
    // Init also refuses a volume mounted elsewhere, unless the mount is not required.
    let nested = Set { data: Data::Nested, ..set };
    cluster.create(&nested).await?;
    cluster.refused(&nested, 18, &["/data", "mount"]).await?;
    cluster.verify_mutations(before, 0)?;
    cluster.delete(&nested).await?;
    let wanted = Set { settings: &[("FIRECAMP_REQUIRE_MOUNT", "false")], ..nested };
    cluster.create(&wanted).await?;
    until("init accepts a data directory without a mount", || async {
        let status = cluster.pod("unmounted-0").await?["status"].take();
        let end = &status["initContainerStatuses"][0]["state"]["terminated"];
        ensure(end["exitCode"] == 0, || status.to_string())
    })
    .await?;
    cluster.delete(&wanted).await
}

/// The pod whose volume is lost; it keeps its address.
async fn volume_loser(cluster: &TestCluster<'_>) -> Outcome<Pod> {
    let pod = cluster.wait_ready("losing-0", None).await?;
    cluster.wait_held(&pod).await?;
    Ok(pod)
}

/// Where the kubelet mounts the volume for a pod.
fn mounted_at(pod: &Pod) -> String {
    let volumes = format!("/var/lib/kubelet/pods/{}/volumes", pod.uid);
    format!("{volumes}/kubernetes.io~local-volume/{JOURNAL}")
}

/// The agent reports a lost volume after two minutes; other scenarios run meanwhile.
pub(super) async fn f086_lost_volume_1_is_unmounted_under_a_member(
    cluster: &TestCluster<'_>,
) -> Outcome {
    cluster.create_volume(JOURNAL).await?;
    for worker in WORKERS {
        cluster.create_directory(JOURNAL, worker.name)?;
    }
    cluster.create(&losing_set()).await?;
    let pod = volume_loser(cluster).await?;
    ensure(cluster.metric(&pod.node, PROBLEMS)?.is_none(), || {
        "a missing volume is reported already".to_owned()
    })?;
    // util-linux's umount reads /proc/self, which does not exist for a process from outside.
    output_of(cluster.running.on(&pod.node, BUSYBOX)?.args(["umount", "-l", &mounted_at(&pod)]))
        .map(drop)
}

pub(super) async fn f086_lost_volume_2_is_reported(cluster: &TestCluster<'_>) -> Outcome {
    let pod = volume_loser(cluster).await?;
    let text = cluster.wait_for_volume_condition(&pod.name, "False", "NotMounted").await?;
    let names = text.starts_with(&pod.node) && text.contains("volume journal");
    ensure(names && text.contains("is not mounted for it"), || text.clone())?;
    cluster.wait_for_node_event(&pod).await?;
    cluster.wait_for_metric_above(&pod.node, PROBLEMS, 0).await?;
    cluster.wait_for_volume_row(&pod, true).await?;
    let words = ["mount", "-o", "bind", &directory(JOURNAL), &mounted_at(&pod)];
    output_of(cluster.running.on(&pod.node, BUSYBOX)?.args(words)).map(drop)
}

pub(super) async fn f086_lost_volume_3_report_is_cleared_once_it_is_mounted_again(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let pod = volume_loser(cluster).await?;
    cluster.wait_for_volume_condition(&pod.name, "True", "Mounted").await?;
    cluster.wait_for_pod_event("VolumeRecovered", &pod).await?;
    cluster.wait_for_no_metric(&pod.node, PROBLEMS).await?;
    cluster.wait_for_volume_row(&pod, false).await?;
    cluster.delete(&losing_set()).await?;
    cluster.delete_volume(JOURNAL).await
}

impl TestCluster<'_> {
    /// Waits for the Event NotMounted about the pod's node.
    async fn wait_for_node_event(&self, pod: &Pod) -> Outcome {
        let all = "/api/v1/namespaces/default/events?fieldSelector=reason%3DNotMounted";
        until("an Event NotMounted about the node of the pod", || async {
            let all = self.admin.get(all).await?;
            let names = |one: &Value| {
                let note = text(&one["message"]);
                one["involvedObject"]["name"] == pod.node.as_str() && note.contains(&pod.name)
            };
            let some = all["items"].as_array().is_some_and(|all| all.iter().any(names));
            ensure(some, || all.to_string())
        })
        .await
    }

    /// Waits until the NodeAttachment of the pod's node lists the lost volume, or does not list it.
    async fn wait_for_volume_row(&self, pod: &Pod, wanted: bool) -> Outcome {
        let place = format!("/apis/firecamp.io/v1alpha1/nodeattachments/{}", pod.node);
        until(&format!("NodeAttachment {} lists the volume: {wanted}", pod.node), || async {
            let status = self.admin.get(&place).await?["status"].take();
            let rows = status["volumes"].as_array().cloned().unwrap_or_default();
            let has = |row: &Value| row["id"] == JOURNAL && row.to_string().contains("NotMounted");
            ensure(rows.iter().any(has) == wanted, || status.to_string())
        })
        .await
    }
}
