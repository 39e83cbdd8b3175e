//! First part of attach: the member's records, this node's ENI, and a first address if the
//! member has none. Nothing outside the registry is changed here.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::AttachInput;
use super::land::kernel_target;
use crate::action::{Action, Reply, Step};
use crate::allocate;
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::failure::HostKind;
use crate::ids::Epoch;
use crate::machine::{Halt, Turn, cloud_read_halt, mismatch, registry_halt};
use crate::node::{Eni, NodeIdentity};
use crate::outside::{KernelView, Owner};
use crate::record::{Claim, MemberRecords, Pool, PoolSubnet, StaticIp, Stored, Write};

/// A member with its record, and the ENI that will carry the address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Bound {
    pub(super) stored: Stored<StaticIp>,
    pub(super) eni: Eni,
    /// The last epoch on record on this node.
    pub(super) floor: Epoch,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum At {
    Member,
    Begin(Stored<StaticIp>),
    Identity,
    Allocated(Home),
    Candidate(Home, Ipv4Addr),
    Claim(Home, Ipv4Addr),
    Create(Home, Ipv4Addr),
    Probe(Bound),
    Link(Bound),
}

/// Where a first address is sought.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Home {
    pool: Pool,
    subnet: PoolSubnet,
    eni: Eni,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Bind {
    at: At,
    records: MemberRecords,
    /// Candidates that turned out to be in use.
    excluded: BTreeSet<Ipv4Addr>,
}

impl Bind {
    pub(super) fn new() -> Self {
        Self { at: At::Member, records: MemberRecords::default(), excluded: BTreeSet::new() }
    }

    pub(super) fn action(&self, input: &AttachInput) -> Action {
        match &self.at {
            At::Member => Action::ReadMember,
            At::Begin(stored) => {
                Action::BeginOwner(stored.object.address, stored.object.subnet.clone())
            }
            At::Identity => Action::ReadIdentity,
            At::Allocated(home) => Action::ReadAllocated(home.pool.name.clone()),
            At::Candidate(home, address) => Action::ReadOwner(*address, home.subnet.subnet.clone()),
            At::Claim(home, address) => Action::Write(Box::new(self.claim(input, home, *address))),
            At::Create(home, address) => {
                Action::Write(Box::new(Write::CreateStaticIp(first_record(input, home, *address))))
            }
            At::Probe(_) => Action::ProbeFile,
            At::Link(bound) => {
                Action::Observe(kernel_target(bound.stored.object.address, &bound.eni))
            }
        }
    }

    pub(super) fn reply(
        &mut self,
        input: &AttachInput,
        reply: Reply,
        crossed: &mut Option<Step>,
        address: &mut Option<Ipv4Addr>,
    ) -> Turn<Bound> {
        match (self.at.clone(), reply) {
            (At::Member, Reply::Member(read)) => {
                self.records = *read.map_err(|f| registry_halt(&f))?;
                *address = self.bound_record(input).map(|s| s.object.address);
                *crossed = Some(Step::Attach(0));
                self.at = self.after_member(input);
                Ok(None)
            }
            (At::Begin(_), Reply::Begun) => {
                self.at = At::Identity;
                Ok(None)
            }
            (At::Identity, Reply::Identity(read)) => {
                let node = read.map_err(|f| cloud_read_halt(&f))?;
                *crossed = Some(Step::Attach(1));
                self.after_identity(input, &node)
            }
            (At::Allocated(home), Reply::Allocated(read)) => {
                let taken = read.map_err(|f| registry_halt(&f))?;
                self.after_allocated(home, &taken)
            }
            (At::Candidate(home, candidate), Reply::Owner(read)) => {
                let owner = read.map_err(|f| cloud_read_halt(&f))?;
                self.after_candidate(home, candidate, owner)
            }
            (At::Claim(home, candidate), Reply::Written(written)) => {
                written.map_err(|f| registry_halt(&f))?;
                *crossed = Some(Step::Attach(3));
                self.at = At::Create(home, candidate);
                Ok(None)
            }
            (At::Create(home, created), Reply::Written(written)) => {
                let version = written.map_err(|f| registry_halt(&f))?;
                *crossed = Some(Step::Attach(4));
                *address = Some(created);
                let object = first_record(input, &home, created);
                let stored = Stored { version, object };
                self.at = At::Probe(Bound { stored, eni: home.eni, floor: Epoch::default() });
                Ok(None)
            }
            (At::Probe(bound), Reply::File(probed)) => {
                probed.map_err(|f| Halt::Fail(Exit::DiskRefused, f.detail))?;
                *crossed = Some(Step::Attach(5));
                self.at = At::Link(bound);
                Ok(None)
            }
            (At::Link(bound), Reply::Observed(seen)) => {
                let view = seen.map_err(|f| link_halt(f.kind, f.detail))?;
                after_link(bound, &view, crossed)
            }
            (at, _) => mismatch(&format!("{at:?}")),
        }
    }

    /// The record that stands: the claim names it, and it names the member.
    fn bound_record(&self, input: &AttachInput) -> Option<Stored<StaticIp>> {
        self.records.static_ip.clone().filter(|ip| ip.object.member == input.member)
    }

    /// Asks EC2 early where that helps: the last holder was another node.
    fn after_member(&self, input: &AttachInput) -> At {
        match self.bound_record(input) {
            Some(stored)
                if stored.object.attachment.as_ref().is_some_and(|a| a.node != input.node)
                    && stored.object.unsettled.is_empty() =>
            {
                At::Begin(stored)
            }
            Some(_) | None => At::Identity,
        }
    }

    fn after_identity(&mut self, input: &AttachInput, node: &NodeIdentity) -> Turn<Bound> {
        if let Some(stored) = self.bound_record(input) {
            let eni = node
                .choose(input.rule, |subnet| *subnet == stored.object.subnet)
                .ok_or_else(|| wrong_node(&stored.object, node))?;
            let eni = eni.clone();
            self.at = At::Probe(Bound { eni, stored, floor: Epoch::default() });
            return Ok(None);
        }
        let pool = self.records.pool.clone().ok_or_else(|| {
            let text = format!("member {} has no claim and no pool to draw from", input.member);
            Halt::Fail(Exit::RegistryInvalid, text)
        })?;
        let home = home(input, pool, node)?;
        self.at = self.seek(home, &input.member.to_string())?;
        Ok(None)
    }

    /// Which address to try: the claim's own, the one that a person asked for, or the next free.
    fn seek(&self, home: Home, member: &str) -> Result<At, Halt> {
        let claim = self.records.claim.as_ref().map(|c| &c.object);
        if let Some(other) = &self.records.static_ip {
            let asked = claim.and_then(|c| c.requested) == Some(other.object.address);
            if asked {
                let text = format!(
                    "{member} asks for {}, which belongs to {}",
                    other.object.address, other.object.member
                );
                return Err(Halt::Fail(Exit::AddressUnavailable, text));
            }
            return Ok(At::Allocated(home));
        }
        match claim.and_then(|c| c.address.or(c.requested)) {
            Some(address) => Ok(At::Candidate(home, address)),
            None => Ok(At::Allocated(home)),
        }
    }

    fn after_allocated(&mut self, home: Home, taken: &BTreeSet<Ipv4Addr>) -> Turn<Bound> {
        match allocate::first_free(&home.subnet, taken, &self.excluded) {
            Some(address) => {
                self.at = At::Candidate(home, address);
                Ok(None)
            }
            None => Err(Halt::Fail(
                Exit::NoCapacity,
                format!(
                    "pool {} has no free address left in subnet {} ({} allocated, {} in use \
                     outside the registry)",
                    home.pool.name,
                    home.subnet.subnet,
                    taken.len(),
                    self.excluded.len()
                ),
            )),
        }
    }

    /// An address that EC2 shows in use is never handed out. One that the claim names or a
    /// person asked for is not replaced silently.
    fn after_candidate(&mut self, home: Home, address: Ipv4Addr, owner: Owner) -> Turn<Bound> {
        let holder = match owner {
            Owner::Nobody if !allocate::is_assignable(home.subnet.cidr, address) => {
                let text = format!("{address} cannot be assigned in {}", home.subnet.cidr);
                return Err(Halt::Fail(Exit::AddressUnavailable, text));
            }
            Owner::Nobody => {
                let claim = self.records.claim.as_ref().map(|c| &c.object);
                let written = claim.is_some_and(|c| c.address == Some(address));
                self.at =
                    if written { At::Create(home, address) } else { At::Claim(home, address) };
                return Ok(None);
            }
            Owner::Eni(holder) => holder,
        };
        let claim = self.records.claim.as_ref().map(|c| &c.object);
        let named = self.records.static_ip.is_none()
            && claim.and_then(|c| c.address.or(c.requested)) == Some(address);
        if named {
            let text = format!(
                "the claim names {address}, which has no StaticIP and is held by {}{}",
                holder.id,
                holder.instance.map(|i| format!(" on {i}")).unwrap_or_default()
            );
            return Err(Halt::Fail(Exit::AddressUnavailable, text));
        }
        self.excluded.insert(address);
        self.at = At::Allocated(home);
        Ok(None)
    }

    fn claim(&self, input: &AttachInput, home: &Home, address: Ipv4Addr) -> Write {
        match &self.records.claim {
            Some(stored) => {
                let mut object = stored.object.clone();
                object.address = Some(address);
                Write::UpdateClaim(Stored { version: stored.version.clone(), object })
            }
            None => Write::CreateClaim(Claim {
                member: input.member.clone(),
                pool: home.pool.name.clone(),
                requested: None,
                address: Some(address),
            }),
        }
    }
}

fn home(input: &AttachInput, pool: Pool, node: &NodeIdentity) -> Result<Home, Halt> {
    let offers = |id: &crate::ids::SubnetId| pool.subnets.iter().any(|s| s.subnet == *id);
    let eni = node.choose(input.rule, offers).cloned();
    let subnet = eni.as_ref().and_then(|e| pool.subnets.iter().find(|s| s.subnet == e.subnet));
    match (eni, subnet.cloned()) {
        (Some(eni), Some(subnet)) => Ok(Home { pool, subnet, eni }),
        (Some(_) | None, _) => Err(Halt::Fail(
            Exit::NodeUnsuitable,
            format!(
                "no ENI of {} in zone {} is in a subnet of pool {}",
                node.instance, node.zone, pool.name
            ),
        )),
    }
}

fn first_record(input: &AttachInput, home: &Home, address: Ipv4Addr) -> StaticIp {
    StaticIp {
        address,
        pool: home.pool.name.clone(),
        subnet: home.subnet.subnet.clone(),
        cidr: home.subnet.cidr,
        zone: home.subnet.zone.clone(),
        member: input.member.clone(),
        epoch: Epoch::default(),
        attachment: None,
        reserved_on: None,
        unsettled: BTreeSet::new(),
    }
}

fn wrong_node(record: &StaticIp, node: &NodeIdentity) -> Halt {
    let subnets: Vec<_> = node.enis.iter().map(|e| e.subnet.to_string()).collect();
    Halt::Fail(
        Exit::NodeUnsuitable,
        format!(
            "{} is in {} of zone {}; {} in zone {} has no ENI there by the given rule (its \
             subnets: {})",
            record.address,
            record.subnet,
            record.zone,
            node.instance,
            node.zone,
            subnets.join(", ")
        ),
    )
}

fn after_link(bound: Bound, view: &KernelView, crossed: &mut Option<Step>) -> Turn<Bound> {
    if view.link.is_none() {
        let eni = &bound.eni;
        let text = format!("no link has the MAC {} of {}", eni.mac, eni.id);
        return Err(link_halt(HostKind::NoLink, text));
    }
    *crossed = Some(Step::Attach(6));
    Ok(Some(Bound { floor: view.recorded.unwrap_or_default(), ..bound }))
}

/// A hot-plugged ENI needs seconds until the kernel has its link, so that is waited for.
pub(super) fn link_halt(kind: HostKind, detail: String) -> Halt {
    match kind {
        HostKind::Superseded => Halt::Superseded(detail),
        HostKind::NoLink => Halt::Retry(timing::BACKOFF_BASE, Exit::NodeUnsuitable, detail),
        HostKind::Busy => Halt::Retry(timing::BACKOFF_BASE, Exit::TimedOut, detail),
        HostKind::Refused => Halt::Fail(Exit::KernelRefused, detail),
    }
}
