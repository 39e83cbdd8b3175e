//! The operations of [`LinuxHost`] on addresses in the networks of pods.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use firecamp_core::failure::HostFailure;
use firecamp_core::ids::PodUid;
use firecamp_core::lock_rule::Hold;
use firecamp_core::ports::{KernelTarget, SocketUse};

use super::delivery::{self, Delivery, NodeTables};
use super::inside::{self, Inside};
use super::namespace::{Namespace, enter};
use super::{Place, PodNetwork, PodNetworks, find};
use crate::address_tags::AddressTags;
use crate::error::HostError;
use crate::kernel::address::{self, Assigned};
use crate::kernel::members_table::Kept;
use crate::kernel::{link, socket};
use crate::linux::{LinuxHost, ROUTE};
use crate::lock::record::Recorded;
use crate::netlink::Netlink;

/// The networks of pods that are known and still exist, each with FireCamp's addresses there, and
/// the node's tables. Empty on a node without such pods, and for a program that cannot enter them.
///
/// A pod may fill its network so that it cannot be read. That is a failure for its own address and
/// for nobody else's.
pub(crate) struct Networks {
    open: BTreeMap<u64, (Namespace, Result<Vec<Assigned>, HostError>)>,
    node: Option<NodeTables>,
    /// Whose sources are kept; none if the kernel can keep none.
    kept: Result<Option<BTreeSet<Kept>>, HostError>,
}

impl Default for Networks {
    fn default() -> Self {
        Self { open: BTreeMap::new(), node: None, kept: Ok(None) }
    }
}

impl Networks {
    /// Whether the source is kept. What cannot be read is restored, and the attempt says why.
    fn keeps(&self, wanted: Kept) -> bool {
        match &self.kept {
            Ok(kept) => kept.as_ref().is_none_or(|kept| kept.contains(&wanted)),
            Err(_unread) => false,
        }
    }

    /// FireCamp's addresses in all of them.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.open.values().flat_map(|(_, ours)| ours.iter().flatten().map(|one| one.local))
    }

    /// Whether a network other than this one has the address.
    pub(crate) fn has_left_over(&self, address: Ipv4Addr, own: Option<u64>) -> bool {
        let others = self.open.iter().filter(|(cookie, _)| Some(**cookie) != own);
        others.into_iter().any(|(_, (_, ours))| has(ours, address))
    }

    /// Removes the address from all of them but `own`. Fails if it cannot be removed from that of
    /// the last holder; a failure in another one is seen and mended at the next look. Returns
    /// whether it changed anything.
    async fn sweep(
        &mut self,
        address: Ipv4Addr,
        own: Option<u64>,
        last: &Place,
    ) -> Result<bool, HostError> {
        let mut changed = false;
        for (cookie, (within, ours)) in &mut self.open {
            let is_last = matches!(last, Place::Pod(network) if network.cookie == *cookie);
            let may_have = has(ours, address) || (ours.is_err() && is_last);
            if Some(*cookie) == own || !may_have {
                continue;
            }
            match inside::remove(within, address).await {
                Ok(removed) => changed |= removed,
                Err(why) if is_last => return Err(why),
                Err(_of_another_pod) => {}
            }
        }
        Ok(changed)
    }
}

fn has(ours: &Result<Vec<Assigned>, HostError>, address: Ipv4Addr) -> bool {
    ours.iter().flatten().any(|one| one.local == address)
}

impl LinuxHost {
    /// The same host, with access to the networks of pods.
    #[must_use]
    pub fn with_pod_networks(mut self, networks: Option<PodNetworks>) -> Self {
        self.networks = networks;
        self
    }

    /// Records these pods of this node as such with a network of their own: no address of theirs
    /// is added to the node's network. Forgets pods that are no longer `present`, hold nothing, and
    /// whose network is gone.
    pub async fn note_pods(
        &self,
        own: &BTreeSet<PodUid>,
        present: &BTreeSet<PodUid>,
    ) -> Result<(), HostFailure> {
        Ok(self.note(own, present).await?)
    }

    async fn note(
        &self,
        own: &BTreeSet<PodUid>,
        present: &BTreeSet<PodUid>,
    ) -> Result<(), HostError> {
        self.pods.note(own)?;
        let known = self.pods.all()?;
        let stays = |pod: &PodUid| own.contains(pod) || present.contains(pod);
        // Which networks are gone is known only to who can enter them.
        if self.networks.is_none() || known.keys().all(stays) {
            return Ok(());
        }
        let locks = self.locks.all()?;
        let held = locks.values().filter_map(Recorded::last).filter(|it| it.hold == Hold::Held);
        let held: BTreeSet<PodUid> = held.map(|last| last.holder.pod).collect();
        let open = self.open_networks().await?.open;
        for (pod, place) in known {
            let exists =
                matches!(&place, Place::Pod(network) if open.contains_key(&network.cookie));
            if !exists && !stays(&pod) && !held.contains(&pod) {
                self.pods.forget(&pod)?;
            }
        }
        Ok(())
    }

    /// Finds and records the network of a pod by its connection from `peer` to `own`; otherwise
    /// says why it is not clear which one it is.
    pub async fn find_pod_network(
        &self,
        pod: &PodUid,
        connection: (SocketAddrV4, SocketAddrV4),
    ) -> Result<Result<(), String>, HostFailure> {
        Ok(self.find_network(pod, connection).await?)
    }

    async fn find_network(
        &self,
        pod: &PodUid,
        connection: (SocketAddrV4, SocketAddrV4),
    ) -> Result<Result<(), String>, HostError> {
        let networks = self.networks(pod)?;
        if self.tags == AddressTags::Ignored {
            let why = "this kernel does not keep the protocol of an address, by which FireCamp \
                       knows its own in the pod: Linux 5.18 or later is needed";
            return Ok(Err(unusable(pod, why).to_string()));
        }
        // One at a time: it opens sockets in the namespaces of all pods.
        let _turn = self.pods.turn().await;
        let found = find::of_connection(&networks.namespaces, self.limit, connection);
        match Box::pin(found).await? {
            Ok(network) => self.pods.found(pod, &network).map(Ok),
            Err(why) => Ok(Err(unusable(pod, why).to_string())),
        }
    }

    fn networks(&self, pod: &PodUid) -> Result<&PodNetworks, HostError> {
        let off = || unusable(pod, "this program does not serve pods with their own network");
        self.networks.as_ref().ok_or_else(off)
    }

    /// All known networks, and the node's tables if there is one.
    pub(crate) async fn open_networks(&self) -> Result<Networks, HostError> {
        let Some(PodNetworks { namespaces, .. }) = &self.networks else {
            return Ok(Networks::default());
        };
        let known = self.pods.all()?.into_values().filter_map(|place| match place {
            Place::Pod(network) => Some((network.name, Some(network.cookie))),
            Place::Node | Place::NotKnown => None,
        });
        let known: Vec<_> = known.collect();
        if known.is_empty() {
            return Ok(Networks::default());
        }
        let mut open = BTreeMap::new();
        for mut within in enter(namespaces, self.limit, known).await? {
            let ours = inside::ours(&mut within).await;
            open.insert(within.cookie, (within, ours));
        }
        let node = Some(NodeTables::read(&mut self.netlink(ROUTE)?).await?);
        let kept = Box::pin(self.kept_sources()).await;
        Ok(Networks { open, node, kept })
    }

    /// Adds the address to the pod's network, then leads its packets there and to the ENI's link,
    /// then removes it from everywhere else. Returns whether it changed anything.
    pub(crate) async fn add_to_pod(
        &self,
        netlink: &mut Netlink,
        (kept, before): (Kept, &Recorded),
        (pod, network): (&PodUid, &PodNetwork),
    ) -> Result<bool, HostError> {
        let address = kept.address;
        let ranges = &self.networks(pod)?.ranges;
        let mut networks = self.open_networks().await?;
        let (Some((within, _)), Some(node)) =
            (networks.open.get_mut(&network.cookie), &networks.node)
        else {
            return Err(unusable(pod, "its network namespace is gone"));
        };
        let inside = Inside::read(within, network, (address, ranges)).await?;
        let inside = inside.map_err(|why| unusable(pod, why))?;
        let delivery = delivery_to(&inside, address, (node, ranges));
        let delivery = delivery.map_err(|why| unusable(pod, why))?;
        let mut changed = inside.ensure(within).await?;
        // Before anything reaches the pod: whoever is sent a redirect keeps it (F150).
        changed |= self.keep_source(kept).await?;
        changed |= delivery.ensure(netlink).await?;
        changed |= self.take_off_links(netlink, address, before).await?;
        let last = self.last_place(before)?;
        changed |= networks.sweep(address, Some(network.cookie), &last).await?;
        Ok(changed)
    }

    /// Fails if the node cannot ask for the router of the ENI's subnet: ARP needs an address of the
    /// link, and the address itself is in the pod.
    pub(crate) async fn resolves_router(
        &self,
        netlink: &mut Netlink,
        eni: &link::Link,
        target: &KernelTarget,
    ) -> Result<(), HostError> {
        let assigned = address::list(netlink).await?;
        let own = |one: &Assigned| one.link == eni.index && one.local != target.address;
        if target.routing.is_none() || assigned.iter().any(own) {
            return Ok(());
        }
        Err(HostError::NoAddress(eni.name.clone()))
    }

    /// Stops leading packets of the address to a pod, and removes it from the networks of all pods,
    /// as far as this program can enter them.
    pub(crate) async fn take_from_pods(
        &self,
        netlink: &mut Netlink,
        (address, before): (Ipv4Addr, &Recorded),
    ) -> Result<bool, HostError> {
        let mut changed = delivery::stop(netlink, address).await?;
        let last = self.last_place(before)?;
        changed |= self.open_networks().await?.sweep(address, None, &last).await?;
        changed |= delivery::remove(netlink, address).await?;
        // A node that never served such a pod has no table, and perhaps no nf_tables.
        if changed || !self.pods.all()?.is_empty() {
            changed |= self.forget_source(address).await?;
        }
        Ok(changed)
    }

    /// Where the address is, by the pod that held it last.
    pub(crate) fn last_place(&self, recorded: &Recorded) -> Result<Place, HostError> {
        match recorded.last() {
            Some(last) => self.pods.place(&last.holder.pod),
            None => Ok(Place::Node),
        }
    }

    /// Whether the pod has the address, and its packets are led there; none if its network is gone,
    /// or has lost the pod's own address, as at the end of each sandbox. A program that cannot
    /// enter it sees only the second.
    pub(crate) async fn is_in_pod(
        &self,
        networks: &mut Networks,
        kept: Kept,
        network: &PodNetwork,
    ) -> Result<Option<bool>, HostError> {
        let address = kept.address;
        let Some(PodNetworks { ranges, .. }) = &self.networks else {
            let reached = delivery::reaches_a_pod(&mut self.netlink(ROUTE)?, address).await?;
            return Ok(Some(reached));
        };
        if networks.has_left_over(address, Some(network.cookie)) {
            return Ok(Some(false));
        }
        let (Some((within, _)), Some(node)) =
            (networks.open.get_mut(&network.cookie), &networks.node)
        else {
            return Ok(None);
        };
        let Ok(inside) = Inside::read(within, network, (address, ranges)).await? else {
            let there = address::list(&mut within.route).await?;
            return Ok(there.iter().any(|one| one.local == network.ip).then_some(false));
        };
        let delivery = delivery_to(&inside, address, (node, ranges));
        let delivered = delivery.is_ok_and(|delivery| delivery.is_complete(node));
        Ok(Some(inside.is_complete() && delivered && networks.keeps(kept)))
    }

    /// The sockets that use the address in the network of the pod that held it last. Fails if this
    /// program cannot enter it.
    pub(crate) async fn sockets_in_pod(&self, address: Ipv4Addr) -> Result<SocketUse, HostError> {
        let recorded = self.locks.peek(address)?;
        let (Place::Pod(network), Some(last)) = (self.last_place(&recorded)?, recorded.last())
        else {
            return Ok(SocketUse::default());
        };
        let dir = &self.networks(&last.holder.pod)?.namespaces;
        let wanted = vec![(network.name, Some(network.cookie))];
        match enter(dir, self.limit, wanted).await?.first_mut() {
            Some(within) => socket::count(&mut within.sockets, address).await,
            None => Ok(SocketUse::default()),
        }
    }
}

/// The node's part for the address, or why there is none.
fn delivery_to(
    inside: &Inside,
    address: Ipv4Addr,
    (node, ranges): (&NodeTables, &[ipnet::Ipv4Net]),
) -> Result<Delivery, String> {
    match (link::towards(&node.links, &inside.link), inside.link.mac) {
        (Some(link), Some(mac)) => Ok(Delivery::new(address, (link.index, mac), ranges)),
        (None, _) | (_, None) => {
            Err(format!("{} is not connected to this node by a veth", inside.link.name))
        }
    }
}

fn unusable(pod: &PodUid, why: impl Into<String>) -> HostError {
    HostError::PodNetwork { pod: pod.clone(), why: why.into() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::linux::SOCK_DIAG;

    /// The network of a pod, of which no link and no address can be listed.
    fn network(cookie: u64) -> Namespace {
        let open = || Netlink::open(SOCK_DIAG, Duration::from_secs(5)).unwrap();
        Namespace { cookie, name: cookie.to_string(), route: open(), sockets: open() }
    }

    #[tokio::test]
    async fn f128_network_that_cannot_be_read_fails_the_address_of_its_own_pod_alone() {
        let (member, address) = (1, Ipv4Addr::new(10, 0, 1, 10));
        let unreadable = || HostError::NoLink(firecamp_core::ids::Mac::from_bytes([0; 6]));
        let mut networks = Networks::default();
        networks.open.insert(member, (network(member), Err(unreadable())));
        assert_eq!(networks.addresses().count(), 0);
        assert!(!networks.has_left_over(address, None));
        let of = |cookie| {
            let ip = Ipv4Addr::new(10, 244, 1, 5);
            Place::Pod(PodNetwork { cookie, ip, name: "cni-1".to_owned() })
        };
        assert!(networks.sweep(address, None, &of(member)).await.is_err());
        assert!(!networks.sweep(address, None, &of(2)).await.unwrap());
        assert!(!networks.sweep(address, None, &Place::Node).await.unwrap());
    }
}
