//! The VPCs and pools of the benchmark.

use std::fmt::Write;
use std::net::Ipv4Addr;

/// The cluster's name.
pub(crate) const CLUSTER: &str = "bench";
/// The client's name.
pub(crate) const CLIENT: &str = "client";
/// The subnet of all nodes.
pub(crate) const SUBNET: &str = "subnet-0a000000000000001";
/// The CIDR block of the subnet.
pub(crate) const BLOCK: &str = "10.0.0.0/20";
/// The name of the pool.
pub(crate) const POOL: &str = "bench";

/// The nodes that members move to in turn. A member returns to a node after minutes, when its
/// metadata service no longer lists the address.
pub(crate) const NODES: u32 = 16;
/// The members that move in turn; each waits until Describe shows its last move.
pub(crate) const MEMBERS: u32 = 6;

/// Members that start at once.
pub(crate) const CONCURRENT: u32 = 150;
/// Nodes with their addresses, and the number of empty nodes.
pub(crate) const HALF: u32 = 8;

/// Members of the idle node, half of them on each of its two ENIs.
pub(crate) const IDLE_MEMBERS: u32 = 50;
/// Volumes of the idle node.
pub(crate) const VOLUMES: u32 = 25;

const HEAD: &str = r#"
cluster = "bench"

[vpc]
cidr = "10.0.0.0/16"

[[subnets]]
name = "a"
id = "subnet-0a000000000000001"
cidr = "10.0.0.0/20"
zone = "us-east-1a"
reservations = ["10.0.8.0/24"]
"#;

/// The VPC for restarts and moves: nodes, and a client in another subnet.
pub(crate) fn moves() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("[[subnets]]\nname = \"b\"\ncidr = \"10.0.16.0/24\"\nzone = \"us-east-1b\"\n");
    text.push_str("[[clients]]\nname = \"client\"\nsubnet = \"b\"\n");
    for number in 0..NODES {
        node(&mut text, number, &[]);
    }
    text
}

/// The VPC for members that start at once: their addresses are on the first half of the nodes.
pub(crate) fn concurrent() -> String {
    let mut text = HEAD.to_owned();
    for number in 0..HALF * 2 {
        let here = (0..CONCURRENT).filter(|member| member % HALF == number);
        let held: Vec<String> = here.map(|member| format!("\"{}\"", address(member))).collect();
        node(&mut text, number, &held);
    }
    text
}

/// The VPC for the idle node: its members' addresses are on two ENIs.
pub(crate) fn idle() -> String {
    let mut text = HEAD.to_owned();
    let held = |from: u32| -> String {
        let held: Vec<String> =
            (from..from + IDLE_MEMBERS / 2).map(|n| format!("\"{}\"", address(n))).collect();
        held.join(", ")
    };
    // Writing to a string cannot fail.
    write!(
        text,
        "[[nodes]]\nname = \"node-0\"\nsubnet = \"a\"\ninstance_type = \"m5.4xlarge\"\n\
         secondary = [{}]\n[[nodes.enis]]\nsubnet = \"a\"\ndevice_index = 1\n\
         secondary = [{}]\n",
        held(0),
        held(IDLE_MEMBERS / 2)
    )
    .ok();
    text
}

/// The address of a member.
pub(crate) fn address(member: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_080a + member)
}

/// The name of a node.
pub(crate) fn node_name(number: u32) -> String {
    format!("node-{number}")
}

fn node(text: &mut String, number: u32, held: &[String]) {
    let (name, held) = (node_name(number), held.join(", "));
    // Writing to a string cannot fail.
    writeln!(
        text,
        "[[nodes]]\nname = \"{name}\"\nsubnet = \"a\"\ninstance_type = \"m5.4xlarge\"\n\
         secondary = [{held}]"
    )
    .ok();
}

/// The pool.
pub(crate) const POOL_YAML: &str = "\
apiVersion: firecamp.io/v1alpha1
kind: StaticIPPool
metadata:
  name: bench
spec:
  releasePolicy: Keep
  subnets:
    - subnet: subnet-0a000000000000001
      cidr: 10.0.0.0/20
      zone: us-east-1a
      ranges:
        - start: 10.0.8.10
          end: 10.0.8.250
...
";
