//! The VPC, the pool and the member of the demo.

use std::net::Ipv4Addr;

use crate::event::Place;

/// The spec of the VPC for `vpcbox`.
pub(crate) const SPEC: &str = include_str!("vpc.toml");

/// The StaticIPPool.
pub(crate) const POOL_YAML: &str = include_str!("pool.yaml");

/// The cluster's name: the value of the tag on the nodes' ENIs.
pub(crate) const CLUSTER: &str = "demo";
/// The member's namespace, service and name.
pub(crate) const NAMESPACE: &str = "demo";
pub(crate) const SERVICE: &str = "redis";
pub(crate) const MEMBER: &str = "redis-0";
/// The pool's name.
pub(crate) const POOL: &str = "demo";
/// The ranges of the pool, as text.
pub(crate) const POOL_TEXT: &str = "demo (10.0.1.50-59, 10.0.2.50-59)";
/// The lowest address of the pool in the first zone, which the first member gets.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);
/// The member's port.
pub(crate) const PORT: u16 = 6379;
/// The ranges of a cluster that are not in the VPC: of pods, and of Services.
pub(crate) const CLUSTER_CIDRS: &str = "10.244.0.0/16,10.96.0.0/16";
/// The gateway of pods, whose addresses follow it.
pub(crate) const PODS: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 1);
/// The client's name.
pub(crate) const CLIENT: &str = "client";
/// The nodes of the member, all in one zone.
pub(crate) const NODE_A: &str = "node-a";
pub(crate) const NODE_B: &str = "node-b";
pub(crate) const NODE_C: &str = "node-c";
pub(crate) const NODE_D: &str = "node-d";

/// Whether a CIDR block, as the box writes it, contains the address.
pub(crate) fn contains(cidr: &str, address: Ipv4Addr) -> bool {
    let Some((network, length)) = cidr.split_once('/') else { return false };
    let parsed = (network.parse::<Ipv4Addr>(), length.parse::<u32>());
    let (Ok(network), Ok(length @ 1..=32)) = parsed else { return false };
    let shift = 32 - length;
    network.to_bits() >> shift == address.to_bits() >> shift
}

/// A machine as it is told.
pub(crate) fn place(name: &str, zone: &str, address: Ipv4Addr) -> Place {
    Place { name: name.to_owned(), zone: zone.to_owned(), address }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_contains_its_addresses_and_no_others() {
        assert!(contains("10.0.1.0/24", ADDRESS));
        assert!(!contains("10.0.2.0/24", ADDRESS));
        assert!(contains("10.0.1.50/32", ADDRESS));
        for bad in ["", "10.0.1.0", "10.0.1.0/0", "10.0.1.0/33", "x/24"] {
            assert!(!contains(bad, ADDRESS), "{bad:?}");
        }
    }
}
