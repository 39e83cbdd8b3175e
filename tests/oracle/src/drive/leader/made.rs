//! Objects of the cluster.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    Identity, NamespacedName, ObservedClaim, ObservedPool, ObservedStaticIp, Owner, SeenConditions,
};
use firecamp_core::contract::cluster::FINALIZER;
use firecamp_core::ids::{Epoch, Member, Uid, Version};
use firecamp_core::record::{
    Attachment, Claim, OrphanPolicy, Pool, PoolSubnet, ReleasePolicy, State, StaticIp,
};
use firecamp_registry::api::{ClaimRetentionPolicy, ReclaimPolicy};

use super::parsed;

pub(super) fn member(number: u8) -> Member {
    Member::new("prod", &format!("redis-{number}")).expect("a member")
}

pub(super) fn at(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, 50 + number)
}

pub(super) fn uid(text: &str) -> Uid {
    Uid::new(text).expect("a UID")
}

pub(super) fn set_name() -> NamespacedName {
    NamespacedName { namespace: "prod".to_owned(), name: "redis".to_owned() }
}

pub(super) fn owner(number: u8) -> Owner {
    Owner { name: parsed("redis"), uid: uid(&format!("set-{number}")) }
}

fn identity(text: &str, version: Version) -> Identity {
    Identity { uid: uid(text), version, deleting: false }
}

pub(super) fn attachment(state: State, pod: u8, node: u8) -> Attachment {
    let eni = match state {
        State::Attaching | State::Attached | State::Parked => Some(parsed("eni-0000000a")),
        State::Releasing | State::Released => None,
    };
    let (pod, node) = (parsed(&format!("pod-{pod}")), parsed(&format!("n{node}")));
    Attachment { state, pod, node, eni, run: parsed("run"), served: state == State::Attached }
}

/// The address of a number, of the member of a number.
pub(super) fn address(
    (number, of): (u8, u8),
    version: Version,
    attachment: Option<Attachment>,
) -> ObservedStaticIp {
    let record = StaticIp {
        address: at(number),
        pool: parsed("pool"),
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        member: member(of),
        epoch: Epoch(if attachment.is_some() { 5 } else { 0 }),
        reserved_on: attachment.as_ref().and_then(|it| it.eni.clone()),
        attachment,
        pending_mutations: BTreeSet::new(),
    };
    ObservedStaticIp {
        id: identity(&format!("ip-{number}"), version),
        record,
        generation: 1,
        finalizers: vec![FINALIZER.to_owned()],
        phase: None,
        conditions: SeenConditions::default(),
    }
}

pub(super) fn claim(number: u8, version: Version, address: Option<Ipv4Addr>) -> ObservedClaim {
    ObservedClaim {
        id: identity(&format!("claim-{number}"), version),
        claim: Claim {
            member: member(number),
            pool: parsed("pool"),
            requested: None,
            address,
            set: None,
        },
        generation: 4,
        owner: None,
        conditions: SeenConditions::default(),
    }
}

pub(super) fn pool(name: &str, version: Version, last: u8) -> ObservedPool {
    ObservedPool {
        id: identity(&format!("pool-{name}"), version),
        created: None,
        generation: 3,
        pool: Pool {
            name: parsed(name),
            release_policy: ReleasePolicy::Keep,
            orphaned: OrphanPolicy::Report,
            resource: firecamp_core::ids::ResourceName::default(),
            subnets: vec![PoolSubnet {
                subnet: parsed("subnet-0000000a"),
                cidr: parsed("10.0.1.0/24"),
                zone: parsed("us-east-1a"),
                ranges: vec![(at(0), Ipv4Addr::new(10, 0, 1, last))],
            }],
        },
        reclaim: ReclaimPolicy::Delete,
        retention: ClaimRetentionPolicy::default(),
        status: None,
    }
}
