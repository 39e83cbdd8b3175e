//! A node's kernel in memory, shared by the processes of the node.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use firecamp_core::failure::HostFailure;
use firecamp_core::ids::Mac;
use firecamp_core::ports::{Holder, HostNet, KernelTarget, KernelView, SocketUse};
use firecamp_core::time::Moment;
use tokio::time::Instant;

use crate::sim::kernel::{Kernel, Tag};

/// A kernel in memory. Clones share it, like the processes of one node.
#[derive(Debug, Clone)]
pub struct SimHost {
    kernel: Arc<Mutex<Kernel>>,
    origin: Instant,
}

impl Default for SimHost {
    fn default() -> Self {
        Self { kernel: Arc::default(), origin: Instant::now() }
    }
}

impl SimHost {
    /// A node with links of these MACs.
    pub fn with_links(links: impl IntoIterator<Item = Mac>) -> Self {
        Self { kernel: Arc::new(Mutex::new(Kernel::with_links(links))), ..Self::default() }
    }

    /// The current state of the kernel.
    pub fn kernel(&self) -> Kernel {
        self.lock().clone()
    }

    /// Changes the kernel from outside.
    pub fn change(&self, change: impl FnOnce(&mut Kernel)) {
        change(&mut self.lock());
    }

    /// The addresses in the kernel, and their origins.
    pub fn addresses(&self) -> BTreeMap<Ipv4Addr, Tag> {
        self.lock().addresses.iter().map(|(address, (_, tag))| (*address, *tag)).collect()
    }

    /// Whether the address has its rule and routes.
    pub fn routed(&self, address: Ipv4Addr) -> bool {
        self.lock().routed.contains(&address)
    }

    /// Sets the sockets that use an address.
    pub fn use_sockets(&self, address: Ipv4Addr, used: SocketUse) {
        self.lock().sockets.insert(address, used);
    }

    /// Another program on the node adds an address.
    pub fn add_foreign(&self, address: Ipv4Addr, mac: Mac) {
        self.lock().addresses.insert(address, (mac, Tag::Foreign));
    }

    /// Another program on the node removes an address with its routing.
    pub fn strip(&self, address: Ipv4Addr) {
        self.lock().strip(address);
    }

    /// The node reboots: only its links remain.
    pub fn reboot(&self) {
        let now = self.now();
        self.lock().reboot(now);
    }

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kernel> {
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostNet for SimHost {
    async fn add_address(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        self.lock().add_address(target, holder)
    }

    async fn add_routing(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        self.lock().add_routing(target, holder)
    }

    async fn note_assign(&self, address: Ipv4Addr) -> Result<(), HostFailure> {
        let now = self.now();
        self.lock().note_assign(address, now);
        Ok(())
    }

    async fn observe(&self, target: &KernelTarget) -> Result<KernelView, HostFailure> {
        let now = self.now();
        Ok(self.lock().observe(target, now))
    }

    async fn remove_address(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        self.lock().remove_address(address, holder)
    }

    async fn remove_routing(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        self.lock().remove_routing(address, holder)
    }

    async fn sockets(&self, address: Ipv4Addr) -> Result<SocketUse, HostFailure> {
        Ok(self.lock().sockets(address))
    }
}
