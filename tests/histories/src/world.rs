//! The outside systems of a cluster as values. Time comes in as an argument.

pub mod ec2;
pub mod strays;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::node::{Eni, NodeIdentity};
use firecamp_core::outside::{Owner, OwnerEni};
use firecamp_core::record::{Pool, PoolSubnet, UnclaimedPolicy};
use firecamp_core::time::Moment;
use firecamp_registry::memory::Snapshot;
use firecamp_testkit::sim::{Disk, Kernel, Tag};

use crate::cluster::ApiPod;
use crate::names::{EniIx, Names, NodeIx, OUTSIDE, SLOTS, SPARE, pool_addresses};
use crate::scenario::{Fault, Scenario, Stripped};
use crate::watch::Past;

use self::ec2::{Buckets, Ec2};

/// An address on every node that is not ours.
pub const FOREIGN: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 6);

/// Addresses of an ENI where there are strays: with them all members may come to be on one.
const ROOMY: u8 = 12;

/// One node, with the systems that only its processes ask.
#[derive(Debug, Clone)]
pub struct NodeWorld {
    /// Its kernel and its locks.
    pub kernel: Kernel,
    /// It boots: its links and its ENIs' metadata come then.
    pub hardware_at: Moment,
    /// Its metadata service does not answer.
    pub metadata_out: bool,
    /// Its instance is terminated.
    pub gone: bool,
    /// It has lost its power and has not booted.
    pub off: bool,
    /// Addresses whose lock nobody can read.
    pub torn: BTreeSet<Ipv4Addr>,
}

/// All outside systems.
#[derive(Debug, Clone)]
pub struct World {
    /// Claims and static IPs.
    pub registry: Snapshot,
    /// The pods that the API shows, by member.
    pub pods: Vec<Option<ApiPod>>,
    /// The nodes.
    pub nodes: Vec<NodeWorld>,
    /// The volumes, by member.
    pub disks: Vec<Disk>,
    /// EC2.
    pub ec2: Ec2,
    /// The registry does not answer.
    pub api_out: bool,
    /// EC2 does not answer.
    pub ec2_out: bool,
    /// All agents hold the Lease, and take nodes that are off for gone.
    pub leases: bool,
    /// Since when the pool has adopted what nobody claims, or has not.
    pub declared: Vec<(Moment, bool)>,
    /// How the registry was, where agents see it through watches.
    pub past: Option<Past>,
}

impl NodeWorld {
    /// Something else on the node removes what is ours of an address. False if that was nothing.
    pub fn strip(&mut self, address: Ipv4Addr, what: Stripped) -> bool {
        let kernel = &mut self.kernel;
        let ours = kernel.addresses.get(&address).is_some_and(|(_, tag)| *tag == Tag::Ours);
        match what {
            Stripped::Everything if ours => {
                kernel.strip(address);
                true
            }
            Stripped::Everything => false,
            Stripped::Routing => kernel.routed.remove(&address),
        }
    }
}

impl World {
    /// A cluster at rest.
    pub fn new(scenario: &Scenario, names: &Names) -> Self {
        let shape = &scenario.shape;
        let mut registry = Snapshot::default();
        registry.pools.insert(names.pool.clone(), pool(scenario, names));
        let nodes = usize::from(shape.nodes);
        let enis = names.nodes.iter().take(nodes).flat_map(|node| &node.enis);
        let enis = enis.chain(&names.strangers).map(|eni| (eni.ix, eni.primary));
        let strays = scenario.strays.is_some();
        let outside = strays.then_some(OUTSIDE);
        let limit = if strays { ROOMY } else { shape.eni_limit };
        let mut ec2 = Ec2::new(names.cidr, limit, enis, scenario.addresses().chain(outside));
        if scenario.swarm.rate(Fault::CloudThrottled) > 0 {
            ec2.buckets = Buckets::starved();
        }
        Self {
            registry,
            pods: vec![None; usize::from(shape.members)],
            nodes: (0..shape.nodes).map(|number| node(NodeIx(number), names)).collect(),
            disks: vec![Disk::default(); usize::from(shape.members)],
            ec2,
            api_out: false,
            ec2_out: false,
            leases: false,
            declared: vec![(Moment::default(), strays)],
            past: shape.watches.then(Past::default),
        }
    }

    /// A node.
    pub fn node(&self, node: NodeIx) -> &NodeWorld {
        &self.nodes[node.at()]
    }

    /// A node, to change it.
    pub fn node_mut(&mut self, node: NodeIx) -> &mut NodeWorld {
        &mut self.nodes[node.at()]
    }

    /// What the metadata service says of a node.
    pub fn identity(&self, node: NodeIx, names: &Names, now: Moment) -> NodeIdentity {
        let known = names.node(node);
        let ready = self.node(node).hardware_at <= now;
        let enis = known.enis.iter().filter(|eni| ready || eni.ix.slot() == 0);
        let eni = |eni: &crate::names::EniNames| Eni {
            id: eni.id.clone(),
            mac: eni.mac,
            device_index: u32::from(eni.ix.slot()),
            network_card: 0,
            subnet: names.subnet.clone(),
            cidr: names.cidr,
            primary_address: eni.primary,
            listed: self.ec2.listed(eni.ix, now).collect(),
            prefixes: 0,
        };
        NodeIdentity {
            instance: known.instance.clone(),
            instance_type: String::new(),
            zone: names.zone.clone(),
            region: String::new(),
            enis: enis.map(eni).collect(),
        }
    }

    /// What the metadata service lists for an ENI, its primary address included.
    pub fn listed(&self, eni: EniIx, names: &Names, now: Moment) -> BTreeSet<Ipv4Addr> {
        let primary = names.eni(eni).primary;
        self.ec2.listed(eni, now).chain(std::iter::once(primary)).collect()
    }

    /// Who owns an address, as Describe shows it of some moment.
    pub fn owner(&self, address: Ipv4Addr, names: &Names, then: Moment) -> Owner {
        let Some((eni, primary)) = self.ec2.shown(address, then) else { return Owner::Nobody };
        let node = eni.node();
        Owner::Eni(OwnerEni {
            id: names.eni(eni).id.clone(),
            primary,
            cluster: node.map(|_| names.cluster.as_str().to_owned()),
            instance: node.map(|node| names.node(node).instance.clone()),
            description: String::new(),
        })
    }
}

fn node(ix: NodeIx, names: &Names) -> NodeWorld {
    let enis = &names.node(ix).enis;
    let mut kernel = Kernel::with_links(enis.iter().map(|eni| eni.mac));
    if let Some(eni) = enis.first() {
        kernel.addresses.insert(FOREIGN, (eni.mac, Tag::Foreign));
    }
    NodeWorld {
        kernel,
        hardware_at: Moment::default(),
        metadata_out: false,
        gone: false,
        off: false,
        torn: BTreeSet::new(),
    }
}

/// One range for the first address, which is a textual prefix of the others, and one for those.
fn pool(scenario: &Scenario, names: &Names) -> Pool {
    let mut addresses = pool_addresses(scenario.shape.pool);
    let first = addresses.next();
    let rest: Vec<Ipv4Addr> = addresses.collect();
    let mut ranges: Vec<_> = first.map(|address| (address, address)).into_iter().collect();
    if let (Some(start), Some(end)) = (rest.first(), rest.last()) {
        ranges.push((*start, *end));
    }
    let strays = scenario.strays.is_some();
    if let ([first, .., last], true) = (SPARE, strays) {
        ranges.push((first, last));
    }
    Pool {
        name: names.pool.clone(),
        release_policy: scenario.shape.policy(),
        unclaimed: if strays { UnclaimedPolicy::Adopt } else { UnclaimedPolicy::Report },
        subnets: vec![PoolSubnet {
            subnet: names.subnet.clone(),
            cidr: names.cidr,
            zone: names.zone.clone(),
            ranges,
        }],
    }
}

/// The slots of ENIs that carry addresses.
pub fn carriers(nodes: u8, slot: u8) -> impl Iterator<Item = EniIx> {
    (0..nodes).map(move |node| NodeIx(node).eni(slot % SLOTS))
}
