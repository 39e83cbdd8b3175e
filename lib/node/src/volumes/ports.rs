//! The reads from the node and from EC2, one small trait each.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{InstanceId, VolumeId};
use futures_util::stream::{self, StreamExt};
use thiserror::Error;

use crate::volumes::assign_to_volume::{join, mounts_to_measure};
use crate::volumes::observation::{
    Attachment, BlockDevice, Elsewhere, Mount, NodeView, Observation, Space, Usage,
};

/// How many filesystems are measured concurrently.
pub const ASKED_AT_ONCE: usize = 8;

/// The kind of a failed read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum VolumesKind {
    /// No answer in time, or an earlier read is still unanswered.
    NotResponding,
    /// The object no longer exists.
    Gone,
    /// The kernel rejects the read, or its answer cannot be parsed.
    Refused,
}

/// A failed read. `detail` names the operation and the object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[error("{detail}")]
pub struct VolumesFailure {
    /// Its kind.
    pub kind: VolumesKind,
    /// The message.
    pub detail: String,
}

/// A change notification. It is only a hint: the caller must read the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// The mounts of this node.
    Mounts,
    /// A block device came, went or changed.
    Devices,
    /// No change within the time limit.
    Nothing,
}

/// Block devices and mounts of this node, read only.
pub trait Volumes: Send + Sync {
    /// The block devices. A partial list is a failure.
    fn devices(&self) -> impl Future<Output = Result<Vec<BlockDevice>, VolumesFailure>> + Send;

    /// The mounts, in the kernel's order. A partial list is a failure.
    fn mounts(&self) -> impl Future<Output = Result<Vec<Mount>, VolumesFailure>> + Send;

    /// The usage of the filesystem of a mount. Ends within its own deadline, even if the filesystem
    /// hangs.
    fn space(&self, mount: &Mount) -> impl Future<Output = Result<Usage, VolumesFailure>> + Send;

    /// Waits for a change, at most for `within`. A change between two calls is reported by the next
    /// call; dropping the future loses none.
    fn changed(
        &self,
        within: Duration,
    ) -> impl Future<Output = Result<Change, VolumesFailure>> + Send;
}

/// The reads from EC2. Each call is one attempt, bounded in time.
pub trait CloudVolumes: Send + Sync {
    /// Every volume with an attachment to the instance. A list that could not be read wholly is a
    /// failure.
    fn attachments(
        &self,
        instance: &InstanceId,
    ) -> impl Future<Output = Result<Vec<Attachment>, CloudFailure>> + Send;

    /// The attachments of these volumes to other instances. A volume that EC2 does not know has
    /// none.
    fn elsewhere(
        &self,
        instance: &InstanceId,
        volumes: &BTreeSet<VolumeId>,
    ) -> impl Future<Output = Result<Vec<Elsewhere>, CloudFailure>> + Send;
}

/// Reads the kernel's state, and returns the failures. Measures every filesystem of a volume; one
/// that hangs does not delay the others.
pub async fn observe<V: Volumes>(volumes: &V, kubelet: &str) -> (NodeView, Vec<VolumesFailure>) {
    let mut failures = Vec::new();
    let mut kept = |failure| failures.push(failure);
    let devices = volumes.devices().await.map_err(&mut kept).ok();
    let mounts = volumes.mounts().await.map_err(&mut kept).ok();
    let node = NodeView { devices, mounts, ..NodeView::default() };
    let mut seen = Observation { node, ..Observation::default() };
    let asked: Vec<Mount> = mounts_to_measure(&join(&seen, kubelet)).into_iter().cloned().collect();
    let answers = stream::iter(
        asked.iter().map(|mount| async move { (mount.device, volumes.space(mount).await) }),
    );
    let mut answers = answers.buffer_unordered(ASKED_AT_ONCE);
    while let Some((device, answer)) = answers.next().await {
        let space = match answer {
            Ok(usage) => Space::Known(usage),
            Err(failure) if failure.kind == VolumesKind::NotResponding => {
                failures.push(failure);
                Space::NotResponding
            }
            Err(failure) => {
                failures.push(failure);
                continue;
            }
        };
        seen.node.space.insert(device, space);
    }
    failures.sort_by(|a, b| a.detail.cmp(&b.detail));
    (seen.node, failures)
}
