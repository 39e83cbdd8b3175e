//! A node's kernel in memory, with the node-local lock's records.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use firecamp_core::failure::{HostFailure, HostKind};
use firecamp_core::ids::Mac;
use firecamp_core::lock::{Hold, LockRecord};
use firecamp_core::outside::{Holder, HostNet, KernelTarget, KernelView, SocketUse};

/// Who put an address into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// We did.
    Ours,
    /// Something else did.
    Foreign,
}

#[derive(Debug, Default)]
struct Kernel {
    links: BTreeSet<Mac>,
    addresses: BTreeMap<Ipv4Addr, (Mac, Tag)>,
    routed: BTreeSet<Ipv4Addr>,
    locks: BTreeMap<Ipv4Addr, LockRecord>,
    sockets: BTreeMap<Ipv4Addr, SocketUse>,
}

/// A kernel in memory. Clones share it, as the processes of one node do.
#[derive(Debug, Clone, Default)]
pub struct SimHost {
    kernel: Arc<Mutex<Kernel>>,
}

impl SimHost {
    /// A node with links of these MACs.
    pub fn with_links(links: impl IntoIterator<Item = Mac>) -> Self {
        let host = Self::default();
        host.lock().links = links.into_iter().collect();
        host
    }

    /// The addresses in the kernel, and who put them there.
    pub fn addresses(&self) -> BTreeMap<Ipv4Addr, Tag> {
        self.lock().addresses.iter().map(|(address, (_, tag))| (*address, *tag)).collect()
    }

    /// Whether rule and routes of the address are there.
    pub fn routed(&self, address: Ipv4Addr) -> bool {
        self.lock().routed.contains(&address)
    }

    /// Sets what uses an address.
    pub fn use_sockets(&self, address: Ipv4Addr, used: SocketUse) {
        self.lock().sockets.insert(address, used);
    }

    /// Something else on the node adds an address.
    pub fn add_foreign(&self, address: Ipv4Addr, mac: Mac) {
        self.lock().addresses.insert(address, (mac, Tag::Foreign));
    }

    /// Something else on the node removes an address with its routing.
    pub fn strip(&self, address: Ipv4Addr) {
        let mut kernel = self.lock();
        kernel.addresses.remove(&address);
        kernel.routed.remove(&address);
    }

    /// The node reboots: everything is gone but its links.
    pub fn reboot(&self) {
        let mut kernel = self.lock();
        let links = std::mem::take(&mut kernel.links);
        *kernel = Kernel { links, ..Kernel::default() };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kernel> {
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kernel {
    fn claim(&mut self, address: Ipv4Addr, holder: &Holder) -> Result<(), HostFailure> {
        if self.locks.get(&address).is_some_and(|last| !last.permits_adding(holder)) {
            return Err(superseded(address));
        }
        self.locks.insert(address, LockRecord { holder: holder.clone(), hold: Hold::Held });
        Ok(())
    }

    fn let_go(&mut self, address: Ipv4Addr, holder: &Holder) -> Result<(), HostFailure> {
        if self.locks.get(&address).is_some_and(|last| !last.permits_removing(holder)) {
            return Err(superseded(address));
        }
        self.locks.insert(address, LockRecord { holder: holder.clone(), hold: Hold::Released });
        Ok(())
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

impl HostNet for SimHost {
    async fn add_address(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let mut kernel = self.lock();
        kernel.needs_link(target.mac)?;
        kernel.claim(target.address, holder)?;
        let present = kernel.addresses.contains_key(&target.address);
        kernel.addresses.entry(target.address).or_insert((target.mac, Tag::Ours));
        Ok(!present)
    }

    async fn add_routing(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let mut kernel = self.lock();
        kernel.needs_link(target.mac)?;
        kernel.claim(target.address, holder)?;
        Ok(target.routing.is_some() && kernel.routed.insert(target.address))
    }

    async fn observe(&self, target: &KernelTarget) -> Result<KernelView, HostFailure> {
        let kernel = self.lock();
        let link = kernel.links.contains(&target.mac);
        let held = kernel.addresses.get(&target.address).filter(|(mac, _)| *mac == target.mac);
        Ok(KernelView {
            link: link.then(|| "sim0".to_owned()),
            link_up: link,
            address: held.is_some(),
            tagged: held.is_some_and(|(_, tag)| *tag == Tag::Ours),
            routing: target.routing.is_none() || kernel.routed.contains(&target.address),
            recorded: kernel.locks.get(&target.address).cloned(),
        })
    }

    async fn remove_address(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let mut kernel = self.lock();
        kernel.let_go(address, holder)?;
        let ours = kernel.addresses.get(&address).is_some_and(|(_, tag)| *tag == Tag::Ours);
        if ours {
            kernel.addresses.remove(&address);
        }
        Ok(ours)
    }

    async fn remove_routing(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let mut kernel = self.lock();
        kernel.let_go(address, holder)?;
        Ok(kernel.routed.remove(&address))
    }

    async fn sockets(&self, address: Ipv4Addr) -> Result<SocketUse, HostFailure> {
        Ok(self.lock().sockets.get(&address).copied().unwrap_or_default())
    }
}
