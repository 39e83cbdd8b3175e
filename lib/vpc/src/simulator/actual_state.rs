//! Views for drivers and tests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::{Simulator, micros};
use crate::model::{Eni, Instance, Volume, VpcState, all_of};
use crate::timeline::{Item, ListingStage, Transition, View, items};
use crate::view::{
    AddressTruth, ClientView, EniView, HeldAs, ImdsListing, NodeState, NodeView, PreviousOwner,
    SubnetView, Truth, VolumeAttachmentView, VolumeView,
};

/// The reader whose Describe view is shown.
const ORDINARY_READER: &str = "admin";

/// All current listings of metadata services.
type Listings = BTreeMap<Ipv4Addr, Vec<ImdsListing>>;

/// The holder of each address.
type Holders<'a> = BTreeMap<Ipv4Addr, (&'a Arc<Eni>, HeldAs)>;

/// As [`VpcState::holder`] finds each, at once.
fn holders(vpc: &VpcState) -> Holders<'_> {
    let mut all = Holders::new();
    for eni in vpc.enis.values() {
        for address in eni.addresses() {
            if let Some(held) = eni.holds(address) {
                all.entry(address).or_insert((eni, held));
            }
        }
    }
    all
}

impl Simulator {
    pub(super) fn full_truth(&self) -> Truth {
        let latest = self.timeline.latest();
        let described = self.timeline.visible(View::Describe, ORDINARY_READER, self.now);
        let (listings, holders) = (self.listings(&latest), [&*latest, &*described].map(holders));
        let prefixed: BTreeSet<Ipv4Addr> = latest
            .enis
            .values()
            .flat_map(|eni| eni.prefixes.iter().copied().flat_map(all_of))
            .collect();
        let addresses = self
            .timeline
            .owners()
            .keys()
            .filter(|address| !prefixed.contains(address))
            .map(|address| self.address_truth(*address, (&latest, &holders), &listings))
            .collect();
        Truth {
            now_us: micros(self.now),
            addresses,
            nodes: self.node_views(),
            clients: self.client_views(),
            subnets: self.subnet_views(),
            volumes: self.volume_views(),
            buckets: self.buckets.truth(self.now),
            violations: self.violations.clone(),
        }
    }

    fn listings(&self, latest: &VpcState) -> Listings {
        let mut all = Listings::new();
        for (node, instance) in &self.topology.nodes {
            let running = latest.instances.get(instance);
            let running = running.filter(|instance| instance.state == NodeState::Running);
            let Some(running) = running else { continue };
            for (eni, items) in self.listed_enis(running, self.now) {
                if self.timeline.listing_stage(&eni.id, instance, self.now) == ListingStage::Bare {
                    continue;
                }
                let listing = || ImdsListing { node: node.clone(), eni: eni.id.to_string() };
                all.entry(eni.primary).or_default().push(listing());
                for item in items {
                    if let Item::Address(address) = item {
                        all.entry(address).or_default().push(listing());
                    }
                }
            }
        }
        all
    }

    /// The ENIs that the metadata service of an instance lists: those it has learned of, those that
    /// were forcibly detached, and after a reboot only the primary one for a while.
    pub(crate) fn listed_enis(
        &self,
        instance: &Instance,
        now: Duration,
    ) -> Vec<(Arc<Eni>, Vec<Item>)> {
        let mut enis = self.timeline.listed(&instance.id, now);
        for ghost in &instance.ghosts {
            if !enis.iter().any(|(eni, _)| eni.id == ghost.id) {
                enis.push((Arc::clone(ghost), items(ghost)));
            }
        }
        if now < instance.imds_whole_at {
            let index = |eni: &Eni| eni.attachment.as_ref().map(|a| a.device_index);
            enis.retain(|(eni, _)| index(eni) == Some(0));
        }
        enis
    }

    fn volume_views(&self) -> Vec<VolumeView> {
        let latest = self.timeline.latest();
        let name = |id: &str| {
            let named = self.topology.volumes.iter().find(|(_, own)| &**own == id);
            named.map(|(name, _)| name.clone())
        };
        let attached = |volume: &Volume| {
            let shown = volume.shown().map(|(attachment, state)| {
                let instance = latest.instances.get(&attachment.instance);
                VolumeAttachmentView {
                    node: instance.map(|instance| instance.name.clone()),
                    instance: attachment.instance.to_string(),
                    device: attachment.device.clone(),
                    state: state.to_owned(),
                }
            });
            shown.collect()
        };
        let view = |volume: &Arc<Volume>| VolumeView {
            id: volume.id.to_string(),
            name: name(&volume.id),
            zone: volume.zone.clone(),
            size_gib: volume.size_gib,
            state: volume.status().to_owned(),
            attachments: attached(volume),
        };
        latest.volumes.values().map(view).collect()
    }

    fn address_truth(
        &self,
        address: Ipv4Addr,
        (latest, [holders, described]): (&VpcState, &[Holders<'_>; 2]),
        listings: &Listings,
    ) -> AddressTruth {
        let holder = holders.get(&address).copied();
        let instance = holder.and_then(|(eni, _)| latest.instance_of(eni));
        let subnet = self.topology.subnet_with(address).map(|subnet| subnet.id.to_string());
        AddressTruth {
            address,
            subnet: subnet.unwrap_or_default(),
            owner: holder.map(|(eni, _)| eni.id.to_string()),
            held_as: holder.map(|(_, held)| held),
            node: instance.map(|instance| instance.name.clone()),
            data_path: self.timeline.receiver(address, self.now).map(ToString::to_string),
            describe: described.get(&address).map(|(eni, _)| eni.id.to_string()),
            imds: listings.get(&address).cloned().unwrap_or_default(),
            history: self.history(address),
        }
    }

    /// The owners of an address, the first one first.
    pub fn history(&self, address: Ipv4Addr) -> Vec<PreviousOwner> {
        let history = self.timeline.owners().get(&address);
        history.into_iter().flatten().map(previous_owner).collect()
    }

    pub(super) fn node_views(&self) -> Vec<NodeView> {
        let latest = self.timeline.latest();
        let view = |(name, id): &(String, crate::model::Id)| {
            let instance = latest.instances.get(id)?;
            Some(NodeView {
                name: name.clone(),
                instance: id.to_string(),
                instance_type: instance.size.name.to_owned(),
                zone: instance.zone.clone(),
                state: instance.state,
                boots: instance.boots,
                enis: latest.enis_of(id).into_iter().map(|eni| self.eni_view(eni)).collect(),
            })
        };
        self.topology.nodes.iter().filter_map(view).collect()
    }

    pub(super) fn client_views(&self) -> Vec<ClientView> {
        let latest = self.timeline.latest();
        let seats = self.topology.clients.iter();
        let eni = |id: &crate::model::Id| latest.enis.get(id).map(|eni| self.eni_view(eni));
        seats
            .map(|client| ClientView {
                name: client.name.clone(),
                address: client.address,
                eni: client.eni.as_ref().and_then(eni),
            })
            .collect()
    }

    pub(super) fn subnet_views(&self) -> Vec<SubnetView> {
        let view = |subnet: &crate::model::Subnet| SubnetView {
            name: subnet.name.clone(),
            id: subnet.id.to_string(),
            cidr: subnet.cidr,
            zone: subnet.zone.clone(),
            gateway: subnet.gateway(),
        };
        self.topology.subnets.iter().map(view).collect()
    }

    fn eni_view(&self, eni: &Arc<Eni>) -> EniView {
        let subnet = self.topology.subnet(&eni.subnet);
        EniView {
            id: eni.id.to_string(),
            mac: eni.mac.clone(),
            device_index: eni.attachment.as_ref().map_or(0, |a| a.device_index),
            plugged: eni.attachment.as_ref().is_some_and(|a| a.is_plugged(self.now)),
            source_dest_check: eni.source_dest_check,
            subnet: eni.subnet.to_string(),
            cidr: subnet.map_or(self.topology.vpc_cidr, |subnet| subnet.cidr),
            gateway: subnet.map_or(Ipv4Addr::UNSPECIFIED, crate::model::Subnet::gateway),
            primary: eni.primary,
            secondary: eni.secondary.clone(),
            prefixes: eni.prefixes.clone(),
        }
    }
}

fn previous_owner(transition: &Transition) -> PreviousOwner {
    PreviousOwner {
        since_us: micros(transition.at),
        eni: transition.eni.as_ref().map(ToString::to_string),
        by: transition.by.clone(),
        data_path_at_us: micros(transition.remap_at),
        imds_added_at_us: transition.imds_added_at.map(micros),
    }
}
