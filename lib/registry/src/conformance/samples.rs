//! Sample records for the checks.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::ids::{
    EniId, Epoch, InvalidId, Member, NodeName, PodUid, PoolName, RunId, SubnetId, Zone,
};
use firecamp_core::record::{
    Attachment, Claim, Mutation, PendingMutation, Pool, PoolSubnet, ReleasePolicy, State, StaticIp,
};
use ipnet::Ipv4Net;

use super::Broken;

impl From<InvalidId> for Broken {
    fn from(wrong: InvalidId) -> Self {
        Self(wrong.to_string())
    }
}

/// Subnet number `index` of the sample VPC, `10.INDEX.0.0/24`, with the ranges from .16 to .31
/// and from .40 to .40.
pub fn subnet(index: u8) -> Result<PoolSubnet, Broken> {
    let at = |last| Ipv4Addr::new(10, index, 0, last);
    Ok(PoolSubnet {
        subnet: SubnetId::new(&format!("subnet-{index:08x}"))?,
        cidr: Ipv4Net::new(at(0), 24).map_err(|wrong| Broken(wrong.to_string()))?,
        zone: Zone::new("us-east-1a")?,
        ranges: vec![(at(16), at(31)), (at(40), at(40))],
    })
}

/// A pool with these sample subnets.
pub fn pool(name: &str, subnets: &[u8]) -> Result<Pool, Broken> {
    Ok(Pool {
        name: PoolName::new(name)?,
        release_policy: ReleasePolicy::Unassign,
        orphaned: firecamp_core::record::OrphanPolicy::Report,
        resource: firecamp_core::ids::ResourceName::default(),
        subnets: subnets.iter().map(|index| subnet(*index)).collect::<Result<_, _>>()?,
    })
}

/// Member `prod/redis-INDEX`.
pub fn member(index: u32) -> Result<Member, Broken> {
    Ok(Member::new("prod", &format!("redis-{index}"))?)
}

/// An unbound claim of the member on the pool.
pub fn claim(member: &Member, pool: &Pool) -> Claim {
    Claim {
        member: member.clone(),
        pool: pool.name.clone(),
        requested: None,
        address: None,
        set: None,
    }
}

/// An address of the pool's first subnet, for the member, never attached.
pub fn static_ip(address: Ipv4Addr, member: &Member, pool: &Pool) -> Result<StaticIp, Broken> {
    let Some(entry) = pool.subnets.first() else {
        return Err(Broken(format!("pool {} has no subnet", pool.name)));
    };
    Ok(StaticIp {
        address,
        pool: pool.name.clone(),
        subnet: entry.subnet.clone(),
        cidr: entry.cidr,
        zone: entry.zone.clone(),
        member: member.clone(),
        epoch: Epoch(0),
        attachment: None,
        reserved_on: None,
        pending_mutations: BTreeSet::new(),
    })
}

/// The same address with an attachment of that epoch, a reservation and pending mutations.
pub fn attached(ip: &StaticIp, epoch: u64) -> Result<StaticIp, Broken> {
    let eni = EniId::new("eni-0123456789abcdef0")?;
    let other = EniId::new("eni-0123456789abcdef1")?;
    let pending = |mutation, eni: &EniId, run: &str| {
        Ok::<PendingMutation, Broken>(PendingMutation {
            mutation,
            eni: eni.clone(),
            run: RunId::new(run)?,
        })
    };
    let mutations = [
        pending(Mutation::Assign, &eni, "init-1")?,
        pending(Mutation::Assign, &other, "init-0")?,
        pending(Mutation::Unassign, &other, "stop-0")?,
    ];
    Ok(StaticIp {
        epoch: Epoch(epoch),
        attachment: Some(Attachment {
            state: State::Attaching,
            pod: PodUid::new("0b0d3ed4-2b8c-4b2a-9a54-3c1f6a1e1e11")?,
            node: NodeName::new("ip-10-0-0-7.ec2.internal")?,
            eni: Some(eni.clone()),
            run: RunId::new("init-1")?,
            served: true,
        }),
        reserved_on: Some(other),
        pending_mutations: BTreeSet::from(mutations),
        ..ip.clone()
    })
}
