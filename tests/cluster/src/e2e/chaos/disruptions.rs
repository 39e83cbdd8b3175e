//! Injects the disruptions into the cluster.

use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::json;
use tokio::time::sleep;
use vpcbox::protocol::KernelAct;
use vpcbox::vpc::{Act, Fault, FaultSpec, Selector};

use super::Run;
use super::plan::{Disruption, Heavy, Light};
use crate::Outcome;
use crate::e2e::processes::send;
use crate::e2e::set::NAMESPACE;
use crate::e2e::test_cluster::{PODS, TestCluster, ensure, text};
use crate::install::nodes_ready;
use crate::topology::WORKERS;

pub(super) const ASSIGN: &str = "AssignPrivateIpAddresses";
const DESCRIBE: &str = "DescribeNetworkInterfaces";

impl TestCluster<'_> {
    /// Injects a heavy disruption and undoes it.
    pub(super) async fn inject_heavy(&self, disruption: &Disruption<Heavy>, run: &Run) -> Outcome {
        let node = WORKERS.map(|worker| worker.name)[disruption.target % WORKERS.len()];
        match disruption.kind {
            Heavy::Power => {
                self.vpc(|vpc| vpc.act(Act::Stop { node: node.to_owned() }))?;
                let replaced = self.fail_over(node, disruption.hold).await;
                self.vpc(|vpc| vpc.act(Act::Start { node: node.to_owned() }))?;
                replaced?;
            }
            Heavy::Reboot => {
                let reboot = Act::Reboot { node: node.to_owned(), imds_missing_ms: 0 };
                self.vpc(|vpc| vpc.act(reboot))?;
                // The node may be back before it becomes NotReady.
                sleep(disruption.hold).await;
            }
            Heavy::Freeze => {
                let kubelet = self.kubelet(node)?;
                send(kubelet, Signal::SIGSTOP)?;
                let replaced = self.fail_over(node, disruption.hold).await;
                send(kubelet, Signal::SIGCONT)?;
                replaced?;
            }
            Heavy::ApiServer => {
                self.running.order("stop kube-apiserver")?;
                sleep(disruption.hold).await;
                self.running.order("start kube-apiserver")?;
                self.wait_for_api_server().await?;
            }
            Heavy::FreezeNode => {
                let _alone = run.stop_lock.lock().await;
                let replaced = self.freeze_until_replaced(node, disruption.hold).await;
                // Also after a freeze that stopped only some processes.
                self.thaw(node)?;
                replaced?;
            }
        }
        nodes_ready(&self.admin).await?;
        match disruption.kind {
            Heavy::Power | Heavy::Freeze | Heavy::FreezeNode => self.taint(node, false).await,
            Heavy::Reboot | Heavy::ApiServer => Ok(()),
        }
    }

    /// Freezes a node for `hold` after its pods are replaced, and checks that it stayed frozen.
    async fn freeze_until_replaced(&self, node: &str, hold: Duration) -> Outcome {
        self.freeze(node).await?;
        self.fail_over(node, hold).await?;
        self.is_frozen(node)
    }

    /// Waits until a node is NotReady and taints it as out of service, as the runbooks say.
    async fn fail_over(&self, node: &str, hold: Duration) -> Outcome {
        self.wait_not_ready(node).await?;
        self.taint(node, true).await?;
        sleep(hold).await;
        Ok(())
    }

    /// Injects a light disruption into one of these members.
    pub(super) async fn inject_light(
        &self,
        disruption: &Disruption<Light>,
        members: &[String],
        run: &Run,
    ) -> Outcome {
        let member = &members[disruption.target % members.len()];
        match disruption.kind {
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
                self.create_object(&format!("{PODS}/{member}/eviction"), &eviction).await
            }
            Light::KillAgent => send(self.an_agent(disruption.target)?, Signal::SIGKILL),
            Light::FreezeAgent => self.freeze_agent(disruption, run).await,
            Light::RemoveAddress => {
                let (address, pod) = (self.address(member).await?, self.pod(member).await?);
                let node = text(&pod["spec"]["nodeName"]);
                ensure(!node.is_empty(), || format!("{member} is not scheduled"))?;
                self.vpc(|vpc| vpc.kernel(KernelAct::KernelStrip { node, address }))
            }
            Light::Throttle => {
                let bucket = Fault::Bucket { capacity: 2, refill: 0.5 };
                self.fault(ASSIGN, bucket, 1.0, disruption).await
            }
            Light::LoseResponses => {
                let lost = Fault::LostResponse { after_commit: true };
                self.fault(ASSIGN, lost, 0.5, disruption).await
            }
            Light::Delay => self.fault(ASSIGN, Fault::Delay { ms: 3_000 }, 1.0, disruption).await,
            Light::ApplyLate => {
                let late = Fault::LateLanding { after_ms: 4_000, silent: true };
                self.fault(ASSIGN, late, 0.5, disruption).await
            }
            Light::FailReads => {
                let (code, message) = ("InternalError".to_owned(), String::new());
                let error = Fault::Error { code, message, status: 500 };
                self.fault(DESCRIBE, error, 0.8, disruption).await
            }
        }
    }

    async fn freeze_agent(&self, disruption: &Disruption<Light>, run: &Run) -> Outcome {
        // Continuing this agent would violate the freeze of its node.
        let alone = run.stop_lock.try_lock();
        let _alone = alone.map_err(|_taken| "a node is frozen".to_owned())?;
        let agent = self.an_agent(disruption.target)?;
        send(agent, Signal::SIGSTOP)?;
        sleep(disruption.hold).await;
        // The kubelet may have killed the agent.
        drop(send(agent, Signal::SIGCONT));
        Ok(())
    }

    /// The process of one of the agents.
    fn an_agent(&self, target: usize) -> Result<Pid, String> {
        let all = self.agents();
        ensure(!all.is_empty(), || "no agent runs".to_owned())?;
        Ok(all[target % all.len()])
    }

    async fn fault(
        &self,
        op: &str,
        fault: Fault,
        odds: f64,
        disruption: &Disruption<Light>,
    ) -> Outcome {
        let (op, probability) = (Some(op.to_owned()), Some(odds));
        let when = Selector { op, probability, ..Selector::default() };
        let id = self.vpc(|vpc| vpc.fault_set(FaultSpec { fault, when }))?;
        sleep(disruption.hold).await;
        self.vpc(|vpc| vpc.fault_clear(Some(id))).map(drop)
    }
}
