//! Is a member's address where everybody says that it is? EC2, the router, the kernels, the
//! record, its conditions, and a client.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::ports::said;
use super::scene::{ADDRESSES, Pod, Scene, ensure, text};
use crate::Outcome;
use crate::install::{is, until};
use crate::member::PORT;
use crate::topology::WORKERS;

/// A member and its address, which everything agrees about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) address: Ipv4Addr,
    pub(super) epoch: u64,
    pub(super) eni: String,
}

impl Scene<'_> {
    /// Waits until all agree that the pod's member has its address on the pod's node, and people
    /// were told.
    pub(super) async fn holds(&self, pod: &Pod) -> Outcome<Held> {
        let held = until(&format!("all agree about {}", pod.name), || self.agree(pod)).await?;
        self.reported_attach(pod, held.address).await.map(|()| held)
    }

    async fn agree(&self, pod: &Pod) -> Outcome<Held> {
        let address = self.address(&pod.name).await?;
        let object = self.admin.get(&format!("{ADDRESSES}/{address}")).await?;
        let held = recorded(&object, pod, address)?;
        self.in_ec2(pod, &held)?;
        for worker in WORKERS {
            let there = self.in_kernel(worker.name, address)?;
            ensure(there == (worker.name == pod.node), || {
                format!("{address} in the kernel of {}: {there}", worker.name)
            })?;
        }
        let answer = self.dial(address)?;
        let wanted = format!("{} {} {}", pod.name, pod.uid, pod.node);
        ensure(answer == wanted, || format!("{answer:?} answers instead of {wanted:?}"))?;
        Ok(held)
    }

    /// Waits until the address of a pod that is gone is in no kernel, and parked where it was.
    pub(super) async fn released(&self, pod: &Pod, held: &Held) -> Outcome {
        until(&format!("{} is released", held.address), || async {
            let object = self.admin.get(&format!("{ADDRESSES}/{}", held.address)).await?;
            let spec = &object["spec"];
            let parked = spec["attachment"].is_null() || spec["attachment"]["state"] == "Parked";
            ensure(parked && spec["reservedOn"] == held.eni.as_str(), || spec.to_string())?;
            self.in_ec2(pod, held)?;
            for worker in WORKERS {
                let there = self.in_kernel(worker.name, held.address)?;
                ensure(!there, || format!("it is in the kernel of {}", worker.name))?;
            }
            Ok(())
        })
        .await
    }

    fn in_ec2(&self, pod: &Pod, held: &Held) -> Outcome {
        let truth = self.vpc(|vpc| vpc.address(held.address))?.ok_or("nobody ever held it")?;
        let node = Some(pod.node.as_str());
        let owned = truth.owner.as_deref() == Some(held.eni.as_str());
        let good = owned && truth.node.as_deref() == node && truth.routed_node.as_deref() == node;
        ensure(good, || format!("EC2 and its routers: {truth:?}"))
    }

    /// Whether a worker's kernel has the address; its other nodes have none of it.
    pub(super) fn in_kernel(&self, worker: &str, address: Ipv4Addr) -> Outcome<bool> {
        let truth = self.vpc(vpcbox::client::Client::truth)?;
        let off = |node: &vpcbox::protocol::Node| node.name == worker && node.state != "running";
        if truth.nodes.iter().any(off) {
            return Ok(false);
        }
        let shown = said(self.running.on(worker, "ip")?.args(["-o", "-4", "address"]))?;
        Ok(shown.contains(&format!(" {address}/32 ")))
    }

    /// Who answers a client in the VPC.
    pub(super) fn dial(&self, address: Ipv4Addr) -> Outcome<String> {
        self.dial_at(address, PORT)
    }

    /// The same at another port.
    pub(super) fn dial_at(&self, address: Ipv4Addr, port: u16) -> Outcome<String> {
        let ourselves = self.running.ourselves()?;
        let mut client = self.running.anywhere("client", ourselves)?;
        client.args(["dial", &address.to_string(), "--port", &port.to_string()]);
        said(&mut client).map(|line| line.trim().to_owned())
    }
}

/// The record says that this pod has it, and its conditions that it works.
fn recorded(object: &Value, pod: &Pod, address: Ipv4Addr) -> Outcome<Held> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let at = &spec["attachment"];
    let ours = at["podUID"] == pod.uid.as_str() && at["nodeName"] == pod.node.as_str();
    ensure(ours && at["state"] == "Attached", || format!("on record: {spec}"))?;
    let works = is(status, "Ready") && is(status, "Assigned") && is(status, "Configured");
    ensure(works && !is(status, "Conflicted"), || format!("its conditions: {status}"))?;
    let epoch = spec["epoch"].as_u64().unwrap_or_default();
    Ok(Held { address, epoch, eni: text(&at["eni"]) })
}
