//! Checks one volume at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firecamp_core::ids::{PodUid, Zone};

use crate::volumes::assign_to_volume::{Key, Row};
use crate::volumes::identify_device::mismatched_link;
use crate::volumes::observation::{Amount, AttachmentState, DeviceNumber, Mount, Space, Usage};
use crate::volumes::reason::Reason;

/// A filesystem is almost full from this usage on, in percent.
pub const FULL: u64 = 90;
/// It is no longer almost full below this usage, in percent. In between the verdict is unchanged.
pub const NOT_FULL: u64 = 85;

/// Read-only filesystem types.
const NEVER_WRITTEN: [&str; 4] = ["squashfs", "iso9660", "erofs", "cramfs"];
/// How many pods a message names.
const NAMED: usize = 3;

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No problem.
    Good,
    /// A problem.
    Bad {
        /// A message that is stable while the problem lasts.
        message: String,
        /// How long it has lasted at least, according to EC2.
        age: Duration,
    },
    /// The input could not be read, or lies between good and bad.
    Unknown,
}

impl Verdict {
    fn bad(message: impl Into<String>) -> Self {
        Self::Bad { message: message.into(), age: Duration::ZERO }
    }

    /// Bad with this message, if there is one.
    fn of(message: Option<String>) -> Self {
        message.map_or(Self::Good, Self::bad)
    }
}

/// Which parts were read this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fresh {
    /// EC2.
    pub cloud: bool,
    /// The devices.
    pub devices: bool,
    /// The mounts.
    pub mounts: bool,
    /// Kubernetes.
    pub cluster: bool,
}

/// What is the same for all volumes of a node.
#[derive(Debug)]
pub struct Context<'a> {
    /// Which parts were read this time.
    pub fresh: Fresh,
    /// The zone of the node.
    pub zone: Option<&'a Zone>,
    /// Whether the node's pods and volumes are known from Kubernetes.
    pub cluster: bool,
    /// The pods of the node.
    pub pods: BTreeSet<&'a PodUid>,
    /// The filesystem usage that was read this time.
    pub space: &'a BTreeMap<DeviceNumber, Space>,
    /// EBS volumes are NVMe devices here.
    pub nitro: bool,
}

/// Checks a volume for one problem. `was_writable`: its filesystem accepted writes before.
pub fn judge(
    reason: Reason,
    (key, row): (&Key, &Row<'_>),
    context: &Context<'_>,
    was_writable: bool,
) -> Verdict {
    let fresh = context.fresh;
    let known = match reason {
        Reason::StuckAttaching | Reason::StuckDetaching | Reason::Busy => fresh.cloud,
        Reason::AttachmentFailing => fresh.cluster,
        Reason::StaleAttachment | Reason::ZoneMismatch => fresh.cloud && fresh.cluster,
        Reason::DeviceMissing | Reason::DeviceWithoutVolume => fresh.cloud && fresh.devices,
        Reason::SerialUnreadable | Reason::LinkMismatch => fresh.devices,
        Reason::NotInKubernetes => fresh.cloud && fresh.devices && fresh.mounts && fresh.cluster,
        Reason::PodGone => fresh.mounts && fresh.cluster,
        // Without its device a mount cannot be assigned to its volume.
        Reason::NotMounted => fresh.devices && fresh.mounts && fresh.cluster,
        Reason::ReadOnly
        | Reason::NotResponding
        | Reason::AlmostFull
        | Reason::InodesAlmostFull => fresh.mounts,
    };
    if !known {
        return Verdict::Unknown;
    }
    match reason {
        Reason::StuckAttaching => state(row, AttachmentState::Attaching),
        Reason::StuckDetaching => state(row, AttachmentState::Detaching),
        Reason::Busy => state(row, AttachmentState::Busy),
        Reason::ZoneMismatch => Verdict::of(zone(row, context)),
        Reason::AttachmentFailing => Verdict::of(failing(row)),
        Reason::StaleAttachment => Verdict::of(stale(row)),
        Reason::DeviceMissing => missing(row, context),
        Reason::DeviceWithoutVolume => Verdict::of(unattached(key, row)),
        Reason::SerialUnreadable => Verdict::of(unreadable(key, row)),
        Reason::LinkMismatch => Verdict::of(link(row)),
        Reason::NotInKubernetes => Verdict::of(orphaned(key, row)),
        Reason::NotMounted => Verdict::of(not_mounted(row)),
        Reason::PodGone => Verdict::of(pod_gone(row, context)),
        Reason::ReadOnly => read_only(row, context, was_writable),
        Reason::NotResponding => not_responding(row, context),
        Reason::AlmostFull => full(row, context, |usage| usage.bytes, "bytes"),
        Reason::InodesAlmostFull => full(row, context, |usage| usage.inodes, "inodes"),
    }
}

fn state(row: &Row<'_>, wanted: AttachmentState) -> Verdict {
    let Some(attachment) = row.attachment else { return Verdict::of(elsewhere(row, wanted)) };
    if attachment.state != wanted {
        return Verdict::Good;
    }
    let label = &attachment.label;
    let (message, age) = match wanted {
        AttachmentState::Attaching => (
            format!("EC2 has been attaching the volume as {label} and does not finish"),
            attachment.age,
        ),
        // EC2 reports when an attachment began, never when a detachment began.
        AttachmentState::Detaching => {
            ("EC2 has been detaching the volume and does not finish".to_owned(), None)
        }
        AttachmentState::Busy => {
            ("EC2 cannot detach the volume while this node uses the device".to_owned(), None)
        }
        AttachmentState::Attached => return Verdict::Good,
    };
    Verdict::Bad { message, age: age.unwrap_or_default() }
}

/// A pod here waits for a volume that is attached to another instance or is being attached to one.
fn elsewhere(row: &Row<'_>, wanted: AttachmentState) -> Option<String> {
    let instance = &row.elsewhere.iter().find(|one| one.state == wanted)?.instance;
    match wanted {
        AttachmentState::Attaching => {
            Some(format!("EC2 has been attaching the volume to {instance} and does not finish"))
        }
        AttachmentState::Detaching => {
            Some(format!("EC2 has been detaching the volume from {instance} and does not finish"))
        }
        AttachmentState::Busy => Some(format!(
            "EC2 cannot detach the volume from {instance} while that instance uses the device"
        )),
        AttachmentState::Attached => None,
    }
}

fn zone(row: &Row<'_>, context: &Context<'_>) -> Option<String> {
    let own = context.zone?;
    let attached = row.attachment.map(|attachment| &attachment.zone).filter(|zone| *zone != own);
    if let Some(zone) = attached {
        return Some(format!("the volume is in {zone}, the node in {own}"));
    }
    let volume = row
        .persistent_volumes
        .iter()
        .find(|volume| !volume.zones.is_empty() && !volume.zones.contains(own))?;
    Some(format!(
        "the node affinity of PersistentVolume {} does not allow the node's zone {own}",
        volume.name
    ))
}

fn failing(row: &Row<'_>) -> Option<String> {
    let failing = row.volume_attachments.iter().find(|attachment| attachment.failing)?;
    Some(format!("VolumeAttachment {} reports that attaching or detaching fails", failing.name))
}

fn stale(row: &Row<'_>) -> Option<String> {
    let ebs = row.persistent_volumes.iter().any(|volume| volume.ebs.is_some());
    let believed = row.volume_attachments.iter().find(|attachment| attachment.attached)?;
    let gone = ebs && row.attachment.is_none();
    gone.then(|| {
        format!(
            "VolumeAttachment {} shows the volume attached; EC2 shows no attachment",
            believed.name
        )
    })
}

fn missing(row: &Row<'_>, context: &Context<'_>) -> Verdict {
    let attached = |state| state == AttachmentState::Attached;
    match row.attachment {
        Some(attachment) if attached(attachment.state) && row.devices.is_empty() => {
            // On Xen the device name may differ from the requested one.
            if context.nitro {
                Verdict::bad(
                    "EC2 shows the volume attached, and no device on the node has its serial",
                )
            } else {
                Verdict::Unknown
            }
        }
        Some(_) | None => Verdict::Good,
    }
}

fn unattached(key: &Key, row: &Row<'_>) -> Option<String> {
    let device = row.devices.first()?;
    let alone = matches!(key, Key::Ebs(_)) && row.attachment.is_none();
    alone.then(|| {
        format!("device {} has the volume's serial, and EC2 shows no attachment", device.name)
    })
}

fn unreadable(key: &Key, row: &Row<'_>) -> Option<String> {
    let Key::Device(name) = key else { return None };
    let serial = row.devices.first().and_then(|device| device.serial.as_deref());
    Some(match serial {
        Some(serial) => format!("the serial {serial:?} of {name} names no volume"),
        None => format!("{name} has no readable serial"),
    })
}

fn link(row: &Row<'_>) -> Option<String> {
    let wrong = |device: &&crate::volumes::observation::BlockDevice| {
        Some(format!(
            "the link {} points to {}, whose serial names another volume",
            mismatched_link(device)?,
            device.name
        ))
    };
    row.devices.iter().find_map(wrong)
}

fn orphaned(key: &Key, row: &Row<'_>) -> Option<String> {
    let attached = row.attachment.is_some_and(|a| a.state == AttachmentState::Attached);
    let used = row.used || !row.mounts.is_empty();
    let claimed = !row.persistent_volumes.is_empty() || !row.volume_attachments.is_empty();
    // Without the device its use is unknown.
    let seen = matches!(key, Key::Ebs(_)) && !row.devices.is_empty();
    let idle = seen && attached && !used && !claimed;
    idle.then(|| "the volume is attached, not in use, and no PersistentVolume names it".to_owned())
}

fn not_mounted(row: &Row<'_>) -> Option<String> {
    let waiting = row.missing()?;
    let (pod, claim) = (waiting.pod, &waiting.claim.claim);
    Some(format!(
        "pod {}/{} claims {claim}, and the volume is not mounted for it",
        pod.namespace, pod.name
    ))
}

fn pod_gone(row: &Row<'_>, context: &Context<'_>) -> Option<String> {
    let mounted = row.pod_mounts().map(|(_, pod)| &pod.pod);
    let gone: BTreeSet<&PodUid> = mounted.filter(|pod| !context.pods.contains(pod)).collect();
    let names: Vec<&str> = gone.iter().take(NAMED).map(|pod| pod.as_str()).collect();
    let more = match gone.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!gone.is_empty()).then(|| {
        format!("the volume is still mounted for pod {}{more}, which is gone", names.join(", "))
    })
}

fn read_only(row: &Row<'_>, context: &Context<'_>, was_writable: bool) -> Verdict {
    let bad = || {
        Verdict::bad(
            "the filesystem rejects writes although it was not mounted read-only on purpose",
        )
    };
    let allowed = row.persistent_volumes.iter().any(|volume| volume.read_only);
    // After an error the kernel makes the filesystem read-only, and no mount of it.
    let became = was_writable && row.mounts.iter().any(|placed| !placed.mount.read_only);
    if row.mounts.iter().any(|placed| refuses(placed.mount)) && !allowed {
        let refused = match users(row) {
            Users::Writer => Some(true),
            Users::Readers => Some(false),
            // An unknown pod may have requested a read-only mount. Without any data from Kubernetes
            // a filesystem that became read-only is a problem.
            Users::Unknown => (became && !context.cluster).then_some(true),
            Users::None if became => Some(true),
            // A volume outside Kubernetes may have been read-only on purpose.
            Users::None => row.persistent_volumes.is_empty().then_some(false),
        };
        return match refused {
            Some(true) => bad(),
            Some(false) => Verdict::Good,
            None => Verdict::Unknown,
        };
    }
    let mut unknown = false;
    for (_, pod) in row.pod_mounts().filter(|(mount, _)| mount.read_only && !allowed) {
        match row.wanting.iter().find(|wanting| wanting.pod.uid == pod.pod) {
            Some(wanting) if !wanting.claim.read_only && !never_written(row) => {
                return bad();
            }
            Some(_) => {}
            None => unknown |= context.pods.contains(&pod.pod),
        }
    }
    if unknown { Verdict::Unknown } else { Verdict::Good }
}

/// Who has it mounted.
enum Users {
    /// A pod that wants to write.
    Writer,
    /// Pods that only read.
    Readers,
    /// Pods of which nothing is known.
    Unknown,
    /// No pod.
    None,
}

fn users(row: &Row<'_>) -> Users {
    let mut users = Users::None;
    for (_, mount) in row.pod_mounts() {
        let wanting = row.wanting.iter().find(|wanting| wanting.pod.uid == mount.pod);
        match wanting {
            Some(wanting) if !wanting.claim.read_only => return Users::Writer,
            Some(_) if matches!(users, Users::None) => users = Users::Readers,
            Some(_) => {}
            None => users = Users::Unknown,
        }
    }
    users
}

fn refuses(mount: &Mount) -> bool {
    mount.filesystem_read_only && !NEVER_WRITTEN.contains(&mount.fstype.as_str())
}

fn never_written(row: &Row<'_>) -> bool {
    row.mounts.iter().any(|placed| NEVER_WRITTEN.contains(&placed.mount.fstype.as_str()))
}

fn not_responding(row: &Row<'_>, context: &Context<'_>) -> Verdict {
    let asked: Vec<(&Mount, &Space)> = row
        .mounts
        .iter()
        .filter_map(|placed| Some((placed.mount, context.space.get(&placed.mount.device)?)))
        .collect();
    let silent = asked.iter().find(|(_, space)| **space == Space::NotResponding);
    match silent {
        Some((mount, _)) => {
            Verdict::bad(format!("the filesystem of {} does not respond", mount.source))
        }
        None if asked.is_empty() && !row.mounts.is_empty() => Verdict::Unknown,
        None => Verdict::Good,
    }
}

/// The usage of the largest filesystem of the volume; others on it, such as a boot partition, do
/// not change.
pub fn usage(row: &Row<'_>, space: &BTreeMap<DeviceNumber, Space>) -> Option<Usage> {
    let mounts = row.mounts.iter().map(|placed| placed.mount);
    let written = mounts.filter(|mount| !NEVER_WRITTEN.contains(&mount.fstype.as_str()));
    let known = written.filter_map(|mount| match space.get(&mount.device)? {
        Space::Known(usage) => Some(*usage),
        Space::NotResponding => None,
    });
    known.max_by_key(|usage| usage.bytes.total)
}

fn full(row: &Row<'_>, context: &Context<'_>, part: fn(&Usage) -> Amount, what: &str) -> Verdict {
    let Some(space) = usage(row, context.space) else {
        return if row.mounts.is_empty() { Verdict::Good } else { Verdict::Unknown };
    };
    let amount = part(&space);
    if amount.total == 0 {
        return Verdict::Good;
    }
    let used = u128::from(amount.total.saturating_sub(amount.free)) * 100;
    let at_least = |percent: u64| used >= u128::from(amount.total) * u128::from(percent);
    if at_least(FULL) {
        Verdict::bad(format!("{FULL} % or more of the {what} are in use"))
    } else if at_least(NOT_FULL) {
        Verdict::Unknown
    } else {
        Verdict::Good
    }
}

#[cfg(test)]
#[path = "detect_problem_tests.rs"]
mod tests;
