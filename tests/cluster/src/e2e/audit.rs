//! Checks that all agree about a member's address: EC2, the router, the kernels, the record, its
//! conditions, and a client.

use std::fs;
use std::net::Ipv4Addr;

use serde_json::Value;
use vpcbox::protocol::KernelAct;

use super::processes::{containers, output_of};
use super::set::NAMESPACE;
use super::test_cluster::{ADDRESSES, Pod, TestCluster, ensure, text};
use crate::install::{is_condition_true, until};
use crate::member::PORT;
use crate::topology::WORKERS;
use crate::{Outcome, failed};

/// The address that a member holds, after all checks passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) address: Ipv4Addr,
    pub(super) epoch: u64,
    pub(super) eni: String,
}

impl TestCluster<'_> {
    /// Waits until all agree that the pod holds its member's address on the pod's node, and until
    /// the Event of the attach exists.
    pub(super) async fn wait_held(&self, pod: &Pod) -> Outcome<Held> {
        self.wait_held_in(NAMESPACE, pod).await
    }

    /// The same in any namespace.
    pub(super) async fn wait_held_in(&self, namespace: &str, pod: &Pod) -> Outcome<Held> {
        let held = until(&format!("all agree about the address of {}", pod.name), || {
            self.verify_held(namespace, pod)
        })
        .await?;
        self.wait_for_attach_event(namespace, pod, held.address).await.map(|()| held)
    }

    async fn verify_held(&self, namespace: &str, pod: &Pod) -> Outcome<Held> {
        let address = self.address_in(namespace, &pod.name).await?;
        let object = self.admin.get(&format!("{ADDRESSES}/{address}")).await?;
        let held = verify_recorded(&object, pod, address)?;
        self.verify_in_ec2(pod, &held)?;
        for worker in WORKERS {
            let there = self.in_kernel(worker.name, address)?;
            ensure(there == (worker.name == pod.node), || {
                format!("{address} in the kernel of {}: {there}", worker.name)
            })?;
        }
        ensure(is_in_pod(pod, address)?, || format!("{} itself lacks {address}", pod.name))?;
        let answer = self.dial(address)?;
        let wanted = format!("{} {} {}", pod.name, pod.uid, pod.node);
        ensure(answer == wanted, || {
            format!("{address} is answered by {answer:?} instead of {wanted:?}")
        })?;
        Ok(held)
    }

    /// Waits until a deleted pod's address is in no kernel, and parked on the same ENI.
    pub(super) async fn wait_released(&self, pod: &Pod, held: &Held) -> Outcome {
        until(&format!("{} is released", held.address), || async {
            let object = self.admin.get(&format!("{ADDRESSES}/{}", held.address)).await?;
            let spec = &object["spec"];
            let parked = spec["attachment"].is_null() || spec["attachment"]["state"] == "Parked";
            ensure(parked && spec["reservedOn"] == held.eni.as_str(), || spec.to_string())?;
            self.verify_in_ec2(pod, held)?;
            for worker in WORKERS {
                let there = self.in_kernel(worker.name, held.address)?;
                ensure(!there, || format!("{} is in the kernel of {}", held.address, worker.name))?;
            }
            Ok(())
        })
        .await
    }

    fn verify_in_ec2(&self, pod: &Pod, held: &Held) -> Outcome {
        let truth = self
            .vpc(|vpc| vpc.address(held.address))?
            .ok_or_else(|| format!("{} was never on an ENI", held.address))?;
        let node = Some(pod.node.as_str());
        let owned = truth.owner.as_deref() == Some(held.eni.as_str());
        let good = owned && truth.node.as_deref() == node && truth.routed_node.as_deref() == node;
        ensure(good, || {
            format!("{} is not on {} of {}: {truth:?}", held.address, held.eni, pod.node)
        })
    }

    /// Whether a worker's kernel has the address, or leads it to a pod with a network of its own. A
    /// stopped machine has none.
    pub(super) fn in_kernel(&self, worker: &str, address: Ipv4Addr) -> Outcome<bool> {
        let truth = self.vpc(vpcbox::client::Client::truth)?;
        let off = |node: &vpcbox::protocol::Node| node.name == worker && node.state != "running";
        if truth.nodes.iter().any(off) {
            return Ok(false);
        }
        let shown = output_of(self.running.on(worker, "ip")?.args(["-o", "-4", "address"]))?;
        Ok(shown.contains(&format!(" {address}/32 ")) || self.is_led_to_pod(worker, address)?)
    }

    /// Whether a worker leads the address to a pod with a network of its own.
    fn is_led_to_pod(&self, worker: &str, address: Ipv4Addr) -> Outcome<bool> {
        let words = ["-4", "route", "show", &address.to_string()];
        let routed = output_of(self.running.on(worker, "ip")?.args(words))?;
        Ok(!routed.trim().is_empty())
    }

    /// Removes an address from a worker's kernel, or the route that leads it to its pod.
    pub(super) fn strip(&self, worker: &str, address: Ipv4Addr) -> Outcome {
        if self.is_led_to_pod(worker, address)? {
            let words = ["route", "del", &address.to_string()];
            return output_of(self.running.on(worker, "ip")?.args(words)).map(drop);
        }
        let node = worker.to_owned();
        self.vpc(|vpc| vpc.kernel(KernelAct::KernelStrip { node, address }))
    }

    /// The answer to a client in the VPC.
    pub(super) fn dial(&self, address: Ipv4Addr) -> Outcome<String> {
        self.dial_at(address, PORT)
    }

    /// The same at another port.
    pub(super) fn dial_at(&self, address: Ipv4Addr, port: u16) -> Outcome<String> {
        let own_binary = self.running.own_binary()?;
        let mut client = self.running.on_machine("client", own_binary)?;
        client.args(["dial", &address.to_string(), "--port", &port.to_string()]);
        output_of(&mut client).map(|line| line.trim().to_owned())
    }
}

/// Whether the address is local in the network namespace of the pod (`fib_trie` in proc_net(5)).
fn is_in_pod(pod: &Pod, address: Ipv4Addr) -> Outcome<bool> {
    let member = containers(&pod.uid).pop().ok_or_else(|| format!("{} does not run", pod.name))?;
    let file = format!("/proc/{member}/net/fib_trie");
    let shown = fs::read_to_string(&file).map_err(failed(&file))?;
    let leaf = format!("|-- {address}");
    let mut from_leaf = shown.lines().map(str::trim).skip_while(|line| *line != leaf);
    Ok(from_leaf.nth(1) == Some("/32 host LOCAL"))
}

/// Checks that the record names this pod and node and that its conditions are good.
fn verify_recorded(object: &Value, pod: &Pod, address: Ipv4Addr) -> Outcome<Held> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let at = &spec["attachment"];
    let ours = at["podUID"] == pod.uid.as_str() && at["nodeName"] == pod.node.as_str();
    ensure(ours && at["state"] == "Attached", || {
        format!("{address} is not recorded as attached to {}: {spec}", pod.name)
    })?;
    let works = is_condition_true(status, "Ready")
        && is_condition_true(status, "Assigned")
        && is_condition_true(status, "Configured");
    ensure(works && !is_condition_true(status, "Conflicted"), || {
        format!("conditions of {address}: {status}")
    })?;
    let epoch = spec["epoch"].as_u64().unwrap_or_default();
    Ok(Held { address, epoch, eni: text(&at["eni"]) })
}
