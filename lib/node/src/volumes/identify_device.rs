//! The volume of a device, and the disks behind a mount.
//!
//! On Nitro a device is identified by its NVMe model and serial, never by its name, because names
//! follow the order of discovery. Xen has no serial, so there the device name requested in EC2
//! counts.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::ids::VolumeId;

use crate::volumes::observation::{Attachment, BlockDevice, Mount};

const EBS_MODEL: &str = "Amazon Elastic Block Store";
pub(crate) const INSTANCE_STORE_MODEL: &str = "Amazon EC2 NVMe Instance Storage";
/// udev's name for an EBS device: this, the serial, and a part or namespace.
const EBS_LINK: &str = "nvme-Amazon_Elastic_Block_Store_vol";
/// In udev's names below `by-path` of devices that an iSCSI target exports.
const ISCSI_LINK: &str = "-iscsi-";
/// The filesystem of device nodes; a raw device is given to a pod as a bind mount from it.
const DEVICE_NODES: &str = "devtmpfs";

/// What a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// This EBS volume.
    Ebs(VolumeId),
    /// An EBS volume with an unreadable serial.
    Unreadable,
    /// An instance store disk, which is lost with the instance.
    InstanceStore,
    /// A LUN of an iSCSI target.
    Iscsi,
    /// None of these.
    Other,
}

/// The devices of a node, with the requested names that identify them on Xen.
#[derive(Debug)]
pub struct Disks<'a> {
    devices: &'a [BlockDevice],
    by_label: BTreeMap<&'a str, Option<&'a VolumeId>>,
}

impl<'a> Disks<'a> {
    /// The devices, with the attachments of their instance.
    pub fn new(devices: &'a [BlockDevice], attachments: &'a [Attachment]) -> Self {
        let mut by_label = BTreeMap::new();
        for attachment in attachments {
            // A label that two attachments share identifies neither.
            by_label
                .entry(letters(&attachment.label))
                .and_modify(|volume| *volume = None)
                .or_insert(Some(&attachment.volume));
        }
        by_label.remove("");
        Self { devices, by_label }
    }

    /// All devices.
    pub fn all(&self) -> &'a [BlockDevice] {
        self.devices
    }

    /// Whether EBS volumes are NVMe devices here, so that one without a device has none.
    pub fn nitro(&self) -> bool {
        self.devices.iter().any(|device| device.model.as_deref() == Some(EBS_MODEL))
    }

    /// The identity of the device.
    pub fn identity(&self, device: &BlockDevice) -> Identity {
        match device.model.as_deref() {
            Some(EBS_MODEL) => by_serial(device).map_or(Identity::Unreadable, Identity::Ebs),
            Some(INSTANCE_STORE_MODEL) => Identity::InstanceStore,
            Some(_) | None if iscsi_link(device).is_some() => Identity::Iscsi,
            Some(_) | None => self.by_label(device).map_or(Identity::Other, Identity::Ebs),
        }
    }

    fn by_label(&self, device: &BlockDevice) -> Option<VolumeId> {
        let xen = device.name.starts_with("xvd") && device.serial.is_none();
        let found = || self.by_label.get(letters(&device.name)).copied().flatten().cloned();
        xen.then(found).flatten()
    }

    /// The disks behind a mount: none for a filesystem without a block device, several for one that
    /// spans them.
    pub fn behind(&self, mount: &Mount) -> Vec<&'a BlockDevice> {
        let mut found = Vec::new();
        if let Some(top) = self.mounted(mount) {
            self.descend(top, &mut BTreeSet::new(), &mut found);
        }
        found
    }

    fn mounted(&self, mount: &Mount) -> Option<&'a BlockDevice> {
        if mount.fstype == DEVICE_NODES {
            return self.named(mount.root.trim_start_matches('/'));
        }
        let number = mount.device;
        let numbered = |device: &&BlockDevice| {
            device.number == number || device.partitions.iter().any(|part| part.number == number)
        };
        // Some filesystems have their own device number, but name their device as the source.
        let by_source = || {
            let unnumbered = number.major == 0 && !is_shared(&mount.fstype);
            let name = mount.source.strip_prefix("/dev/")?;
            unnumbered.then(|| self.named(name)).flatten()
        };
        self.devices.iter().find(numbered).or_else(by_source)
    }

    fn named(&self, name: &str) -> Option<&'a BlockDevice> {
        self.devices.iter().find(|device| {
            device.name == name || device.partitions.iter().any(|part| part.name == name)
        })
    }

    fn descend(
        &self,
        device: &'a BlockDevice,
        passed: &mut BTreeSet<&'a str>,
        found: &mut Vec<&'a BlockDevice>,
    ) {
        if !passed.insert(&device.name) {
            return;
        }
        if device.below.is_empty() {
            found.push(device);
        }
        for below in device.below.iter().filter_map(|name| self.named(name)) {
            self.descend(below, passed, found);
        }
    }

    /// Whether another device is built on this one.
    pub fn carries(&self, device: &BlockDevice) -> bool {
        let part_of = |name: &String| {
            *name == device.name || device.partitions.iter().any(|part| part.name == *name)
        };
        self.devices.iter().any(|other| other.below.iter().any(part_of))
    }
}

/// The volume that the serial names.
fn by_serial(device: &BlockDevice) -> Option<VolumeId> {
    let serial = device.serial.as_deref()?.strip_prefix("vol")?;
    volume(serial.strip_prefix('-').unwrap_or(serial))
}

fn volume(digits: &str) -> Option<VolumeId> {
    VolumeId::new(&format!("vol-{digits}")).ok()
}

/// A udev link that names another volume than the device's serial, which happens right after a
/// device was replaced by another of the same name.
pub fn mismatched_link(device: &BlockDevice) -> Option<&str> {
    let own = by_serial(device)?;
    device.links.iter().map(String::as_str).find(|link| {
        let named = link.strip_prefix(EBS_LINK).and_then(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
            volume(rest.get(..end)?)
        });
        named.is_some_and(|named| named != own)
    })
}

/// The target and LUN of an iSCSI device, as udev names them.
pub fn iscsi_link(device: &BlockDevice) -> Option<&str> {
    let link = device.links.iter().find(|link| link.contains(ISCSI_LINK))?;
    link.split("-part").next()
}

/// Whether a filesystem of this type is identified by its source.
pub fn is_shared(fstype: &str) -> bool {
    is_network(fstype) || fstype == "fuse" || fstype.starts_with("fuse.")
}

/// Whether a filesystem of this type is on another machine.
pub fn is_network(fstype: &str) -> bool {
    const TYPES: [&str; 9] =
        ["nfs", "nfs4", "fuse.glusterfs", "ceph", "fuse.ceph", "cifs", "smb3", "lustre", "beegfs"];
    TYPES.contains(&fstype)
}

/// `/dev/sdf`, `sdf1` and `xvdf` are all `f`.
fn letters(name: &str) -> &str {
    let name = name.strip_prefix("/dev/").unwrap_or(name);
    let rest = name.strip_prefix("xvd").or_else(|| name.strip_prefix("sd")).unwrap_or_default();
    rest.trim_end_matches(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
#[path = "identify_device_tests.rs"]
mod tests;
