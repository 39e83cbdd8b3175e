//! The VPC, and who is where in it.

use std::net::Ipv4Addr;

/// A worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Worker {
    pub(crate) name: &'static str,
    pub(crate) address: Ipv4Addr,
    /// Of its pods that have a network of their own.
    pub(crate) pods: &'static str,
}

/// The workers: of one subnet, so that an address may be at any of them.
pub(crate) const WORKERS: [Worker; 3] = [
    Worker { name: "node-a", address: Ipv4Addr::new(10, 0, 1, 11), pods: "10.244.1.0/24" },
    Worker { name: "node-b", address: Ipv4Addr::new(10, 0, 1, 12), pods: "10.244.2.0/24" },
    Worker { name: "node-c", address: Ipv4Addr::new(10, 0, 1, 13), pods: "10.244.3.0/24" },
];

/// Where the control plane runs: a machine of the VPC that is no node.
pub(crate) const CONTROL: &str = "control";
pub(crate) const CONTROL_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);
pub(crate) const API_PORT: u16 = 6443;
pub(crate) const REGION: &str = "us-east-1";
/// The zone of the workers.
pub(crate) const ZONE: &str = "us-east-1a";
/// The value of the tag on the workers' ENIs.
pub(crate) const CLUSTER: &str = "prod";

/// Where the API server is, as the machines of the VPC reach it.
pub(crate) fn api_url() -> String {
    format!("https://{CONTROL_ADDRESS}:{API_PORT}")
}

/// The worker of this name.
pub(crate) fn worker(name: &str) -> Result<Worker, String> {
    let found = WORKERS.iter().find(|worker| worker.name == name);
    found.copied().ok_or_else(|| format!("{name:?} is none of node-a, node-b and node-c"))
}

/// What EC2 gives to nobody by itself: the ranges of pool.yaml.
const RESERVED: &str = r#""10.0.1.64/26", "10.0.1.136/29", "10.0.1.144/28", "10.0.1.160/27""#;

/// The VPC, for `vpcbox run`.
pub(crate) fn spec() -> String {
    let machines = WORKERS.map(|Worker { name, address, .. }| {
        format!(
            "[[nodes]]\nname = \"{name}\"\nsubnet = \"a\"\ninstance_type = \"m5.16xlarge\"\n\
             address = \"{address}\"\n"
        )
    });
    format!(
        "cluster = \"{CLUSTER}\"\n\
         [vpc]\ncidr = \"10.0.0.0/16\"\n\
         [[subnets]]\nname = \"a\"\nid = \"subnet-0a1b2c3d4e5f60718\"\n\
         cidr = \"10.0.1.0/24\"\nzone = \"{ZONE}\"\nreservations = [{RESERVED}]\n\
         [[clients]]\nname = \"{CONTROL}\"\nsubnet = \"a\"\naddress = \"{CONTROL_ADDRESS}\"\n\
         [[clients]]\nname = \"client\"\nsubnet = \"a\"\naddress = \"10.0.1.200\"\n{}",
        machines.concat()
    )
}
