//! Waiting for sockets of a predecessor that still use the address.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::audit::Held;
use super::processes::{container, send};
use super::set::{NAMESPACE, Set};
use super::test_cluster::{ADDRESSES, PODS, Pod, TestCluster, all_but, ensure};
use crate::Outcome;
use crate::images::MEMBER;
use crate::install::until;

/// Grace period in seconds, and how long init waits for a predecessor's sockets.
const WAIT: u32 = 12;
const SETTINGS: &[(&str, &str)] = &[("FIRECAMP_PREDECESSOR_GRACE", "12s")];

/// A pod that is not a member but listens at a member's address.
pub(super) struct Squatter {
    name: String,
    at: String,
}

impl TestCluster<'_> {
    /// Starts a squatter on a member's node.
    pub(super) async fn start_squatter(
        &self,
        name: &str,
        pod: &Pod,
        held: &Held,
    ) -> Outcome<Squatter> {
        let at = format!("{}:7000", held.address);
        let object = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": {
                "nodeName": pod.node,
                "hostNetwork": true,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": "squatter",
                    "image": MEMBER,
                    "command": ["/clusterbox", "occupy", at],
                }],
            },
        });
        self.create_object(PODS, &object).await?;
        self.wait_ready(name, None).await?;
        Ok(Squatter { name: name.to_owned(), at })
    }

    /// Kills the squatter and deletes its pod.
    pub(super) async fn remove_squatter(&self, squatter: Squatter) -> Outcome {
        for pid in self.contained("cmdline", &format!("/clusterbox\0occupy\0{}\0", squatter.at)) {
            send(pid, Signal::SIGKILL)?;
        }
        let words = ["-n", NAMESPACE, "delete", "pod", &squatter.name, "--wait=false"];
        self.admin.kubectl(&words).await.map(drop)
    }

    /// Force-deletes a pod, and waits until its successor has acquired the address and waits.
    async fn wait_for_takeover(&self, old: &Pod, held: &Held) -> Outcome<Pod> {
        self.begin_delete(old, &["--force", "--grace-period=0"]).await?;
        let place = format!("{ADDRESSES}/{}", held.address);
        let next =
            until(&format!("the successor of {} acquires {}", old.name, held.address), || async {
                let spec = &self.admin.get(&place).await?["spec"];
                let (at, epoch) = (&spec["attachment"], spec["epoch"].as_u64());
                let uid = at["podUID"].as_str().unwrap_or_default();
                let taken =
                    uid != old.uid && at["state"] == "Attaching" && epoch > Some(held.epoch);
                ensure(taken, || spec.to_string())?;
                let node = at["nodeName"].as_str().unwrap_or_default();
                Ok(Pod { name: old.name.clone(), uid: uid.to_owned(), node: node.to_owned() })
            })
            .await?;
        container(&next.uid, "firecamp-initcontainer")?;
        Ok(next)
    }

    /// The termination message of a ready pod's init container, which never failed.
    async fn termination_message(&self, pod: &Pod) -> Outcome<Value> {
        let object = self.pod(&pod.name).await?;
        let init = &object["status"]["initContainerStatuses"][0];
        ensure(init["restartCount"] == 0, || init.to_string())?;
        let message = init["state"]["terminated"]["message"].as_str().unwrap_or_default();
        serde_json::from_str(message).map_err(crate::failed(init.to_string()))
    }
}

pub(super) async fn f091_f028_a_successor_waits_for_sockets_and_is_swept_if_deleted(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { grace: WAIT, settings: SETTINGS, ..Set::new("heir", 1) };
    let all = cluster.start_members(&set).await?;
    let [(old, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let others = all_but(&old.node);
    cluster.cordon(&others, true).await?;
    let before = cluster.last_call()?;

    let squatter = cluster.start_squatter("squatter-1", old, held).await?;
    let second = cluster.wait_for_takeover(old, held).await?;
    cluster.remove_squatter(squatter).await?;
    cluster.wait_ready("heir-0", Some(old)).await?;
    let held = cluster.wait_held(&second).await?;

    let squatter = cluster.start_squatter("squatter-2", &second, &held).await?;
    let third = cluster.wait_for_takeover(&second, &held).await?;
    cluster.wait_ready("heir-0", Some(&second)).await?;
    let held = cluster.wait_held(&third).await?;
    let words = cluster.termination_message(&third).await?;
    let waited = words["elapsedMs"].as_u64() >= Some(u64::from(WAIT) * 1000);
    let warned = words["message"].as_str().unwrap_or_default().contains("still used it");
    ensure(waited && warned, || words.to_string())?;

    let fourth = cluster.wait_for_takeover(&third, &held).await?;
    let stop = container(&fourth.uid, "firecamp-stopcontainer");
    ensure(stop.is_err(), || format!("a stop container runs: {stop:?}"))?;
    cluster.orphan(&set).await?;
    cluster.begin_delete(&fourth, &[]).await?;
    cluster.remove_squatter(squatter).await?;
    cluster.wait_swept(&fourth, &held).await?;
    cluster.verify_mutations(before, 0)?;
    cluster.cordon(&others, false).await
}
