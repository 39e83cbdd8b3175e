//! Members that move, because of their node.

use nix::sys::signal::Signal;
use serde_json::json;
use vpcbox::vpc::Act;

use super::audit::Held;
use super::ends::again;
use super::ports::{containers, send};
use super::scene::{CLAIMS, Pod, Scene, ensure};
use super::set::Set;
use crate::Outcome;
use crate::install::{nodes_ready, until};

pub(super) const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute";

impl Scene<'_> {
    /// Waits until the cluster has seen that a node is not there.
    pub(super) async fn missed(&self, worker: &str) -> Outcome {
        until(&format!("{worker} is missed"), || async {
            let node = self.admin.get(&format!("/api/v1/nodes/{worker}")).await?;
            ensure(!crate::install::is(&node["status"], "Ready"), || "it is ready".to_owned())
        })
        .await
    }

    /// Says that a node is out of service, or that it is back.
    pub(super) async fn taint(&self, worker: &str, there: bool) -> Outcome {
        let taint = if there { OUT_OF_SERVICE.to_owned() } else { format!("{OUT_OF_SERVICE}-") };
        self.admin.kubectl(&["taint", "node", worker, &taint]).await.map(drop)
    }

    /// The member's next pod is on another node, and has what the last one had.
    async fn moved(&self, old: &Pod, held: &Held) -> Outcome<(Pod, Held)> {
        let next = self.ready(&old.name, Some(old)).await?;
        ensure(next.node != old.node, || format!("it is on {}", next.node))?;
        let now = self.holds(&next).await?;
        ensure(now.address == held.address && now.epoch > held.epoch, || {
            format!("{now:?} after {held:?}")
        })?;
        Ok((next, now))
    }

    /// A set of one member, and where it is.
    async fn one(&self, set: &Set) -> Outcome<(Pod, Held)> {
        self.create(set).await?;
        let pod = self.ready(&format!("{}-0", set.name), None).await?;
        let held = self.holds(&pod).await?;
        Ok((pod, held))
    }
}

pub(super) async fn a_drained_node_gives_its_member_away_by_one_call(scene: &Scene<'_>) -> Outcome {
    let set = Set::new("drained", 1);
    let (old, held) = scene.one(&set).await?;
    let before = scene.calls()?;
    let drain = ["drain", &old.node, "--ignore-daemonsets", "--delete-emptydir-data"];
    scene.admin.kubectl(&drain).await?;
    scene.moved(&old, &held).await?;
    scene.changed(before, 1)?;
    scene.cordon(&[&old.node], false).await?;
    scene.delete(&set).await
}

pub(super) async fn a_zombie_behind_a_stopped_kubelet_changes_nothing(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set::new("zombie", 1);
    let (old, held) = scene.one(&set).await?;
    let before = scene.calls()?;
    let kubelet = scene.kubelet(&old.node)?;
    send(kubelet, Signal::SIGSTOP)?;
    scene.missed(&old.node).await?;
    scene.taint(&old.node, true).await?;
    let (next, now) = scene.moved(&old, &held).await?;
    let alive = containers(&old.uid);
    ensure(!alive.is_empty(), || "the old pod was to live on".to_owned())?;
    scene.taint(&old.node, false).await?;
    send(kubelet, Signal::SIGCONT)?;
    scene.dead(&old).await?;
    nodes_ready(&scene.admin).await?;
    let after = scene.holds(&next).await?;
    ensure(after == now, || format!("{after:?} after {now:?}"))?;
    scene.changed(before, 1)?;
    scene.delete(&set).await
}

pub(super) async fn a_node_without_power_loses_its_member_and_comes_back_without_it(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set::new("power", 1);
    let (old, held) = scene.one(&set).await?;
    let before = scene.calls()?;
    scene.vpc(|vpc| vpc.act(Act::Stop { node: old.node.clone() }))?;
    scene.missed(&old.node).await?;
    scene.taint(&old.node, true).await?;
    let (next, now) = scene.moved(&old, &held).await?;
    scene.vpc(|vpc| vpc.act(Act::Start { node: old.node.clone() }))?;
    nodes_ready(&scene.admin).await?;
    scene.taint(&old.node, false).await?;
    let after = scene.holds(&next).await?;
    ensure(after == now, || format!("{after:?} after {now:?}"))?;
    scene.changed(before, 1)?;
    scene.delete(&set).await
}

pub(super) async fn f087_a_node_that_reboots_keeps_its_member_without_a_change(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set::new("reboot", 1);
    let (pod, held) = scene.one(&set).await?;
    let before = scene.calls()?;
    scene.vpc(|vpc| vpc.act(Act::Reboot { node: pod.node.clone(), imds_missing_ms: 0 }))?;
    again(scene, &pod, &held).await?;
    nodes_ready(&scene.admin).await?;
    scene.changed(before, 0)?;
    let calls = scene.vpc(|vpc| vpc.calls(before))?;
    let reads = calls.iter().filter(|call| call.app.contains("firecamp-init")).count();
    ensure(reads <= 1, || format!("{reads} calls of EC2 by the init container"))?;
    scene.delete(&set).await
}

pub(super) async fn members_that_are_scaled_away_find_their_addresses_again(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set::new("scaled", 3);
    let first = scene.started(&set).await?;
    let before = scene.calls()?;
    scene.scale(&set, 1).await?;
    until("two members are gone", || async {
        for name in ["scaled-1", "scaled-2"] {
            let pod = scene.pod(name).await?;
            ensure(pod.is_null(), || format!("{name} is there"))?;
        }
        Ok(())
    })
    .await?;
    rest(scene, first.iter().skip(1)).await?;
    scene.scale(&set, 3).await?;
    let second = same(scene, &set, &first).await?;
    scene.delete(&set).await?;
    rest(scene, second.iter()).await?;
    scene.create(&set).await?;
    let third = same(scene, &set, &second).await?;
    let moves = moves(&first, &second) + moves(&second, &third);
    scene.changed(before, moves)?;
    scene.delete(&set).await
}

/// Members that are gone for now: they keep their claims, and EC2 their addresses.
async fn rest(scene: &Scene<'_>, gone: impl Iterator<Item = &(Pod, Held)>) -> Outcome {
    for (pod, held) in gone {
        scene.released(pod, held).await?;
        scene.rests(held.address).await?;
        let claim = scene.admin.get(&format!("{CLAIMS}/{}", pod.name)).await?;
        ensure(claim["spec"]["address"] == held.address.to_string(), || claim.to_string())?;
    }
    Ok(())
}

/// All members of a set have again what they had.
async fn same(scene: &Scene<'_>, set: &Set, before: &[(Pod, Held)]) -> Outcome<Vec<(Pod, Held)>> {
    let all = scene.starts(set).await?;
    for ((_pod, held), (_old, had)) in all.iter().zip(before) {
        let (now, then) = (held.address, had.address);
        ensure(now == then, || format!("{now} instead of {then}"))?;
    }
    Ok(all)
}

/// How many members are on another node now.
fn moves(before: &[(Pod, Held)], after: &[(Pod, Held)]) -> usize {
    before.iter().zip(after).filter(|((old, _), (new, _))| old.node != new.node).count()
}

impl Scene<'_> {
    /// Wants another number of a set's members.
    pub(super) async fn scale(&self, set: &Set, replicas: u32) -> Outcome {
        let place = format!("{}/{}", super::scene::SETS, set.name);
        let change = json!({ "spec": { "replicas": replicas } });
        let kind = "application/merge-patch+json";
        let answer = self.admin.api.patch_as(kind, &place, &change).await?;
        ensure(answer.code == 200, || answer.text)
    }
}
