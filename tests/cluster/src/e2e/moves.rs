//! Members that move because their node is drained or fails, and scaling.

use firecamp_core::contract::service::NAME_LABEL;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use vpcbox::vpc::Act;

use super::audit::Held;
use super::pod_termination::wait_attached_again;
use super::processes::{containers, send};
use super::set::Set;
use super::test_cluster::{CLAIMS, PODS, Pod, TestCluster, ensure, text};
use crate::Outcome;
use crate::install::{nodes_ready, until};

pub(super) const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute";

impl TestCluster<'_> {
    /// Waits until a node is not Ready.
    pub(super) async fn wait_not_ready(&self, worker: &str) -> Outcome {
        until(&format!("{worker} is NotReady"), || async {
            let node = self.admin.get(&format!("/api/v1/nodes/{worker}")).await?;
            ensure(!crate::install::is_condition_true(&node["status"], "Ready"), || {
                "the node is Ready".to_owned()
            })
        })
        .await
    }

    /// Adds or removes the out-of-service taint of a node.
    pub(super) async fn taint(&self, worker: &str, there: bool) -> Outcome {
        let taint = if there { OUT_OF_SERVICE.to_owned() } else { format!("{OUT_OF_SERVICE}-") };
        self.admin.kubectl(&["taint", "node", worker, &taint]).await.map(drop)
    }

    /// The members of some services on a node.
    async fn members_on(&self, node: &str, services: &[&str]) -> Outcome<Vec<Pod>> {
        let pods = self.admin.get(PODS).await?;
        let all = pods["items"].as_array().into_iter().flatten();
        let here = all.filter(|pod| {
            let service = pod["metadata"]["labels"][NAME_LABEL].as_str();
            pod["spec"]["nodeName"] == node && service.is_some_and(|one| services.contains(&one))
        });
        let pod = |pod: &Value| Pod {
            name: text(&pod["metadata"]["name"]),
            uid: text(&pod["metadata"]["uid"]),
            node: node.to_owned(),
        };
        Ok(here.map(pod).collect())
    }

    /// Waits until each of the members is ready on another node.
    async fn wait_elsewhere(&self, members: &[Pod]) -> Outcome {
        for old in members {
            let new = self.wait_ready(&old.name, Some(old)).await?;
            ensure(new.node != old.node, || format!("{} is still on {}", old.name, old.node))?;
        }
        Ok(())
    }

    /// The node of a member loses its power, with all members of these services on it, which start
    /// elsewhere; then it returns. Returns how many members it had.
    pub(super) async fn lose_node_of(&self, member: &str, services: &[&str]) -> Outcome<usize> {
        let node = text(&self.pod(member).await?["spec"]["nodeName"]);
        let lost = self.members_on(&node, services).await?;
        self.vpc(|vpc| vpc.act(Act::Stop { node: node.clone() }))?;
        self.wait_not_ready(&node).await?;
        self.taint(&node, true).await?;
        self.wait_elsewhere(&lost).await?;
        self.vpc(|vpc| vpc.act(Act::Start { node: node.clone() }))?;
        nodes_ready(&self.admin).await?;
        self.taint(&node, false).await?;
        Ok(lost.len())
    }

    /// Drains the node of a member; the members of these services on it start elsewhere. Returns
    /// how many it had.
    pub(super) async fn drain_node_of(&self, member: &str, services: &[&str]) -> Outcome<usize> {
        let node = text(&self.pod(member).await?["spec"]["nodeName"]);
        let moving = self.members_on(&node, services).await?;
        let words = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s"];
        self.admin.kubectl(&[&["drain", &node], &words[..]].concat()).await?;
        self.wait_elsewhere(&moving).await?;
        self.cordon(&[&node], false).await?;
        Ok(moving.len())
    }

    /// Waits for the member's next pod; it must be on another node and hold the same address.
    async fn wait_moved(&self, old: &Pod, held: &Held) -> Outcome<(Pod, Held)> {
        let next = self.wait_ready(&old.name, Some(old)).await?;
        ensure(next.node != old.node, || format!("{} is still on {}", next.name, next.node))?;
        let now = self.wait_held(&next).await?;
        ensure(now.address == held.address && now.epoch > held.epoch, || {
            format!("{now:?} after {held:?}")
        })?;
        Ok((next, now))
    }

    /// Starts a set of one member and returns its pod and address.
    async fn start_single(&self, set: &Set) -> Outcome<(Pod, Held)> {
        self.create(set).await?;
        let pod = self.wait_ready(&format!("{}-0", set.name), None).await?;
        let held = self.wait_held(&pod).await?;
        Ok((pod, held))
    }
}

pub(super) async fn draining_a_node_moves_its_member_with_one_ec2_mutation(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("drained", 1);
    let (old, held) = cluster.start_single(&set).await?;
    let before = cluster.last_call()?;
    let drain = ["drain", &old.node, "--ignore-daemonsets", "--delete-emptydir-data"];
    cluster.admin.kubectl(&drain).await?;
    cluster.wait_moved(&old, &held).await?;
    cluster.verify_mutations(before, 1)?;
    cluster.cordon(&[&old.node], false).await?;
    cluster.delete(&set).await
}

pub(super) async fn a_superseded_pod_behind_a_stopped_kubelet_changes_nothing(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("zombie", 1);
    let (old, held) = cluster.start_single(&set).await?;
    let before = cluster.last_call()?;
    let kubelet = cluster.kubelet(&old.node)?;
    send(kubelet, Signal::SIGSTOP)?;
    cluster.wait_not_ready(&old.node).await?;
    cluster.taint(&old.node, true).await?;
    let (next, now) = cluster.wait_moved(&old, &held).await?;
    let alive = containers(&old.uid);
    ensure(!alive.is_empty(), || "no container of the old pod runs".to_owned())?;
    cluster.taint(&old.node, false).await?;
    send(kubelet, Signal::SIGCONT)?;
    cluster.wait_dead(&old).await?;
    nodes_ready(&cluster.admin).await?;
    let after = cluster.wait_held(&next).await?;
    ensure(after == now, || format!("{after:?} after {now:?}"))?;
    cluster.verify_mutations(before, 1)?;
    cluster.delete(&set).await
}

pub(super) async fn a_powered_off_node_loses_its_member_and_returns_without_it(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("power", 1);
    let (old, held) = cluster.start_single(&set).await?;
    let before = cluster.last_call()?;
    cluster.vpc(|vpc| vpc.act(Act::Stop { node: old.node.clone() }))?;
    cluster.wait_not_ready(&old.node).await?;
    cluster.taint(&old.node, true).await?;
    let (next, now) = cluster.wait_moved(&old, &held).await?;
    cluster.vpc(|vpc| vpc.act(Act::Start { node: old.node.clone() }))?;
    nodes_ready(&cluster.admin).await?;
    cluster.taint(&old.node, false).await?;
    let after = cluster.wait_held(&next).await?;
    ensure(after == now, || format!("{after:?} after {now:?}"))?;
    cluster.verify_mutations(before, 1)?;
    cluster.delete(&set).await
}

pub(super) async fn f087_a_rebooted_node_keeps_its_member_without_an_ec2_mutation(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("reboot", 1);
    let (pod, held) = cluster.start_single(&set).await?;
    let before = cluster.last_call()?;
    cluster.vpc(|vpc| vpc.act(Act::Reboot { node: pod.node.clone(), imds_missing_ms: 0 }))?;
    wait_attached_again(cluster, &pod, &held).await?;
    nodes_ready(&cluster.admin).await?;
    cluster.verify_mutations(before, 0)?;
    let calls = cluster.vpc(|vpc| vpc.calls(before))?;
    let reads = calls.iter().filter(|call| call.app.contains("firecamp-init")).count();
    ensure(reads <= 1, || format!("{reads} EC2 calls by the init container"))?;
    cluster.delete(&set).await
}

pub(super) async fn scaled_down_members_get_their_addresses_back(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("scaled", 3);
    let first = cluster.start_members(&set).await?;
    let before = cluster.last_call()?;
    cluster.scale(&set, 1).await?;
    until("two members are gone", || async {
        for name in ["scaled-1", "scaled-2"] {
            let pod = cluster.pod(name).await?;
            ensure(pod.is_null(), || format!("{name} still exists"))?;
        }
        Ok(())
    })
    .await?;
    verify_scaled_down(cluster, first.iter().skip(1)).await?;
    cluster.scale(&set, 3).await?;
    let second = wait_same_addresses(cluster, &set, &first).await?;
    cluster.delete(&set).await?;
    verify_scaled_down(cluster, second.iter()).await?;
    cluster.create(&set).await?;
    let third = wait_same_addresses(cluster, &set, &second).await?;
    let moves = count_moves(&first, &second) + count_moves(&second, &third);
    cluster.verify_mutations(before, moves)?;
    cluster.delete(&set).await
}

/// Checks that scaled-down members keep their claims and that their addresses are parked.
async fn verify_scaled_down(
    cluster: &TestCluster<'_>,
    gone: impl Iterator<Item = &(Pod, Held)>,
) -> Outcome {
    for (pod, held) in gone {
        cluster.wait_released(pod, held).await?;
        cluster.wait_for_parked_conditions(held.address).await?;
        let claim = cluster.admin.get(&format!("{CLAIMS}/{}", pod.name)).await?;
        ensure(claim["spec"]["address"] == held.address.to_string(), || claim.to_string())?;
    }
    Ok(())
}

/// Waits until all members of a set hold their previous addresses.
async fn wait_same_addresses(
    cluster: &TestCluster<'_>,
    set: &Set,
    before: &[(Pod, Held)],
) -> Outcome<Vec<(Pod, Held)>> {
    let all = cluster.wait_members(set).await?;
    for ((pod, held), (_old, had)) in all.iter().zip(before) {
        let (now, then) = (held.address, had.address);
        ensure(now == then, || format!("{} has {now} instead of {then}", pod.name))?;
    }
    Ok(all)
}

/// Number of members that are on another node than before.
fn count_moves(before: &[(Pod, Held)], after: &[(Pod, Held)]) -> usize {
    before.iter().zip(after).filter(|((old, _), (new, _))| old.node != new.node).count()
}

impl TestCluster<'_> {
    /// Sets the replicas of a set.
    pub(super) async fn scale(&self, set: &Set, replicas: u32) -> Outcome {
        let place = format!("{}/{}", super::test_cluster::SETS, set.name);
        let change = json!({ "spec": { "replicas": replicas } });
        let kind = "application/merge-patch+json";
        let answer = self.admin.api.patch_as(kind, &place, &change).await?;
        ensure(answer.code == 200, || answer.text)
    }
}
