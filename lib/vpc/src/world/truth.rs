//! What a driver and a test may see.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::{World, micros};
use crate::model::{Eni, Instance, Ledger, Volume, all_of};
use crate::timeline::{Item, Settled, Transition, View, items};
use crate::view::{
    AddressTruth, ClientView, EniView, ImdsListing, NodeState, NodeView, PastOwner, SubnetView,
    Truth, VolumeAttachmentView, VolumeView,
};

/// The reader whose view of Describe the truth shows.
const ORDINARY_READER: &str = "admin";

/// Every listing of a metadata service now.
type Listings = Vec<(Ipv4Addr, ImdsListing)>;

impl World {
    pub(super) fn whole_truth(&self) -> Truth {
        let latest = self.timeline.latest();
        let described = self.timeline.seen(View::Describe, ORDINARY_READER, self.now);
        let listings = self.listings(&latest);
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
            .map(|address| self.address_truth(*address, (&latest, &described), &listings))
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

    fn listings(&self, latest: &Ledger) -> Listings {
        let mut all = Vec::new();
        for (node, instance) in &self.ground.nodes {
            let running = latest.instances.get(instance);
            let running = running.filter(|instance| instance.state == NodeState::Running);
            let Some(running) = running else { continue };
            for (eni, items) in self.listed_enis(running, self.now) {
                if self.timeline.settled(&eni.id, instance, self.now) == Settled::Bare {
                    continue;
                }
                let listing = || ImdsListing { node: node.clone(), eni: eni.id.to_string() };
                all.push((eni.primary, listing()));
                for item in items {
                    if let Item::Address(address) = item {
                        all.push((address, listing()));
                    }
                }
            }
        }
        all
    }

    /// The ENIs that the metadata service of an instance lists: as it has heard of them, those that
    /// were torn out by force, and after a reboot the primary one only for a while.
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
            let named = self.ground.volumes.iter().find(|(_, own)| &**own == id);
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
        (latest, described): (&Ledger, &Ledger),
        listings: &Listings,
    ) -> AddressTruth {
        let holder = latest.holder(address);
        let instance = holder.and_then(|(eni, _)| latest.instance_of(eni));
        let subnet = self.ground.subnet_with(address).map(|subnet| subnet.id.to_string());
        let here = listings.iter().filter(|(listed, _)| *listed == address);
        let history = self.timeline.owners().get(&address);
        AddressTruth {
            address,
            subnet: subnet.unwrap_or_default(),
            owner: holder.map(|(eni, _)| eni.id.to_string()),
            held_as: holder.map(|(_, held)| held),
            node: instance.map(|instance| instance.name.clone()),
            data_path: self.timeline.receiver(address, self.now).map(ToString::to_string),
            describe: described.holder(address).map(|(eni, _)| eni.id.to_string()),
            imds: here.map(|(_, listing)| listing.clone()).collect(),
            history: history.map(|h| h.iter().map(past).collect()).unwrap_or_default(),
        }
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
        self.ground.nodes.iter().filter_map(view).collect()
    }

    pub(super) fn client_views(&self) -> Vec<ClientView> {
        let latest = self.timeline.latest();
        let seats = self.ground.clients.iter();
        let eni = |id: &crate::model::Id| latest.enis.get(id).map(|eni| self.eni_view(eni));
        seats
            .map(|seat| ClientView {
                name: seat.name.clone(),
                address: seat.address,
                eni: seat.eni.as_ref().and_then(eni),
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
        self.ground.subnets.iter().map(view).collect()
    }

    fn eni_view(&self, eni: &Arc<Eni>) -> EniView {
        let subnet = self.ground.subnet(&eni.subnet);
        EniView {
            id: eni.id.to_string(),
            mac: eni.mac.clone(),
            device_index: eni.attachment.as_ref().map_or(0, |a| a.device_index),
            plugged: eni.attachment.as_ref().is_some_and(|a| a.is_plugged(self.now)),
            subnet: eni.subnet.to_string(),
            cidr: subnet.map_or(self.ground.vpc_cidr, |subnet| subnet.cidr),
            gateway: subnet.map_or(Ipv4Addr::UNSPECIFIED, crate::model::Subnet::gateway),
            primary: eni.primary,
            secondary: eni.secondary.clone(),
            prefixes: eni.prefixes.clone(),
        }
    }
}

fn past(transition: &Transition) -> PastOwner {
    PastOwner {
        since_us: micros(transition.at),
        eni: transition.eni.as_ref().map(ToString::to_string),
        by: transition.by.clone(),
        data_path_at_us: micros(transition.remap_at),
        imds_added_at_us: transition.imds_added_at.map(micros),
    }
}
