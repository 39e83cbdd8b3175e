//! Records that a benchmark begins with.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Epoch, Member};
use firecamp_core::record::{Attachment, State, StaticIp};

use super::spec;
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
        unsettled: BTreeSet::new(),
    })
}

/// What a registry says went wrong.
pub(crate) fn failed(failure: RegistryFailure) -> Failure {
    Failure::new(failure.detail)
}
