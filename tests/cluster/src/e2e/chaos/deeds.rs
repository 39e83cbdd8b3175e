//! The deeds, on the cluster.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::sleep;
use vpcbox::protocol::KernelAct;
use vpcbox::vpc::{Act, Fault, FaultSpec, Selector};

use super::plan::{Deed, Heavy, Light};
use crate::Outcome;
use crate::e2e::outside::{processes, send};
use crate::e2e::scene::{PODS, Scene, ensure, text};
use crate::e2e::set::NAMESPACE;
use crate::install::{nodes_ready, until};
use crate::topology::WORKERS;

impl Scene<'_> {
    /// Does it, and undoes it.
    pub(super) async fn undergo(&self, deed: &Deed<Heavy>) -> Outcome {
        let node = WORKERS.map(|worker| worker.name)[deed.target % WORKERS.len()];
        match deed.kind {
            Heavy::Power => {
                self.vpc(|vpc| vpc.act(Act::Stop { node: node.to_owned() }))?;
                let replaced = self.replaced(node, deed.hold).await;
                self.vpc(|vpc| vpc.act(Act::Start { node: node.to_owned() }))?;
                replaced?;
            }
            Heavy::Reboot => {
                let reboot = Act::Reboot { node: node.to_owned(), imds_missing_ms: 0 };
                self.vpc(|vpc| vpc.act(reboot))?;
                // It may be back before the cluster misses it.
                sleep(deed.hold).await;
            }
            Heavy::Freeze => {
                let kubelet = self.kubelet(node)?;
                send(kubelet, Signal::SIGSTOP)?;
                let replaced = self.replaced(node, deed.hold).await;
                send(kubelet, Signal::SIGCONT)?;
                replaced?;
            }
            Heavy::ApiServer => {
                self.running.order("stop kube-apiserver")?;
                sleep(deed.hold).await;
                self.running.order("start kube-apiserver")?;
                until("the API server is back", || async {
                    let answer = self.admin.api.get("/readyz").await?;
                    ensure(answer.code == 200, || answer.text)
                })
                .await?;
            }
        }
        nodes_ready(&self.admin).await?;
        match deed.kind {
            Heavy::Power | Heavy::Freeze => self.taint(node, false).await,
            Heavy::Reboot | Heavy::ApiServer => Ok(()),
        }
    }

    /// Once the cluster misses a node a person says that it is out of service, as runbooks do.
    async fn replaced(&self, node: &str, hold: Duration) -> Outcome {
        self.missed(node).await?;
        self.taint(node, true).await?;
        sleep(hold).await;
        Ok(())
    }

    /// Does it to one of these members.
    pub(super) async fn suffer(&self, deed: &Deed<Light>, members: &[String]) -> Outcome {
        let member = &members[deed.target % members.len()];
        match deed.kind {
            Light::Delete => {
                let words = ["-n", NAMESPACE, "delete", "pod", member, "--wait=false"];
                self.admin.kubectl(&words).await.map(drop)
            }
            Light::Force => {
                let force = ["--force", "--grace-period=0", "--wait=false"];
                let words = [&["-n", NAMESPACE, "delete", "pod", member], force.as_slice()];
                self.admin.kubectl(&words.concat()).await.map(drop)
            }
            Light::Evict => {
                let eviction = json!({
                    "apiVersion": "policy/v1",
                    "kind": "Eviction",
                    "metadata": { "name": member, "namespace": NAMESPACE },
                });
                self.made(&format!("{PODS}/{member}/eviction"), &eviction).await
            }
            Light::KillAgent => {
                let own = processes("cgroup", &self.running.home.cgroups());
                let agents = processes("cmdline", "firecamp-agent\0");
                let all: Vec<_> = agents.into_iter().filter(|pid| own.contains(pid)).collect();
                ensure(!all.is_empty(), || "no agent runs".to_owned())?;
                send(all[deed.target % all.len()], Signal::SIGKILL)
            }
            Light::Strip => {
                let (address, pod) = (self.address(member).await?, self.pod(member).await?);
                let node = text(&pod["spec"]["nodeName"]);
                ensure(!node.is_empty(), || format!("{member} is nowhere"))?;
                self.vpc(|vpc| vpc.kernel(KernelAct::KernelStrip { node, address }))
            }
            Light::Throttle => {
                self.fault(Fault::Bucket { capacity: 2, refill: 0.5 }, 1.0, deed).await
            }
            Light::LoseAnswers => {
                self.fault(Fault::LostResponse { after_commit: true }, 0.5, deed).await
            }
            Light::Delay => self.fault(Fault::Delay { ms: 3_000 }, 1.0, deed).await,
        }
    }

    async fn fault(&self, fault: Fault, probability: f64, deed: &Deed<Light>) -> Outcome {
        let op = Some("AssignPrivateIpAddresses".to_owned());
        let probability = Some(probability);
        let when = Selector { op, probability, ..Selector::default() };
        let id = self.vpc(|vpc| vpc.fault_set(FaultSpec { fault, when }))?;
        sleep(deed.hold).await;
        self.vpc(|vpc| vpc.fault_clear(Some(id))).map(drop)
    }
}
