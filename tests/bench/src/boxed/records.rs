//! Records that a benchmark begins with.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Epoch, Member};
use firecamp_core::ports::Registry;
use firecamp_core::record::{Attachment, Claim, State, StaticIp, Write};
use tokio::runtime::Builder;

use super::spec;
use super::stage::{NAMESPACE, Stage};
use crate::failure::Failure;

/// A member's record after its first pod has ended: EC2 keeps the address on the ENI.
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

/// Records that say what EC2 says: each address is parked on an ENI of its node, by the place of
/// that ENI. The registry is opened in a runtime.
pub(crate) fn fill<R: Registry>(
    stage: &mut Stage,
    open: impl FnOnce(&Stage) -> Result<R, Failure>,
    homes: impl IntoIterator<Item = (u32, String, usize)>,
) -> Result<(), Failure> {
    let truth = stage.vpc.truth()?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::of("start a runtime"))?;
    let registry = runtime.block_on(async { open(stage) })?;
    for (number, node, index) in homes {
        let (member, address) = (member(number)?, spec::address(number));
        let machine = truth.nodes.iter().find(|machine| machine.name == node);
        let eni = machine.and_then(|machine| machine.enis.get(index));
        let eni = eni.ok_or_else(|| Failure::new("a node without that ENI"))?;
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

/// What a registry says went wrong.
pub(crate) fn failed(failure: RegistryFailure) -> Failure {
    Failure::new(failure.detail)
}
