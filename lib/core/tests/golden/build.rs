//! Converts a case's YAML to the core's types. An invalid case panics.
#![expect(clippy::expect_used, clippy::panic, reason = "test support: an invalid case must fail")]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::attach::{Attach, AttachInput, UnwantedEnis};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::contract::timing;
use firecamp_core::ids::{EniId, Epoch, Member, NodeName, PodUid, RunId, Version};
use firecamp_core::node_identity::{Eni, NodeIdentity};
use firecamp_core::plan::{Plan, PlanInput, plan};
use firecamp_core::ports::{
    KernelView, Owner, OwnerEni, PodLifecycle, PodView, SocketScope, SocketUse,
};
use firecamp_core::record::{
    Attachment, Claim, MemberRecords, Mutation, PendingMutation, Pool, PoolSubnet, ReleasePolicy,
    State, StaticIp, Stored,
};
use firecamp_core::release::{Release, ReleaseInput, Releaser};
use firecamp_core::time::Moment;

use crate::world::{Machine, Pod, Record, Yaml};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);

/// A case and the machine that it runs.
#[derive(Debug)]
pub(crate) struct Case {
    yaml: Yaml,
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a well-formed identifier in the test's own support")
}

fn eni_id(name: &str) -> EniId {
    let digit = match name {
        "a" => "a",
        "a2" => "2",
        "b" => "b",
        "c" => "c",
        "x" => "f",
        other => panic!("no ENI is called {other}"),
    };
    parsed(&format!("eni-0000000{digit}"))
}

impl Case {
    /// Reads a case.
    ///
    /// # Panics
    /// If it is invalid.
    pub(crate) fn from_yaml(text: &str) -> Self {
        let yaml = serde_saphyr::from_str(text).expect("a case as described in `main.rs`");
        Self { yaml }
    }

    /// The plan of the machine.
    ///
    /// # Panics
    /// If it never ends.
    pub(crate) fn plan(&self) -> Plan {
        let world = self.world();
        let now = Moment::default();
        let planned = match self.yaml.machine {
            Machine::Attach => plan(Attach::new(self.attach(), now), &world),
            Machine::Release => plan(Release::new(self.release(), now), &world),
        };
        planned.expect("an end")
    }

    fn attach(&self) -> AttachInput {
        AttachInput {
            member: Member::new("demo", "redis-0").expect("a member"),
            pod: parsed("new"),
            node: parsed("node-a"),
            cluster: parsed("test"),
            pool: None,
            pool_is_approved: false,
            rule: self.yaml.eni.as_deref().map_or(EniRule::Primary, parsed),
            unwanted: UnwantedEnis::default(),
            metadata_poll: timing::METADATA_POLL,
            run: parsed("run-now"),
            deadline: timing::ATTACH_DEADLINE,
            predecessor_grace: Duration::from_secs(30),
            looked_up: None,
        }
    }

    fn release(&self) -> ReleaseInput {
        ReleaseInput {
            member: Member::new("demo", "redis-0").expect("a member"),
            pod: parsed("new"),
            run: parsed("run-now"),
            unassign: self.yaml.unassign,
            await_stop: false,
            by: Releaser::Stop,
            scope: SocketScope::All,
            drain: timing::DRAIN,
            grace: Duration::from_secs(30),
        }
    }

    fn world(&self) -> PlanInput {
        let yaml = &self.yaml;
        let used = yaml.sockets;
        PlanInput {
            records: self.records(),
            allocated: yaml.allocated.iter().map(|n| Ipv4Addr::new(10, 0, 1, *n)).collect(),
            pod: self.pod(),
            node: self.node(),
            owners: self.owners(),
            kernel: Some(KernelView {
                link: (!yaml.no_link).then(|| "ens5".to_owned()),
                link_up: true,
                ..KernelView::default()
            }),
            sockets: Some(SocketUse {
                listeners: used.listeners,
                connections: used.connections,
                datagrams: used.datagrams,
            }),
        }
    }

    /// The owner of every address that a case may look up.
    fn owners(&self) -> std::collections::BTreeMap<Ipv4Addr, Owner> {
        let owner = self.yaml.owner.as_ref().map_or(Owner::Unassigned, |owner| {
            Owner::Eni(OwnerEni {
                id: eni_id(&owner.eni),
                primary: owner.primary,
                cluster: owner.cluster.clone(),
                instance: None,
                description: String::new(),
            })
        });
        (0..=255).map(|n| (Ipv4Addr::new(10, 0, 1, n), owner.clone())).collect()
    }

    fn pod(&self) -> PodView {
        let present = |pod: &str, node: &str, lifecycle| PodView::Present {
            pod: parsed::<PodUid>(pod),
            node: Some(parsed::<NodeName>(node)),
            lifecycle,
            controller: None,
        };
        match self.yaml.pod {
            Pod::Vouched => PodView::Vouched,
            Pod::Absent => PodView::Absent,
            Pod::Live => present("new", "node-a", PodLifecycle::Running),
            Pod::Ending => {
                present("new", "node-a", PodLifecycle::Terminating(Some(Duration::from_secs(20))))
            }
            Pod::Other => present("other", "node-a", PodLifecycle::Running),
            Pod::Elsewhere => present("new", "node-b", PodLifecycle::Running),
        }
    }

    fn node(&self) -> NodeIdentity {
        let subnet = if self.yaml.wrong_subnet { "subnet-0000000e" } else { "subnet-0000000a" };
        let listed: BTreeSet<_> = self.yaml.listed.then_some(ADDRESS).into_iter().collect();
        let eni = |name: &str, index: u32, listed: &BTreeSet<Ipv4Addr>| Eni {
            id: eni_id(name),
            mac: parsed(&format!("06:00:00:00:00:0{index}")),
            device_index: index,
            network_card: 0,
            subnet: parsed(subnet),
            cidr: parsed("10.0.1.0/24"),
            primary_address: Ipv4Addr::new(10, 0, 1, 10),
            listed: listed.clone(),
            prefixes: 0,
        };
        NodeIdentity {
            instance: parsed("i-0000000a"),
            instance_type: "m5.large".to_owned(),
            zone: parsed("us-east-1a"),
            region: "us-east-1".to_owned(),
            // Deliberately not in order: the choice must not depend on it.
            enis: vec![eni("a2", 1, &BTreeSet::new()), eni("a", 0, &listed)],
        }
    }

    fn records(&self) -> MemberRecords {
        let version: Version = parsed("7");
        let record = self.yaml.record.as_ref().map(static_ip);
        let bound = record.as_ref().map(|r| Claim {
            member: Member::new("demo", "redis-0").expect("a member"),
            pool: parsed("pool"),
            requested: None,
            address: Some(r.address),
            set: None,
        });
        let octet = |n: u8| Ipv4Addr::new(10, 0, 1, n);
        let claim = self.yaml.claim.as_ref().map(|claim| Claim {
            member: Member::new("demo", "redis-0").expect("a member"),
            pool: parsed("pool"),
            requested: claim.requested.map(octet),
            address: claim.address.map(octet),
            set: None,
        });
        MemberRecords {
            claim: claim.or(bound).map(|object| Stored { version: version.clone(), object }),
            static_ip: record.map(|object| Stored { version: version.clone(), object }),
            pool: (!self.yaml.no_pool).then(|| pool(self.yaml.pool_unassigns)),
        }
    }
}

fn pool(unassigns: bool) -> Pool {
    Pool {
        name: parsed("pool"),
        release_policy: if unassigns { ReleasePolicy::Unassign } else { ReleasePolicy::Keep },
        orphaned: firecamp_core::record::OrphanPolicy::Report,
        resource: firecamp_core::ids::ResourceName::default(),
        subnets: vec![PoolSubnet {
            subnet: parsed("subnet-0000000a"),
            cidr: parsed("10.0.1.0/24"),
            zone: parsed("us-east-1a"),
            ranges: vec![(ADDRESS, Ipv4Addr::new(10, 0, 1, 52))],
        }],
    }
}

fn static_ip(record: &Record) -> StaticIp {
    let name = record.member.as_deref().unwrap_or("redis-0");
    StaticIp {
        address: ADDRESS,
        pool: parsed("pool"),
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        member: Member::new("demo", name).expect("a member"),
        epoch: Epoch(record.epoch),
        attachment: record.state.as_deref().map(|state| Attachment {
            state: state_named(state),
            pod: parsed(record.pod.as_deref().unwrap_or("old")),
            node: parsed(record.node.as_deref().unwrap_or("node-a")),
            eni: record.eni.as_deref().map(eni_id),
            run: parsed::<RunId>("run-before"),
            served: record.served,
        }),
        reserved_on: record.reserved_on.as_deref().map(eni_id),
        pending_mutations: record.pending.iter().map(|text| pending_mutation(text)).collect(),
    }
}

fn state_named(name: &str) -> State {
    match name {
        "attaching" => State::Attaching,
        "attached" => State::Attached,
        "parked" => State::Parked,
        "releasing" => State::Releasing,
        "released" => State::Released,
        other => panic!("no state is called {other}"),
    }
}

fn pending_mutation(text: &str) -> PendingMutation {
    let parts: Vec<_> = text.split(':').collect();
    let [mutation, eni, run] = parts.as_slice() else { panic!("not MUTATION:ENI:RUN: {text}") };
    let mutation = match *mutation {
        "assign" => Mutation::Assign,
        "unassign" => Mutation::Unassign,
        other => panic!("no mutation is called {other}"),
    };
    PendingMutation { mutation, eni: eni_id(eni), run: parsed(run) }
}
