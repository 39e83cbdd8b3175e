//! Assigns mounts to rows.

use std::collections::BTreeMap;

use firecamp_core::ids::PodUid;

use super::{Backing, Key};
use crate::volumes::identify_device::{Disks, Identity, is_network, is_shared};
use crate::volumes::observation::Mount;
use crate::volumes::path::{How, Place, PodMount};

/// Decides which rows a mount belongs to.
pub(super) struct Sorter<'a, 'd> {
    disks: &'d Disks<'a>,
    /// The rows of each volume of each pod, which its parts share.
    of_pods: BTreeMap<(PodUid, String), Vec<Key>>,
    /// The row that a mount without a name shares with one that has one.
    named: BTreeMap<Backing, Key>,
}

impl<'a, 'd> Sorter<'a, 'd> {
    pub(super) fn new<'m>(
        disks: &'d Disks<'a>,
        mounts: impl Iterator<Item = (&'m Place, &'m Mount)>,
    ) -> Self {
        let mut sorter = Self { disks, of_pods: BTreeMap::new(), named: BTreeMap::new() };
        for (place, mount) in mounts {
            let Place::Pod(pod) = place else { continue };
            if pod.how == How::SubPath {
                continue;
            }
            let keys = sorter.volume_of_pod(pod, mount);
            for key in &keys {
                if matches!(key, Key::Named(..)) && pod.how != How::Local {
                    sorter.named.entry(backing(mount)).or_insert_with(|| key.clone());
                }
            }
            let of_pod = sorter.of_pods.entry((pod.pod.clone(), pod.volume.clone()));
            of_pod.or_insert(keys);
        }
        sorter
    }

    fn volume_of_pod(&self, pod: &PodMount, mount: &Mount) -> Vec<Key> {
        // A directory of a filesystem is a volume of its own, whatever disk that is on.
        let whole = pod.how == How::Block || (pod.how == How::Filesystem && mount.root == "/");
        let ebs = if whole { self.ebs(mount) } else { Vec::new() };
        if ebs.is_empty() {
            Vec::from([Key::Named(pod.volume.clone(), self.backing_of(pod, mount))])
        } else {
            ebs
        }
    }

    /// All raw devices are mounts of one filesystem, so there the disk counts.
    fn backing_of(&self, pod: &PodMount, mount: &Mount) -> Backing {
        match self.disks.behind(mount).first() {
            Some(disk) if pod.how == How::Block => Backing::Device(disk.number),
            Some(_) | None => backing(mount),
        }
    }

    /// The rows of a mount; none if it is noise.
    pub(super) fn keys(&self, place: &Place, mount: &Mount) -> Vec<Key> {
        let whole = mount.root == "/";
        let ebs = if whole { self.ebs(mount) } else { Vec::new() };
        match place {
            Place::Pod(pod) if pod.how != How::SubPath => self.volume_of_pod(pod, mount),
            // A part of a volume that is no mount itself is a part of the pod's own directory.
            Place::Pod(pod) => {
                let of_pod = self.of_pods.get(&(pod.pod.clone(), pod.volume.clone()));
                of_pod.cloned().unwrap_or_default()
            }
            Place::Global | Place::Elsewhere if !ebs.is_empty() => ebs,
            Place::Global if is_shared(&mount.fstype) || (whole && mount.device.major != 0) => {
                self.unnamed(mount)
            }
            Place::Elsewhere if is_network(&mount.fstype) || (whole && self.iscsi(mount)) => {
                self.unnamed(mount)
            }
            Place::Ephemeral | Place::Global | Place::Elsewhere => Vec::new(),
        }
    }

    fn unnamed(&self, mount: &Mount) -> Vec<Key> {
        let backing = backing(mount);
        let named = self.named.get(&backing).cloned();
        Vec::from([named.unwrap_or(Key::Filesystem(backing))])
    }

    fn ebs(&self, mount: &Mount) -> Vec<Key> {
        let keys = self.disks.behind(mount).into_iter().filter_map(|device| {
            match self.disks.identity(device) {
                Identity::Ebs(volume) => Some(Key::Ebs(volume)),
                Identity::Unreadable => Some(Key::Device(device.name.clone())),
                Identity::InstanceStore | Identity::Iscsi | Identity::Other => None,
            }
        });
        keys.collect()
    }

    fn iscsi(&self, mount: &Mount) -> bool {
        let behind = self.disks.behind(mount);
        behind.iter().any(|device| self.disks.identity(device) == Identity::Iscsi)
    }
}

fn backing(mount: &Mount) -> Backing {
    if is_shared(&mount.fstype) {
        Backing::Source(mount.source.clone())
    } else {
        Backing::Device(mount.device)
    }
}
