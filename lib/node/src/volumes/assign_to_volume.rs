//! Assigns attachments, devices, mounts and Kubernetes objects to volumes.
//!
//! Each attachment and each device of an EBS volume is in exactly one row. Each mount is in the row
//! of its volume, or it is noise: a mount that belongs to no volume.

mod assign_mount;

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::ids::{PodUid, VolumeId};

use crate::volumes::identify_device::{Disks, Identity};
use crate::volumes::observation::{
    Attachment, BlockDevice, ClusterView, DeviceNumber, Elsewhere, Mount, Observation,
    PersistentVolume, Pod, PodClaim, VolumeAttachment,
};
use crate::volumes::path::{How, Place, PodMount, place};

use assign_mount::Sorter;

/// The identity of a filesystem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backing {
    /// Its device number.
    Device(DeviceNumber),
    /// Its source: mounts of one export have device numbers of their own.
    Source(String),
}

/// The subject of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// An EBS volume.
    Ebs(VolumeId),
    /// A volume named by the kubelet, on some filesystem.
    Named(String, Backing),
    /// A filesystem without a name.
    Filesystem(Backing),
    /// A persistent volume that a pod here needs and that is observed nowhere.
    Wanted(String),
    /// An EBS device without a valid serial.
    Device(String),
}

impl Key {
    /// Whether it is identified by its device.
    fn is_device(&self) -> bool {
        match self {
            Self::Ebs(_) | Self::Device(_) => true,
            Self::Named(..) | Self::Filesystem(_) | Self::Wanted(_) => false,
        }
    }

    /// Whether the kubelet gives it this name, and it is on a block device.
    fn is_block_named(&self, name: &str) -> bool {
        matches!(self, Self::Named(own, Backing::Device(at)) if own == name && at.major != 0)
    }
}

/// A mount and the meaning of its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<'a> {
    /// The mount.
    pub mount: &'a Mount,
    /// The meaning of its mount point.
    pub place: Place,
    /// No later mount hides it.
    pub visible: bool,
}

/// A pod of this node that claims a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanting<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The claim.
    pub claim: &'a PodClaim,
}

/// All observations of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row<'a> {
    /// Its attachment in EC2.
    pub attachment: Option<&'a Attachment>,
    /// Its attachments to other instances, if they were read.
    pub elsewhere: Vec<&'a Elsewhere>,
    /// Its disks.
    pub devices: Vec<&'a BlockDevice>,
    /// Its mounts.
    pub mounts: Vec<Placed<'a>>,
    /// Whether another device or a mount of no volume uses its disks.
    pub used: bool,
    /// Its persistent volumes; more than one is a configuration error.
    pub persistent_volumes: Vec<&'a PersistentVolume>,
    /// Its `VolumeAttachment`s.
    pub volume_attachments: Vec<&'a VolumeAttachment>,
    /// The pods that claim it.
    pub wanting: Vec<Wanting<'a>>,
    /// Pods that mount a volume of its name from a device without a valid serial.
    pub unsure: BTreeSet<PodUid>,
}

/// The rows of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Joined<'a> {
    /// One for each volume.
    pub rows: BTreeMap<Key, Row<'a>>,
    /// Mounts that belong to no volume.
    pub noise: Vec<&'a Mount>,
    /// EBS volumes are NVMe devices here.
    pub nitro: bool,
}

/// Joins an observation. An unread part joins as if it were empty; the checks must know which parts
/// were read.
pub fn join<'a>(seen: &'a Observation, kubelet: &str) -> Joined<'a> {
    let attachments = seen.cloud.as_ref().map_or(&[][..], |cloud| &cloud.attachments);
    let disks = Disks::new(seen.node.devices.as_deref().unwrap_or_default(), attachments);
    let mut joined = Joined { nitro: disks.nitro(), ..Joined::default() };
    for attachment in attachments {
        joined.row(Key::Ebs(attachment.volume.clone())).attachment = Some(attachment);
    }
    joined.add_devices(&disks);
    joined.add_mounts(seen.node.mounts.as_deref().unwrap_or_default(), &disks, kubelet);
    if let Some(cluster) = &seen.cluster {
        joined.add_cluster(cluster);
    }
    for one in seen.cloud.iter().flat_map(|cloud| &cloud.elsewhere) {
        if let Some(row) = joined.rows.get_mut(&Key::Ebs(one.volume.clone())) {
            row.elsewhere.push(one);
        }
    }
    joined
}

impl<'a> Joined<'a> {
    fn row(&mut self, key: Key) -> &mut Row<'a> {
        self.rows.entry(key).or_default()
    }

    fn add_devices(&mut self, disks: &Disks<'a>) {
        for device in disks.all() {
            let key = match disks.identity(device) {
                Identity::Ebs(volume) => Key::Ebs(volume),
                Identity::Unreadable => Key::Device(device.name.clone()),
                Identity::InstanceStore | Identity::Iscsi | Identity::Other => continue,
            };
            let row = self.row(key);
            row.devices.push(device);
            row.used |= disks.carries(device);
        }
    }

    fn add_mounts(&mut self, mounts: &'a [Mount], disks: &Disks<'a>, kubelet: &str) {
        let mut last = BTreeMap::new();
        let mut unlike = BTreeSet::new();
        let mut placed = Vec::new();
        for (index, mount) in mounts.iter().enumerate() {
            last.insert(mount.point.as_str(), index);
            // A repeated mount is not another use.
            if unlike.insert((mount.device, &mount.root, &mount.point)) {
                placed.push((index, place(&mount.point, kubelet), mount));
            } else {
                self.noise.push(mount);
            }
        }
        let sorter = Sorter::new(disks, placed.iter().map(|(_, place, mount)| (place, *mount)));
        for (index, place, mount) in placed {
            let same = |latest: &usize| {
                mounts
                    .get(*latest)
                    .is_some_and(|m| m.device == mount.device && m.root == mount.root)
            };
            let visible = last.get(mount.point.as_str()).is_some_and(|l| *l == index || same(l));
            let keys = sorter.keys(&place, mount);
            self.add_mount(&keys, &Placed { mount, place, visible }, disks);
        }
    }

    fn add_mount(&mut self, keys: &[Key], placed: &Placed<'a>, disks: &Disks<'a>) {
        let behind = disks.behind(placed.mount);
        if keys.is_empty() {
            self.noise.push(placed.mount);
            for row in self.rows.values_mut() {
                row.used |= row.devices.iter().any(|device| behind.contains(device));
            }
        }
        for key in keys {
            let row = self.row(key.clone());
            row.mounts.push(placed.clone());
            if !key.is_device() {
                let new = behind.iter().filter(|disk| !row.devices.contains(disk));
                row.devices.extend(new.copied().collect::<Vec<_>>());
            }
        }
    }

    fn add_cluster(&mut self, cluster: &'a ClusterView) {
        let bound = bound_volumes(cluster);
        let mut wanting: BTreeMap<&str, Vec<Wanting<'a>>> = BTreeMap::new();
        for pod in &cluster.pods {
            for claim in &pod.claims {
                let name = (pod.namespace.as_str(), claim.claim.as_str());
                if let Some(volume) = bound.get(&name) {
                    wanting.entry(volume).or_default().push(Wanting { pod, claim });
                }
            }
        }
        let mut wanted: BTreeSet<&str> = wanting.keys().copied().collect();
        wanted.extend(cluster.attachments.iter().map(|attachment| attachment.volume.as_str()));
        let mut known: BTreeMap<&str, &PersistentVolume> = BTreeMap::new();
        known.extend(cluster.persistent_volumes.iter().map(|pv| (pv.name.as_str(), pv)));
        let names: BTreeSet<&str> = wanted.iter().chain(known.keys()).copied().collect();
        for name in names {
            let object = known.get(name).copied();
            if let Some(volume) = object.and_then(|object| object.ebs.as_ref()) {
                self.adopt(name, volume);
            }
            let unsure = self.mounted_without_serial(name);
            for key in self.keys_of(name, object, wanted.contains(name)) {
                let row = self.row(key);
                row.unsure.extend(unsure.iter().cloned());
                row.persistent_volumes.extend(object);
                row.wanting.extend(wanting.get(name).into_iter().flatten());
                let of_name = |attachment: &&VolumeAttachment| attachment.volume == name;
                row.volume_attachments.extend(cluster.attachments.iter().filter(of_name));
            }
        }
    }

    /// If no device has the volume's serial, the name by which the kubelet mounts it identifies it.
    fn adopt(&mut self, name: &str, volume: &VolumeId) {
        let own = Key::Ebs(volume.clone());
        if self.rows.get(&own).is_some_and(|row| !row.devices.is_empty()) {
            return;
        }
        let by_device = self.rows.iter().filter(|(key, _)| key.is_device());
        let known: Vec<&BlockDevice> =
            by_device.flat_map(|(_, row)| row.devices.iter().copied()).collect();
        let nameless = self.rows.iter().filter(|(key, row)| {
            key.is_block_named(name) && !row.devices.iter().any(|device| known.contains(device))
        });
        let keys: Vec<Key> = nameless.map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(found) = self.rows.remove(&key) else { continue };
            let row = self.row(own.clone());
            row.mounts.extend(found.mounts);
            row.devices.extend(found.devices);
        }
    }

    /// The rows of a persistent volume: its EBS volume, or the rows that the kubelet gives its
    /// name.
    fn keys_of(&self, name: &str, object: Option<&PersistentVolume>, wanted: bool) -> Vec<Key> {
        let mut keys: Vec<Key> = match object.and_then(|object| object.ebs.clone()) {
            Some(volume) => Vec::from([Key::Ebs(volume)]),
            None => self.keys_named(name),
        };
        if wanted && keys.is_empty() {
            keys.push(Key::Wanted(name.to_owned()));
        }
        // A volume that no pod here needs counts only if a part of it is here.
        keys.retain(|key| wanted || self.rows.contains_key(key));
        keys
    }

    fn mounted_without_serial(&self, name: &str) -> Vec<PodUid> {
        let blind = self.rows.iter().filter(|(key, _)| matches!(key, Key::Device(_)));
        let mounts = blind.flat_map(|(_, row)| row.pod_mounts().map(|(_, mount)| mount));
        mounts.filter(|mount| mount.volume == name).map(|mount| mount.pod.clone()).collect()
    }

    /// The rows that have a mount by which a pod gives the volume this name.
    fn keys_named(&self, name: &str) -> Vec<Key> {
        let named = self.rows.iter().filter(|(_, row)| row.names(name));
        named.map(|(key, _)| key.clone()).collect()
    }
}

impl Row<'_> {
    /// Whether a mount for a pod gives the volume this name.
    fn names(&self, name: &str) -> bool {
        self.pod_mounts().any(|(_, pod)| pod.volume == name)
    }

    /// A pod that claims it, has no mount of it and is not terminating.
    pub fn missing(&self) -> Option<&Wanting<'_>> {
        let mut mounted: BTreeSet<&PodUid> = self.pod_mounts().map(|(_, pod)| &pod.pod).collect();
        mounted.extend(&self.unsure);
        self.wanting.iter().find(|w| !w.pod.ending && !mounted.contains(&w.pod.uid))
    }

    /// The mounts for pods.
    pub fn pod_mounts(&self) -> impl Iterator<Item = (&Mount, &PodMount)> {
        self.mounts.iter().filter_map(|placed| match &placed.place {
            Place::Pod(pod) => Some((placed.mount, pod)),
            Place::Ephemeral | Place::Global | Place::Elsewhere => None,
        })
    }
}

/// The persistent volume of each claim, from either object.
fn bound_volumes(cluster: &ClusterView) -> BTreeMap<(&str, &str), &str> {
    let mut bound = BTreeMap::new();
    for volume in &cluster.persistent_volumes {
        if let Some(claim) = &volume.claim {
            bound.insert((claim.namespace.as_str(), claim.name.as_str()), volume.name.as_str());
        }
    }
    for claim in &cluster.claims {
        if let Some(volume) = &claim.volume {
            bound.insert((claim.name.namespace.as_str(), claim.name.name.as_str()), volume);
        }
    }
    bound
}

/// The mounts whose usage to read: one for each filesystem of a volume, at a visible mount point.
pub fn mounts_to_measure<'a>(joined: &Joined<'a>) -> Vec<&'a Mount> {
    let mut asked = BTreeMap::new();
    for placed in joined.rows.values().flat_map(|row| &row.mounts) {
        let block = matches!(&placed.place, Place::Pod(pod) if pod.how == How::Block);
        if placed.visible && !block {
            asked.entry(placed.mount.device).or_insert(placed.mount);
        }
    }
    asked.into_values().collect()
}

#[cfg(test)]
#[path = "assign_to_volume_tests.rs"]
mod tests;
