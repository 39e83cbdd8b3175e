//! What was observed of a node's volumes: plain data, and no client of any outside system.
//!
//! A part that could not be read is `None`, which is never the same as empty: nothing is
//! concluded from it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use firecamp_core::ids::{InstanceId, InvalidId, PodUid, VolumeId, Zone};

/// Everything that was observed at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Observation {
    /// EC2.
    pub cloud: Option<CloudView>,
    /// The kernel.
    pub node: NodeView,
    /// Kubernetes.
    pub cluster: Option<ClusterView>,
}

/// The state of this instance in EC2.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CloudView {
    /// The zone of the instance.
    pub zone: Zone,
    /// Every volume with an attachment to the instance, in whatever state.
    pub attachments: Vec<Attachment>,
    /// Attachments to other instances of volumes that pods here lack, as far as they were read.
    pub elsewhere: Vec<Elsewhere>,
}

/// An attachment of a volume to another instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Elsewhere {
    /// The volume.
    pub volume: VolumeId,
    /// The other instance.
    pub instance: InstanceId,
    /// Its state.
    pub state: AttachmentState,
}

/// The state of an attachment. EC2 does not show detached ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase")
)]
pub enum AttachmentState {
    /// EC2 is attaching the volume.
    Attaching,
    /// The volume is attached.
    Attached,
    /// EC2 is detaching the volume.
    Detaching,
    /// EC2 is detaching the volume, but the instance still uses the device.
    Busy,
}

/// A volume that EC2 shows on this instance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attachment {
    /// The volume.
    pub volume: VolumeId,
    /// Its state.
    pub state: AttachmentState,
    /// The time since the attaching began according to EC2, if the caller knows it.
    pub age: Option<Duration>,
    /// The requested device name (`/dev/sdf`). On Nitro only a label.
    pub label: String,
    /// Whether EC2 deletes it with its instance.
    pub delete_on_termination: bool,
    /// The zone of the volume.
    pub zone: Zone,
    /// Its size.
    pub bytes: u64,
}

/// The state of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeView {
    /// The disks.
    pub devices: Option<Vec<BlockDevice>>,
    /// The mounts, in the kernel's order: a later one hides an earlier one at the same point.
    pub mounts: Option<Vec<Mount>>,
    /// The usage of mounted filesystems by device number, as far as it was read.
    pub space: BTreeMap<DeviceNumber, Space>,
}

/// `MAJOR:MINOR`. A filesystem without a block device has major 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "String", into = "String")
)]
pub struct DeviceNumber {
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

// As its text, so that it may be the key of a map.
#[cfg(feature = "serde")]
impl TryFrom<String> for DeviceNumber {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

#[cfg(feature = "serde")]
impl From<DeviceNumber> for String {
    fn from(number: DeviceNumber) -> Self {
        number.to_string()
    }
}

impl FromStr for DeviceNumber {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parsed = text.split_once(':').and_then(|(major, minor)| {
            Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
        });
        parsed.ok_or_else(|| InvalidId {
            kind: "device number",
            expected: "MAJOR:MINOR",
            text: text.chars().take(80).collect(),
        })
    }
}

/// A disk, or a device that is made of others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BlockDevice {
    /// The kernel's name (`nvme1n1`), which does not identify the volume.
    pub name: String,
    /// Its number.
    pub number: DeviceNumber,
    /// Its size.
    pub bytes: u64,
    /// It refuses writes.
    pub read_only: bool,
    /// Its model, without padding.
    pub model: Option<String>,
    /// Its serial, without padding.
    pub serial: Option<String>,
    /// Its partitions.
    pub partitions: Vec<Partition>,
    /// The devices and partitions that it is made of (LVM, encryption, RAID), by name.
    pub below: Vec<String>,
    /// The names that udev gave to it or to a partition of it, below `by-id` and `by-path`.
    pub links: Vec<String>,
}

/// A partition of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Partition {
    /// The kernel's name.
    pub name: String,
    /// Its number.
    pub number: DeviceNumber,
}

/// A mount of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Mount {
    /// The filesystem.
    pub device: DeviceNumber,
    /// The directory of the filesystem that is shown; `/` for all of it.
    pub root: String,
    /// Where.
    pub point: String,
    /// The type of the filesystem (`ext4`, `nfs4`, `fuse.glusterfs`).
    pub fstype: String,
    /// What was mounted, as it was named then.
    pub source: String,
    /// This mount refuses writes.
    pub read_only: bool,
    /// The whole filesystem refuses writes: it was mounted so, or it failed.
    pub filesystem_read_only: bool,
}

/// The usage of a filesystem, if it responds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Space {
    /// It answered.
    Known(Usage),
    /// It did not answer in time: a server that is gone, or a device that is.
    NotResponding,
}

/// The usage of a filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Usage {
    /// Bytes.
    pub bytes: Amount,
    /// Inodes. The total is zero where the filesystem does not count them.
    pub inodes: Amount,
}

/// How much there is, and how much an ordinary user may still have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Amount {
    /// All.
    pub total: u64,
    /// Free.
    pub free: u64,
}

/// The Kubernetes objects of this node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClusterView {
    /// The pods of this node, in whatever phase: a pod that is not listed is gone.
    pub pods: Vec<Pod>,
    /// Persistent volumes: at least those that the pods or attachments of this node name.
    pub persistent_volumes: Vec<PersistentVolume>,
    /// Claims: at least those of the pods.
    pub claims: Vec<Claim>,
    /// The `VolumeAttachment`s of this node.
    pub attachments: Vec<VolumeAttachment>,
    /// How many volumes the EBS CSI driver offers on this node; none if it reports no number.
    #[cfg_attr(feature = "serde", serde(default))]
    pub offered: Option<u32>,
}

/// A pod of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pod {
    /// Its UID.
    pub uid: PodUid,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// It is being deleted, or all its containers have ended.
    pub ending: bool,
    /// The claims that it uses.
    pub claims: Vec<PodClaim>,
}

/// The use of a claim by a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PodClaim {
    /// The claim, in the namespace of the pod.
    pub claim: String,
    /// Whether the pod requests read-only access.
    pub read_only: bool,
}

/// The name of a `PersistentVolumeClaim`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClaimName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A `PersistentVolumeClaim`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Claim {
    /// Its name.
    pub name: ClaimName,
    /// The volume that it is bound to.
    pub volume: Option<String>,
}

/// A `PersistentVolume`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PersistentVolume {
    /// Its name.
    pub name: String,
    /// The claim that it is bound to.
    pub claim: Option<ClaimName>,
    /// The EBS volume behind it: the handle of the EBS driver, or the id of the in-tree source.
    pub ebs: Option<VolumeId>,
    /// It may only be read.
    pub read_only: bool,
    /// The zones that its node affinity allows; empty if it names none.
    pub zones: Vec<Zone>,
}

/// The EBS volume that a volume handle of the EBS driver names, or the `volumeID` of the in-tree
/// source, which may be written as a URL (`aws://ZONE/vol-…`).
pub fn ebs_volume(handle: &str) -> Option<VolumeId> {
    let id = match handle.strip_prefix("aws://") {
        Some(url) => url.rsplit('/').next()?,
        None => handle,
    };
    id.parse().ok()
}

/// A `VolumeAttachment` of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VolumeAttachment {
    /// Its name.
    pub name: String,
    /// The persistent volume.
    pub volume: String,
    /// Kubernetes believes that it is attached.
    pub attached: bool,
    /// Attaching or detaching has failed. The text of the error changes with each attempt, so it
    /// is not kept.
    pub failing: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_handle_is_an_id_or_a_url_of_one() {
        let id: VolumeId = "vol-0123456789abcdef0".parse().unwrap();
        for handle in ["", "aws:///", "aws://us-east-1a/"] {
            assert_eq!(ebs_volume(&format!("{handle}{id}")), Some(id.clone()), "{handle}");
        }
        for handle in ["", "fs-0123456789abcdef0", "us-east-1a/vol-0123456789abcdef0", "aws://"] {
            assert_eq!(ebs_volume(handle), None, "{handle}");
        }
    }

    #[test]
    fn a_device_number_parses_what_it_displays() {
        for text in ["0:60", "259:4294967295"] {
            assert_eq!(text.parse::<DeviceNumber>().unwrap().to_string(), text);
        }
        for text in ["", "1", "1:", ":1", "1:2:3", "-1:0", "1:4294967296"] {
            assert!(text.parse::<DeviceNumber>().is_err(), "{text}");
        }
    }
}
