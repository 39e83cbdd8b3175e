//! EC2 as far as the protocol can observe it, as a small and fast value. It is never laxer than
//! the strict simulator: a test runs both side by side.
//!
//! There is one order of changes, and for each change three moments at which the data path, the
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

use crate::names::{EniIx, NodeIx, SETTLER, SLOTS, STRANGER};

use self::addresses::History;

/// An ENI.
#[derive(Debug, Clone)]
struct Eni {
    ix: EniIx,
    alive: bool,
    primary: Ipv4Addr,
    /// Secondary addresses that are followed here.
    secondary: u8,
    /// Slots that others use, as prefixes do.
    others: u8,
}

/// What a mutation changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Who had the address before.
    pub from: Option<EniIx>,
    /// Who has it now.
    pub to: Option<EniIx>,
}

/// IPv4 addresses on an ENI that is attached to no instance.
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
    /// With these ENIs and their primary addresses; nobody has any other address.
    pub fn new(
        cidr: Ipv4Net,
        limit: u8,
        enis: impl IntoIterator<Item = (EniIx, Ipv4Addr)>,
        addresses: impl IntoIterator<Item = Ipv4Addr>,
    ) -> Self {
        let eni = |(ix, primary): (EniIx, Ipv4Addr)| Eni {
            ix,
            alive: ix != SETTLER,
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

    /// Who has the address now, and whether as its primary one.
    pub fn holder(&self, address: Ipv4Addr) -> Option<(EniIx, bool)> {
        let primary = self.enis.iter().find(|eni| eni.alive && eni.primary == address);
        match primary {
            Some(eni) => Some((eni.ix, true)),
            None => self.history(address)?.owner().map(|eni| (eni, false)),
        }
    }

    /// Who had the address then, as Describe shows it, and whether as its primary one.
    pub fn shown(&self, address: Ipv4Addr, then: Moment) -> Option<(EniIx, bool)> {
        match self.history(address) {
            Some(history) => history.owner_at(then),
            None => self.holder(address),
        }
    }

    /// The addresses that an ENI had then beside its primary one, as Describe shows it.
    pub fn secondaries(&self, eni: EniIx, then: Moment) -> impl Iterator<Item = Ipv4Addr> {
        let had = move |history: &&History| history.owner_at(then) == Some((eni, false));
        self.addresses.iter().filter(had).map(|history| history.address)
    }

    /// When the address changed hands last.
    pub fn changed(&self, address: Ipv4Addr) -> Option<Moment> {
        self.history(address)?.changed()
    }

    /// The ENI that packets to the address reach.
    pub fn receiver(&self, address: Ipv4Addr, now: Moment) -> Option<EniIx> {
        self.history(address).and_then(|history| history.receiver(now))
    }

    /// The addresses that the metadata service lists for an ENI, but for its primary one.
    pub fn listed(&self, eni: EniIx, now: Moment) -> impl Iterator<Item = Ipv4Addr> {
        let listed = move |history: &&History| history.is_listed(eni, now);
        self.addresses.iter().filter(listed).map(|history| history.address)
    }

    /// AssignPrivateIpAddresses for one address: existence, address, ownership, limit.
    pub fn assign(
        &mut self,
        now: Moment,
        (eni, address): (EniIx, Ipv4Addr),
        force: bool,
        lags: Lags,
    ) -> Result<Change, CloudKind> {
        let to = self.eni(eni).ok_or(CloudKind::Gone)?;
        if !is_assignable(self.cidr, address) {
            return Err(CloudKind::BadAddress);
        }
        // An ENI that is attached to nothing has a limit of its own.
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
        let primary = self.eni(eni).ok_or(CloudKind::Gone)?.primary;
        if primary == address {
            return Err(CloudKind::BadAddress);
        }
        if self.holder(address) != Some((eni, false)) {
            return Err(CloudKind::NotOurs);
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

    /// A stranger moves the address to an ENI of its own. False if that is not possible.
    pub fn steal(&mut self, now: Moment, address: Ipv4Addr, lags: Lags) -> bool {
        let done = self.assign(now, (STRANGER, address), true, lags);
        done.is_ok_and(|change| change.from != change.to)
    }

    /// A stranger takes the address out of EC2. False if nobody has it.
    pub fn strip(&mut self, now: Moment, address: Ipv4Addr, lags: Lags) -> bool {
        let Some((eni, false)) = self.holder(address) else { return false };
        self.unassign(now, (eni, address), lags).is_ok()
    }

    /// A stranger creates an ENI whose primary address it is. False if somebody has it.
    pub fn settle(&mut self, now: Moment, address: Ipv4Addr, lags: Lags) -> bool {
        let taken = self.eni(SETTLER).is_some() || self.holder(address).is_some();
        if taken || self.history(address).is_none() {
            return false;
        }
        self.move_to(now, address, Some((SETTLER, true)), lags);
        if let Some(settler) = self.eni_mut(SETTLER) {
            settler.alive = true;
            settler.primary = address;
        }
        true
    }

    /// Strangers give back what they have.
    pub fn give_back(&mut self, now: Moment, lags: Lags) {
        for stranger in [STRANGER, SETTLER] {
            self.drop_all(now, stranger, lags);
        }
        if let Some(settler) = self.eni_mut(SETTLER) {
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

    /// Strangers take every free slot of an ENI, or none.
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
