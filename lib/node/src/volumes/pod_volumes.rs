//! Whether each pod of this node has the volumes that it claims.

use std::collections::BTreeSet;
use std::time::Duration;

use firecamp_core::ids::PodUid;

use crate::volumes::assign_to_volume::Row;
use crate::volumes::observation::{ClusterView, Pod};
use crate::volumes::reason::Reason;

/// A pod of this node that claims volumes and is not terminating.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PodVolumes {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: PodUid,
    /// Whether it has them.
    pub served: Served,
}

/// Whether a pod has the volumes that it claims.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Served {
    /// All are mounted, and none has a reported problem.
    Ready,
    /// Not all are mounted, and no problem is reported yet.
    Pending,
    /// One of them has a reported problem.
    Blocked(Blocker),
}

/// The problem that keeps a pod from a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Blocker {
    /// The name of the volume in the table.
    pub volume: String,
    /// The pod's claim of it, in the namespace of the pod.
    pub claim: String,
    /// The reported problem.
    pub reason: Reason,
    /// Its message.
    pub message: String,
    /// How long it has lasted at least; none if it started before this process.
    pub lasted: Option<Duration>,
}

/// A volume and its reported problems.
pub(crate) struct ReportedVolume<'a> {
    pub(crate) name: &'a str,
    pub(crate) row: &'a Row<'a>,
    pub(crate) problems: Vec<(Reason, &'a str, Option<Duration>)>,
}

/// The pods that claim volumes, in the order of their names.
pub(crate) fn pods(
    cluster: Option<&ClusterView>,
    volumes: &[ReportedVolume<'_>],
) -> Vec<PodVolumes> {
    let all = cluster.into_iter().flat_map(|cluster| &cluster.pods);
    let waiting = all.filter(|pod| !pod.ending && !pod.claims.is_empty());
    let shown = |pod: &Pod| PodVolumes {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        served: served(pod, volumes),
    };
    waiting.map(shown).collect()
}

fn served(pod: &Pod, volumes: &[ReportedVolume<'_>]) -> Served {
    let mut mounted = BTreeSet::new();
    let mut blockers = Vec::new();
    for volume in volumes {
        let Some(claim) = claim_of(pod, volume.row) else { continue };
        let has_it = volume.row.pod_mounts().any(|(_, mount)| mount.pod == pod.uid);
        if has_it {
            mounted.insert(claim);
        }
        let blocks = |reason: Reason| match reason.blocks() {
            Blocks::NoPod => false,
            Blocks::PodsWithoutMount => !has_it,
            Blocks::AllPods => true,
        };
        let found = volume.problems.iter().filter(|(reason, _, _)| blocks(*reason));
        blockers.extend(found.map(|(reason, message, lasted)| Blocker {
            volume: volume.name.to_owned(),
            claim: claim.to_owned(),
            reason: *reason,
            message: (*message).to_owned(),
            lasted: *lasted,
        }));
    }
    let key = |one: &Blocker| (one.reason, one.volume.clone());
    match blockers.into_iter().min_by_key(key) {
        Some(worst) => Served::Blocked(worst),
        None if pod.claims.iter().all(|claim| mounted.contains(claim.claim.as_str())) => {
            Served::Ready
        }
        None => Served::Pending,
    }
}

fn claim_of<'a>(pod: &Pod, row: &Row<'a>) -> Option<&'a str> {
    let own = row.wanting.iter().find(|wanting| wanting.pod.uid == pod.uid)?;
    Some(own.claim.claim.as_str())
}

/// Which pods that claim a volume cannot use it because of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blocks {
    NoPod,
    PodsWithoutMount,
    AllPods,
}

impl Reason {
    fn blocks(self) -> Blocks {
        match self {
            Self::StuckAttaching
            | Self::StuckDetaching
            | Self::Busy
            | Self::AttachmentFailing
            | Self::StaleAttachment
            | Self::DeviceMissing
            | Self::DeviceWithoutVolume
            | Self::ZoneMismatch
            | Self::ReadOnly
            | Self::NotResponding => Blocks::AllPods,
            Self::NotMounted => Blocks::PodsWithoutMount,
            Self::SerialUnreadable
            | Self::LinkMismatch
            | Self::NotInKubernetes
            | Self::PodGone
            | Self::AlmostFull
            | Self::InodesAlmostFull => Blocks::NoPod,
        }
    }
}

#[cfg(test)]
#[path = "pod_volumes_tests.rs"]
mod tests;
