//! What the kernel of a node shows and reports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::agent::KernelOwner;
use firecamp_core::ids::Mac;
use firecamp_core::lock_rule::LockRecord;

/// A complete snapshot: if any part cannot be read, there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KernelSnapshot {
    /// The owner of every address that the kernel has as a /32 or for which it has a FireCamp rule.
    pub kernel: BTreeMap<Ipv4Addr, KernelOwner>,
    /// The lock record of each address since the node booted, without torn records.
    pub locks: BTreeMap<Ipv4Addr, LockRecord>,
    /// The addresses whose lock record is torn.
    pub torn: BTreeSet<Ipv4Addr>,
    /// Every address that the kernel has with a prefix shorter than /32, as cloud-init, DHCP or an
    /// operator configures it. FireCamp owns none of them.
    pub wider: BTreeSet<Ipv4Addr>,
}

impl KernelSnapshot {
    /// The owner of an address in the kernel, with any prefix.
    pub fn mark(&self, address: Ipv4Addr) -> Option<KernelOwner> {
        let wider = self.wider.contains(&address).then_some(KernelOwner::Foreign);
        self.kernel.get(&address).copied().or(wider)
    }
}

/// A link that may belong to an ENI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedLink {
    /// Its name.
    pub name: String,
    /// Its index, which is new each time the link appears.
    pub index: u32,
    /// Its MAC.
    pub mac: Mac,
    /// It is up.
    pub up: bool,
    /// It has no IPv4 address but members', and can get its own.
    pub bare: bool,
}

/// A change in the kernel: a reason to read the state, nothing more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// A /32 was added or removed. The owner is unknown, because not every kernel reports it.
    Address(Ipv4Addr),
    /// A link was added, removed or changed: up, down, MAC or name.
    Link,
    /// A rule or route with FireCamp's protocol number was added or removed.
    Routing,
    /// The kernel dropped messages, or one could not be parsed: anything may have changed.
    Overrun,
}
