//! Agents and members' containers of different versions, which meet on one node.

use firecamp_core::contract::path::{AGENT_PROTOCOL, RUN_DIR};
use serde_json::Value;
use vpcbox::protocol::KernelAct;

use super::audit::Held;
use super::events::STOP;
use super::ports::{Beside, ended, said};
use super::scene::{Pod, Scene, all_but, ensure, text};
use super::set::Set;
use crate::Outcome;
use crate::images::{LATER, NEXT, VERSION};
use crate::install::{helm, roll_out, until};
use crate::topology::WORKERS;

/// A member with its address, and what its stop container says until its end.
struct Watched {
    pod: Pod,
    held: Held,
    stop: Beside,
}

impl Scene<'_> {
    /// Rolls the agents to this version.
    async fn roll_to(&self, version: &str, settings: &[&str]) -> Outcome {
        let tag = format!("image.tag={version}");
        let words = ["upgrade", "--reuse-values", "--set", &tag];
        helm(&self.admin, &[words.as_slice(), settings].concat()).await?;
        self.agents_are(version).await
    }

    async fn roll_back(&self) -> Outcome {
        helm(&self.admin, &["rollback"]).await?;
        self.agents_are(VERSION).await
    }

    /// Waits for the agents, which all say on their nodes that they are of this version.
    async fn agents_are(&self, version: &str) -> Outcome {
        roll_out(&self.admin).await?;
        for worker in WORKERS {
            let place = format!("{RUN_DIR}/{AGENT_PROTOCOL}");
            let reported = said(self.running.on(worker.name, "cat")?.arg(place))?;
            let its = format!("\"version\":\"{version}\"");
            ensure(reported.contains(&its), || {
                format!("the agent of {}: {reported}", worker.name)
            })?;
        }
        Ok(())
    }

    /// The members of a set, once it has started.
    async fn watched(&self, set: &Set) -> Outcome<Vec<Watched>> {
        let mut all = Vec::new();
        for (pod, held) in self.starts(set).await? {
            let stop = self.follow(&pod, STOP)?;
            all.push(Watched { pod, held, stop });
        }
        Ok(all)
    }

    /// Takes an address out of its node's kernel.
    fn strip(&self, pod: &Pod, held: &Held) -> Outcome {
        let (node, address) = (pod.node.clone(), held.address);
        self.vpc(|vpc| vpc.kernel(KernelAct::KernelStrip { node, address }))
    }

    /// The agent puts a member's address back; then its pod ends and another one begins on its
    /// node, without help from EC2. Both take one life of the address, and the stop container did
    /// its work.
    async fn lives_on(&self, Watched { pod, held, stop }: Watched) -> Outcome {
        let reported = self.restores(held.address).await?;
        self.strip(&pod, &held)?;
        until("the agent puts it back", || async {
            ensure(self.in_kernel(&pod.node, held.address)?, || "it is not there".to_owned())
        })
        .await?;
        self.reported_restore(&pod, held.address, reported).await?;
        let others = all_but(&pod.node);
        self.cordon(&others, true).await?;
        self.let_go(&pod, &[]).await?;
        let next = self.ready(&pod.name, Some(&pod)).await;
        self.cordon(&others, false).await?;
        self.succeeds(&next?, &held, stop).await
    }

    /// A pod has what its predecessor had, whose stop container has released it.
    async fn succeeds(&self, next: &Pod, held: &Held, stop: Beside) -> Outcome {
        let now = self.holds(next).await?;
        let wanted = Held { epoch: held.epoch + 1, ..held.clone() };
        ensure(now == wanted, || format!("{now:?} after {held:?}"))?;
        let reported = stop.finish()?;
        ensure(reported.contains("=release.5"), || format!("its stop container: {reported}"))
    }
}

pub(super) async fn agents_are_rolled_out_and_back_under_traffic(scene: &Scene<'_>) -> Outcome {
    let served = Set { parallel: true, ..Set::new("served", 3) };
    let (older, newer) = (Set::new("older", 1), Set { version: NEXT, ..Set::new("newer", 1) });
    let sets = [&served, &older, &newer];
    for set in sets {
        scene.create(set).await?;
    }
    let all = scene.starts(&served).await?;
    let (older, newer) = (scene.watched(&older).await?, scene.watched(&newer).await?);
    let before = scene.calls()?;
    let addresses: Vec<_> = all.iter().map(|(_pod, held)| held.address).collect();
    let clients = scene.traffic(&addresses)?;
    scene.roll_to(NEXT, &[]).await?;
    for member in older {
        scene.lives_on(member).await?;
    }
    scene.roll_back().await?;
    for member in newer {
        scene.lives_on(member).await?;
    }
    ended(clients)?.undisturbed()?;
    scene.changed(before, 0)?;
    for (pod, held) in all {
        let now = scene.holds(&pod).await?;
        ensure(now == held, || format!("{now:?} after {held:?}"))?;
    }
    for set in sets {
        scene.delete(set).await?;
    }
    Ok(())
}

pub(super) async fn f097_beside_agents_too_far_ahead_a_member_waits_until_they_are_rolled_back(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set { parallel: true, ..Set::new("behind", 2) };
    scene.create(&set).await?;
    let mut all = scene.watched(&set).await?.into_iter();
    let (Some(first), Some(second)) = (all.next(), all.next()) else { return Err("none".into()) };
    let before = scene.calls()?;
    let others = all_but(&first.pod.node);
    scene.cordon(&others, true).await?;
    let reported = scene.restores(second.held.address).await?;
    let apart = apart(scene, &set, &first.pod, &second).await;
    let unchanged = scene.changed(before, 0);
    scene.roll_back().await?;
    // Nobody does anything more: what waited comes up, and what was stripped is put back.
    let next = scene.ready(&first.pod.name, Some(&first.pod)).await;
    scene.cordon(&others, false).await?;
    apart.and(unchanged)?;
    scene.succeeds(&next?, &first.held, first.stop).await?;
    let now = scene.holds(&second.pod).await?;
    ensure(now == second.held, || format!("{now:?} after {:?}", second.held))?;
    scene.reported_restore(&second.pod, second.held.address, reported).await?;
    scene.changed(before, 0)?;
    scene.delete(&set).await
}

/// The agents get two versions ahead: who is restarted is told, and an address that is stripped
/// is left alone.
async fn apart(scene: &Scene<'_>, set: &Set, restarts: &Pod, stays: &Watched) -> Outcome {
    let Watched { pod, held, .. } = stays;
    scene.roll_to(LATER, &["--set", "maxUnavailable=100%"]).await?;
    scene.let_go(restarts, &[]).await?;
    scene.strip(pod, held)?;
    let agent = format!("FireCamp {LATER}, which speaks protocol ");
    let member = format!("FireCamp {VERSION}, which speaks protocol ");
    let words = ["VersionMismatch", &agent, &member, "nothing was changed"];
    scene.refused(set, 23, &words).await?;
    until("the agent says whose record it leaves alone", || async {
        let reported = scene.agent_log(&pod.node).await?;
        let failed = |line: &str| {
            let words = ["operation failed", "incompatible version", &agent, &member];
            words.iter().all(|word| line.contains(word))
        };
        ensure(reported.lines().any(failed), || reported.clone())
    })
    .await?;
    let there = scene.in_kernel(&pod.node, held.address)?;
    ensure(!there, || format!("{} was put back", held.address))
}

impl Scene<'_> {
    /// What the agent of a node says.
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
