//! How soon EC2 should be asked for the volumes again. Its quota of requests is per account, so an
//! agent whose volumes are settled asks seldom.

use crate::volumes::assign_to_volume::{Key, Row};
use crate::volumes::observation::{AttachmentState, BlockDevice};
use crate::volumes::path::Place;

/// How soon EC2 should be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Recheck {
    /// Neither a pod of this node nor Kubernetes uses a volume of EC2 here.
    #[default]
    Never,
    /// EC2's last answer, the node and Kubernetes agree on every volume. What somebody does to one
    /// in EC2 shows only there.
    Rarely,
    /// A volume is being attached or detached, nothing uses one that was attached after the launch,
    /// or devices have no serials (Xen), so that only EC2 says whose they are.
    Regularly,
    /// A problem is present or reported.
    Now,
}

impl Recheck {
    /// For the devices of the node.
    pub(crate) fn of_devices(devices: &[BlockDevice]) -> Self {
        let blind =
            |device: &BlockDevice| device.name.starts_with("xvd") && device.serial.is_none();
        if devices.iter().any(blind) { Self::Regularly } else { Self::Never }
    }

    /// For one volume without a problem.
    pub(crate) fn of_volume(key: &Key, row: &Row<'_>) -> Self {
        if !matches!(key, Key::Ebs(_)) {
            return Self::Never;
        }
        let is_mounted_in = |place: &Place| matches!(place, Place::Elsewhere | Place::Ephemeral);
        let is_in_use = row.used || !row.mounts.is_empty();
        let is_of_node = is_in_use && row.mounts.iter().all(|one| is_mounted_in(&one.place));
        let is_attached =
            row.attachment.is_none_or(|attachment| attachment.state == AttachmentState::Attached);
        // EC2 deletes what it made for the launch, such as the root volume; one that Kubernetes
        // attaches stays. The agent may see no mount of it: LVM and RAID hide their parts.
        let is_of_launch = row.attachment.is_some_and(|one| one.delete_on_termination);
        let is_of_pods = row.pod_mounts().next().is_some() || !row.wanting.is_empty();
        let is_own = is_of_node || is_of_launch;
        if is_own && !is_of_pods && is_attached && row.volume_attachments.is_empty() {
            return Self::Never;
        }
        let is_here = row.attachment.is_some() && !row.devices.is_empty();
        let is_settled = is_of_pods && is_attached && is_here && row.missing().is_none();
        if is_settled { Self::Rarely } else { Self::Regularly }
    }
}

#[cfg(test)]
#[path = "recheck_tests.rs"]
mod tests;
