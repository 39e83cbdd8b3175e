//! The traits of the outside systems. Each has a real, a stateful simulated and a fault-injecting
//! implementation. Implementations make one attempt per call, bounded in time, and never retry: the
//! protocol decides about retries.

mod managed_interfaces;
mod pod_authority;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::failure::{CloudFailure, CloudKind, Effect, FileFailure, HostFailure, RegistryFailure};
use crate::ids::{
    EniId, Epoch, InstanceId, Mac, Member, NodeName, PodUid, PoolName, SetName, SubnetId, Version,
};
use crate::lock_rule::LockRecord;
use crate::node_identity::NodeIdentity;
use crate::record::{MemberRecords, StaticIp, Stored, Write};

pub use self::managed_interfaces::CloudInterfaces;
pub use self::pod_authority::{AskingPod, PodAuthority, Review, ReviewedPod};

/// The owner of an address, as EC2 reports it. Reads lag, so it may be stale.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Owner {
    /// EC2 reports no ENI. That does not mean that the address is free.
    Unassigned,
    /// This ENI.
    Eni(OwnerEni),
}

/// The ENI that owns an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OwnerEni {
    /// Its id.
    pub id: EniId,
    /// The address is its primary one, which cannot be moved.
    pub primary: bool,
    /// The value of its tag `firecamp.io/cluster`.
    pub cluster: Option<String>,
    /// The instance that it is attached to.
    pub instance: Option<InstanceId>,
    /// Its description, for people.
    pub description: String,
}

/// Addresses on ENIs: EC2, and the metadata service of this instance.
pub trait Cloud: Send + Sync {
    /// This instance and its ENIs, from the metadata service alone.
    fn identity(&self) -> impl Future<Output = Result<NodeIdentity, CloudFailure>> + Send;

    /// The same for a caller that polls and decides nothing by it alone. The list of ENIs is fresh,
    /// and so are the addresses of those that are not `unused`. Everything else may be from an
    /// earlier read, for as long as the list had the ENI.
    fn poll_identity(
        &self,
        _unused: &BTreeSet<Mac>,
    ) -> impl Future<Output = Result<NodeIdentity, CloudFailure>> + Send {
        self.identity()
    }

    /// The addresses that the metadata service lists for the ENI with this MAC, including the
    /// primary one. An empty or malformed answer is a failure, never an empty set.
    fn listed(
        &self,
        mac: Mac,
    ) -> impl Future<Output = Result<BTreeSet<Ipv4Addr>, CloudFailure>> + Send;

    /// The owner of each of the addresses in this subnet: one DescribeNetworkInterfaces by filter.
    /// An address without an entry has no owner that is certain.
    fn owners(
        &self,
        addresses: &[Ipv4Addr],
        subnet: &SubnetId,
    ) -> impl Future<Output = Result<BTreeMap<Ipv4Addr, Owner>, CloudFailure>> + Send;

    /// The owner of one address.
    fn owner(
        &self,
        address: Ipv4Addr,
        subnet: &SubnetId,
    ) -> impl Future<Output = Result<Owner, CloudFailure>> + Send {
        async move {
            let mut owners = self.owners(&[address], subnet).await?;
            owners.remove(&address).ok_or_else(|| CloudFailure {
                kind: CloudKind::Transient,
                effect: Effect::None,
                detail: format!("EC2 shows no single owner of {address}"),
            })
        }
    }

    /// One AssignPrivateIpAddresses, which EC2 performs for all of the addresses or for none.
    /// `force` is AllowReassignment. It fails after `within`, with an unknown effect.
    fn assign(
        &self,
        eni: &EniId,
        addresses: &[Ipv4Addr],
        force: bool,
        within: Duration,
    ) -> impl Future<Output = Result<(), CloudFailure>> + Send;

    /// One UnassignPrivateIpAddresses for one address. It fails after `within`.
    fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> impl Future<Output = Result<(), CloudFailure>> + Send;
}

/// A holder of an address in this node's kernel. Epochs of one address are ordered: of two
/// holders the one with the higher epoch is current.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Holder {
    /// The pod.
    pub pod: PodUid,
    /// The epoch that it holds.
    pub epoch: Epoch,
}

/// What the kernel needs to serve an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KernelTarget {
    /// The address, added as a /32.
    pub address: Ipv4Addr,
    /// MAC of the ENI's link.
    pub mac: Mac,
    /// Policy routing; none on the primary interface.
    pub routing: Option<Routing>,
}

/// Policy routing for an address on a secondary ENI.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Routing {
    /// The table of the ENI.
    pub table: u32,
    /// The subnet's router: its base address plus one.
    pub gateway: Ipv4Addr,
    /// The subnet.
    pub subnet: Ipv4Net,
}

/// What the kernel has of an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KernelView {
    /// The name of the link with the target's MAC, if there is one.
    pub link: Option<String>,
    /// The link is up.
    pub link_up: bool,
    /// The /32 is on that link, with any protocol tag.
    pub address: bool,
    /// The /32 is on that link with FireCamp's protocol tag.
    pub tagged: bool,
    /// Rule and routes exist, or none are needed.
    pub routing: bool,
    /// The record of the node-local lock: who acted last here. A registry that was restored from a
    /// backup may have a lower epoch; the next epoch must be higher than this one.
    pub recorded: Option<LockRecord>,
    /// The minimum time since this node last sent an Assign for the address, or may have: by the
    /// sender's note, or since the node booted. None if that is longer ago than IMDS lags.
    pub assigned: Option<Duration>,
}

impl KernelView {
    /// Whether the kernel has everything of the target.
    pub fn is_complete(&self) -> bool {
        self.link_up && self.address && self.routing
    }
}

/// Which sockets count as use of an address. `TIME_WAIT` never does, nor a wildcard listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SocketScope {
    /// Listeners, connections and bound UDP sockets.
    All,
    /// Connections only: a preStop hook runs before the server receives its SIGTERM.
    Connections,
}

/// How many sockets use an address, in the network where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SocketUse {
    /// TCP listeners bound to exactly this address.
    pub listeners: u32,
    /// TCP connections from this address, in any state but `TIME_WAIT` and closed.
    pub connections: u32,
    /// UDP sockets bound to exactly this address.
    pub datagrams: u32,
}

impl std::fmt::Display for SocketUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { listeners, connections, datagrams } = self;
        write!(f, "{listeners} listeners, {connections} connections, {datagrams} UDP sockets")
    }
}

impl SocketUse {
    /// The sockets of both network namespaces.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            listeners: self.listeners.saturating_add(other.listeners),
            connections: self.connections.saturating_add(other.connections),
            datagrams: self.datagrams.saturating_add(other.datagrams),
        }
    }

    /// Whether no socket in scope uses the address.
    pub fn idle(self, scope: SocketScope) -> bool {
        match scope {
            SocketScope::All => self.listeners == 0 && self.connections == 0 && self.datagrams == 0,
            SocketScope::Connections => self.connections == 0,
        }
    }
}

/// The kernel of this node. Each write holds the node-local lock of the address and compares the
/// holder with the lock's record, in one step:
///
/// * a write for an epoch lower than the recorded one changes nothing and is `Superseded`;
/// * adding records (pod, epoch, held) before it adds;
/// * removing records (pod, epoch, released) before it removes, so that no agent restores it;
/// * removing for an epoch that another pod holds on record is `Superseded`.
pub trait HostNet: Send + Sync {
    /// Adds the /32 with FireCamp's tag to the link with the target's MAC, or inside the network of
    /// the holder's pod if it has one of its own, and brings that link up.
    /// An existing address is success, and a foreign tag stays. Returns whether it changed
    /// anything.
    fn add_address(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> impl Future<Output = Result<bool, HostFailure>> + Send;

    /// Ensures rule, routes and the reverse-path setting. Returns whether it changed anything.
    fn add_routing(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> impl Future<Output = Result<bool, HostFailure>> + Send;

    /// Writes a note that this node is about to send an Assign for the address; `observe` returns
    /// its age.
    fn note_assign(
        &self,
        address: Ipv4Addr,
    ) -> impl Future<Output = Result<(), HostFailure>> + Send;

    /// Reads what the kernel has of the target.
    fn observe(
        &self,
        target: &KernelTarget,
    ) -> impl Future<Output = Result<KernelView, HostFailure>> + Send;

    /// Removes the /32 if it has FireCamp's tag, from any link that has it; an address with a
    /// foreign tag stays. Returns whether it changed anything.
    fn remove_address(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> impl Future<Output = Result<bool, HostFailure>> + Send;

    /// Removes FireCamp's rules for the address, and the routes of a table that no such rule uses
    /// any more. Returns whether it changed anything.
    fn remove_routing(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> impl Future<Output = Result<bool, HostFailure>> + Send;

    /// Counts the sockets that use the address, by sock_diag.
    fn sockets(
        &self,
        address: Ipv4Addr,
    ) -> impl Future<Output = Result<SocketUse, HostFailure>> + Send;
}

/// The live pod of a member.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PodView {
    /// The registry has no pods: the caller of this process vouches for the pod (file registry).
    Vouched,
    /// The member has no pod.
    Absent,
    /// The member's pod.
    Present {
        /// Its UID.
        pod: PodUid,
        /// Its node, once scheduled.
        node: Option<NodeName>,
        /// Its lifecycle.
        lifecycle: PodLifecycle,
        /// What controls it, if anything does.
        controller: Option<Controller>,
    },
}

/// What controls a pod, by the pod's controller reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Controller {
    /// A StatefulSet of Kubernetes' own.
    StatefulSet(SetName),
    /// Anything else, as kind and name.
    Other(String),
}

impl std::fmt::Display for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StatefulSet(name) => write!(f, "StatefulSet {name}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// The lifecycle of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PodLifecycle {
    /// It may start or run.
    Running,
    /// It is being deleted, with what is left of its grace period if known.
    Terminating(Option<Duration>),
    /// All its containers have terminated for good (phase Succeeded or Failed).
    Terminal,
}

/// Claims, static IPs and attachments. Reads are consistent (quorum), never from a cache. The
/// Kubernetes implementation adds a watch for the agent; the protocol itself needs none.
pub trait Registry: Send + Sync {
    /// The member's claim, the static IP that it names, and its pool. `pool` is the pool of a
    /// member that has no claim yet; without it the only pool that exists.
    fn member(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> impl Future<Output = Result<MemberRecords, RegistryFailure>> + Send;

    /// One static IP.
    fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> impl Future<Output = Result<Option<Stored<StaticIp>>, RegistryFailure>> + Send;

    /// The member's live pod.
    fn pod(&self, member: &Member)
    -> impl Future<Output = Result<PodView, RegistryFailure>> + Send;

    /// The addresses of this pool that have an object.
    fn allocated(
        &self,
        pool: &PoolName,
    ) -> impl Future<Output = Result<BTreeSet<Ipv4Addr>, RegistryFailure>> + Send;

    /// Creates, or compares and swaps; returns the new version.
    fn write(&self, write: &Write)
    -> impl Future<Output = Result<Version, RegistryFailure>> + Send;
}

/// The static-IP file on the member's data volume. FireCamp writes it and never relies on it.
pub trait MemberFile: Send + Sync {
    /// Creates the directory and proves that it is writable, before any other system is changed.
    fn probe(&self) -> impl Future<Output = Result<(), FileFailure>> + Send;

    /// Writes and syncs a temporary file, which it creates exclusively and without following links.
    /// Returns false if the file already has this content, so that there is nothing to publish.
    fn stage(&self, address: Ipv4Addr) -> impl Future<Output = Result<bool, FileFailure>> + Send;

    /// Renames the temporary file to its final name.
    fn publish(&self) -> impl Future<Output = Result<(), FileFailure>> + Send;

    /// Syncs the directory.
    fn sync(&self) -> impl Future<Output = Result<(), FileFailure>> + Send;
}
