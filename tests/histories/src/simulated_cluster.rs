//! The simulated cluster: its outside systems as values. The current time is an argument.

pub mod ec2;
pub mod orphans;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::agent::Snapshot as AgentSnapshot;
use firecamp_core::node_identity::{Eni, NodeIdentity};
use firecamp_core::ports::{Owner, OwnerEni};
use firecamp_core::record::{OrphanPolicy, Pool, PoolSubnet};
use firecamp_core::time::Moment;
use firecamp_registry::api::ReclaimPolicy;
use firecamp_registry::memory::Snapshot;
use firecamp_testkit::sim::{Disk, Kernel, Tag};

use crate::cluster::ApiPod;
use crate::leader::Leases;
use crate::names::{EniIx, Names, NodeIx, OUTSIDE, SLOTS, SPARE, pool_addresses};
use crate::scenario::{Fault, Scenario, Stripped};
use crate::watch::Past;

use self::ec2::{Buckets, Ec2};

/// A foreign address on every node.
pub const FOREIGN: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 6);

/// The address limit of an ENI in histories with orphans, where all members may be on one node.
const ORPHAN_ENI_LIMIT: u8 = 12;

/// One node, with the systems that only its processes use.
#[derive(Debug, Clone)]
pub struct SimulatedNode {
    /// Its kernel and its locks.
    pub kernel: Kernel,
    /// When its links and its ENIs' metadata are available after a boot.
    pub hardware_at: Moment,
    /// Its metadata service does not answer.
    pub metadata_out: bool,
    /// Its instance is terminated.
    pub gone: bool,
    /// It has lost its power and has not booted.
    pub off: bool,
    /// Addresses with an unreadable lock.
    pub torn: BTreeSet<Ipv4Addr>,
    /// What the last agent has written for the next one.
    pub snapshot: Option<AgentSnapshot>,
}

/// All outside systems.
#[derive(Debug, Clone)]
pub struct SimulatedCluster {
    /// Claims and static IPs.
    pub registry: Snapshot,
    /// The pods that the API shows, by member.
    pub pods: Vec<Option<ApiPod>>,
    /// The nodes.
    pub nodes: Vec<SimulatedNode>,
    /// The volumes, by member.
    pub disks: Vec<Disk>,
    /// EC2.
    pub ec2: Ec2,
    /// The registry does not answer.
    pub api_out: bool,
    /// EC2 does not answer.
    pub ec2_out: bool,
    /// The Lease. While each agent has one of its own, nodes that are off are out of service.
    pub leases: Leases,
    /// What the pool does with addresses without a claim.
    pub reclaim: ReclaimPolicy,
    /// Changes of the pool's orphan policy: whether it adopts.
    pub declared: Vec<(Moment, bool)>,
    /// Earlier states of the registry, in histories with watches.
    pub past: Option<Past>,
}

impl SimulatedNode {
    /// Another program on the node removes an address of ours. False if there was nothing to
    /// remove.
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

impl SimulatedCluster {
    /// An idle cluster.
    pub fn new(scenario: &Scenario, names: &Names) -> Self {
        let shape = &scenario.shape;
        let mut registry = Snapshot::default();
        registry.pools.insert(names.pool.clone(), pool(scenario, names));
        let nodes = usize::from(shape.nodes);
        let enis = names.nodes.iter().take(nodes).flat_map(|node| &node.enis);
        let enis = enis.chain(&names.foreign_enis).map(|eni| (eni.ix, eni.primary));
        let orphans = scenario.orphans.is_some();
        let reclaims = scenario.orphans.as_ref().is_some_and(|orphans| orphans.reclaim);
        let after_deadline = orphans.then_some(OUTSIDE);
        let limit = if orphans { ORPHAN_ENI_LIMIT } else { shape.eni_limit };
        let mut ec2 = Ec2::new(names.cidr, limit, enis, scenario.addresses().chain(after_deadline));
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
            leases: Leases::default(),
            reclaim: if reclaims { ReclaimPolicy::Delete } else { ReclaimPolicy::Retain },
            declared: vec![(Moment::default(), orphans)],
            past: shape.watches.then(Past::default),
        }
    }

    /// A node.
    pub fn node(&self, node: NodeIx) -> &SimulatedNode {
        &self.nodes[node.at()]
    }

    /// A node, mutable.
    pub fn node_mut(&mut self, node: NodeIx) -> &mut SimulatedNode {
        &mut self.nodes[node.at()]
    }

    /// The metadata service's description of a node.
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

    /// The addresses that the metadata service lists for an ENI, its primary address included.
    pub fn listed(&self, eni: EniIx, names: &Names, now: Moment) -> BTreeSet<Ipv4Addr> {
        let primary = names.eni(eni).primary;
        self.ec2.listed(eni, now).chain(std::iter::once(primary)).collect()
    }

    /// The owner of an address, as Describe shows it for some moment.
    pub fn owner(&self, address: Ipv4Addr, names: &Names, then: Moment) -> Owner {
        let Some((eni, primary)) = self.ec2.shown(address, then) else { return Owner::Unassigned };
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

fn node(ix: NodeIx, names: &Names) -> SimulatedNode {
    let enis = &names.node(ix).enis;
    let mut kernel = Kernel::with_links(enis.iter().map(|eni| eni.mac));
    if let Some(eni) = enis.first() {
        kernel.addresses.insert(FOREIGN, (eni.mac, Tag::Foreign));
    }
    SimulatedNode {
        kernel,
        hardware_at: Moment::default(),
        metadata_out: false,
        gone: false,
        off: false,
        torn: BTreeSet::new(),
        snapshot: None,
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
    let orphans = scenario.orphans.is_some();
    if let ([first, .., last], true) = (SPARE, orphans) {
        ranges.push((first, last));
    }
    Pool {
        name: names.pool.clone(),
        release_policy: scenario.shape.policy(),
        orphaned: if orphans { OrphanPolicy::Adopt } else { OrphanPolicy::Report },
        resource: firecamp_core::ids::ResourceName::default(),
        subnets: vec![PoolSubnet {
            subnet: names.subnet.clone(),
            cidr: names.cidr,
            zone: names.zone.clone(),
            ranges,
        }],
    }
}

/// The ENIs that carry members' addresses.
pub fn carriers(nodes: u8, slot: u8) -> impl Iterator<Item = EniIx> {
    (0..nodes).map(move |node| NodeIx(node).eni(slot % SLOTS))
}
