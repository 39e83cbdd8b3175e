//! The nodes and members of the fleet, and what all agents share: EC2, the Lease and chance.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::{CloudKind, Effect as Took, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Epoch, Member, NodeName};
use firecamp_core::managed_interface::DescribedInterface;
use firecamp_core::node_identity::Eni;
use firecamp_core::record::{Attachment, Claim, State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_node::volumes::Recheck;

use super::{AGENTS, OTHERS, REFILL};
use crate::interface_life_tests::histories::Random;
use crate::leader::{
    ClusterEvent, Event as LeaderEvent, Identity, LeaseWrite, NodeReadiness, ObjectEvent,
    ObservedClaim, ObservedLease, ObservedStaticIp, SeenConditions, Terms,
};

/// The fleet's rate is that of the last seconds.
const RECENT: Duration = Duration::from_secs(10);

pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(super) fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 1, 0, 0)) + number)
}

pub(super) fn eni(number: u32) -> Eni {
    Eni {
        id: parsed(&format!("eni-{number:08x}")),
        mac: parsed("06:00:00:00:00:01"),
        device_index: 1,
        network_card: 0,
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.0.0/8"),
        primary_address: Ipv4Addr::new(10, 0, 0, 9),
        listed: [address(number)].into(),
        prefixes: 0,
    }
}

pub(super) fn node(number: u32) -> NodeName {
    parsed(&format!("node-{number}"))
}

pub(super) fn member(number: u32) -> Member {
    Member::new("prod", &format!("redis-{number}")).unwrap()
}

pub(super) fn record(number: u32) -> StaticIp {
    StaticIp {
        address: address(number),
        pool: parsed("pool"),
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.0.0/8"),
        zone: parsed("us-east-1a"),
        member: member(number),
        epoch: Epoch(5),
        attachment: Some(Attachment {
            state: State::Attached,
            pod: parsed("u1"),
            node: node(number),
            eni: Some(eni(number).id),
            run: parsed("run"),
            served: true,
        }),
        reserved_on: Some(eni(number).id),
        pending_mutations: BTreeSet::new(),
    }
}

/// The outside of all agents.
pub(super) struct Outside {
    pub(super) now: Moment,
    pub(super) random: Random,
    pub(super) lease: Option<ObservedLease>,
    pub(super) writes: u32,
    /// The API server is away.
    pub(super) away: bool,
    /// Others drain the bucket.
    pub(super) drained: bool,
    /// When the fleet sent a request to EC2.
    pub(super) sent: Vec<Moment>,
    /// The agents' own queries of their interfaces.
    pub(super) queries: usize,
    /// Complete lists of the leader.
    pub(super) lists: u32,
    /// How soon EC2 should be asked for the volumes of each node.
    pub(super) recheck: Recheck,
    pub(super) volume_queries: usize,
}

impl Outside {
    /// Whether EC2 answers a Describe, or throttles it. While others drain the bucket, it answers
    /// as many as it refills, of theirs and the fleet's alike.
    pub(super) fn describes(&mut self) -> bool {
        let now = self.now;
        let recent = self.sent.iter().rev().take_while(|at| now.since(**at) < RECENT).count();
        let own = u64::try_from(recent).unwrap() / RECENT.as_secs();
        self.sent.push(now);
        !self.drained || self.random.below(REFILL.max(OTHERS + own)) < REFILL
    }

    pub(super) fn part(&mut self) -> f64 {
        f64::from(u32::try_from(self.random.below(1 << 20)).unwrap()) / f64::from(1 << 20)
    }

    pub(super) fn unavailable() -> RegistryFailure {
        let (kind, effect) = (RegistryKind::Unavailable, Took::None);
        RegistryFailure { kind, effect, detail: String::new() }
    }

    pub(super) fn write(&mut self, write: &LeaseWrite) -> Result<(), RegistryFailure> {
        if self.away {
            return Err(Self::unavailable());
        }
        let current = self.lease.as_ref().map(|lease| lease.version.clone());
        let (terms, named) = match write.clone() {
            LeaseWrite::Create(terms) => (terms, None),
            LeaseWrite::Replace(version, terms) => (terms, Some(version)),
        };
        if named != current {
            return Err(RegistryFailure { kind: RegistryKind::Conflict, ..Self::unavailable() });
        }
        self.writes += 1;
        let Terms { holder, duration, transitions, acquired, ec2 } = terms;
        let version = parsed(&self.writes.to_string());
        self.lease = Some(ObservedLease { version, holder, duration, transitions, acquired, ec2 });
        Ok(())
    }

    pub(super) fn list(&mut self) -> Result<Vec<DescribedInterface>, CloudKind> {
        // Two pages, each a request.
        if !self.describes() || !self.describes() {
            return Err(CloudKind::Throttled);
        }
        self.lists += 1;
        let described = |number| DescribedInterface {
            id: eni(number).id,
            addresses: [address(number)].into(),
            prefixes: 0,
            attachment: None,
            record: None,
            cluster_uid: None,
        };
        Ok((0..AGENTS).map(described).collect())
    }
}

fn identity(name: &str) -> Identity {
    let uid = firecamp_core::ids::Uid::new(name).unwrap();
    Identity { uid, version: parsed("7"), deleting: false }
}

/// What a new leader lists.
pub(super) fn cluster() -> Vec<LeaderEvent> {
    let nodes = (0..AGENTS).map(|number| (node(number), Some(NodeReadiness::Ready.into())));
    let addresses = (0..AGENTS).map(|number| {
        let observed = ObservedStaticIp {
            id: identity(&format!("ip-{number}")),
            record: record(number),
            generation: 1,
            finalizers: Vec::new(),
            phase: None,
            conditions: SeenConditions::default(),
        };
        (address(number), Some(observed))
    });
    let claims = (0..AGENTS).map(|number| {
        let (member, pool, at) = (member(number), parsed("pool"), Some(address(number)));
        let claim = Claim { member: member.clone(), pool, requested: None, address: at, set: None };
        let id = identity(&format!("claim-{number}"));
        let (owner, conditions) = (None, SeenConditions::default());
        (member, Some(ObservedClaim { id, claim, generation: 1, owner, conditions }))
    });
    let nodes = ObjectEvent::list(nodes).into_iter().map(ClusterEvent::Nodes);
    let addresses = ObjectEvent::list(addresses).into_iter().map(ClusterEvent::StaticIps);
    let claims = ObjectEvent::list(claims).into_iter().map(ClusterEvent::Claims);
    let others = [
        ClusterEvent::Pools(ObjectEvent::Listed),
        ClusterEvent::Sets(ObjectEvent::Listed),
        ClusterEvent::GatedPods(ObjectEvent::Listed),
    ];
    nodes
        .chain(addresses)
        .chain(claims)
        .chain(others)
        .map(|event| LeaderEvent::Cluster(Box::new(event)))
        .collect()
}
