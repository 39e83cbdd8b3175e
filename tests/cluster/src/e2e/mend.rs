//! The cluster as scenarios find it, whatever one left that failed: one failure is to be one.

use nix::sys::signal::Signal;
use vpcbox::protocol::KernelAct;
use vpcbox::vpc::{Act, Fault, FaultSpec, Selector};

use super::disks::LATE;
use super::moves::OUT_OF_SERVICE;
use super::owners::TENANT;
use super::ports::send;
use super::records::SECOND;
use super::refused::APART;
use super::scene::{PODS, SETS, Scene, all_but, ensure, text};
use super::set::{NAMESPACE, Set};
use crate::Outcome;
use crate::images::VERSION;
use crate::install::{helm, nodes_ready, roll_out, until};
use crate::topology::WORKERS;

const AGENTS: &str = "/apis/apps/v1/namespaces/firecamp-system/daemonsets/firecamp-agent";
/// Members of scenarios that have several steps, with others between them.
const GO_ON: [&str; 3] = ["kept", "lent", "losing"];
/// What else scenarios make and remove, for `kubectl delete`.
const MADE: [&[&str]; 6] = [
    &["namespace", APART, SECOND, TENANT],
    &["clusterrolebinding", "firecamp-member-addresses-second", "firecamp-member-addresses-tenant"],
    &["staticippool", "afar"],
    &["--namespace", NAMESPACE, "configmap", "crash"],
    &["--namespace", NAMESPACE, "persistentvolumeclaim", LATE],
    &["persistentvolume", LATE],
];

impl Scene<'_> {
    /// Puts back what scenarios change for a while: in EC2, nodes and the control plane, then the
    /// agents, and then whatever they have made.
    pub(super) async fn mend(&self) -> Outcome {
        self.vpc(|vpc| vpc.fault_clear(None))?;
        for worker in WORKERS {
            let kubelet = self.kubelet(worker.name).ok();
            for process in kubelet.into_iter().chain(self.agents()) {
                // Where it has ended meanwhile, nothing is left to thaw.
                drop(send(process, Signal::SIGCONT));
            }
        }
        self.power_on()?;
        if self.is_served().await.is_err() {
            self.running.order("start kube-apiserver")?;
        }
        self.served().await?;
        self.schedule_anew()?;
        self.admit().await?;
        nodes_ready(&self.admin).await?;
        self.agents_as_installed().await?;
        self.clear().await
    }

    fn power_on(&self) -> Outcome {
        let truth = self.vpc(vpcbox::client::Client::truth)?;
        for node in truth.nodes.into_iter().filter(|node| node.state == "stopped") {
            self.vpc(|vpc| vpc.act(Act::Start { node: node.name }))?;
        }
        Ok(())
    }

    async fn is_served(&self) -> Outcome {
        let answer = self.admin.api.get("/readyz").await?;
        ensure(answer.code == 200, || answer.text)
    }

    /// Waits for an API server that was away.
    pub(super) async fn served(&self) -> Outcome {
        until("the API server is back", || self.is_served()).await
    }

    /// Has the scheduler begin anew. After an outage it takes up each of its watches again when
    /// that one's backoff says, up to a minute later, and gives pods to nodes that were cordoned
    /// meanwhile.
    pub(super) fn schedule_anew(&self) -> Outcome {
        self.running.order("stop kube-scheduler")?;
        self.running.order("start kube-scheduler")
    }

    /// Every node takes pods again.
    async fn admit(&self) -> Outcome {
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

    async fn agents_as_installed(&self) -> Outcome {
        let agents = self.admin.get(AGENTS).await?;
        let image = text(&agents["spec"]["template"]["spec"]["containers"][0]["image"]);
        if !image.ends_with(&format!(":{VERSION}")) {
            helm(&self.admin, &["rollback", "1"]).await?;
        }
        roll_out(&self.admin).await
    }

    /// Removes members that nobody needs any more, and what was made for them.
    async fn clear(&self) -> Outcome {
        // One may end meanwhile.
        let force = ["--grace-period=1", "--wait=false", "--ignore-not-found"];
        for (kind, place) in [("statefulset", SETS), ("pod", PODS)] {
            let left = self.left(place).await?;
            let names: Vec<&str> = left.iter().map(String::as_str).collect();
            if !names.is_empty() {
                let words = [&["-n", NAMESPACE, "delete", kind], names.as_slice()].concat();
                self.admin.kubectl(&[words.as_slice(), &force].concat()).await?;
            }
        }
        until("its pods are gone", || async {
            let left = self.left(PODS).await?;
            ensure(left.is_empty(), || left.join(", "))
        })
        .await?;
        for words in MADE {
            let words = [&["delete"], words, &["--ignore-not-found"]].concat();
            self.admin.kubectl(&words).await?;
        }
        Ok(())
    }

    /// The names of those here that go on with no scenario.
    async fn left(&self, place: &str) -> Outcome<Vec<String>> {
        let all = self.admin.get(place).await?;
        let all = all["items"].as_array().into_iter().flatten();
        let names = all.map(|one| text(&one["metadata"]["name"]));
        let goes_on =
            |name: &str| GO_ON.iter().any(|set| name.strip_prefix(set).is_some_and(is_number));
        Ok(names.filter(|name| !goes_on(name)).collect())
    }
}

/// Whether this ends the name of a set, or of one of its members.
fn is_number(end: &str) -> bool {
    end.is_empty() || end.strip_prefix('-').is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Does what no scenario leaves that ends well.
async fn spoil(scene: &Scene<'_>, node: &str, other: &str) -> Outcome {
    let error = Fault::Error { code: "InternalError".into(), message: String::new(), status: 500 };
    scene.vpc(|vpc| vpc.fault_set(FaultSpec { fault: error, when: Selector::default() }))?;
    scene.cordon(&WORKERS.map(|worker| worker.name), true).await?;
    send(scene.kubelet(node)?, Signal::SIGSTOP)?;
    scene.taint(node, true).await?;
    scene.vpc(|vpc| vpc.act(Act::Stop { node: other.to_owned() }))?;
    let words = ["upgrade", "--reuse-values", "--set", "image.tag=of-nothing"];
    helm(&scene.admin, &words).await?;
    scene.running.order("stop kube-apiserver")
}

pub(super) async fn what_a_scenario_left_that_failed_is_put_back(scene: &Scene<'_>) -> Outcome {
    let set = Set::new("spoilt", 1);
    let all = scene.started(&set).await?;
    let [(pod, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let other = all_but(&pod.node);
    let other = other.first().ok_or("no other node")?;
    spoil(scene, &pod.node, other).await?;
    scene.mend().await?;
    let left = scene.left(SETS).await?;
    ensure(left.is_empty(), || format!("they are left: {left:?}"))?;
    // Nodes take members, EC2 gives them addresses, and agents keep those.
    let whole = Set { parallel: true, ..Set::new("whole", 3) };
    for (pod, held) in scene.started(&whole).await? {
        let (node, address) = (pod.node.clone(), held.address);
        scene.vpc(|vpc| vpc.kernel(KernelAct::KernelStrip { node, address }))?;
        scene.holds(&pod).await?;
    }
    let faults = scene.vpc(vpcbox::client::Client::fault_list)?;
    ensure(faults.is_empty(), || format!("{faults:?}"))?;
    let claim = scene.address(&pod.name).await?;
    ensure(claim == held.address, || format!("{claim} after {held:?}"))?;
    scene.delete(&whole).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_and_its_members_are_known_by_their_names() {
        for end in ["", "-0", "-12"] {
            assert!(is_number(end), "{end}");
        }
        for end in ["-", "-0-x", "er", "er-0"] {
            assert!(!is_number(end), "{end}");
        }
    }
}
