//! EC2 as far as the protocol can observe it, as a small and fast value. It is never laxer than the
//! strict simulator: a test compares both.
//!
//! Changes are totally ordered. For each change there are three moments at which the data path, the
//! metadata service and Describe follow.

mod addresses;
mod buckets;

pub use addresses::Lags;
pub use buckets::{Bucket, Buckets};

use std::net::Ipv4Addr;

use firecamp_core::allocate::is_assignable;
use firecamp_core::failure::CloudKind;
use firecamp_core::time::Moment;
use ipnet::Ipv4Net;

use crate::names::{EniIx, FOREIGN_ENI, FOREIGN_PRIMARY_ENI, NodeIx, SLOTS};

use self::addresses::History;

/// An ENI.
#[derive(Debug, Clone)]
struct Eni {
    ix: EniIx,
    alive: bool,
    primary: Ipv4Addr,
    /// Tracked secondary addresses.
    secondary: u8,
    /// Slots that other addresses use, as prefixes do.
    others: u8,
}

/// The result of a mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The previous ENI.
    pub from: Option<EniIx>,
    /// The new ENI.
    pub to: Option<EniIx>,
}

/// The limit of IPv4 addresses on an ENI that is attached to no instance.
const UNATTACHED: u8 = 50;

/// The addresses and ENIs of one subnet.
#[derive(Debug, Clone)]
pub struct Ec2 {
    cidr: Ipv4Net,
    limit: u8,
    enis: Vec<Eni>,
    addresses: Vec<History>,
    /// The token buckets.
    pub buckets: Buckets,
}

impl Ec2 {
    /// With these ENIs and their primary addresses; all other addresses are unassigned.
    pub fn new(
        cidr: Ipv4Net,
        limit: u8,
        enis: impl IntoIterator<Item = (EniIx, Ipv4Addr)>,
        addresses: impl IntoIterator<Item = Ipv4Addr>,
    ) -> Self {
        let eni = |(ix, primary): (EniIx, Ipv4Addr)| Eni {
            ix,
            alive: ix != FOREIGN_PRIMARY_ENI,
            primary,
            secondary: 0,
            others: 0,
        };
        Self {
            cidr,
            limit,
            enis: enis.into_iter().map(eni).collect(),
            addresses: addresses.into_iter().map(History::new).collect(),
            buckets: Buckets::default(),
        }
    }

    fn eni(&self, ix: EniIx) -> Option<&Eni> {
        self.enis.iter().find(|eni| eni.ix == ix && eni.alive)
    }

    fn eni_mut(&mut self, ix: EniIx) -> Option<&mut Eni> {
        self.enis.iter_mut().find(|eni| eni.ix == ix)
    }

    fn history(&self, address: Ipv4Addr) -> Option<&History> {
        self.addresses.iter().find(|history| history.address == address)
    }

    /// The ENI that has the address now, and whether as its primary one.
    pub fn holder(&self, address: Ipv4Addr) -> Option<(EniIx, bool)> {
        let primary = self.enis.iter().find(|eni| eni.alive && eni.primary == address);
        match primary {
            Some(eni) => Some((eni.ix, true)),
            None => self.history(address)?.owner().map(|eni| (eni, false)),
        }
    }

    /// The ENI that had the address then, as Describe shows it, and whether as its primary one.
    pub fn shown(&self, address: Ipv4Addr, then: Moment) -> Option<(EniIx, bool)> {
        match self.history(address) {
            Some(history) => history.owner_at(then),
            None => self.holder(address),
        }
    }

    /// The secondary addresses of an ENI at that moment, as Describe shows them.
    pub fn secondaries(&self, eni: EniIx, then: Moment) -> impl Iterator<Item = Ipv4Addr> {
        let had = move |history: &&History| history.owner_at(then) == Some((eni, false));
        self.addresses.iter().filter(had).map(|history| history.address)
    }

    /// When the address last moved.
    pub fn changed(&self, address: Ipv4Addr) -> Option<Moment> {
        self.history(address)?.changed()
    }

    /// The ENI that receives packets to the address.
    pub fn receiver(&self, address: Ipv4Addr, now: Moment) -> Option<EniIx> {
        self.history(address).and_then(|history| history.receiver(now))
    }

    /// The secondary addresses that the metadata service lists for an ENI.
    pub fn listed(&self, eni: EniIx, now: Moment) -> impl Iterator<Item = Ipv4Addr> {
        let listed = move |history: &&History| history.is_listed(eni, now);
        self.addresses.iter().filter(listed).map(|history| history.address)
    }

    /// AssignPrivateIpAddresses for one address. Checks in EC2's order: existence, address,
    /// ownership, limit.
    pub fn assign(
        &mut self,
        now: Moment,
        (eni, address): (EniIx, Ipv4Addr),
        force: bool,
        lags: Lags,
    ) -> Result<Change, CloudKind> {
        let to = self.eni(eni).ok_or(CloudKind::NotFound)?;
        if !is_assignable(self.cidr, address) {
            return Err(CloudKind::BadAddress);
        }
        // An unattached ENI has its own limit.
        let limit = if eni.node().is_some() { self.limit } else { UNATTACHED };
        let full = to.slots() >= limit;
        let from = match self.holder(address) {
            Some((own, true)) if own == eni => return Err(CloudKind::Unknown),
            Some((own, false)) if own == eni => {
                return Ok(Change { from: Some(eni), to: Some(eni) });
            }
            Some((_, true)) => return Err(CloudKind::HeldElsewhere),
            Some((_, false)) if !force => return Err(CloudKind::HeldElsewhere),
            Some((other, false)) => Some(other),
            None => None,
        };
        if full {
            return Err(CloudKind::CapacityExceeded);
        }
        self.move_to(now, address, Some((eni, false)), lags);
        Ok(Change { from, to: Some(eni) })
    }

    /// UnassignPrivateIpAddresses for one address.
    pub fn unassign(
        &mut self,
        now: Moment,
        (eni, address): (EniIx, Ipv4Addr),
        lags: Lags,
    ) -> Result<Change, CloudKind> {
        let primary = self.eni(eni).ok_or(CloudKind::NotFound)?.primary;
        if primary == address {
            return Err(CloudKind::BadAddress);
        }
        if self.holder(address) != Some((eni, false)) {
            return Err(CloudKind::NotOnInterface);
        }
        self.move_to(now, address, None, lags);
        Ok(Change { from: Some(eni), to: None })
    }

    fn move_to(&mut self, now: Moment, address: Ipv4Addr, to: Option<(EniIx, bool)>, lags: Lags) {
        let Some(history) = self.addresses.iter_mut().find(|h| h.address == address) else {
            return;
        };
        let from = history.owner();
        history.push(now, to, lags);
        if let Some(eni) = from.and_then(|eni| self.eni_mut(eni)) {
            eni.secondary = eni.secondary.saturating_sub(1);
        }
        if let Some(eni) = to.filter(|(_, primary)| !primary).and_then(|(e, _)| self.eni_mut(e)) {
            eni.secondary = eni.secondary.saturating_add(1);
        }
    }

    /// A foreign actor moves the address to its own ENI. False if that is not possible.
    pub fn steal(&mut self, now: Moment, address: Ipv4Addr, lags: Lags) -> bool {
        let done = self.assign(now, (FOREIGN_ENI, address), true, lags);
        done.is_ok_and(|change| change.from != change.to)
    }

    /// A foreign actor unassigns the address. False if no ENI has it.
    pub fn strip(&mut self, now: Moment, address: Ipv4Addr, lags: Lags) -> bool {
        let Some((eni, false)) = self.holder(address) else { return false };
        self.unassign(now, (eni, address), lags).is_ok()
    }

    /// A foreign actor creates an ENI with the address as its primary one. False if an ENI has it.
    pub fn settle(&mut self, now: Moment, address: Ipv4Addr, lags: Lags) -> bool {
        let taken = self.eni(FOREIGN_PRIMARY_ENI).is_some() || self.holder(address).is_some();
        if taken || self.history(address).is_none() {
            return false;
        }
        self.move_to(now, address, Some((FOREIGN_PRIMARY_ENI, true)), lags);
        if let Some(settler) = self.eni_mut(FOREIGN_PRIMARY_ENI) {
            settler.alive = true;
            settler.primary = address;
        }
        true
    }

    /// Foreign actors return all addresses.
    pub fn give_back(&mut self, now: Moment, lags: Lags) {
        for foreign in [FOREIGN_ENI, FOREIGN_PRIMARY_ENI] {
            self.drop_all(now, foreign, lags);
        }
        if let Some(settler) = self.eni_mut(FOREIGN_PRIMARY_ENI) {
            settler.alive = false;
            settler.primary = Ipv4Addr::UNSPECIFIED;
        }
    }

    /// An instance is terminated, and its ENIs are deleted with it.
    pub fn terminate(&mut self, now: Moment, node: NodeIx, lags: Lags) {
        for slot in 0..SLOTS {
            let eni = node.eni(slot);
            self.drop_all(now, eni, lags);
            if let Some(eni) = self.eni_mut(eni) {
                eni.alive = false;
            }
        }
    }

    fn drop_all(&mut self, now: Moment, eni: EniIx, lags: Lags) {
        for number in 0..self.addresses.len() {
            let history = &self.addresses[number];
            if history.last_owner() == Some(eni) {
                self.move_to(now, history.address, None, lags);
            }
        }
    }

    /// Foreign addresses fill every free slot of an ENI, or leave it.
    pub fn fill(&mut self, eni: EniIx, full: bool) {
        let limit = self.limit;
        if let Some(eni) = self.eni_mut(eni) {
            eni.others = 0;
            if full {
                eni.others = limit.saturating_sub(eni.slots());
            }
        }
    }
}

impl Eni {
    fn slots(&self) -> u8 {
        self.secondary.saturating_add(self.others).saturating_add(1)
    }
}
