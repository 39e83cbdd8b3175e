//! The kernel of this node, over netlink.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use firecamp_core::agent::KernelOwner;
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::Mac;
use firecamp_core::lock_rule::Hold;
use firecamp_core::ports::{Holder, HostNet, KernelTarget, KernelView, SocketUse};
use firecamp_node::kernel::{KernelSnapshot, ObservedLink};

use crate::address_tags::{AddressTags, is_ours};
use crate::assign_times::AssignTimes;
use crate::eni_links;
use crate::error::HostError;
use crate::kernel::members_table::Kept;
use crate::kernel::{address, failed, link, socket};
use crate::kernel_snapshot;
use crate::kernel_tables::Tables;
use crate::lock::record::{Record, Recorded, Versions};
use crate::lock::{Lock, Locks};
use crate::netlink::Netlink;
use crate::pod_network::{Nat, Networks, Place, PodFiles, PodNetworks};
use crate::policy_routing;

/// `NETLINK_ROUTE`: links, addresses, rules and routes.
pub(crate) const ROUTE: isize = netlink_sys::protocols::NETLINK_ROUTE;
/// `NETLINK_SOCK_DIAG`: sockets.
pub(crate) const SOCK_DIAG: isize = netlink_sys::protocols::NETLINK_SOCK_DIAG;
/// `NETLINK_NETFILTER`: nf_tables.
pub(crate) const NETFILTER: isize = netlink_sys::protocols::NETLINK_NETFILTER;

/// Timeouts of [`LinuxHost`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostTimeouts {
    /// Maximum wait for the node-local lock.
    pub lock: Duration,
    /// Timeout of one netlink request.
    pub netlink: Duration,
}

impl Default for HostTimeouts {
    fn default() -> Self {
        Self { lock: Duration::from_secs(5), netlink: Duration::from_secs(2) }
    }
}

/// [`HostNet`] over the network namespace of the thread that calls it, and for addresses of pods
/// with a network of their own over theirs (`pod_network.rs`).
///
/// # Guarantees
/// * A link is found by its MAC at each operation; names and indexes are never stored.
/// * It removes only an exact /32 with FireCamp's tag, and rules, routes and neighbours with
///   FireCamp's protocol number: rules and neighbours for exactly that address, routes to it, and
///   those in tables that only FireCamp's rules use.
/// * Every step holds the address's lock and compares the record first; the lock is released when
///   the call ends, also if it is cancelled.
/// * An incomplete dump is an error and changes nothing.
///
/// # Assumptions
/// * Epochs of one address only grow while the node's lock directory exists.
///
/// # Caveats
/// * When the last IPv4 address of a link is removed, the kernel drops every route over that
///   link, including foreign ones. An ENI whose own primary address is configured is not affected.
/// * The kernel does not compare tags on deletion: if another program replaces FireCamp's /32 with
///   its own identical /32 between the dump and the deletion, that one is deleted.
/// * If the node's primary address is deleted and added again while a static address is present,
///   the static address comes first on that link. Routes with a gateway or a source are not
///   affected; a route with neither (`dev LINK` alone) then uses it as source.
#[derive(Debug, Clone)]
pub struct LinuxHost {
    pub(crate) locks: Locks,
    pub(crate) pods: PodFiles,
    pub(crate) networks: Option<PodNetworks>,
    pub(crate) limit: Duration,
    assign_times: AssignTimes,
    pub(crate) tags: AddressTags,
    versions: Versions,
    pub(crate) nat: Nat,
}

impl LinuxHost {
    /// Locks are below `run_dir`, which is created if only its last part is missing.
    pub fn new(run_dir: &Path, timeouts: HostTimeouts) -> Self {
        let tags = AddressTags::of_this_kernel();
        let locks = Locks::new(run_dir, timeouts.lock);
        let (assign_times, pods) = (AssignTimes::new(run_dir), PodFiles::new(run_dir));
        let (networks, limit, versions) = (None, timeouts.netlink, Versions::Understood);
        let nat = Nat::default();
        Self { locks, pods, networks, limit, assign_times, tags, versions, nat }
    }

    /// The same host for an agent that withdraws addresses. It also removes addresses whose lock
    /// record an incompatible version wrote, because the registry says that the holder is
    /// superseded. It adds none of them.
    #[must_use]
    pub fn withdrawing(self) -> Self {
        Self { versions: Versions::All, ..self }
    }

    /// The same host with this assumption about the kernel.
    #[must_use]
    pub fn with_address_tags(self, tags: AddressTags) -> Self {
        Self { tags, ..self }
    }

    pub(crate) fn netlink(&self, family: isize) -> Result<Netlink, HostError> {
        Netlink::open(family, self.limit).map_err(failed("open", "a netlink socket"))
    }

    /// Whether FireCamp owns the /32 on a link, as far as this kernel shows it.
    pub(crate) fn is_ours(&self, one: &address::Assigned, recorded: &Recorded) -> bool {
        is_ours(one, recorded, self.tags)
    }

    /// A complete snapshot of addresses and locks, or an error.
    pub async fn kernel_snapshot(&self) -> Result<KernelSnapshot, HostFailure> {
        let mut netlink = self.netlink(ROUTE)?;
        let ours = |one: &address::Assigned, by: &Recorded| is_ours(one, by, self.tags);
        let mut snapshot = kernel_snapshot::take(&mut netlink, &self.locks, ours).await?;
        let networks = Box::pin(self.open_networks()).await?;
        snapshot.kernel.extend(networks.addresses().map(|at| (at, KernelOwner::Ours)));
        Ok(snapshot)
    }

    /// All links that may be ENIs, or an error.
    pub async fn links(&self) -> Result<Vec<ObservedLink>, HostFailure> {
        let mut netlink = self.netlink(ROUTE)?;
        Ok(eni_links::observed(&mut netlink, self.tags).await?)
    }

    /// Sets up the link of the ENI with this MAC if it has no address but members': up, with the
    /// MTU of the primary one, and with the ENI's `own` address. Changes no other link. Returns
    /// whether it changed anything.
    pub async fn raise(&self, mac: Mac, own: Ipv4Addr) -> Result<bool, HostFailure> {
        let mut netlink = self.netlink(ROUTE)?;
        Ok(eni_links::raise(&mut netlink, (mac, own), self.tags).await?)
    }

    /// Removes FireCamp's address, rules and routes from the kernel, and keeps `holder` in the lock
    /// record, so that it may add them again at any time. Returns whether it changed anything.
    pub async fn withhold(&self, address: Ipv4Addr, holder: &Holder) -> Result<bool, HostFailure> {
        Ok(self.hide(address, holder).await?)
    }

    async fn add(&self, target: &KernelTarget, holder: &Holder) -> Result<bool, HostError> {
        let lock = self.locks.address(target.address).await?;
        let recorded = lock.read()?;
        recorded.permits_adding(holder).map_err(|denied| lock.denied(denied, holder))?;
        let place = self.pods.place(&holder.pod)?;
        if place == Place::NotKnown {
            let why = "it is not known before the pod asks for its address".to_owned();
            return Err(HostError::PodNetwork { pod: holder.pod.clone(), why });
        }
        let mut netlink = self.netlink(ROUTE)?;
        let links = link::list(&mut netlink).await?;
        let eni = link::of_eni(&links, target.mac)?.ok_or(HostError::NoLink(target.mac))?;
        if let Place::Pod(network) = &place {
            self.resolves_router(&mut netlink, eni, target).await?;
            record(&lock, &recorded, holder, Hold::Held, recorded.added())?;
            let up = policy_routing::bring_up(&mut netlink, &links, eni, target).await?;
            let kept = Kept { address: target.address, link: eni.index };
            let (subject, pod) = ((kept, &recorded), (&holder.pod, network));
            return Ok(Box::pin(self.add_to_pod(&mut netlink, subject, pod)).await? || up);
        }
        let mut there = address::list(&mut netlink).await?;
        there.retain(|one| one.is(target.address));
        let present = there.iter().any(|one| one.link == eni.index);
        let mut added = recorded.added() || !present;
        record(&lock, &recorded, holder, Hold::Held, added)?;

        let mut changed = policy_routing::bring_up(&mut netlink, &links, eni, target).await?;
        if !present {
            let tag = self.tags == AddressTags::Kept;
            added = address::add(&mut netlink, eni.index, target.address, tag).await?;
            changed |= added;
            record(&lock, &lock.read()?, holder, Hold::Held, added)?;
        }
        for orphan in there.iter().filter(|one| one.link != eni.index) {
            if is_ours(orphan, &recorded, self.tags) {
                changed |= address::remove(&mut netlink, orphan.link, orphan.local).await?;
            }
        }
        let left = (target.address, &recorded);
        Ok(Box::pin(self.take_from_pods(&mut netlink, left)).await? || changed)
    }

    async fn remove(&self, address: Ipv4Addr, holder: &Holder) -> Result<bool, HostError> {
        let lock = self.locks.address(address).await?;
        let recorded = self.release(&lock, holder)?;
        let mut netlink = self.netlink(ROUTE)?;
        let changed = self.take_out(&mut netlink, address, &recorded).await?;
        record(&lock, &lock.read()?, holder, Hold::Released, false)?;
        Ok(changed)
    }

    /// Removes the /32 from the pod that has it and from every link, where FireCamp owns it.
    pub(crate) async fn take_out(
        &self,
        netlink: &mut Netlink,
        address: Ipv4Addr,
        recorded: &Recorded,
    ) -> Result<bool, HostError> {
        let changed = Box::pin(self.take_from_pods(netlink, (address, recorded))).await?;
        Ok(self.take_off_links(netlink, address, recorded).await? || changed)
    }

    /// Removes the /32 from every link of the node, where FireCamp owns it.
    pub(crate) async fn take_off_links(
        &self,
        netlink: &mut Netlink,
        address: Ipv4Addr,
        recorded: &Recorded,
    ) -> Result<bool, HostError> {
        let there = address::list(netlink).await?;
        let mut changed = false;
        for one in there.iter().filter(|one| one.is(address)) {
            if is_ours(one, recorded, self.tags) {
                changed |= address::remove(netlink, one.link, address).await?;
            }
        }
        Ok(changed)
    }

    async fn hide(&self, address: Ipv4Addr, holder: &Holder) -> Result<bool, HostError> {
        let lock = self.locks.address(address).await?;
        let recorded = lock.read()?;
        let may = recorded.permits_removing(holder, self.versions);
        let may = may.and_then(|()| recorded.permits_adding(holder));
        may.map_err(|denied| lock.denied(denied, holder))?;
        let mut netlink = self.netlink(ROUTE)?;
        let removed = self.take_out(&mut netlink, address, &recorded).await?;
        let _tables = self.locks.routing().await?;
        Ok(policy_routing::remove(&mut netlink, address).await? || removed)
    }

    async fn route(&self, target: &KernelTarget, holder: &Holder) -> Result<bool, HostError> {
        let Some(routing) = &target.routing else { return Ok(false) };
        let lock = self.locks.address(target.address).await?;
        let recorded = lock.read()?;
        recorded.permits_adding(holder).map_err(|denied| lock.denied(denied, holder))?;
        let mut netlink = self.netlink(ROUTE)?;
        let links = link::list(&mut netlink).await?;
        let eni = link::of_eni(&links, target.mac)?.ok_or(HostError::NoLink(target.mac))?;
        record(&lock, &recorded, holder, Hold::Held, recorded.added())?;
        let _tables = self.locks.routing().await?;
        let up = policy_routing::bring_up(&mut netlink, &links, eni, target).await?;
        Ok(policy_routing::ensure(&mut netlink, eni, target.address, routing).await? || up)
    }

    async fn unroute(&self, address: Ipv4Addr, holder: &Holder) -> Result<bool, HostError> {
        let lock = self.locks.address(address).await?;
        self.release(&lock, holder)?;
        let mut netlink = self.netlink(ROUTE)?;
        let _tables = self.locks.routing().await?;
        policy_routing::remove(&mut netlink, address).await
    }

    /// Compares the lock record and marks it as released; returns the old record.
    fn release(&self, lock: &Lock, holder: &Holder) -> Result<Recorded, HostError> {
        let recorded = lock.read()?;
        let may = recorded.permits_removing(holder, self.versions);
        may.map_err(|denied| lock.denied(denied, holder))?;
        record(lock, &recorded, holder, Hold::Released, recorded.added())?;
        Ok(recorded)
    }

    /// The kernel state of each target, in order, from one dump of its tables.
    pub async fn views(&self, targets: &[KernelTarget]) -> Vec<Result<KernelView, HostFailure>> {
        let (tables, mut networks) = match self.tables(targets).await {
            Ok(read) => read,
            Err(error) => return vec![Err(HostFailure::from(error)); targets.len()],
        };
        let mut views = Vec::new();
        for target in targets {
            let view = self.view(&tables, &mut networks, target).await;
            // A pod without a network is like an ENI without a link: nothing can be restored.
            let shown = view.map(|(view, reached)| KernelView {
                link: view.link.filter(|_link| reached),
                ..view
            });
            views.push(shown.map_err(HostFailure::from));
        }
        views
    }

    async fn tables(&self, targets: &[KernelTarget]) -> Result<(Tables, Networks), HostError> {
        let tables = Tables::read(&mut self.netlink(ROUTE)?, targets).await?;
        Ok((tables, Box::pin(self.open_networks()).await?))
    }

    /// The kernel state of a target, and whether the network in which it belongs exists.
    async fn view(
        &self,
        tables: &Tables,
        networks: &mut Networks,
        target: &KernelTarget,
    ) -> Result<(KernelView, bool), HostError> {
        let Some(found) = tables.find(target)? else { return Ok((KernelView::default(), true)) };
        let recorded = self.locks.peek(target.address)?;
        let mut reached = true;
        let (address, tagged) = match self.last_place(&recorded)? {
            Place::Node => {
                let tagged = found.address.is_some_and(|one| is_ours(one, &recorded, self.tags));
                let alone = !networks.has_left_over(target.address, None);
                (found.address.is_some() && alone, tagged)
            }
            Place::NotKnown => {
                reached = false;
                (false, false)
            }
            Place::Pod(network) => {
                let kept = Kept { address: target.address, link: found.link.index };
                let there = Box::pin(self.is_in_pod(networks, kept, &network)).await?;
                reached = there.is_some();
                (there == Some(true), there == Some(true))
            }
        };
        let view = KernelView {
            link: Some(found.link.name.clone()),
            link_up: found.link.up,
            address,
            tagged,
            routing: found.routed,
            recorded: recorded.last(),
            assigned: Some(self.assign_times.age(target.address)?),
        };
        Ok((view, reached))
    }
}

/// Writes the record if it has changed.
fn record(
    lock: &Lock,
    before: &Recorded,
    holder: &Holder,
    hold: Hold,
    added: bool,
) -> Result<(), HostError> {
    let wanted = Record { holder: holder.clone(), hold, added, pid: std::process::id() };
    match before {
        Recorded::This(same) if Record { pid: wanted.pid, ..same.clone() } == wanted => Ok(()),
        Recorded::Nothing
        | Recorded::Torn
        | Recorded::Later
        | Recorded::This(_)
        | Recorded::Apart(..) => lock.write(&wanted),
    }
}

impl HostNet for LinuxHost {
    async fn add_address(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        Ok(self.add(target, holder).await?)
    }

    async fn add_routing(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        Ok(self.route(target, holder).await?)
    }

    async fn note_assign(&self, address: Ipv4Addr) -> Result<(), HostFailure> {
        Ok(self.assign_times.write(address)?)
    }

    async fn observe(&self, target: &KernelTarget) -> Result<KernelView, HostFailure> {
        let (tables, mut networks) = self.tables(std::slice::from_ref(target)).await?;
        Ok(self.view(&tables, &mut networks, target).await?.0)
    }

    async fn remove_address(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        Ok(self.remove(address, holder).await?)
    }

    async fn remove_routing(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        Ok(self.unroute(address, holder).await?)
    }

    async fn sockets(&self, address: Ipv4Addr) -> Result<SocketUse, HostFailure> {
        let on_node = socket::count(&mut self.netlink(SOCK_DIAG)?, address).await?;
        Ok(on_node.plus(Box::pin(self.sockets_in_pod(address)).await?))
    }
}
