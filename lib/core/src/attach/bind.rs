//! First part of attach: the member's records, this node's ENI, and a first address if the member
//! has none. It changes only the registry.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::held::{Bound, LookUp};
use super::input::AttachInput;
use super::messages::{in_use, no_eni_in_pool, no_eni_in_subnet};
use super::refused_addresses::{may_allocate_from, may_carry, may_hand_out};
use crate::action::{Action, Reply};
use crate::allocate;
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::failure::HostKind;
use crate::ids::{Epoch, SubnetId};
use crate::machine::Span;
use crate::node_identity::{Eni, NodeIdentity};
use crate::ports::{KernelTarget, KernelView, Owner};
use crate::record::{Claim, MemberRecords, Pool, PoolSubnet, StaticIp, Stored, Write};
use crate::retry_or_fail::{Halt, Next, cloud_read_halt, link_halt, mismatch, registry_halt};
use crate::step::{AttachStep, Step};
use crate::time::Moment;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum At {
    Member,
    Begin(Stored<StaticIp>),
    Identity,
    Allocated(Site),
    Candidate(Site, Ipv4Addr),
    Claim(Site, Ipv4Addr),
    Create(Site, Ipv4Addr),
    Probe(Bound),
    Link(Bound),
}

/// The pool and subnet of a first address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Site {
    pool: Pool,
    subnet: PoolSubnet,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Bind {
    at: At,
    records: MemberRecords,
    node: Option<NodeIdentity>,
    /// When the metadata service first answered without a suitable ENI.
    missing: Option<Moment>,
    look_up: LookUp,
    allocated: BTreeSet<Ipv4Addr>,
    /// Candidates that are in use.
    excluded: BTreeSet<Ipv4Addr>,
    /// The records were read again after EC2 reported an owner that they do not explain.
    reread: bool,
}

impl Bind {
    pub(super) fn new() -> Self {
        Self {
            at: At::Member,
            records: MemberRecords::default(),
            node: None,
            missing: None,
            look_up: LookUp::None,
            allocated: BTreeSet::new(),
            excluded: BTreeSet::new(),
            reread: false,
        }
    }

    /// The member's address, as soon as it is known.
    pub(super) fn address(&self, input: &AttachInput) -> Option<Ipv4Addr> {
        self.bound_record(input).map(|stored| stored.object.address)
    }

    /// The epoch of the member's record as it was read.
    pub(super) fn epoch(&self, input: &AttachInput) -> Epoch {
        self.bound_record(input).map_or_else(Epoch::default, |stored| stored.object.epoch)
    }

    pub(super) fn action(&self, input: &AttachInput) -> Action {
        match &self.at {
            At::Member => Action::ReadMember,
            At::Begin(stored) => {
                Action::BeginOwner(stored.object.address, stored.object.subnet.clone())
            }
            At::Identity => Action::ReadIdentity,
            At::Allocated(site) => Action::ReadAllocated(site.pool.name.clone()),
            At::Candidate(site, address) => Action::ReadOwner(*address, site.subnet.subnet.clone()),
            At::Claim(site, address) => Action::Write(Box::new(self.claim(input, site, *address))),
            At::Create(site, address) => {
                Action::Write(Box::new(Write::CreateStaticIp(first_record(input, site, *address))))
            }
            At::Probe(_) => Action::ProbeFile,
            At::Link(bound) => {
                Action::Observe(KernelTarget::on(bound.stored.object.address, &bound.eni))
            }
        }
    }

    pub(super) fn reply(
        &mut self,
        input: &AttachInput,
        reply: Reply,
        span: Span,
        crossed: &mut Option<Step>,
    ) -> Next<Bound> {
        match (self.at.clone(), reply) {
            (At::Member, Reply::Member(read)) => {
                self.records = *read.map_err(|f| registry_halt(&f))?;
                *crossed = Some(Step::Attach(AttachStep::RecordsRead));
                self.after_member(input, span.now)
            }
            (At::Begin(_), Reply::Begun) => {
                self.look_up = LookUp::Begun(span.requested);
                self.at = At::Identity;
                Ok(None)
            }
            (At::Identity, Reply::Identity(read)) => {
                let node = read.map_err(|f| cloud_read_halt(&f))?;
                *crossed = Some(Step::Attach(AttachStep::NodeIdentified));
                self.after_identity(input, node, span.now)
            }
            (At::Allocated(site), Reply::Allocated(read)) => {
                self.allocated = read.map_err(|f| registry_halt(&f))?;
                self.next_candidate(site)
            }
            (At::Candidate(site, candidate), Reply::Owner(read)) => {
                let owner = read.map_err(|f| cloud_read_halt(&f))?;
                self.after_candidate(input, site, candidate, owner)
            }
            (At::Claim(site, candidate), Reply::Written(written)) => {
                written.map_err(|f| registry_halt(&f))?;
                *crossed = Some(Step::Attach(AttachStep::ClaimWritten));
                self.at = At::Create(site, candidate);
                Ok(None)
            }
            (At::Create(..), Reply::Written(written)) => {
                written.map_err(|f| registry_halt(&f))?;
                *crossed = Some(Step::Attach(AttachStep::AddressAllocated));
                // Read back: the claim may name another address now.
                self.at = At::Member;
                Ok(None)
            }
            (At::Probe(bound), Reply::File(probed)) => {
                probed.map_err(|f| Halt::Fail(Exit::DiskRefused, f.detail))?;
                *crossed = Some(Step::Attach(AttachStep::FileProbed));
                self.at = At::Link(bound);
                Ok(None)
            }
            (At::Link(bound), Reply::Observed(observed)) => {
                let view = observed.map_err(|f| link_halt(f.kind, f.detail))?;
                after_link(bound, &view, crossed)
            }
            (at, _) => mismatch(&format!("{at:?}")),
        }
    }

    /// The member's valid record: the claim names it, and it names the member.
    fn bound_record(&self, input: &AttachInput) -> Option<Stored<StaticIp>> {
        self.records.static_ip.clone().filter(|ip| ip.object.member == input.member)
    }

    /// Starts the EC2 look-up early if that helps: the last holder was on another node, and the
    /// input has no answer for this version of its record.
    fn after_member(&mut self, input: &AttachInput, now: Moment) -> Next<Bound> {
        if let Some(node) = self.node.clone() {
            return self.after_identity(input, node, now);
        }
        let elsewhere = self.bound_record(input);
        let elsewhere = elsewhere.filter(|stored| stored.object.last_held_elsewhere(&input.node));
        let known = |stored: &Stored<StaticIp>| {
            input.looked_up.as_ref().is_some_and(|known| known.version == stored.version)
        };
        self.at = match elsewhere {
            Some(stored) if known(&stored) => {
                self.look_up = LookUp::Known;
                At::Identity
            }
            Some(stored) => At::Begin(stored),
            None => At::Identity,
        };
        Ok(None)
    }

    fn after_identity(
        &mut self,
        input: &AttachInput,
        node: NodeIdentity,
        now: Moment,
    ) -> Next<Bound> {
        if let Some(stored) = self.bound_record(input) {
            let wanted = |subnet: &SubnetId| *subnet == stored.object.subnet;
            let preference = input.preference(Some(&stored.object));
            let Some(eni) = node.choose(input.rule, wanted, &preference).cloned() else {
                let zone = stored.object.zone == node.zone;
                return Err(self.unsuitable(zone, no_eni_in_subnet(&stored.object, &node), now));
            };
            may_carry(input, &eni, Some(&stored.object))?;
            let look_up = self.look_up;
            let floor = Epoch::default();
            let set = self.records.claim.as_ref().and_then(|claim| claim.object.set.clone());
            self.at =
                At::Probe(Bound { eni, stored, set, floor, recently_assigned: false, look_up });
            self.node = Some(node);
            return Ok(None);
        }
        let pool = self.records.pool.clone().ok_or_else(|| {
            let text = format!("member {} has no claim and no pool to allocate from", input.member);
            Halt::Fail(Exit::RegistryInvalid, text)
        })?;
        may_allocate_from(input, &pool.name)?;
        let Some((site, eni)) = site(input, &pool, &node) else {
            let zone = pool.subnets.iter().any(|s| s.zone == node.zone);
            return Err(self.unsuitable(zone, no_eni_in_pool(&pool, &node), now));
        };
        may_carry(input, eni, None)?;
        self.node = Some(node);
        self.at = self.seek(site, &input.member.to_string())?;
        Ok(None)
    }

    /// No ENI fits. The metadata service omits an ENI for seconds after a reboot or a hot-plug, so
    /// in the right zone the machine retries before it fails.
    fn unsuitable(&mut self, right_zone: bool, text: String, now: Moment) -> Halt {
        let since = *self.missing.get_or_insert(now);
        if right_zone && now.since(since) < timing::METADATA_PATIENCE {
            self.at = At::Identity;
            return Halt::Retry(timing::BACKOFF_BASE, Exit::NodeUnsuitable, text);
        }
        Halt::Fail(Exit::NodeUnsuitable, text)
    }

    /// The address to try: the one that the claim requests, the claim's own if it fits here, or the
    /// next free one.
    fn seek(&self, site: Site, member: &str) -> Result<At, Halt> {
        let claim = self.records.claim.as_ref().map(|c| &c.object);
        let requested = claim.and_then(|c| c.requested);
        if let Some(other) = &self.records.static_ip {
            if requested == Some(other.object.address) {
                let text = format!(
                    "{member} requests {}, which belongs to {}",
                    other.object.address, other.object.member
                );
                return Err(Halt::Fail(Exit::AddressUnavailable, text));
            }
            return Ok(At::Allocated(site));
        }
        let begun = claim.and_then(|c| c.address);
        let fits = begun.filter(|a| allocate::is_assignable(site.subnet.cidr, *a));
        match requested.or(fits) {
            Some(address) => Ok(At::Candidate(site, address)),
            None => Ok(At::Allocated(site)),
        }
    }

    fn next_candidate(&mut self, site: Site) -> Next<Bound> {
        match allocate::first_free(&site.subnet, &self.allocated, &self.excluded) {
            Some(address) => {
                self.at = At::Candidate(site, address);
                Ok(None)
            }
            None => Err(Halt::Fail(
                Exit::NoCapacity,
                format!(
                    "pool {} has no free address left in subnet {} ({} allocated in the \
                     whole pool, {} in use outside the registry)",
                    site.pool.name,
                    site.subnet.subnet,
                    self.allocated.len(),
                    self.excluded.len()
                ),
            )),
        }
    }

    /// An address that EC2 reports as in use is never allocated. A requested address is not
    /// replaced. Neither is an address that the claim names and an ENI of this cluster holds: its
    /// `StaticIP` was deleted by hand.
    fn after_candidate(
        &mut self,
        input: &AttachInput,
        site: Site,
        address: Ipv4Addr,
        owner: Owner,
    ) -> Next<Bound> {
        let claim = self.records.claim.as_ref().map(|c| &c.object);
        let requested = claim.and_then(|c| c.requested) == Some(address);
        let named =
            self.records.static_ip.is_none() && claim.is_some_and(|c| c.address == Some(address));
        let Owner::Eni(holder) = owner else {
            may_hand_out(&site.pool, &site.subnet, address)?;
            self.at = if named { At::Create(site, address) } else { At::Claim(site, address) };
            return Ok(None);
        };
        let tagged = holder.cluster.as_deref() == Some(input.cluster.as_str());
        if (requested || (named && tagged)) && !self.reread {
            // Another member may have allocated it between our read and the look-up.
            (self.reread, self.at) = (true, At::Member);
            return Ok(None);
        }
        if requested || (named && tagged) {
            let text = in_use(&input.member, address, &holder, requested);
            return Err(Halt::Fail(Exit::AddressUnavailable, text));
        }
        self.excluded.insert(address);
        if self.allocated.is_empty() {
            self.at = At::Allocated(site);
            return Ok(None);
        }
        self.next_candidate(site)
    }

    fn claim(&self, input: &AttachInput, site: &Site, address: Ipv4Addr) -> Write {
        match &self.records.claim {
            Some(stored) => {
                let mut object = stored.object.clone();
                object.address = Some(address);
                Write::UpdateClaim(Stored { version: stored.version.clone(), object })
            }
            None => Write::CreateClaim(Claim {
                member: input.member.clone(),
                pool: site.pool.name.clone(),
                requested: None,
                address: Some(address),
                set: None,
            }),
        }
    }
}

fn site<'a>(input: &AttachInput, pool: &Pool, node: &'a NodeIdentity) -> Option<(Site, &'a Eni)> {
    let offers = |id: &SubnetId| pool.subnets.iter().any(|s| s.subnet == *id);
    let eni = node.choose(input.rule, offers, &input.preference(None))?;
    let subnet = pool.subnets.iter().find(|s| s.subnet == eni.subnet)?.clone();
    Some((Site { pool: pool.clone(), subnet }, eni))
}

fn first_record(input: &AttachInput, site: &Site, address: Ipv4Addr) -> StaticIp {
    StaticIp {
        address,
        pool: site.pool.name.clone(),
        subnet: site.subnet.subnet.clone(),
        cidr: site.subnet.cidr,
        zone: site.subnet.zone.clone(),
        member: input.member.clone(),
        epoch: Epoch::default(),
        attachment: None,
        reserved_on: None,
        pending_mutations: BTreeSet::new(),
    }
}

fn after_link(bound: Bound, view: &KernelView, crossed: &mut Option<Step>) -> Next<Bound> {
    if view.link.is_none() {
        let eni = &bound.eni;
        let text = format!("no link has the MAC {} of {}", eni.mac, eni.id);
        return Err(link_halt(HostKind::NoLink, text));
    }
    *crossed = Some(Step::Attach(AttachStep::LinkFound));
    let floor = view.recorded.as_ref().map(|last| last.holder.epoch).unwrap_or_default();
    let news = timing::CALL_BOUND + timing::METADATA_LAG;
    let recently_assigned = view.assigned.is_some_and(|age| age < news);
    Ok(Some(Bound { floor, recently_assigned, ..bound }))
}
