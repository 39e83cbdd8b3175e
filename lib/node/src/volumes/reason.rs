//! The problems of volumes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use firecamp_core::ids::InvalidId;

use crate::volumes::observation::AttachmentState;

/// How long a report stays after its cause was last observed, so that a flapping cause is reported
/// once.
pub const LEAVE: Duration = Duration::from_mins(1);

/// A problem of a volume. The names are public and stable: they are reasons of conditions and
/// Events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Reason {
    /// EC2 has been attaching it for too long.
    StuckAttaching,
    /// EC2 has been detaching it for too long.
    StuckDetaching,
    /// EC2 cannot detach it, because this node uses the device.
    Busy,
    /// Kubernetes reports that attaching or detaching fails.
    AttachmentFailing,
    /// Kubernetes shows it attached, and EC2 shows no attachment.
    StaleAttachment,
    /// EC2 shows it attached, and the node has no such device.
    DeviceMissing,
    /// The node has the device, and EC2 shows no attachment.
    DeviceWithoutVolume,
    /// An EBS device whose serial names no volume.
    SerialUnreadable,
    /// A udev link names another volume than the device's serial.
    LinkMismatch,
    /// It is attached, not mounted, and no persistent volume names it.
    NotInKubernetes,
    /// Volume, node affinity and node are not in one zone.
    ZoneMismatch,
    /// A pod on this node claims it and has no mount of it.
    NotMounted,
    /// It is still mounted for a pod that is gone.
    PodGone,
    /// It rejects writes although it was not mounted read-only on purpose.
    ReadOnly,
    /// Its filesystem does not answer.
    NotResponding,
    /// Few bytes are left.
    AlmostFull,
    /// Few inodes are left.
    InodesAlmostFull,
}

impl Reason {
    /// All problems, in the order in which they are reported.
    pub const ALL: [Self; 17] = [
        Self::StuckAttaching,
        Self::StuckDetaching,
        Self::Busy,
        Self::AttachmentFailing,
        Self::StaleAttachment,
        Self::DeviceMissing,
        Self::DeviceWithoutVolume,
        Self::SerialUnreadable,
        Self::LinkMismatch,
        Self::NotInKubernetes,
        Self::ZoneMismatch,
        Self::NotMounted,
        Self::PodGone,
        Self::ReadOnly,
        Self::NotResponding,
        Self::AlmostFull,
        Self::InodesAlmostFull,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::StuckAttaching => "StuckAttaching",
            Self::StuckDetaching => "StuckDetaching",
            Self::Busy => "Busy",
            Self::AttachmentFailing => "AttachmentFailing",
            Self::StaleAttachment => "StaleAttachment",
            Self::DeviceMissing => "DeviceMissing",
            Self::DeviceWithoutVolume => "DeviceWithoutVolume",
            Self::SerialUnreadable => "SerialUnreadable",
            Self::LinkMismatch => "LinkMismatch",
            Self::NotInKubernetes => "NotInKubernetes",
            Self::ZoneMismatch => "ZoneMismatch",
            Self::NotMounted => "NotMounted",
            Self::PodGone => "PodGone",
            Self::ReadOnly => "ReadOnly",
            Self::NotResponding => "NotResponding",
            Self::AlmostFull => "AlmostFull",
            Self::InodesAlmostFull => "InodesAlmostFull",
        }
    }

    /// The state in EC2 that the problem is about, if any.
    pub fn attachment(self) -> Option<AttachmentState> {
        match self {
            Self::StuckAttaching => Some(AttachmentState::Attaching),
            Self::StuckDetaching => Some(AttachmentState::Detaching),
            Self::Busy => Some(AttachmentState::Busy),
            Self::DeviceMissing => Some(AttachmentState::Attached),
            Self::AttachmentFailing
            | Self::StaleAttachment
            | Self::DeviceWithoutVolume
            | Self::SerialUnreadable
            | Self::LinkMismatch
            | Self::NotInKubernetes
            | Self::ZoneMismatch
            | Self::NotMounted
            | Self::PodGone
            | Self::ReadOnly
            | Self::NotResponding
            | Self::AlmostFull
            | Self::InodesAlmostFull => None,
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::StuckAttaching => {
                "Check the instance's volume limit and whether the device name is already in use; \
                 the EBS CSI driver detaches the volume and retries"
            }
            Self::StuckDetaching => {
                "Unmount what still uses the volume; check the volume's state in EC2"
            }
            Self::Busy => "Find the mount of the volume, or the process that has its device open",
            Self::AttachmentFailing => "See `kubectl describe volumeattachment`",
            Self::StaleAttachment => "Delete the pod, so that Kubernetes attaches the volume again",
            Self::DeviceMissing => "Look for NVMe errors in the kernel log",
            Self::DeviceWithoutVolume => {
                "The volume was force-detached: stop what uses it and check its filesystem"
            }
            Self::SerialUnreadable => {
                "Report it as a bug; FireCamp never identifies a device by its name"
            }
            Self::LinkMismatch => "Run `udevadm trigger`; do not use that link",
            Self::NotInKubernetes => "Detach the volume if it was forgotten",
            Self::ZoneMismatch => "Run the pod in the zone of its volume",
            Self::NotMounted => "See `kubectl describe pod`",
            Self::PodGone => "See the kubelet log for why it does not unmount the volume",
            Self::ReadOnly => "See the kernel log for the cause; check the filesystem",
            Self::NotResponding => "Check the file server or the device",
            Self::AlmostFull => "Extend the volume or delete data",
            Self::InodesAlmostFull => "Delete small files",
        }
    }

    /// How long the problem must last before it is reported.
    pub fn patience(self) -> Duration {
        match self {
            // The EBS CSI driver calls this stuck.
            Self::StuckAttaching | Self::StuckDetaching | Self::Busy => Duration::from_secs(90),
            // sysfs proves nothing in the first seconds after an attach.
            Self::DeviceMissing
            | Self::SerialUnreadable
            | Self::LinkMismatch
            | Self::AttachmentFailing => Duration::from_secs(30),
            // EC2 is read once a minute, and kubelet unmounts at its own pace.
            Self::DeviceWithoutVolume
            | Self::NotInKubernetes
            | Self::NotMounted
            | Self::PodGone => Duration::from_mins(2),
            // Kubernetes itself gives up on a detach after this long.
            Self::StaleAttachment => Duration::from_mins(6),
            // On a busy node an answer may come late: a later check decides.
            Self::NotResponding => Duration::from_secs(10),
            Self::ZoneMismatch | Self::ReadOnly | Self::AlmostFull | Self::InodesAlmostFull => {
                Duration::ZERO
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Parses a published reason, which another version may have written.
impl FromStr for Reason {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let found = Self::ALL.into_iter().find(|reason| reason.name() == text);
        found.ok_or_else(|| InvalidId {
            kind: "problem of a volume",
            expected: "a reason of the table of problems",
            text: text.chars().take(80).collect(),
        })
    }
}
