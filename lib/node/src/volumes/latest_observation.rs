//! Merges an observation into the previous one.

use crate::volumes::identify_device::Disks;
use crate::volumes::observation::{
    Attachment, BlockDevice, CloudView, Mount, NodeView, Observation, Pod,
};
use crate::volumes::table::{Table, VolumeRow};

/// EC2's attachments as published: they stand until EC2 is read again, and change no verdict.
pub(crate) fn published_attachments(published: &Table) -> Option<CloudView> {
    let attachment = |row: &VolumeRow| {
        Some(Attachment {
            volume: row.volume_id.clone()?,
            state: row.attachment?,
            age: None,
            label: row.label.clone().unwrap_or_default(),
            delete_on_termination: row.delete_on_termination.unwrap_or_default(),
            zone: row.zone.clone()?,
            bytes: row.size.unwrap_or_default(),
        })
    };
    let attachments: Vec<Attachment> = published.volumes.iter().filter_map(attachment).collect();
    let zone = attachments.first()?.zone.clone();
    Some(CloudView { zone, attachments, elsewhere: Vec::new() })
}

/// Sorts the observation, so that the order of lists and caches changes no table. The order of
/// mounts is significant and stays.
pub(crate) fn sorted(mut seen: Observation) -> Observation {
    if let Some(cloud) = &mut seen.cloud {
        cloud.attachments.sort_by(|a, b| a.volume.cmp(&b.volume));
        cloud.elsewhere.sort();
    }
    if let Some(devices) = &mut seen.node.devices {
        devices.sort_by(|a, b| a.name.cmp(&b.name));
    }
    if let Some(cluster) = &mut seen.cluster {
        let name = |pod: &Pod| (pod.namespace.clone(), pod.name.clone(), pod.uid.clone());
        cluster.pods.sort_by_cached_key(name);
        cluster.persistent_volumes.sort_by(|a, b| a.name.cmp(&b.name));
        cluster.claims.sort_by(|a, b| a.name.cmp(&b.name));
        cluster.attachments.sort_by(|a, b| a.name.cmp(&b.name));
    }
    seen
}

/// The observation, with the previous one for parts that were not read.
pub(crate) fn latest(known: Observation, seen: Observation) -> Observation {
    Observation {
        cloud: seen.cloud.or(known.cloud),
        node: together(known.node, seen.node),
        cluster: seen.cluster.or(known.cluster),
    }
}

/// Mounts name their devices by numbers, and a new device gets the number of one that is gone. Of
/// two lists that were not read together, only those mounts count whose device is still the same.
fn together(known: NodeView, seen: NodeView) -> NodeView {
    let (devices, mounts) = match (seen.devices, seen.mounts) {
        (Some(devices), None) => {
            let before = known.devices.unwrap_or_default();
            let same = |mount: &Mount| {
                let now = disks(mount, &devices);
                now.is_empty() || now == disks(mount, &before)
            };
            let kept = known.mounts.map(|all| all.into_iter().filter(|one| same(one)).collect());
            (Some(devices), kept)
        }
        (None, Some(mounts)) => {
            let (before, mut mounts) = (known.mounts.unwrap_or_default(), mounts);
            if let Some(devices) = &known.devices {
                mounts.retain(|mount| disks(mount, devices).is_empty() || has(&before, mount));
            }
            (known.devices, Some(mounts))
        }
        (devices, mounts) => (devices.or(known.devices), mounts.or(known.mounts)),
    };
    NodeView { devices, mounts, space: seen.space }
}

/// The names and serials that identify the disks below a mount.
fn disks<'d>(mount: &Mount, devices: &'d [BlockDevice]) -> Vec<(&'d str, Option<&'d str>)> {
    let behind = Disks::new(devices, &[]).behind(mount);
    behind.into_iter().map(|disk| (disk.name.as_str(), disk.serial.as_deref())).collect()
}

/// Whether the mount was there before, with any options.
fn has(before: &[Mount], mount: &Mount) -> bool {
    before.iter().any(|one| {
        let what = (one.device, &one.root, &one.point, &one.fstype, &one.source);
        what == (mount.device, &mount.root, &mount.point, &mount.fstype, &mount.source)
    })
}

#[cfg(test)]
#[path = "latest_observation_tests.rs"]
mod tests;
