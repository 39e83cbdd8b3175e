//! What can be wrong with a volume.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use firecamp_core::ids::InvalidId;

use crate::volumes::seen::AttachmentState;

/// For how long a report stays after its cause was last seen, so that what flaps is told once.
pub const LEAVE: Duration = Duration::from_mins(1);

/// Something that is wrong with a volume. Names are stable: they are reasons of conditions and
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
    /// Kubernetes says that attaching or detaching fails.
    AttachmentFailing,
    /// Kubernetes believes that it is attached, and EC2 shows no attachment.
    StaleAttachment,
    /// EC2 says attached, and there is no device.
    DeviceMissing,
    /// There is a device, and EC2 shows no attachment.
    DeviceWithoutVolume,
    /// An EBS device whose serial names no volume.
    SerialUnreadable,
    /// A link of udev names another volume than the device's serial.
    LinkMismatch,
    /// It is attached, not mounted, and no persistent volume names it.
    NotInKubernetes,
    /// Volume, node affinity and node are not in one zone.
    ZoneMismatch,
    /// A pod on this node claims it and has no mount of it.
    NotMounted,
    /// It is still mounted for a pod that is gone.
    PodGone,
    /// It refuses writes that nobody asked to be refused.
    ReadOnly,
    /// Its filesystem does not answer.
    NotResponding,
    /// Few bytes are left.
    AlmostFull,
    /// Few inodes are left.
    InodesAlmostFull,
}

impl Reason {
    /// All of them, in the order in which they are reported.
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

    /// The state in EC2 that it is about, if it is about one.
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
                "Look for the instance's limit of volumes and for a device name that is taken; the EBS driver detaches and starts over"
            }
            Self::StuckDetaching => "Unmount what still uses it; see EC2's state of the volume",
            Self::Busy => "Find the mount in the row, or the process that has the device open",
            Self::AttachmentFailing => "`kubectl describe volumeattachment`",
            Self::StaleAttachment => "Delete the pod, so that the attachment is made anew",
            Self::DeviceMissing => "Look for NVMe errors in the kernel's log",
            Self::DeviceWithoutVolume => {
                "It was detached by force: stop what uses it, check its filesystem"
            }
            Self::SerialUnreadable => "Report it; the device is not used by name",
            Self::LinkMismatch => "`udevadm trigger`; use nothing by that link",
            Self::NotInKubernetes => "Detach it, if it was forgotten",
            Self::ZoneMismatch => "Put the pod where its volume is",
            Self::NotMounted => "`kubectl describe pod`",
            Self::PodGone => "Kubelet's log says why it does not unmount it",
            Self::ReadOnly => "The kernel's log says why; check the filesystem",
            Self::NotResponding => "Look at the server, or at the device",
            Self::AlmostFull => "Extend it or clean up",
            Self::InodesAlmostFull => "Delete small files",
        }
    }

    /// For how long it must be so before it is reported.
    pub fn patience(self) -> Duration {
        match self {
            // What the EBS driver calls stuck.
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
            // After that long Kubernetes itself gives up on a detach.
            Self::StaleAttachment => Duration::from_mins(6),
            // A busy node lets an answer come late now and then: a later look decides.
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

/// Reads what was published, which may have been written by another version.
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
