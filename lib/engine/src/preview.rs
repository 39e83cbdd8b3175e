//! The dry run: looks at the world with reads alone and says what an attach would do in it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::{CloudFailure, HostFailure, HostKind, RegistryFailure, RegistryKind};
use firecamp_core::ids::{InvalidId, SubnetId};
use firecamp_core::machine::Failure;
use firecamp_core::node::{Eni, NodeIdentity};
use firecamp_core::outside::{Cloud, HostNet, KernelView, MemberFile, Owner, Registry, SocketUse};
use firecamp_core::plan::{Plan, World, plan};
use firecamp_core::record::MemberRecords;
use firecamp_core::time::Moment;
use firecamp_core::{allocate, attach};

use crate::perform::Systems;

/// Reads the world and plans an attach in it. Changes nothing anywhere.
pub async fn preview<C: Cloud, H: HostNet, R: Registry, F: MemberFile>(
    input: &AttachInput,
    systems: &Systems<C, H, R, F>,
) -> Result<Plan, Failure> {
    let world = observe(input, systems).await?;
    plan(Attach::new(input.clone(), Moment::default()), &world).map_err(|bug: InvalidId| Failure {
        exit: Exit::Internal,
        message: bug.to_string(),
        address: None,
    })
}

async fn observe<C: Cloud, H: HostNet, R: Registry, F: MemberFile>(
    input: &AttachInput,
    systems: &Systems<C, H, R, F>,
) -> Result<World, Failure> {
    let registry = &systems.registry;
    let records =
        registry.member(&input.member, input.pool.as_ref()).await.map_err(registry_failure)?;
    let node = systems.cloud.identity().await.map_err(cloud_failure)?;
    let pod = registry.pod(&input.member).await.map_err(registry_failure)?;
    let allocated = match &records.pool {
        Some(pool) => registry.allocated(&pool.name).await.map_err(registry_failure)?,
        None => BTreeSet::new(),
    };
    let mut world = World {
        owner: Owner::Nobody,
        kernel: KernelView::default(),
        sockets: SocketUse::default(),
        allocated,
        pod,
        node,
        records,
    };
    let found = target(input, &world.records, &world.node, &world.allocated);
    if let Some((address, subnet, eni)) = found {
        world.owner = systems.cloud.owner(address, &subnet).await.map_err(cloud_failure)?;
        let target = attach::kernel_target(address, &eni);
        world.kernel = systems.host.observe(&target).await.map_err(host_failure)?;
        world.sockets = systems.host.sockets(address).await.map_err(host_failure)?;
    }
    Ok(world)
}

/// The address that the attach is about, or would try first.
fn target(
    input: &AttachInput,
    records: &MemberRecords,
    node: &NodeIdentity,
    allocated: &BTreeSet<Ipv4Addr>,
) -> Option<(Ipv4Addr, SubnetId, Eni)> {
    if let Some(stored) = &records.static_ip {
        let record = &stored.object;
        let eni = node.choose(input.rule, |subnet| *subnet == record.subnet)?;
        return Some((record.address, record.subnet.clone(), eni.clone()));
    }
    let pool = records.pool.as_ref()?;
    let eni = node.choose(input.rule, |id| pool.subnets.iter().any(|s| s.subnet == *id))?;
    let subnet = pool.subnets.iter().find(|s| s.subnet == eni.subnet)?;
    let claim = records.claim.as_ref().map(|c| &c.object);
    let named = claim.and_then(|c| c.address.or(c.requested));
    let address = named.or_else(|| allocate::first_free(subnet, allocated, &BTreeSet::new()))?;
    Some((address, subnet.subnet.clone(), eni.clone()))
}

fn registry_failure(failure: RegistryFailure) -> Failure {
    let exit = match failure.kind {
        RegistryKind::Unavailable => Exit::RegistryUnavailable,
        RegistryKind::Conflict
        | RegistryKind::AlreadyExists
        | RegistryKind::NotFound
        | RegistryKind::Invalid
        | RegistryKind::Refused => Exit::RegistryInvalid,
    };
    Failure { exit, message: failure.detail, address: None }
}

fn cloud_failure(failure: CloudFailure) -> Failure {
    Failure { exit: Exit::CloudRefused, message: failure.detail, address: None }
}

fn host_failure(failure: HostFailure) -> Failure {
    let exit = match failure.kind {
        HostKind::NoLink => Exit::NodeUnsuitable,
        HostKind::Superseded | HostKind::Busy | HostKind::Refused => Exit::KernelRefused,
    };
    Failure { exit, message: failure.detail, address: None }
}
