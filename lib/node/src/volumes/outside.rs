//! The node's side and EC2's, behind one small trait each.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{InstanceId, VolumeId};
use futures_util::stream::{self, StreamExt};
use thiserror::Error;

use crate::volumes::join::{join, to_ask};
use crate::volumes::seen::{
    Attachment, BlockDevice, Elsewhere, Mount, NodeView, Seen, Space, Usage,
};

/// How many filesystems are asked for their room at the same time.
pub const ASKED_AT_ONCE: usize = 8;

/// What a failed observation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum VolumesKind {
    /// No answer in time, or none to a question that was asked before.
    NotResponding,
    /// It is no longer there.
    Gone,
    /// The kernel refuses, or says what cannot be read.
    Refused,
}

/// A failed observation. `detail` names the operation and the object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[error("{detail}")]
pub struct VolumesFailure {
    /// What it means.
    pub kind: VolumesKind,
    /// The text for people.
    pub detail: String,
}

/// What woke whoever waits for a change. It is a hint: what changed must be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// The mounts of this node.
    Mounts,
    /// A block device came, went or changed.
    Devices,
    /// Nothing, for as long as was asked.
    Nothing,
}

/// Block devices and mounts of this node: only to be looked at.
pub trait Volumes: Send + Sync {
    /// The block devices. A list that could not be read wholly is a failure.
    fn devices(&self) -> impl Future<Output = Result<Vec<BlockDevice>, VolumesFailure>> + Send;

    /// The mounts, in the kernel's order. A list that could not be read wholly is a failure.
    fn mounts(&self) -> impl Future<Output = Result<Vec<Mount>, VolumesFailure>> + Send;

    /// The room on the filesystem of a mount. Ends within a deadline of its own, whatever the
    /// filesystem does.
    fn space(&self, mount: &Mount) -> impl Future<Output = Result<Usage, VolumesFailure>> + Send;

    /// Waits for a change, at most for `within`. A change that comes while nobody waits is told
    /// to the next one who does; dropping the future loses none.
    fn changed(
        &self,
        within: Duration,
    ) -> impl Future<Output = Result<Change, VolumesFailure>> + Send;
}

/// EC2's side: only to be looked at. One attempt, bounded in time.
pub trait CloudVolumes: Send + Sync {
    /// Every volume with an attachment to the instance. A list that could not be read wholly is a
    /// failure.
    fn attachments(
        &self,
        instance: &InstanceId,
    ) -> impl Future<Output = Result<Vec<Attachment>, CloudFailure>> + Send;

    /// The attachments of these volumes to other instances than this one. A volume that EC2 does
    /// not know has none.
    fn elsewhere(
        &self,
        instance: &InstanceId,
        volumes: &BTreeSet<VolumeId>,
    ) -> impl Future<Output = Result<Vec<Elsewhere>, CloudFailure>> + Send;
}

/// What the kernel says now, and what of it could not be read. The room is asked for of every
/// filesystem that belongs to a volume, of one that hangs as of the others.
pub async fn observe<V: Volumes>(volumes: &V, kubelet: &str) -> (NodeView, Vec<VolumesFailure>) {
    let mut failures = Vec::new();
    let mut kept = |failure| failures.push(failure);
    let devices = volumes.devices().await.map_err(&mut kept).ok();
    let mounts = volumes.mounts().await.map_err(&mut kept).ok();
    let node = NodeView { devices, mounts, ..NodeView::default() };
    let mut seen = Seen { node, ..Seen::default() };
    let asked: Vec<Mount> = to_ask(&join(&seen, kubelet)).into_iter().cloned().collect();
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
