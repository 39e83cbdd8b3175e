//! The initial records of a benchmark.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Epoch, Member};
use firecamp_core::ports::Registry;
use firecamp_core::record::{Attachment, Claim, State, StaticIp, Write};
use tokio::runtime::Builder;

use super::fixture::{Fixture, NAMESPACE};
use super::spec;
use crate::failure::Failure;

/// The record of a parked address: EC2 keeps it on the ENI after the first pod has ended.
pub(crate) fn parked(
    (member, address): (Member, Ipv4Addr),
    (cidr, pool): (&str, &str),
    (node, eni): (&str, &str),
) -> Result<StaticIp, Failure> {
    let bad = |name: &'static str| Failure::of::<firecamp_core::ids::InvalidId>(name);
    let eni = firecamp_core::ids::EniId::new(eni).map_err(bad("an ENI"))?;
    Ok(StaticIp {
        address,
        pool: pool.parse().map_err(bad("a pool"))?,
        subnet: spec::SUBNET.parse().map_err(bad("a subnet"))?,
        cidr: cidr.parse().map_err(Failure::of("a block"))?,
        zone: "us-east-1a".parse().map_err(bad("a zone"))?,
        member,
        epoch: Epoch(1),
        attachment: Some(Attachment {
            state: State::Parked,
            pod: "pod-0".parse().map_err(bad("a pod"))?,
            node: node.parse().map_err(bad("a node"))?,
            eni: Some(eni.clone()),
            run: "0123456789abcdef".parse().map_err(bad("a run"))?,
            served: false,
        }),
        reserved_on: Some(eni),
        pending_mutations: BTreeSet::new(),
    })
}

/// Creates records that match EC2: each address is parked on its node's ENI with this index. `open`
/// runs in a runtime.
pub(crate) fn fill<R: Registry>(
    fixture: &mut Fixture,
    open: impl FnOnce(&Fixture) -> Result<R, Failure>,
    homes: impl IntoIterator<Item = (u32, String, usize)>,
) -> Result<(), Failure> {
    let truth = fixture.vpc.truth()?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::of("start a runtime"))?;
    let registry = runtime.block_on(async { open(fixture) })?;
    for (number, node, index) in homes {
        let (member, address) = (member(number)?, spec::address(number));
        let machine = truth.nodes.iter().find(|machine| machine.name == node);
        let eni = machine.and_then(|machine| machine.enis.get(index));
        let eni = eni.ok_or_else(|| Failure::new("the node does not have that ENI"))?;
        let known = (member.clone(), address);
        let record = parked(known, (spec::BLOCK, spec::POOL), (&node, &eni.id))?;
        let pool = record.pool.clone();
        let claim = Claim { member, pool, requested: None, address: Some(address), set: None };
        for write in [Write::CreateClaim(claim), Write::CreateStaticIp(record)] {
            runtime.block_on(registry.write(&write)).map_err(failed)?;
        }
    }
    Ok(())
}

fn member(number: u32) -> Result<Member, Failure> {
    Member::new(NAMESPACE, &format!("redis-{number}")).map_err(Failure::of("a member"))
}

/// A failure of a registry.
pub(crate) fn failed(failure: RegistryFailure) -> Failure {
    Failure::new(failure.detail)
}
