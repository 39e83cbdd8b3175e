//! A node's kernel and its node-local lock as plain data: no clock, no waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::failure::{HostFailure, HostKind};
use firecamp_core::ids::Mac;
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::ports::{Holder, KernelTarget, KernelView, SocketUse};
use firecamp_core::time::Moment;

/// The origin of an address in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tag {
    /// FireCamp added it.
    Ours,
    /// Another program added it.
    Foreign,
}

/// The kernel of one node, and its lock records.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Kernel {
    /// The MACs of the links.
    pub links: BTreeSet<Mac>,
    /// The addresses, each with its link and its origin.
    pub addresses: BTreeMap<Ipv4Addr, (Mac, Tag)>,
    /// The addresses that have their rule and routes.
    pub routed: BTreeSet<Ipv4Addr>,
    /// The last holder that acted on each address, as in the lock files.
    pub locks: BTreeMap<Ipv4Addr, LockRecord>,
    /// The sockets that use each address.
    pub sockets: BTreeMap<Ipv4Addr, SocketUse>,
    /// When this node last prepared an Assign for each address.
    pub assigned: BTreeMap<Ipv4Addr, Moment>,
    /// When the node booted; none: before all events of the test.
    pub booted: Option<Moment>,
}

impl Kernel {
    /// A kernel with links of these MACs.
    pub fn with_links(links: impl IntoIterator<Item = Mac>) -> Self {
        Self { links: links.into_iter().collect(), ..Self::default() }
    }

    /// Another program on the node removes an address with its routing.
    pub fn strip(&mut self, address: Ipv4Addr) {
        self.addresses.remove(&address);
        self.routed.remove(&address);
    }

    /// The node reboots: only its links remain.
    pub fn reboot(&mut self, now: Moment) {
        let links = std::mem::take(&mut self.links);
        *self = Self { links, booted: Some(now), ..Self::default() };
    }

    /// Whether the lock record permits the holder to add the address.
    fn may_add(&self, address: Ipv4Addr, holder: &Holder) -> Result<(), HostFailure> {
        match self.locks.get(&address) {
            Some(last) if !last.permits_adding(holder) => Err(superseded(address)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the lock record permits the holder to remove the address.
    fn may_remove(&self, address: Ipv4Addr, holder: &Holder) -> Result<(), HostFailure> {
        match self.locks.get(&address) {
            Some(last) if !last.permits_removing(holder) => Err(superseded(address)),
            Some(_) | None => Ok(()),
        }
    }

    /// Implements [`firecamp_core::ports::HostNet::add_address`].
    pub fn add_address(
        &mut self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        self.needs_link(target.mac)?;
        self.claim(target.address, holder)?;
        let present = self.addresses.contains_key(&target.address);
        self.addresses.entry(target.address).or_insert((target.mac, Tag::Ours));
        Ok(!present)
    }

    /// Implements [`firecamp_core::ports::HostNet::add_routing`].
    pub fn add_routing(
        &mut self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        self.needs_link(target.mac)?;
        self.claim(target.address, holder)?;
        Ok(target.routing.is_some() && self.routed.insert(target.address))
    }

    /// Implements [`firecamp_core::ports::HostNet::note_assign`].
    pub fn note_assign(&mut self, address: Ipv4Addr, now: Moment) {
        self.assigned.insert(address, now);
    }

    /// Implements [`firecamp_core::ports::HostNet::observe`].
    pub fn observe(&self, target: &KernelTarget, now: Moment) -> KernelView {
        let link = self.links.contains(&target.mac);
        let held = self.addresses.get(&target.address).filter(|(mac, _)| *mac == target.mac);
        let last = self.assigned.get(&target.address).copied().max(self.booted);
        KernelView {
            link: link.then(|| "sim0".to_owned()),
            link_up: link,
            address: held.is_some(),
            tagged: held.is_some_and(|(_, tag)| *tag == Tag::Ours),
            routing: target.routing.is_none() || self.routed.contains(&target.address),
            recorded: self.locks.get(&target.address).cloned(),
            assigned: last.map(|at| now.since(at)),
        }
    }

    /// Implements [`firecamp_core::ports::HostNet::remove_address`].
    pub fn remove_address(
        &mut self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        self.release(address, holder)?;
        let ours = self.addresses.get(&address).is_some_and(|(_, tag)| *tag == Tag::Ours);
        if ours {
            self.addresses.remove(&address);
        }
        Ok(ours)
    }

    /// Implements [`firecamp_core::ports::HostNet::remove_routing`].
    pub fn remove_routing(
        &mut self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        self.release(address, holder)?;
        Ok(self.routed.remove(&address))
    }

    /// The sockets that use an address.
    pub fn sockets(&self, address: Ipv4Addr) -> SocketUse {
        self.sockets.get(&address).copied().unwrap_or_default()
    }

    fn claim(&mut self, address: Ipv4Addr, holder: &Holder) -> Result<(), HostFailure> {
        self.may_add(address, holder)?;
        self.record(address, holder, Hold::Held);
        Ok(())
    }

    fn release(&mut self, address: Ipv4Addr, holder: &Holder) -> Result<(), HostFailure> {
        self.may_remove(address, holder)?;
        self.record(address, holder, Hold::Released);
        Ok(())
    }

    fn record(&mut self, address: Ipv4Addr, holder: &Holder, hold: Hold) {
        self.locks.insert(address, LockRecord { holder: holder.clone(), hold });
    }

    fn needs_link(&self, mac: Mac) -> Result<(), HostFailure> {
        if self.links.contains(&mac) {
            return Ok(());
        }
        let detail = format!("no link has the MAC {mac}");
        Err(HostFailure { kind: HostKind::NoLink, detail })
    }
}

fn superseded(address: Ipv4Addr) -> HostFailure {
    let detail = format!("another epoch holds {address} on this node");
    HostFailure { kind: HostKind::Superseded, detail }
}
