//! Members whose data volume is not there, not yet, or no longer.

use serde_json::{Value, json};

use super::ports::said;
use super::scene::{CLAIMS, Pod, Scene, all_but, ensure, text};
use super::set::{Data, NAMESPACE, Set};
use crate::cli::say;
use crate::images::BUSYBOX;
use crate::install::until;
use crate::topology::WORKERS;
use crate::{Outcome, failed};

const VOLUMES: &str = "/api/v1/persistentvolumes";
const VOLUME_CLAIMS: &str = "/api/v1/namespaces/prod/persistentvolumeclaims";
/// Where the agent of a node tells its metrics.
const METRICS: [&str; 3] = ["fetch", "127.0.0.1:9810", "/metrics"];
const WAITED: &str = r#"firecamp_agent_volume_problem_age_seconds{reason="NotMounted"}"#;
const REPORTED: &str = r#"firecamp_agent_volume_problems{reason="NotMounted"}"#;
/// A volume that all nodes may have, and that a node has once its directory is made.
pub(super) const LATE: &str = "late";
/// One that is taken away.
const JOURNAL: &str = "journal";

/// The directory that a volume is on a node.
fn directory(volume: &str) -> String {
    format!("/srv/{volume}")
}

fn losing() -> Set {
    Set { data: Data::Claim(JOURNAL), ..Set::new("losing", 1) }
}

impl Scene<'_> {
    /// Waits until a pod is on a node that cannot mount its volume, and returns the node.
    async fn unmounted(&self, pod: &str, reason: &str) -> Outcome<String> {
        until(&format!("{pod} waits for its volume"), || async {
            let object = self.pod(pod).await?;
            let uid = text(&object["metadata"]["uid"]);
            ensure(self.reported_of(reason, &uid).await?, || object["status"].to_string())?;
            let init = &object["status"]["initContainerStatuses"][0];
            let waits = init["state"]["waiting"].is_object() && init["restartCount"] == 0;
            ensure(waits, || object["status"].to_string())?;
            Ok(text(&object["spec"]["nodeName"]))
        })
        .await
    }

    /// Offers a volume on every node, and claims it.
    async fn offer(&self, volume: &str) -> Outcome {
        let (size, modes) = (json!({ "storage": "1Mi" }), json!(["ReadWriteOnce"]));
        let nodes = WORKERS.map(|worker| worker.name);
        let here = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": nodes });
        let terms = json!([{ "matchExpressions": [here] }]);
        let offered = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": { "name": volume },
            "spec": {
                "capacity": size,
                "accessModes": modes,
                "claimRef": { "namespace": NAMESPACE, "name": volume },
                "local": { "path": directory(volume) },
                "nodeAffinity": { "required": { "nodeSelectorTerms": terms } },
            },
        });
        let claimed = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": { "name": volume, "namespace": NAMESPACE },
            "spec": {
                "accessModes": modes,
                "resources": { "requests": size },
                "storageClassName": "",
                "volumeName": volume,
            },
        });
        self.made(VOLUMES, &offered).await?;
        self.made(VOLUME_CLAIMS, &claimed).await
    }

    /// Gives a node the directory of a volume.
    fn insert(&self, volume: &str, worker: &str) -> Outcome {
        said(self.running.on(worker, "mkdir")?.args(["-p", &directory(volume)])).map(drop)
    }

    async fn withdraw(&self, volume: &str) -> Outcome {
        let claim = ["-n", NAMESPACE, "delete", "persistentvolumeclaim", volume];
        self.admin.kubectl(&claim).await?;
        self.admin.kubectl(&["delete", "persistentvolume", volume]).await.map(drop)
    }

    /// What the agent of a node counts by this name, if anything.
    fn counted(&self, worker: &str, series: &str) -> Outcome<Option<u64>> {
        let page = said(self.running.beside(worker)?.args(METRICS))?;
        let whole = page.lines().any(|line| line == "# EOF");
        ensure(whole, || format!("metrics of {worker}: {page}"))?;
        let value = page.lines().find_map(|line| line.strip_prefix(series));
        value.map(|value| value.trim().parse().map_err(failed(value))).transpose()
    }

    /// Waits until the agent of a node counts more than that by this name.
    async fn counts_more(&self, worker: &str, series: &str, than: u64) -> Outcome<u64> {
        until(&format!("{series} of {worker} above {than}"), || async {
            let value = self.counted(worker, series)?;
            value.filter(|value| *value > than).ok_or_else(|| format!("{value:?}"))
        })
        .await
    }

    /// Waits until the agent of a node counts nothing by this name.
    async fn counts_none(&self, worker: &str, series: &str) -> Outcome {
        until(&format!("no {series} of {worker}"), || async {
            let value = self.counted(worker, series)?;
            ensure(value.is_none(), || format!("{value:?}"))
        })
        .await
    }

    /// Waits until the member's claim says this of its volume.
    async fn volume_ready(&self, member: &str, status: &str, reason: &str) -> Outcome<String> {
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
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set { data: Data::Claim(LATE), ..Set::new("late", 1) };
    let first = "node-a";
    scene.offer(LATE).await?;
    scene.insert(LATE, first)?;
    let others = all_but(first);
    scene.cordon(&others, true).await?;
    let all = scene.started(&set).await?;
    let [(old, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let before = scene.calls()?;
    scene.cordon(&others, false).await?;
    scene.cordon(&[first], true).await?;
    scene.let_go(old, &[]).await?;
    scene.released(old, held).await?;
    let node = scene.unmounted("late-0", "FailedMount").await?;
    let seconds = scene.counts_more(&node, WAITED, 0).await?;
    let later = scene.counts_more(&node, WAITED, seconds).await?;
    say(&format!("        the agent has seen it wait for {seconds} s, and then {later} s"))?;
    // Nothing has been taken, by anybody.
    scene.released(old, held).await?;
    scene.changed(before, 0)?;
    scene.insert(LATE, &node)?;
    let next = scene.ready("late-0", Some(old)).await?;
    let now = scene.holds(&next).await?;
    ensure(now.address == held.address && next.node == node, || format!("{next:?}, {now:?}"))?;
    scene.changed(before, 1)?;
    scene.counts_none(&node, WAITED).await?;
    scene.cordon(&[first], false).await?;
    scene.delete(&set).await?;
    scene.withdraw(LATE).await
}

pub(super) async fn f086_init_refuses_a_data_directory_that_is_no_mount(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set { data: Data::Nothing, ..Set::new("unmounted", 1) };
    let before = scene.calls()?;
    scene.create(&set).await?;
    scene.refused(&set, 18, &["/data", "mount"]).await?;
    scene.changed(before, 0)?;
    scene.delete(&set).await?;
    // With a volume in the wrong place it is refused as well, unless that is wanted.
    let wrong = Set { data: Data::Below, ..set };
    scene.create(&wrong).await?;
    scene.refused(&wrong, 18, &["/data", "mount"]).await?;
    scene.changed(before, 0)?;
    scene.delete(&wrong).await?;
    let wanted = Set { settings: &[("FIRECAMP_REQUIRE_MOUNT", "false")], ..wrong };
    scene.create(&wanted).await?;
    until("init does without a mount", || async {
        let status = scene.pod("unmounted-0").await?["status"].take();
        let end = &status["initContainerStatuses"][0]["state"]["terminated"];
        ensure(end["exitCode"] == 0, || status.to_string())
    })
    .await?;
    scene.delete(&wanted).await
}

/// The pod of the member whose volume goes away, which has its address all the while.
async fn loser(scene: &Scene<'_>) -> Outcome<Pod> {
    let pod = scene.ready("losing-0", None).await?;
    scene.holds(&pod).await?;
    Ok(pod)
}

/// Where the kubelet mounts the volume for a pod.
fn mounted_at(pod: &Pod) -> String {
    let volumes = format!("/var/lib/kubelet/pods/{}/volumes", pod.uid);
    format!("{volumes}/kubernetes.io~local-volume/{JOURNAL}")
}

/// A journal that is missing is told after two minutes, during which other scenarios go on.
pub(super) async fn f086_a_volume_that_went_away_1_under_a_member(scene: &Scene<'_>) -> Outcome {
    scene.offer(JOURNAL).await?;
    for worker in WORKERS {
        scene.insert(JOURNAL, worker.name)?;
    }
    scene.create(&losing()).await?;
    let pod = loser(scene).await?;
    ensure(scene.counted(&pod.node, REPORTED)?.is_none(), || "it is reported".to_owned())?;
    // Others than this one read /proc/self, which nobody has who comes from outside of a node.
    said(scene.running.on(&pod.node, BUSYBOX)?.args(["umount", "-l", &mounted_at(&pod)])).map(drop)
}

pub(super) async fn f086_a_volume_that_went_away_2_is_reported(scene: &Scene<'_>) -> Outcome {
    let pod = loser(scene).await?;
    let text = scene.volume_ready(&pod.name, "False", "NotMounted").await?;
    let names = text.starts_with(&pod.node) && text.contains("volume journal");
    ensure(names && text.contains("is not mounted for it"), || text.clone())?;
    scene.noted(&pod).await?;
    scene.counts_more(&pod.node, REPORTED, 0).await?;
    scene.in_report(&pod, true).await?;
    let words = ["mount", "-o", "bind", &directory(JOURNAL), &mounted_at(&pod)];
    said(scene.running.on(&pod.node, BUSYBOX)?.args(words)).map(drop)
}

pub(super) async fn f086_a_volume_that_went_away_3_is_reported_no_longer_once_it_is_back(
    scene: &Scene<'_>,
) -> Outcome {
    let pod = loser(scene).await?;
    scene.volume_ready(&pod.name, "True", "Mounted").await?;
    scene.event("VolumeRecovered", &pod).await?;
    scene.counts_none(&pod.node, REPORTED).await?;
    scene.in_report(&pod, false).await?;
    scene.delete(&losing()).await?;
    scene.withdraw(JOURNAL).await
}

impl Scene<'_> {
    /// Waits for the Event about the pod's node that tells of its volume.
    async fn noted(&self, pod: &Pod) -> Outcome {
        let all = "/api/v1/namespaces/default/events?fieldSelector=reason%3DNotMounted";
        until("an Event tells of the volume", || async {
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

    /// Waits until the object of the pod's node has the problem of its volume, or has it no more.
    async fn in_report(&self, pod: &Pod, wanted: bool) -> Outcome {
        let place = format!("/apis/firecamp.io/v1alpha1/nodeattachments/{}", pod.node);
        until(&format!("{} reports it: {wanted}", pod.node), || async {
            let status = self.admin.get(&place).await?["status"].take();
            let rows = status["volumes"].as_array().cloned().unwrap_or_default();
            let has = |row: &Value| row["id"] == JOURNAL && row.to_string().contains("NotMounted");
            ensure(rows.iter().any(has) == wanted, || status.to_string())
        })
        .await
    }
}
