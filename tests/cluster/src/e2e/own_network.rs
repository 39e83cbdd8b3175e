//! Members with a network of their own stay ordinary pods of the cluster.

use std::net::Ipv4Addr;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::endpoint::with_own_network;
use super::processes::{output_of, sandbox, send};
use super::refused::APART;
use super::set::{Set, Stop, unprivileged};
use super::test_cluster::{TestCluster, all_but, ensure, text};
use crate::Outcome;
use crate::images::MEMBER;
use crate::install::until;
use crate::member::PORT;
use crate::topology::Layout;

/// The client in the VPC, and the port of a service there.
pub(super) const CLIENT: &str = "10.0.1.200";
pub(super) const CLIENTS_PORT: u16 = 7000;

impl TestCluster<'_> {
    /// What a container of a pod is answered.
    pub(super) async fn dial_from(&self, pod: &str, at: &str, port: u16) -> Outcome<String> {
        let port = port.to_string();
        let words =
            ["-n", APART, "exec", pod, "-c", "service", "--", "/clusterbox", "dial", at, "--port"];
        let words = [words.as_slice(), &[port.as_str()]].concat();
        Ok(self.admin.kubectl(&words).await?.trim().to_owned())
    }

    pub(super) async fn pod_ip(&self, name: &str) -> Outcome<String> {
        let pod = self.admin.get(&format!("/api/v1/namespaces/{APART}/pods/{name}")).await?;
        Ok(text(&pod["status"]["podIP"]))
    }

    /// A pod without the label, which answers with the address of its client, and its Service.
    pub(super) async fn start_visitor(&self, name: &str, node: &str) -> Outcome<String> {
        let words = json!(["/clusterbox", "serve", "0.0.0.0", "--show-client"]);
        let uid = json!({ "fieldRef": { "fieldPath": "metadata.uid" } });
        let container = json!({ "name": "service", "image": MEMBER, "command": words,
            "env": [{ "name": "POD_UID", "valueFrom": uid }], "securityContext": unprivileged() });
        let spec = json!({ "nodeName": node, "containers": [container],
            "terminationGracePeriodSeconds": 1 });
        let metadata = json!({ "name": name, "namespace": APART,
            "labels": { "app.kubernetes.io/name": name } });
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
        self.create_object(&format!("/api/v1/namespaces/{APART}/pods"), &pod).await?;
        self.create_service(name, "ClusterIP").await?;
        self.wait_ready_in(APART, name, None).await?;
        self.pod_ip(name).await
    }

    /// A Service of the pods with this label: its address, and its port on each node if it has one.
    async fn create_service(&self, name: &str, kind: &str) -> Outcome<(String, u16)> {
        let spec = json!({ "type": kind, "ports": [{ "port": PORT }],
            "selector": { "app.kubernetes.io/name": name } });
        let metadata = json!({ "name": name, "namespace": APART });
        let service =
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec });
        let place = format!("/api/v1/namespaces/{APART}/services");
        self.create_object(&place, &service).await?;
        let made = self.admin.get(&format!("{place}/{name}")).await?;
        let port = made["spec"]["ports"][0]["nodePort"].as_u64().unwrap_or_default();
        let port = u16::try_from(port).map_err(|wrong| wrong.to_string())?;
        Ok((text(&made["spec"]["clusterIP"]), port))
    }

    /// Waits until the API server answers a pod that asks by its name in cluster DNS.
    pub(super) async fn wait_api_server_by_name(&self, pod: &str) -> Outcome {
        let words = ["-n", APART, "exec", pod, "-c", "service", "--"];
        let words = [words.as_slice(), &["/clusterbox", "get-api", "/livez"]].concat();
        until(&format!("the API server answers {pod}"), || async {
            let answer = self.admin.kubectl(&words).await?;
            ensure(answer.trim() == "ok", || answer)
        })
        .await
    }

    /// Waits until the pod is answered as wanted.
    pub(super) async fn wait_answer(
        &self,
        from: &str,
        (at, port): (&str, u16),
        wanted: &str,
    ) -> Outcome {
        until(&format!("{from} reaches {at}:{port}"), || async {
            let answer = self.dial_from(from, at, port).await?;
            ensure(answer == wanted, || format!("{answer:?} instead of {wanted:?}"))
        })
        .await
    }
}

pub(super) async fn a_member_with_a_network_of_its_own_is_an_ordinary_pod_of_the_cluster(
    cluster: &TestCluster<'_>,
) -> Outcome {
    // The kubelet probes it, too.
    let set = Set { stop: Stop::None, probed: Some(PORT), ..with_own_network("ordinary") };
    let member = cluster.start_apart(&set).await?;
    let address = cluster.wait_serving(APART, &member, PORT).await?.to_string();
    let own = cluster.pod_ip(&member.name).await?;
    ensure(own != address, || format!("{own} is the pod's own address"))?;
    let (service, node_port) = cluster.create_service(set.name, "NodePort").await?;
    let name = format!("{} {} {}", member.name, member.uid, member.node);
    let from = member.name.as_str();
    // The VPC CNI's pods have addresses of the VPC: dialled there, they see the static one, and
    // behind their Services the member's own one.
    let source = match cluster.running.home.layout() {
        Layout::VpcCni => &address,
        Layout::OneSubnet | Layout::Ptp | Layout::Zones => &own,
    };
    cluster.wait_api_server_by_name(from).await?;
    // Its own Service by name and address, then pods on its own node and on another one.
    for at in [set.name, &service] {
        cluster.wait_answer(from, (at, PORT), &name).await?;
    }
    for (visitor, node) in [("near", member.node.as_str()), ("far", all_but(&member.node)[0])] {
        let at = cluster.start_visitor(visitor, node).await?;
        cluster.wait_answer(from, (&at, PORT), source).await?;
        cluster.wait_answer(from, (visitor, PORT), &own).await?;
        for at in [set.name, &service, &own, &address] {
            cluster.wait_answer(visitor, (at, PORT), &name).await?;
        }
    }
    // Outside of the cluster: the static address is the source, and NodePorts work.
    let outside = cluster.serve_clients_address(CLIENTS_PORT)?;
    cluster.wait_answer(from, (CLIENT, CLIENTS_PORT), &address).await?;
    drop(outside);
    let node = cluster.admin.get(&format!("/api/v1/nodes/{}", member.node)).await?;
    let at = internal_address(&node)?;
    until(&format!("NodePort {node_port}"), || async {
        let answer = cluster.dial_at(at, node_port)?;
        ensure(answer == name, || format!("{answer:?}"))
    })
    .await?;
    cluster.end_apart(&member, &member.node).await
}

fn internal_address(node: &Value) -> Outcome<Ipv4Addr> {
    let all = node["status"]["addresses"].as_array().into_iter().flatten();
    let mut internal = all.filter(|one| one["type"] == "InternalIP");
    let first = internal.find_map(|one| one["address"].as_str()?.parse().ok());
    first.ok_or_else(|| format!("no InternalIP: {node}"))
}

/// A pod whose sandbox dies gets a new network, and the address in it.
pub(super) async fn f129_address_follows_into_a_new_sandbox_and_the_agent_restores_what_is_removed(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { stop: Stop::None, ..with_own_network("sandbox") };
    let member = cluster.start_apart(&set).await?;
    let held = cluster.wait_held_in(APART, &member).await?;
    let before = cluster.last_call()?;
    let old = cluster.pod_ip(&member.name).await?;
    send(sandbox(&member.uid)?, Signal::SIGKILL)?;
    until("the pod has another sandbox", || async {
        let new = cluster.pod_ip(&member.name).await?;
        ensure(!new.is_empty() && new != old, || format!("{new:?} as before"))
    })
    .await?;
    let again = cluster.wait_ready_in(APART, &member.name, None).await?;
    ensure(again.uid == member.uid, || format!("{again:?} is another pod"))?;
    let now = cluster.wait_held_in(APART, &again).await?;
    let same = (now.address, &now.eni) == (held.address, &held.eni);
    ensure(same && now.epoch > held.epoch, || format!("{now:?} after {held:?}"))?;
    // The node's route to the pod.
    let route = held.address.to_string();
    let mut ip = cluster.running.on(&member.node, "ip")?;
    output_of(ip.args(["route", "del", &route]))?;
    let restored = cluster.wait_held_in(APART, &again).await?;
    ensure(restored == now, || format!("{restored:?} after {now:?}"))?;
    cluster.verify_mutations(before, 0)?;
    cluster.end_apart(&again, &again.node).await
}
