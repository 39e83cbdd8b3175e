//! Kubelets that restart under members that request slots. The scenario takes minutes, so it only
//! runs if it is named.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::time::sleep;

use super::processes::send;
use super::set::Set;
use super::test_cluster::{Pod, TestCluster, all_but, ensure, text};
use crate::Outcome;
use crate::cli::print_line;
use crate::install::until;
use crate::topology::WORKERS;

const RESTARTS: u32 = 50;
const MEMBERS: u32 = 10;
/// How long a slow agent is paused.
const SLOW: Duration = Duration::from_secs(3);

/// What the agents do while a kubelet restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agents {
    Run,
    AreSlow,
    AreStopped,
}

/// Lets agents go on. A kubelet may have restarted one whose probe failed meanwhile.
fn resume(agents: &[nix::unistd::Pid]) {
    for agent in agents {
        nix::sys::signal::kill(*agent, Signal::SIGCONT).ok();
    }
}

impl TestCluster<'_> {
    /// Kills the kubelet of a node, and waits until its successor has reported and admitted the
    /// node's pods.
    pub(super) async fn restart_kubelet(&self, node: &str, agents: Agents) -> Outcome {
        let paused = if agents == Agents::Run { Vec::new() } else { self.agents() };
        for agent in &paused {
            send(*agent, Signal::SIGSTOP)?;
        }
        let old = self.kubelet(node)?;
        send(old, Signal::SIGKILL)?;
        if agents == Agents::AreSlow {
            sleep(SLOW).await;
            resume(&paused);
        }
        let reported = self.kubelet_reports(node, old).await;
        resume(&paused);
        reported
    }

    async fn kubelet_reports(&self, node: &str, old: nix::unistd::Pid) -> Outcome {
        until(&format!("{node} has a new kubelet"), || async {
            ensure(self.kubelet(node)? != old, || "the old one".to_owned())
        })
        .await?;
        let before = self.heartbeat(node).await?;
        until(&format!("the new kubelet of {node} reports"), || async {
            let now = self.heartbeat(node).await?;
            ensure(now != before, || now.clone())
        })
        .await?;
        sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    async fn heartbeat(&self, node: &str) -> Outcome<String> {
        let node = self.admin.get(&format!("/api/v1/nodes/{node}")).await?;
        let all = node["status"]["conditions"].as_array();
        let ready = all.into_iter().flatten().find(|one| one["type"] == "Ready");
        Ok(text(&ready.unwrap_or(&Value::Null)["lastHeartbeatTime"]))
    }

    /// The IDs of the containers of a pod that runs.
    pub(super) async fn containers(&self, pod: &Pod) -> Outcome<Vec<String>> {
        let now = self.pod(&pod.name).await?;
        let status = &now["status"];
        let good = now["metadata"]["uid"] == pod.uid.as_str() && status["phase"] == "Running";
        ensure(good, || format!("{pod:?}: {status}"))?;
        let all =
            ["initContainerStatuses", "containerStatuses"].map(|kind| status[kind].as_array());
        let all = all.into_iter().flatten().flatten();
        Ok(all.map(|one| text(&one["containerID"])).collect())
    }

    /// Checks that the pod still runs, with the same containers.
    pub(super) async fn verify_undisturbed(&self, pod: &Pod, before: &[String]) -> Outcome {
        let now = self.containers(pod).await?;
        ensure(now == before, || format!("{}: {now:?} after {before:?}", pod.name))
    }
}

pub(super) async fn members_survive_fifty_restarts_of_their_kubelet(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let node = WORKERS[0].name;
    let set = Set { parallel: true, slots: 1, ..Set::new("steady", MEMBERS) };
    cluster.cordon(&all_but(node), true).await?;
    let members = cluster.start_members(&set).await?;
    let mut containers = Vec::new();
    for (pod, _held) in &members {
        containers.push(cluster.containers(pod).await?);
    }
    let before = cluster.last_call()?;
    let modes = [Agents::Run, Agents::AreSlow, Agents::AreStopped];
    for (_round, agents) in (0..RESTARTS).zip(modes.into_iter().cycle()) {
        cluster.restart_kubelet(node, agents).await?;
        for ((pod, _held), before) in members.iter().zip(&containers) {
            cluster.verify_undisturbed(pod, before).await?;
        }
    }
    for (pod, held) in &members {
        let now = cluster.wait_held(pod).await?;
        ensure(now == *held, || format!("{now:?} after {held:?}"))?;
    }
    cluster.verify_mutations(before, 0)?;
    print_line(&format!("        {RESTARTS} restarts under {MEMBERS} members"))?;
    cluster.cordon(&all_but(node), false).await?;
    cluster.delete(&set).await
}
