//! Resets the cluster after a failed scenario, so that one failure does not cause the next.

use nix::sys::signal::Signal;
use serde_json::json;
use vpcbox::protocol::KernelAct;
use vpcbox::vpc::{Act, Fault, FaultSpec, Selector};

use super::hostile_pods::all_namespaces;
use super::moves::OUT_OF_SERVICE;
use super::owners::TENANT;
use super::processes::send;
use super::records::SECOND;
use super::refused::APART;
use super::set::{NAMESPACE, Set};
use super::test_cluster::{PODS, SETS, TestCluster, all_but, ensure, text};
use super::volumes::LATE;
use crate::Outcome;
use crate::images::VERSION;
use crate::install::{helm, nodes_ready, roll_out, until};
use crate::topology::WORKERS;

const AGENTS: &str = "/apis/apps/v1/namespaces/firecamp-system/daemonsets/firecamp-agent";
/// Sets of scenarios with several steps; other scenarios run between the steps.
const MULTI_STEP: [&str; 3] = ["kept", "lent", "losing"];
/// Other objects that scenarios create: arguments of `kubectl delete`.
const CREATED: [&[&str]; 6] = [
    &["namespace", APART, SECOND, TENANT],
    &["clusterrolebinding", "firecamp-member-addresses-second", "firecamp-member-addresses-tenant"],
    &["staticippool", "afar"],
    &["--namespace", NAMESPACE, "configmap", "crash"],
    &["--namespace", NAMESPACE, "persistentvolumeclaim", LATE],
    &["persistentvolume", LATE],
];

impl TestCluster<'_> {
    /// Undoes what scenarios change: faults in EC2, nodes, the control plane, the agents, and
    /// objects that they created.
    pub(super) async fn reset(&self) -> Outcome {
        self.vpc(|vpc| vpc.fault_clear(None))?;
        for worker in WORKERS {
            let kubelet = self.kubelet(worker.name).ok();
            for process in kubelet.into_iter().chain(self.agents()) {
                // The process may have exited.
                drop(send(process, Signal::SIGCONT));
            }
        }
        self.power_on()?;
        if self.is_api_server_ready().await.is_err() {
            self.running.order("start kube-apiserver")?;
        }
        self.wait_for_api_server().await?;
        self.restart_scheduler()?;
        self.uncordon_all().await?;
        nodes_ready(&self.admin).await?;
        self.restore_agents().await?;
        self.allow_namespaces(&all_namespaces()).await?;
        self.delete_leftovers().await
    }

    fn power_on(&self) -> Outcome {
        let truth = self.vpc(vpcbox::client::Client::truth)?;
        for node in truth.nodes.into_iter().filter(|node| node.state == "stopped") {
            self.vpc(|vpc| vpc.act(Act::Start { node: node.name }))?;
        }
        Ok(())
    }

    async fn is_api_server_ready(&self) -> Outcome {
        let answer = self.admin.api.get("/readyz").await?;
        ensure(answer.code == 200, || answer.text)
    }

    /// Waits until the API server is ready.
    pub(super) async fn wait_for_api_server(&self) -> Outcome {
        until("the API server is ready", || self.is_api_server_ready()).await
    }

    /// Restarts the scheduler. After an outage it resumes each of its watches after that watch's
    /// backoff, up to a minute later, and meanwhile schedules pods to cordoned nodes.
    pub(super) fn restart_scheduler(&self) -> Outcome {
        self.running.order("stop kube-scheduler")?;
        self.running.order("start kube-scheduler")
    }

    /// Removes the out-of-service taint from all nodes and uncordons them.
    async fn uncordon_all(&self) -> Outcome {
        let (key, _value) = OUT_OF_SERVICE.split_once('=').unwrap_or_default();
        for worker in WORKERS {
            let node = self.admin.get(&format!("/api/v1/nodes/{}", worker.name)).await?;
            let taints = node["spec"]["taints"].as_array().into_iter().flatten();
            if taints.into_iter().any(|taint| taint["key"] == key) {
                self.taint(worker.name, false).await?;
            }
        }
        self.cordon(&WORKERS.map(|worker| worker.name), false).await
    }

    async fn restore_agents(&self) -> Outcome {
        let agents = self.admin.get(AGENTS).await?;
        let image = text(&agents["spec"]["template"]["spec"]["containers"][0]["image"]);
        if !image.ends_with(&format!(":{VERSION}")) {
            helm(&self.admin, &["rollback", "1"]).await?;
        }
        roll_out(&self.admin).await
    }

    /// Deletes leftover sets and pods, and the objects created for them.
    async fn delete_leftovers(&self) -> Outcome {
        // A pod may be gone before kubectl deletes it.
        let force = ["--grace-period=1", "--wait=false", "--ignore-not-found"];
        for (kind, place) in [("statefulset", SETS), ("pod", PODS)] {
            let left = self.leftovers(place).await?;
            let names: Vec<&str> = left.iter().map(String::as_str).collect();
            if !names.is_empty() {
                let words = [&["-n", NAMESPACE, "delete", kind], names.as_slice()].concat();
                self.admin.kubectl(&[words.as_slice(), &force].concat()).await?;
            }
        }
        until("the leftover pods are gone", || async {
            let left = self.leftovers(PODS).await?;
            ensure(left.is_empty(), || left.join(", "))
        })
        .await?;
        for words in CREATED {
            let words = [&["delete"], words, &["--ignore-not-found"]].concat();
            self.admin.kubectl(&words).await?;
        }
        Ok(())
    }

    /// Names of the objects at this path that no multi-step scenario still needs.
    async fn leftovers(&self, place: &str) -> Outcome<Vec<String>> {
        let all = self.admin.get(place).await?;
        let all = all["items"].as_array().into_iter().flatten();
        let names = all.map(|one| text(&one["metadata"]["name"]));
        let is_multi_step = |name: &str| {
            MULTI_STEP.iter().any(|set| name.strip_prefix(set).is_some_and(is_member_suffix))
        };
        Ok(names.filter(|name| !is_multi_step(name)).collect())
    }
}

/// Whether this is what follows a set's name in its own name or in a member's.
pub(super) fn is_member_suffix(end: &str) -> bool {
    end.is_empty() || end.strip_prefix('-').is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Leaves the cluster as a failed scenario would.
async fn break_cluster(cluster: &TestCluster<'_>, node: &str, other: &str) -> Outcome {
    let error = Fault::Error { code: "InternalError".into(), message: String::new(), status: 500 };
    cluster.vpc(|vpc| vpc.fault_set(FaultSpec { fault: error, when: Selector::default() }))?;
    cluster.cordon(&WORKERS.map(|worker| worker.name), true).await?;
    send(cluster.kubelet(node)?, Signal::SIGSTOP)?;
    cluster.taint(node, true).await?;
    let nobody = json!({ "from": "Selector", "selector": { "matchLabels": { "a": "b" } } });
    cluster.allow_namespaces(&nobody).await?;
    cluster.vpc(|vpc| vpc.act(Act::Stop { node: other.to_owned() }))?;
    let words = ["upgrade", "--reuse-values", "--set", "image.tag=of-nothing"];
    helm(&cluster.admin, &words).await?;
    cluster.running.order("stop kube-apiserver")
}

pub(super) async fn the_reset_after_a_failed_scenario_restores_the_cluster(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("spoilt", 1);
    let all = cluster.start_members(&set).await?;
    let [(pod, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let other = all_but(&pod.node);
    let other = other.first().ok_or("no other node")?;
    break_cluster(cluster, &pod.node, other).await?;
    cluster.reset().await?;
    let left = cluster.leftovers(SETS).await?;
    ensure(left.is_empty(), || format!("sets remain after the reset: {left:?}"))?;
    // Nodes run members, EC2 assigns addresses, and agents restore them.
    let whole = Set { parallel: true, ..Set::new("whole", 3) };
    for (pod, held) in cluster.start_members(&whole).await? {
        let (node, address) = (pod.node.clone(), held.address);
        cluster.vpc(|vpc| vpc.kernel(KernelAct::KernelStrip { node, address }))?;
        cluster.wait_held(&pod).await?;
    }
    let faults = cluster.vpc(vpcbox::client::Client::fault_list)?;
    ensure(faults.is_empty(), || format!("faults remain in EC2: {faults:?}"))?;
    let claim = cluster.address(&pod.name).await?;
    ensure(claim == held.address, || format!("{claim} after {held:?}"))?;
    cluster.delete(&whole).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_set_and_its_members_match() {
        for end in ["", "-0", "-12"] {
            assert!(is_member_suffix(end), "{end}");
        }
        for end in ["-", "-0-x", "er", "er-0"] {
            assert!(!is_member_suffix(end), "{end}");
        }
    }
}
