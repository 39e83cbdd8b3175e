//! The fleet: how many nodes, members and pods, and their names and addresses.

use std::fmt::Write;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::boxed::spec::CLUSTER;

/// The members of each node, half of them on each of its two interfaces.
pub(crate) const MEMBERS: u32 = 50;
/// The pods of each node; the first are the members'.
pub(crate) const PODS: u32 = 100;
/// The machine of etcd and kube-apiserver, and its address.
pub(crate) const CONTROL: &str = "control";
pub(crate) const CONTROL_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 8);
/// The name of the pool.
pub(crate) const POOL: &str = "fleet";

/// A /16 has room for four subnets of 250 nodes.
const SUBNETS: [&str; 4] = ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"];
const MOST: u32 = 1000;
const FEWEST: u32 = 4;
/// Of the nodes of a subnet, offsets from its first address.
const PRIMARIES: u32 = 16;
const SECONDARIES: u32 = 1024;
/// 8 interfaces with 30 addresses each.
const INSTANCE_TYPE: &str = "m5.4xlarge";

/// The number of nodes, and of those with a real agent, which are the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fleet {
    pub(crate) nodes: u32,
    pub(crate) real: u32,
}

/// A node by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Node(pub(crate) u32);

impl Fleet {
    /// A fraction of 1,000 nodes, such as `0.1`, with a real agent on every tenth.
    pub(crate) fn scaled(factor: &str) -> Result<Self, String> {
        let nodes = thousandths(factor)
            .filter(|nodes| (FEWEST..=MOST).contains(nodes))
            .ok_or_else(|| format!("{factor:?} is not a number from 0.004 to 1"))?;
        Ok(Self { nodes, real: (nodes / 10).max(2) })
    }

    pub(crate) fn is_whole(self) -> bool {
        self.nodes == MOST
    }

    pub(crate) fn nodes(self) -> impl Iterator<Item = Node> {
        (0..self.nodes).map(Node)
    }

    /// The nodes with a real agent.
    pub(crate) fn real(self) -> impl Iterator<Item = Node> {
        self.nodes().filter(move |node| self.is_real(*node))
    }

    /// The nodes whose agent is replayed.
    pub(crate) fn replayed(self) -> impl Iterator<Item = Node> {
        self.nodes().filter(move |node| !self.is_real(*node))
    }

    pub(crate) fn is_real(self, node: Node) -> bool {
        node.0 < self.real
    }

    /// The VPC: nodes with real agents have namespaces. Of the others only the interfaces exist.
    pub(crate) fn spec(self) -> String {
        let mut text = format!("cluster = \"{CLUSTER}\"\n[vpc]\ncidr = \"10.0.0.0/16\"\n");
        for (number, zone) in SUBNETS.iter().enumerate() {
            let number = u32::try_from(number).unwrap_or_default();
            let (id, cidr) = (subnet_id(number), cidr(number));
            // Writing to a string cannot fail.
            write!(
                text,
                "[[subnets]]\nname = \"{number}\"\nid = \"{id}\"\ncidr = \"{cidr}\"\n\
                 zone = \"{zone}\"\n"
            )
            .ok();
        }
        write!(
            text,
            "[[clients]]\nname = \"{CONTROL}\"\nsubnet = \"0\"\naddress = \"{CONTROL_ADDRESS}\"\n"
        )
        .ok();
        for node in self.nodes() {
            text.push_str(&if self.is_real(node) { node.machine() } else { node.interfaces() });
        }
        text
    }
}

/// 100 of `0.1`; none for what is no decimal number with at most three decimals.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let part: u32 = format!("{part:0<3}").parse().ok()?;
    whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(part).filter(|_| digits)
}

fn first(subnet: u32) -> u32 {
    0x0a00_0000 + (subnet << 14)
}

fn cidr(subnet: u32) -> String {
    format!("{}/18", Ipv4Addr::from(first(subnet)))
}

fn subnet_id(subnet: u32) -> String {
    format!("subnet-0a{subnet:015}")
}

/// The subnets of the pool: ID, CIDR block, zone, and the first and last address.
pub(crate) fn ranges() -> impl Iterator<Item = (String, String, &'static str, [Ipv4Addr; 2])> {
    (0..).zip(SUBNETS).map(|(subnet, zone)| {
        let from = first(subnet) + SECONDARIES;
        let to = from + MOST / 4 * MEMBERS - 1;
        (subnet_id(subnet), cidr(subnet), zone, [from, to].map(Ipv4Addr::from))
    })
}

impl Node {
    pub(crate) fn name(self) -> String {
        format!("node-{:04}", self.0)
    }

    pub(crate) fn instance(self) -> String {
        format!("i-0b{:015}", self.0)
    }

    /// The ID of one of its two interfaces.
    pub(crate) fn eni(self, index: u32) -> String {
        format!("eni-0c{:014}{index}", self.0)
    }

    /// The interface of a member.
    pub(crate) fn eni_of(self, member: u32) -> String {
        self.eni(member / (MEMBERS / 2))
    }

    fn subnet(self) -> u32 {
        self.0 % 4
    }

    pub(crate) fn subnet_id(self) -> String {
        subnet_id(self.subnet())
    }

    pub(crate) fn cidr(self) -> String {
        cidr(self.subnet())
    }

    pub(crate) fn zone(self) -> &'static str {
        let subnet = usize::try_from(self.subnet()).unwrap_or_default();
        SUBNETS.get(subnet).copied().unwrap_or_default()
    }

    /// The primary address of one of its interfaces.
    pub(crate) fn primary(self, index: u32) -> Ipv4Addr {
        Ipv4Addr::from(first(self.subnet()) + PRIMARIES + self.0 / 4 * 2 + index)
    }

    /// The address of a member.
    pub(crate) fn address(self, member: u32) -> Ipv4Addr {
        Ipv4Addr::from(first(self.subnet()) + SECONDARIES + self.0 / 4 * MEMBERS + member)
    }

    /// The name of a pod: of a member, or of another pod.
    pub(crate) fn pod(self, number: u32) -> String {
        let set = if number < MEMBERS { self.set() } else { format!("web-{:04}", self.0) };
        // As many digits for each, so that no name is the beginning of another one.
        format!("{set}-{}", number + PODS)
    }

    /// The StatefulSet of its members, whose ordinals begin at [`PODS`].
    pub(crate) fn set(self) -> String {
        format!("redis-{:04}", self.0)
    }

    fn held(self, index: u32) -> String {
        let half = MEMBERS / 2;
        let held = (index * half..(index + 1) * half).map(|member| self.address(member));
        held.map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ")
    }

    fn machine(self) -> String {
        let (name, id, subnet) = (self.name(), self.instance(), self.subnet());
        let [(eni, address, held), (second, other, more)] =
            [0, 1].map(|index| (self.eni(index), self.primary(index), self.held(index)));
        format!(
            "[[nodes]]\nname = \"{name}\"\nid = \"{id}\"\neni = \"{eni}\"\nsubnet = \"{subnet}\"\n\
             instance_type = \"{INSTANCE_TYPE}\"\naddress = \"{address}\"\nsecondary = [{held}]\n\
             [[nodes.enis]]\nid = \"{second}\"\nsubnet = \"{subnet}\"\ndevice_index = 1\n\
             address = \"{other}\"\nsecondary = [{more}]\n"
        )
    }

    fn interfaces(self) -> String {
        let interface = |index| {
            let (name, eni, subnet) = (self.name(), self.eni(index), self.subnet());
            let (address, held) = (self.primary(index), self.held(index));
            format!(
                "[[foreign]]\nname = \"{name}-{index}\"\nid = \"{eni}\"\nsubnet = \"{subnet}\"\n\
                 instance_type = \"{INSTANCE_TYPE}\"\naddress = \"{address}\"\n\
                 secondary = [{held}]\ntags = {{ \"firecamp.io/cluster\" = \"{CLUSTER}\" }}\n"
            )
        };
        [0, 1].map(interface).concat()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_fleet_is_a_fraction_of_a_thousand_nodes() {
        assert_eq!(Fleet::scaled("1").unwrap(), Fleet { nodes: 1000, real: 100 });
        assert_eq!(Fleet::scaled("0.1").unwrap(), Fleet { nodes: 100, real: 10 });
        assert_eq!(Fleet::scaled("0.01").unwrap(), Fleet { nodes: 10, real: 2 });
        for wrong in ["", "2", "0.001", "0.0001", "-1", "x", "0.1e1"] {
            assert!(Fleet::scaled(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_addresses_of_a_thousand_nodes_are_unique_and_in_their_subnets() {
        let mut all = BTreeSet::from([CONTROL_ADDRESS]);
        let fleet = Fleet::scaled("1").unwrap();
        for node in fleet.nodes() {
            let members = (0..MEMBERS).map(|member| node.address(member));
            for address in [0, 1].map(|index| node.primary(index)).into_iter().chain(members) {
                assert!(all.insert(address), "{address} of {}", node.name());
                assert_eq!(u32::from(address) >> 14, first(node.subnet()) >> 14);
            }
        }
        assert_eq!(fleet.replayed().count() + fleet.real().count(), 1000);
        let (.., [from, to]) = ranges().next().unwrap();
        assert_eq!([from, to], [Node(0).address(0), Node(996).address(MEMBERS - 1)]);
    }

    #[test]
    fn the_simulator_accepts_the_vpc_of_a_thousand_nodes() {
        let spec = vpcbox::vpc::Spec::from_toml(&Fleet::scaled("1").unwrap().spec()).unwrap();
        assert_eq!((spec.nodes.len(), spec.foreign.len()), (100, 1800));
    }
}
