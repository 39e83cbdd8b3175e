//! Nodes on which another program attaches interfaces beside FireCamp's agent. The neighbours are
//! processes of the tests' tool (`src/neighbours.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde_json::{Value, json};
use vpcbox::protocol::{Call, Truth};

use super::cluster::Cluster;
use super::eventually;
use super::jailed_agent::{agent, root};
use super::process::Process;
use super::test_box::TestBox;

/// How much faster than their originals neighbours are.
const PACE: &str = "20";
/// A configuration of a CNI plugin: the name of its file, and the plugin.
pub(crate) type Cni = (&'static str, &'static str);
pub(crate) const VPC_CNI: Cni = ("10-aws.conflist", "aws-cni");
pub(crate) const CILIUM: Cni = ("05-cilium.conflist", "cilium-cni");

/// A node: its name, its instance type and the kubelet's maximum of pods.
pub(crate) type NodeSpec = (&'static str, &'static str, usize);

/// A spec with these nodes in one subnet. EC2 assigns no address of the pool automatically.
pub(crate) fn spec(nodes: &[NodeSpec]) -> String {
    let mut text = r#"
cluster = "prod"
[vpc]
cidr = "10.0.0.0/16"
[[subnets]]
name = "a"
id = "subnet-0a000000000000001"
cidr = "10.0.1.0/24"
zone = "us-east-1a"
reservations = ["10.0.1.64/26"]
[[clients]]
name = "client"
subnet = "a"
address = "10.0.1.200"
"#
    .to_owned();
    for (number, (name, size, _)) in nodes.iter().enumerate() {
        let host = 11 + number;
        let node = format!(
            "[[nodes]]\nname = {name:?}\nsubnet = \"a\"\ninstance_type = {size:?}\n\
             address = \"10.0.1.{host}\"\n"
        );
        text.push_str(&node);
    }
    text
}

/// A cluster whose pool wants interfaces, and the neighbours' files.
pub(crate) struct Neighbourhood<'w> {
    pub(crate) cluster: Cluster<'w>,
    test_box: &'w TestBox,
    nodes: Vec<NodeSpec>,
    root: PathBuf,
    _connections: Vec<Process>,
}

impl<'w> Neighbourhood<'w> {
    pub(crate) fn start(test_box: &'w TestBox, nodes: &[NodeSpec], cni: Cni) -> Self {
        let cluster = Cluster::start(test_box);
        let changed = cluster.api.change("staticippools", None, "main", |pool| {
            pool["spec"]["interfaces"] = json!({ "maximum": 1 });
        });
        assert!(changed);
        let kube_system = json!({ "metadata": { "uid": "cluster-uid" } });
        cluster.api.set("namespaces", (None, "kube-system"), kube_system);
        let root = root(test_box);
        let (file, plugin) = cni;
        let configuration = json!({ "name": plugin, "plugins": [{ "type": plugin }] });
        fs::write(root.join("etc/cni/net.d").join(file), configuration.to_string()).unwrap();
        for (name, _, most_pods) in nodes {
            let node = json!({
                "metadata": { "uid": format!("uid-{name}"), "labels": {} },
                "spec": {},
                "status": { "capacity": { "pods": most_pods.to_string() } },
            });
            cluster.api.set("nodes", (None, name), node);
        }
        let connections = nodes.iter().map(|(name, ..)| cluster.connect(name)).collect();
        let nodes = nodes.to_vec();
        Self { cluster, test_box, nodes, root, _connections: connections }
    }

    /// Starts the agent of a node.
    pub(crate) fn agent(&self, node: &str) -> Process {
        agent(&self.cluster, node, &self.root)
    }

    fn neighbour(&self, node: &str, role: &str, words: &[&str]) -> Process {
        let words = [&["neighbour", role, PACE][..], words].concat();
        self.test_box.tool(node, &words)
    }

    fn pods_file(&self, node: &str) -> PathBuf {
        self.test_box.path(format!("pods-{node}"))
    }

    fn trunk_file(&self, node: &str) -> PathBuf {
        self.test_box.path(format!("trunk-{node}"))
    }

    /// Starts ipamd of Amazon's VPC CNI, with security groups for pods or without.
    pub(crate) fn ipamd(&self, node: &str, with_trunk: bool) -> Process {
        let most = self.nodes.iter().find(|(name, ..)| *name == node).unwrap().2.to_string();
        let [pods, trunk] = [self.pods_file(node), self.trunk_file(node)];
        let mut words = vec![pods.to_str().unwrap(), &most];
        if with_trunk {
            words.push(trunk.to_str().unwrap());
        }
        self.neighbour(node, "ipamd", &words)
    }

    /// Starts the VPC resource controller, which attaches a trunk once ipamd asks for one.
    pub(crate) fn resource_controller(&self, node: &str) -> Process {
        let file = self.trunk_file(node);
        self.neighbour(node, "vpc-resource-controller", &[file.to_str().unwrap()])
    }

    /// Asks for a trunk, as ipamd does.
    pub(crate) fn ask_for_trunk(&self, node: &str) {
        fs::write(self.trunk_file(node), "").unwrap();
    }

    /// Starts Cilium's operator with these `exclude-interface-tags`, which the CiliumNode shows.
    pub(crate) fn cilium(&self, node: &str, excludes: &[(&str, &str)]) -> Process {
        let tags: BTreeMap<&str, &str> = excludes.iter().copied().collect();
        let eni = json!({ "instance-type": "any", "exclude-interface-tags": tags });
        let object = json!({ "metadata": {}, "spec": { "eni": eni } });
        self.cluster.api.set("ciliumnodes", (None, node), object);
        let pods = self.pods_file(node);
        let tags: Vec<String> =
            excludes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let words = std::iter::once(pods.to_str().unwrap()).chain(tags.iter().map(String::as_str));
        self.neighbour(node, "cilium-operator", &words.collect::<Vec<&str>>())
    }

    /// Runs so many pods on a node that are not in the host network.
    pub(crate) fn set_pods(&self, node: &str, count: usize) {
        // The neighbour never reads half of it.
        let next = self.test_box.path(format!("pods-{node}.next"));
        fs::write(&next, count.to_string()).unwrap();
        fs::rename(next, self.pods_file(node)).unwrap();
    }

    /// The phase of each interface that FireCamp has a record of on a node, by its ID.
    pub(crate) fn made(&self, node: &str) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let records =
            self.cluster.api.all("nodeinterfaces").into_iter().map(|one| one["spec"].clone());
        let own = records.filter(|spec| spec["nodeName"] == node);
        own.map(|spec| (text(&spec["eni"]), text(&spec["phase"]))).collect()
    }

    /// Waits until FireCamp has attached an interface to the node and offers its slots.
    #[track_caller]
    pub(crate) fn wait_made(&self, node: &str) -> String {
        eventually(&format!("{node} has an interface for members"), || self.offered(node))
    }

    /// The interface that FireCamp has attached to the node, once the node offers its slots.
    pub(crate) fn offered(&self, node: &str) -> Option<String> {
        let (eni, _) = self.made(node).into_iter().find(|(_, phase)| phase == "Attached")?;
        let node = self.cluster.api.object("nodes", None, node)?;
        let slots = node["status"]["capacity"]["firecamp.io/static-ip"].as_str()?.to_owned();
        (slots != "0").then_some(eni)
    }

    /// Status and message of the condition `InterfacesMade` of a node.
    pub(crate) fn interfaces_made(&self, node: &str) -> Option<(String, String)> {
        let object = self.cluster.api.object("nodeattachments", None, node)?;
        let conditions = object["status"]["conditions"].as_array()?.clone();
        let found = conditions.into_iter().find(|one| one["type"] == "InterfacesMade")?;
        let text = |key: &str| found[key].as_str().map(str::to_owned);
        Some((format!("{} {}", text("status")?, text("reason")?), text("message")?))
    }

    /// The calls of this action by programs whose name contains `app`.
    pub(crate) fn calls_of(&self, app: &str, action: &str) -> Vec<Call> {
        let mut calls = self.test_box.control().calls(0).unwrap();
        calls.retain(|call| call.app.contains(app) && call.action == action);
        calls
    }

    pub(crate) fn truth(&self) -> Truth {
        self.test_box.control().truth().unwrap()
    }

    /// Asserts that since the start no address of the pool was on a neighbour's interface, that
    /// none moved between an interface of FireCamp and another one without having been given back,
    /// and that nobody sent a call that changes an interface of the other.
    #[track_caller]
    pub(crate) fn assert_apart(&self) {
        let records = self.cluster.api.all("nodeinterfaces");
        let ours = records.iter().filter_map(|one| one["spec"]["eni"].as_str());
        let ours: BTreeSet<&str> = ours.collect();
        let truth = self.truth();
        assert!(truth.violations.is_empty(), "{:?}", truth.violations);
        for address in &truth.addresses {
            let owners = address.history.iter().map(|one| one.eni.as_deref());
            let owners: Vec<Option<bool>> =
                owners.map(|eni| eni.map(|eni| ours.contains(eni))).collect();
            let moved = owners.windows(2).any(|pair| match pair {
                [Some(before), Some(after)] => before != after,
                _ => false,
            });
            let lost = is_of_pool(address.address) && owners.contains(&Some(false));
            assert!(!moved && !lost, "{address:?} was shared; FireCamp's are {ours:?}");
        }
        for call in self.test_box.control().calls(0).unwrap() {
            let Some(eni) = call.parameters.get("NetworkInterfaceId") else { continue };
            let of_firecamp = call.app.contains("firecamp");
            let own = ours.contains(eni.as_str()) == of_firecamp;
            assert!(own || !call.mutating || call.code.is_some(), "{call:?}");
        }
    }
}

/// Whether the address is in the pool.
pub(crate) fn is_of_pool(address: Ipv4Addr) -> bool {
    (Ipv4Addr::new(10, 0, 1, 64)..=Ipv4Addr::new(10, 0, 1, 127)).contains(&address)
}

/// The addresses that a neighbour has assigned to pods.
pub(crate) fn assigned(neighbour: &Process) -> BTreeSet<Ipv4Addr> {
    let out = neighbour.out();
    let lines: Vec<&str> = out.lines().collect();
    // The last line may not be complete yet.
    let last = lines.iter().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
    let assigned = last.and_then(|line| line["assigned"].as_array().cloned()).unwrap_or_default();
    assigned.iter().filter_map(|one| one.as_str()?.parse().ok()).collect()
}

/// Waits until so many pods have an address.
#[track_caller]
pub(crate) fn wait_assigned(neighbour: &Process, count: usize) -> BTreeSet<Ipv4Addr> {
    eventually(&format!("{count} pods have an address"), || {
        let assigned = assigned(neighbour);
        (assigned.len() == count).then_some(assigned)
    })
}
