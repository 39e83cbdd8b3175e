//! Agents and containers of different versions on one node.

use firecamp_core::contract::path::{AGENT_PROTOCOL, RUN_DIR};
use serde_json::Value;

use super::audit::Held;
use super::events::STOP;
use super::processes::{Background, finish_traffic, output_of};
use super::set::{Set, Stop};
use super::test_cluster::{Pod, TestCluster, all_but, ensure, text};
use crate::Outcome;
use crate::images::{LATER, NEXT, VERSION};
use crate::install::{helm, roll_out, until};
use crate::topology::WORKERS;

/// A member with its address and the log of its stop container.
struct FollowedMember {
    pod: Pod,
    held: Held,
    stop: Background,
}

impl TestCluster<'_> {
    /// Upgrades the agents to this version.
    async fn upgrade_agents(&self, version: &str, settings: &[&str]) -> Outcome {
        let tag = format!("image.tag={version}");
        let words = ["upgrade", "--reuse-values", "--set", &tag];
        helm(&self.admin, &[words.as_slice(), settings].concat()).await?;
        self.wait_for_version(version).await
    }

    async fn roll_back_agents(&self) -> Outcome {
        helm(&self.admin, &["rollback"]).await?;
        self.wait_for_version(VERSION).await
    }

    /// Waits for the rollout; each node's protocol file must name this version.
    async fn wait_for_version(&self, version: &str) -> Outcome {
        roll_out(&self.admin).await?;
        for worker in WORKERS {
            let place = format!("{RUN_DIR}/{AGENT_PROTOCOL}");
            let protocol = output_of(self.running.on(worker.name, "cat")?.arg(place))?;
            let its = format!("\"version\":\"{version}\"");
            ensure(protocol.contains(&its), || {
                format!("the agent of {}: {protocol}", worker.name)
            })?;
        }
        Ok(())
    }

    /// Follows the members of a set, once it has started.
    async fn follow_members(&self, set: &Set) -> Outcome<Vec<FollowedMember>> {
        let mut all = Vec::new();
        for (pod, held) in self.wait_members(set).await? {
            let stop = self.follow_log(&pod, STOP)?;
            all.push(FollowedMember { pod, held, stop });
        }
        Ok(all)
    }

    /// Checks that the agent restores a removed address, and that a restart on the same node uses
    /// one new epoch and a release by the stop container.
    async fn verify_restore_and_restart(
        &self,
        FollowedMember { pod, held, stop }: FollowedMember,
    ) -> Outcome {
        let restores = self.count_restores(held.address).await?;
        self.strip(&pod.node, held.address)?;
        until(&format!("the agent restores {}", held.address), || async {
            ensure(self.in_kernel(&pod.node, held.address)?, || {
                "the address is not in the kernel".to_owned()
            })
        })
        .await?;
        self.wait_for_restore_event(&pod, held.address, restores).await?;
        let others = all_but(&pod.node);
        self.cordon(&others, true).await?;
        self.begin_delete(&pod, &[]).await?;
        let next = self.wait_ready(&pod.name, Some(&pod)).await;
        self.cordon(&others, false).await?;
        self.verify_successor(&next?, &held, stop).await
    }

    /// Checks that a pod holds its predecessor's address, and that the stop container released it.
    async fn verify_successor(&self, next: &Pod, held: &Held, stop: Background) -> Outcome {
        let now = self.wait_held(next).await?;
        let wanted = Held { epoch: held.epoch + 1, ..held.clone() };
        ensure(now == wanted, || format!("{now:?} after {held:?}"))?;
        let log = stop.finish()?;
        ensure(log.contains("=release.5"), || {
            format!("the stop container did not complete its release: {log}")
        })
    }
}

pub(super) async fn agents_are_rolled_out_and_back_under_traffic(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let served = Set { parallel: true, ..Set::new("served", 3) };
    let older = Set { stop: Stop::Sidecar, ..Set::new("older", 1) };
    let newer = Set { version: NEXT, name: "newer", ..older.clone() };
    let sets = [&served, &older, &newer];
    for set in sets {
        cluster.create(set).await?;
    }
    let all = cluster.wait_members(&served).await?;
    let (older, newer) =
        (cluster.follow_members(&older).await?, cluster.follow_members(&newer).await?);
    let before = cluster.last_call()?;
    let addresses: Vec<_> = all.iter().map(|(_pod, held)| held.address).collect();
    let clients = cluster.traffic(&addresses)?;
    cluster.upgrade_agents(NEXT, &[]).await?;
    for member in older {
        cluster.verify_restore_and_restart(member).await?;
    }
    cluster.roll_back_agents().await?;
    for member in newer {
        cluster.verify_restore_and_restart(member).await?;
    }
    finish_traffic(clients)?.verify_undisturbed()?;
    cluster.verify_mutations(before, 0)?;
    for (pod, held) in all {
        let now = cluster.wait_held(&pod).await?;
        ensure(now == held, || format!("{now:?} after {held:?}"))?;
    }
    for set in sets {
        cluster.delete(set).await?;
    }
    Ok(())
}

pub(super) async fn f097_a_member_beside_incompatible_agents_waits_for_their_rollback(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { parallel: true, ..Set::new("behind", 2) };
    cluster.create(&set).await?;
    let mut all = cluster.follow_members(&set).await?.into_iter();
    let (Some(first), Some(second)) = (all.next(), all.next()) else {
        return Err("the set has no two members".into());
    };
    let before = cluster.last_call()?;
    let others = all_but(&first.pod.node);
    cluster.cordon(&others, true).await?;
    let restores = cluster.count_restores(second.held.address).await?;
    let incompatible = run_incompatible(cluster, &set, &first.pod, &second).await;
    let unchanged = cluster.verify_mutations(before, 0);
    cluster.roll_back_agents().await?;
    // After the rollback, the waiting member starts and the agent restores the address.
    let next = cluster.wait_ready(&first.pod.name, Some(&first.pod)).await;
    cluster.cordon(&others, false).await?;
    incompatible.and(unchanged)?;
    cluster.verify_successor(&next?, &first.held, first.stop).await?;
    let now = cluster.wait_held(&second.pod).await?;
    ensure(now == second.held, || format!("{now:?} after {:?}", second.held))?;
    cluster.wait_for_restore_event(&second.pod, second.held.address, restores).await?;
    cluster.verify_mutations(before, 0)?;
    cluster.delete(&set).await
}

/// Upgrades the agents by two versions: a restarted member fails with an error, and the agent does
/// not restore a removed address.
async fn run_incompatible(
    cluster: &TestCluster<'_>,
    set: &Set,
    restarts: &Pod,
    stays: &FollowedMember,
) -> Outcome {
    let FollowedMember { pod, held, .. } = stays;
    cluster.upgrade_agents(LATER, &["--set", "maxUnavailable=100%"]).await?;
    cluster.begin_delete(restarts, &[]).await?;
    cluster.strip(&pod.node, held.address)?;
    let agent = format!("FireCamp {LATER}, which speaks protocol ");
    let member = format!("FireCamp {VERSION}, which speaks protocol ");
    let words = ["VersionMismatch", &agent, &member, "nothing was changed"];
    cluster.refused(set, 23, &words).await?;
    until("the agent logs the incompatible version", || async {
        let log = cluster.agent_log(&pod.node).await?;
        let failed = |line: &str| {
            let words = ["operation failed", "incompatible version", &agent, &member];
            words.iter().all(|word| line.contains(word))
        };
        ensure(log.lines().any(failed), || log.clone())
    })
    .await?;
    let there = cluster.in_kernel(&pod.node, held.address)?;
    ensure(!there, || format!("{} was restored", held.address))
}

impl TestCluster<'_> {
    /// The log of a node's agent.
    async fn agent_log(&self, node: &str) -> Outcome<String> {
        let chosen = format!("fieldSelector=spec.nodeName%3D{node}");
        let place = format!("/api/v1/namespaces/firecamp-system/pods?{chosen}");
        let all = self.admin.get(&place).await?;
        let stays = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
        let agent = all["items"].as_array().into_iter().flatten().find(stays);
        let agent = agent.ok_or_else(|| format!("no agent on {node}: {all}"))?;
        let name = text(&agent["metadata"]["name"]);
        self.admin.kubectl(&["-n", "firecamp-system", "logs", &name]).await
    }
}
