//! Whether a query of EC2 would change what is reported. EC2's quota of requests is per account, so
//! an agent asks where something seems wrong.

use std::collections::BTreeMap;

use crate::volumes::assign_to_volume::{Key, Row};
use crate::volumes::detect_problem::{Context, Verdict, judge};
use crate::volumes::observation::BlockDevice;
use crate::volumes::problem_debounce::Watch;
use crate::volumes::reason::Reason;

/// How probable it is that EC2 knows of a problem that its last answer does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Suspicion {
    /// No pod of this node uses a volume of EC2.
    #[default]
    None,
    /// Nothing seems wrong. What somebody does in EC2 to a volume in use shows only there
    /// (decision 0042).
    Unlikely,
    /// EC2 has not been asked yet, nothing uses an attached volume any more, so that Kubernetes is
    /// about to detach it, or devices have no serials (Xen).
    Possible,
    /// The last answer contradicts the node or Kubernetes, a pod lacks a volume, or a problem is
    /// observed that EC2 explains or ends.
    Likely,
}

/// The problems that EC2 explains or ends.
const EXPLAINED: [Reason; 9] = [
    Reason::StuckAttaching,
    Reason::StuckDetaching,
    Reason::Busy,
    Reason::AttachmentFailing,
    Reason::StaleAttachment,
    Reason::DeviceMissing,
    Reason::DeviceWithoutVolume,
    Reason::ReadOnly,
    Reason::NotResponding,
];

/// Those of them that follow from its answer. A contradiction is one of these.
const ANSWERED: [Reason; 6] = [
    Reason::StuckAttaching,
    Reason::StuckDetaching,
    Reason::Busy,
    Reason::StaleAttachment,
    Reason::DeviceMissing,
    Reason::DeviceWithoutVolume,
];

/// The suspicion of a node whose devices have no serials: only EC2 says whose they are.
pub(crate) fn of_devices(devices: &[BlockDevice]) -> Suspicion {
    let is_blind = |device: &BlockDevice| device.name.starts_with("xvd") && device.serial.is_none();
    if devices.iter().any(is_blind) { Suspicion::Possible } else { Suspicion::None }
}

/// The suspicion of one volume. `context`: as if all that is known had been read just now.
/// `asked`: this process has an answer of EC2.
pub(crate) fn of_volume(
    (key, row): (&Key, &Row<'_>),
    watches: &BTreeMap<Reason, Watch>,
    context: &Context<'_>,
    asked: bool,
) -> Suspicion {
    let verdict = |reason| judge(reason, (key, row), context, false);
    let reported = |reason| watches.get(&reason).is_some_and(|watch| watch.message().is_some());
    let would_change = |reason| match verdict(reason) {
        Verdict::Good => reported(reason),
        Verdict::Bad { .. } => !reported(reason),
        Verdict::Unknown => false,
    };
    if would_change(Reason::ZoneMismatch) {
        return Suspicion::Likely;
    }
    if !matches!(key, Key::Ebs(_)) {
        // The zone of the node comes with EC2's first answer.
        let zonal = row.persistent_volumes.iter().any(|volume| !volume.zones.is_empty());
        return if zonal && !asked { Suspicion::Possible } else { Suspicion::None };
    }
    let observed = |reason: &Reason| watches.get(reason).is_some_and(Watch::is_open);
    let is_bad = |reason: &Reason| matches!(verdict(*reason), Verdict::Bad { .. });
    let lacked = row.attachment.is_none() && row.missing().is_some();
    if lacked
        || EXPLAINED.iter().any(observed)
        || ANSWERED.iter().any(is_bad)
        || would_change(Reason::NotInKubernetes)
    {
        return Suspicion::Likely;
    }
    let in_pods = row.pod_mounts().next().is_some() || !row.wanting.is_empty();
    let idle = !row.devices.is_empty() && !row.used && row.mounts.is_empty() && !in_pods;
    let unknown = !asked && (in_pods || !row.volume_attachments.is_empty());
    if idle || unknown {
        Suspicion::Possible
    } else if in_pods {
        Suspicion::Unlikely
    } else {
        Suspicion::None
    }
}

#[cfg(test)]
#[path = "suspicion_tests.rs"]
mod tests;
