//! What the volumes of this node are to its pods: whether each has all that it claims.

use std::collections::BTreeSet;
use std::time::Duration;

use firecamp_core::ids::PodUid;

use crate::volumes::join::Row;
use crate::volumes::reason::Reason;
use crate::volumes::seen::{ClusterView, Pod};

/// A pod of this node that claims volumes and is not about to end.
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
    /// All are mounted, and none is reported to be out of order.
    Wholly,
    /// Not all are mounted, and nothing has been wrong for long enough to be reported.
    NotYet,
    /// One of them is reported to be out of order.
    No(Hindrance),
}

/// What keeps a pod from a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Hindrance {
    /// The name of the volume in the table.
    pub volume: String,
    /// The pod's claim of it, in the namespace of the pod.
    pub claim: String,
    /// What is reported.
    pub reason: Reason,
    /// The same in words.
    pub message: String,
    /// For how long it has been so at least; none if that was before this process began.
    pub lasted: Option<Duration>,
}

/// A volume and what is reported of it.
pub(crate) struct Sighted<'a> {
    pub(crate) name: &'a str,
    pub(crate) row: &'a Row<'a>,
    pub(crate) problems: Vec<(Reason, &'a str, Option<Duration>)>,
}

/// The pods that claim volumes, in the order of their names.
pub(crate) fn pods(cluster: Option<&ClusterView>, volumes: &[Sighted<'_>]) -> Vec<PodVolumes> {
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

fn served(pod: &Pod, volumes: &[Sighted<'_>]) -> Served {
    let mut mounted = BTreeSet::new();
    let mut hindrances = Vec::new();
    for volume in volumes {
        let Some(claim) = claim_of(pod, volume.row) else { continue };
        let has_it = volume.row.pod_mounts().any(|(_, mount)| mount.pod == pod.uid);
        if has_it {
            mounted.insert(claim);
        }
        let hinders = |reason: Reason| match reason.hinders() {
            Hinders::Nobody => false,
            Hinders::WhoeverLacksIt => !has_it,
            Hinders::Everybody => true,
        };
        let found = volume.problems.iter().filter(|(reason, _, _)| hinders(*reason));
        hindrances.extend(found.map(|(reason, message, lasted)| Hindrance {
            volume: volume.name.to_owned(),
            claim: claim.to_owned(),
            reason: *reason,
            message: (*message).to_owned(),
            lasted: *lasted,
        }));
    }
    let key = |one: &Hindrance| (one.reason, one.volume.clone());
    match hindrances.into_iter().min_by_key(key) {
        Some(worst) => Served::No(worst),
        None if pod.claims.iter().all(|claim| mounted.contains(claim.claim.as_str())) => {
            Served::Wholly
        }
        None => Served::NotYet,
    }
}

fn claim_of<'a>(pod: &Pod, row: &Row<'a>) -> Option<&'a str> {
    let own = row.wanting.iter().find(|wanting| wanting.pod.uid == pod.uid)?;
    Some(own.claim.claim.as_str())
}

/// Which of the pods that claim a volume a problem keeps from using it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hinders {
    Nobody,
    WhoeverLacksIt,
    Everybody,
}

impl Reason {
    fn hinders(self) -> Hinders {
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
            | Self::NotResponding => Hinders::Everybody,
            Self::NotMounted => Hinders::WhoeverLacksIt,
            Self::SerialUnreadable
            | Self::LinkMismatch
            | Self::NotInKubernetes
            | Self::PodGone
            | Self::AlmostFull
            | Self::InodesAlmostFull => Hinders::Nobody,
        }
    }
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
