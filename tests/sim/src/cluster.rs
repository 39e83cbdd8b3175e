//! A cluster of three nodes in two zones with a pool, and the audit at the end of every test.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "test support: a failure here fails the test"
)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::AwsCloud;
use firecamp_core::ids::EniId;
use firecamp_core::record::{Pool, PoolSubnet, ReleasePolicy, StaticIp};
use firecamp_registry::MemoryRegistry;
use firecamp_testkit::sim::{SimFile, SimHost};
use firecamp_vpc::{Act, Fault, FaultSpec, Profile, Selector, Service, Simulator};
use tokio::time::sleep;

use crate::carrier::{Carrier, SharedSim};

/// The VPC of a cluster, to which more may be added.
pub const VPC: &str = r#"
[vpc]
cidr = "10.0.0.0/16"
[[subnets]]
name = "a"
id = "subnet-0000000a"
cidr = "10.0.1.0/24"
zone = "us-east-1a"
[[subnets]]
name = "b"
id = "subnet-0000000b"
cidr = "10.0.2.0/24"
zone = "us-east-1b"
[[nodes]]
name = "node-a"
subnet = "a"
instance_type = "m5.large"
[[nodes]]
name = "node-b"
subnet = "a"
instance_type = "m5.large"
[[nodes]]
name = "node-c"
subnet = "b"
instance_type = "m5.large"
[[foreign]]
name = "stranger"
subnet = "a"
description = "load balancer"
"#;

const WIDE: &str = r#"
[vpc]
cidr = "10.0.0.0/16"
[[subnets]]
name = "a"
id = "subnet-0000000a"
cidr = "10.0.1.0/24"
zone = "us-east-1a"
[[foreign]]
name = "stranger"
subnet = "a"
description = "load balancer"
"#;

/// The VPC, the registry and the member's volume.
#[derive(Debug)]
pub struct Cluster {
    shared_sim: SharedSim,
    /// The registry that all nodes share.
    pub registry: MemoryRegistry,
    /// The member's data volume, which follows it to any node.
    pub volume: SimFile,
    nodes: BTreeMap<String, Node>,
}

/// One node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its kernel.
    pub host: SimHost,
    shared_sim: SharedSim,
}

/// Counts of EC2 calls after a position in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// All calls.
    pub calls: usize,
    /// Mutating calls, successful or not.
    pub mutating: usize,
}

impl Node {
    /// A client of EC2 and IMDS for one process on this node.
    pub fn cloud(&self) -> AwsCloud {
        Carrier::new(self.shared_sim.clone(), &self.name).cloud()
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new(Profile::fast())
    }
}

impl Cluster {
    /// A cluster without members.
    pub fn new(profile: Profile) -> Self {
        Self::of(VPC, &profile, pool(59))
    }

    /// One subnet with this many large nodes, `node-0` and up, and a pool of 200 addresses.
    pub fn wide(nodes: u32, profile: Profile) -> Self {
        let mut spec = WIDE.to_owned();
        for number in 0..nodes {
            let node = format!(
                "[[nodes]]\nname = \"node-{number}\"\nsubnet = \"a\"\n\
                 instance_type = \"m5.4xlarge\"\n"
            );
            spec.push_str(&node);
        }
        Self::of(&spec, &profile, pool(249))
    }

    /// A cluster in the VPC of this spec, with this pool.
    pub fn of(spec: &str, profile: &Profile, pool: Pool) -> Self {
        let shared_sim = SharedSim::of(spec, profile);
        let views = shared_sim.world().nodes();
        let nodes = views.into_iter().map(|view| {
            let macs = view.enis.iter().map(|eni| eni.mac.parse().expect("a MAC"));
            let node = Node {
                name: view.name.clone(),
                host: SimHost::with_links(macs),
                shared_sim: shared_sim.clone(),
            };
            (view.name, node)
        });
        let nodes = nodes.collect();
        let registry = MemoryRegistry::with_pools([pool]);
        Self { shared_sim, registry, volume: SimFile::default(), nodes }
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> &Node {
        self.nodes.get(name).unwrap_or_else(|| panic!("no node {name}"))
    }

    /// The simulator.
    pub fn world(&self) -> std::sync::MutexGuard<'_, Simulator> {
        self.shared_sim.world()
    }

    /// Virtual time since the start.
    pub fn now(&self) -> Duration {
        self.shared_sim.now()
    }

    /// Sets a fault for all calls of an action.
    pub fn fault(&self, op: &str, fault: Fault) {
        let when = Selector { op: Some(op.to_owned()), ..Selector::default() };
        self.fault_when(fault, when);
    }

    /// Sets a fault for the selected calls.
    pub fn fault_when(&self, fault: Fault, when: Selector) {
        let now = self.now();
        self.world().fault_set(now, FaultSpec { fault, when }).expect("a fault that can be set");
    }

    /// Clears every fault; fails if a fault never fired, because then the test proves nothing.
    pub fn clear_faults(&self) {
        let now = self.now();
        let mut world = self.world();
        for status in world.fault_list() {
            assert!(status.fired > 0, "this fault never fired: {status:?}");
            world.fault_clear(now, Some(status.id)).expect("a fault that can be cleared");
        }
    }

    /// Changes the VPC from outside FireCamp.
    pub fn act(&self, act: &Act) {
        let now = self.now();
        self.world().act(now, act).expect("the act is possible");
    }

    /// The ENI of a node's primary interface.
    pub fn eni(&self, node: &str) -> EniId {
        let views = self.world().nodes();
        let view = views.iter().find(|view| view.name == node).expect("the node");
        let eni = view.enis.first().expect("its primary interface");
        eni.id.parse().expect("an ENI id")
    }

    /// The number of the latest call in the log.
    pub fn last_call(&self) -> u64 {
        self.world().calls(0).last().map_or(0, |call| call.seq)
    }

    /// The EC2 calls after the call with this number.
    pub fn costs(&self, since: u64) -> Costs {
        let calls = self.world().calls(0);
        let ec2: Vec<_> =
            calls.iter().filter(|call| call.seq > since && call.service == Service::Ec2).collect();
        Costs { calls: ec2.len(), mutating: ec2.iter().filter(|call| call.mutating).count() }
    }

    /// The ENI that has the address in EC2.
    pub fn owner(&self, address: Ipv4Addr) -> Option<EniId> {
        let now = self.now();
        let truth = self.world().truth(now);
        let found = truth.addresses.into_iter().find(|a| a.address == address);
        found.and_then(|a| a.owner).map(|eni| eni.parse().expect("an ENI id"))
    }

    /// The ENI to which the router delivers packets for the address now.
    pub fn data_path(&self, address: Ipv4Addr) -> Option<EniId> {
        let now = self.now();
        let path = self.world().data_path(now);
        path.get(&address).map(|eni| eni.parse().expect("an ENI id"))
    }

    /// The record of an address.
    pub fn record(&self, address: Ipv4Addr) -> StaticIp {
        let snapshot = self.registry.snapshot();
        snapshot.static_ips.get(&address).expect("a record").object.clone()
    }

    /// Waits until all delays of the fast profile have passed.
    pub async fn settle(&self) {
        sleep(Duration::from_secs(1)).await;
    }

    /// Asserts that EC2 was never in an impossible state, and that an address, once assigned, was
    /// always on an ENI unless it was released (K1, K2).
    pub fn audit(&self) {
        let world = self.world();
        assert_eq!(world.violations(), [], "EC2 was in an impossible state");
        for commit in world.commits(0) {
            for step in commit.moves {
                let released = commit.what == "UnassignPrivateIpAddresses" && commit.call.is_some();
                let lost = step.after.is_none() && commit.call.is_some() && !released;
                assert!(!lost, "{} left {} without an ENI", commit.what, step.address);
            }
        }
    }
}

/// The pool of the tests: in each subnet the addresses from .50 to the last.
fn pool(last: u8) -> Pool {
    let subnet = |id: &str, zone: &str, third: u8| PoolSubnet {
        subnet: id.parse().expect("a subnet id"),
        cidr: format!("10.0.{third}.0/24").parse().expect("a block"),
        zone: zone.parse().expect("a zone"),
        ranges: vec![(Ipv4Addr::new(10, 0, third, 50), Ipv4Addr::new(10, 0, third, last))],
    };
    Pool {
        name: "pool".parse().expect("a pool name"),
        release_policy: ReleasePolicy::Keep,
        orphaned: firecamp_core::record::OrphanPolicy::Report,
        resource: firecamp_core::ids::ResourceName::default(),
        subnets: vec![
            subnet("subnet-0000000a", "us-east-1a", 1),
            subnet("subnet-0000000b", "us-east-1b", 2),
        ],
    }
}

/// The first address that the pool allocates in zone a.
pub const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);
