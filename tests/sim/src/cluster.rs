//! Three nodes in two zones, a pool, and the audit that every test ends with.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "test support: what fails here fails the test"
)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::AwsCloud;
use firecamp_core::ids::EniId;
use firecamp_core::record::{Pool, PoolSubnet, ReleasePolicy, StaticIp};
use firecamp_registry::MemoryRegistry;
use firecamp_testkit::sim::{SimFile, SimHost};
use firecamp_vpc::{Act, Fault, FaultSpec, Profile, Selector, Service, Simulator, Spec};
use tokio::time::sleep;

use crate::carrier::{Carrier, Clockwork, EPOCH};

const SPEC: &str = r#"
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
"#;

/// The VPC, the registry and the member's volume.
#[derive(Debug)]
pub struct Cluster {
    clockwork: Clockwork,
    /// The registry that all nodes share.
    pub registry: MemoryRegistry,
    /// The member's data volume, which travels with it.
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
    clockwork: Clockwork,
}

/// EC2 calls since a mark in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// All calls.
    pub calls: usize,
    /// Those that change things, whatever came of them.
    pub mutating: usize,
}

impl Node {
    /// A client of EC2 and IMDS for one process on this node.
    pub fn cloud(&self) -> AwsCloud {
        Carrier::new(self.clockwork.clone(), &self.name).cloud()
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new(Profile::fast())
    }
}

impl Cluster {
    /// A cluster at rest.
    pub fn new(profile: Profile) -> Self {
        Self::of(SPEC, &profile, 59)
    }

    /// One subnet with this many large nodes, `node-0` and up, and a pool of 200 addresses.
    pub fn wide(nodes: u32) -> Self {
        let mut spec = WIDE.to_owned();
        for number in 0..nodes {
            let node = format!(
                "[[nodes]]\nname = \"node-{number}\"\nsubnet = \"a\"\n\
                 instance_type = \"m5.4xlarge\"\n"
            );
            spec.push_str(&node);
        }
        Self::of(&spec, &Profile::fast(), 249)
    }

    fn of(spec: &str, profile: &Profile, last: u8) -> Self {
        let spec = Spec::from_toml(spec).expect("a spec of this file");
        let world = Simulator::new(&spec, *profile, 7, EPOCH).expect("a world");
        let views = world.nodes();
        let clockwork = Clockwork::new(world);
        let nodes = views.into_iter().map(|view| {
            let macs = view.enis.iter().map(|eni| eni.mac.parse().expect("a MAC"));
            let node = Node {
                name: view.name.clone(),
                host: SimHost::with_links(macs),
                clockwork: clockwork.clone(),
            };
            (view.name, node)
        });
        let nodes = nodes.collect();
        let registry = MemoryRegistry::with_pools([pool(last)]);
        Self { clockwork, registry, volume: SimFile::default(), nodes }
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> &Node {
        self.nodes.get(name).unwrap_or_else(|| panic!("no node {name}"))
    }

    /// The simulator.
    pub fn world(&self) -> std::sync::MutexGuard<'_, Simulator> {
        self.clockwork.world()
    }

    /// Virtual time since the start.
    pub fn now(&self) -> Duration {
        self.clockwork.now()
    }

    /// Sets a fault for the calls of an action.
    pub fn fault(&self, op: &str, fault: Fault) {
        let when = Selector { op: Some(op.to_owned()), ..Selector::default() };
        self.fault_when(fault, when);
    }

    /// Sets a fault with a selector of its own.
    pub fn fault_when(&self, fault: Fault, when: Selector) {
        let now = self.now();
        self.world().fault_set(now, FaultSpec { fault, when }).expect("a fault that can be set");
    }

    /// Clears every fault; each must have fired, or the test proved nothing.
    pub fn heal(&self) {
        let now = self.now();
        let mut world = self.world();
        for status in world.fault_list() {
            assert!(status.fired > 0, "a fault never fired: {status:?}");
            world.fault_clear(now, Some(status.id)).expect("a fault that can be cleared");
        }
    }

    /// Does something to the VPC from outside.
    pub fn act(&self, act: &Act) {
        let now = self.now();
        self.world().act(now, act).expect("an act that is possible");
    }

    /// The ENI of a node's primary interface.
    pub fn eni(&self, node: &str) -> EniId {
        let views = self.world().nodes();
        let view = views.iter().find(|view| view.name == node).expect("the node");
        let eni = view.enis.first().expect("its primary interface");
        eni.id.parse().expect("an ENI id")
    }

    /// The number of the last call so far.
    pub fn mark(&self) -> u64 {
        self.world().calls(0).last().map_or(0, |call| call.seq)
    }

    /// What was asked of EC2 since a mark.
    pub fn costs(&self, since: u64) -> Costs {
        let calls = self.world().calls(0);
        let ec2: Vec<_> =
            calls.iter().filter(|call| call.seq > since && call.service == Service::Ec2).collect();
        Costs { calls: ec2.len(), mutating: ec2.iter().filter(|call| call.mutating).count() }
    }

    /// The ENI that EC2 says holds the address.
    pub fn owner(&self, address: Ipv4Addr) -> Option<EniId> {
        let now = self.now();
        let truth = self.world().truth(now);
        let found = truth.addresses.into_iter().find(|a| a.address == address);
        found.and_then(|a| a.owner).map(|eni| eni.parse().expect("an ENI id"))
    }

    /// The ENI that packets to the address reach now.
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

    /// Lets all lags of the fast profile pass.
    pub async fn settle(&self) {
        sleep(Duration::from_secs(1)).await;
    }

    /// What must hold after every step: one holder, no impossible state of EC2, and an address
    /// that was ever assigned is on an ENI unless it was released (K1, K2).
    pub fn audit(&self) {
        let world = self.world();
        assert_eq!(world.violations(), [], "EC2 got into an impossible state");
        for commit in world.commits(0) {
            for step in commit.moves {
                let ours = commit.what == "UnassignPrivateIpAddresses" && commit.call.is_some();
                let lost = step.after.is_none() && commit.call.is_some() && !ours;
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
        subnets: vec![
            subnet("subnet-0000000a", "us-east-1a", 1),
            subnet("subnet-0000000b", "us-east-1b", 2),
        ],
    }
}

/// The first address that the pool hands out in zone a.
pub const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);
