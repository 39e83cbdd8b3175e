//! The real node: sysfs, mountinfo, statvfs, and the kernel's own notices.
//!
//! Everything is read on threads of its own, because any of it can hang: a filesystem whose server
//! is gone holds whoever asks it, without end and beyond the reach of signals. A question has a
//! deadline and is asked once at a time, and there is a bound on how many can hang.

mod mounts;
mod space;
mod sysfs;
mod uevent;
mod watch;
mod workers;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use firecamp_node::volumes::seen::{BlockDevice, Mount, Usage};
use firecamp_node::volumes::{Change, Volumes, VolumesFailure, VolumesKind};
use watch::Watch;
use workers::{Question, Stuck, Workers};

/// Where a node shows its volumes. An agent in a container may see them elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// sysfs.
    pub sys: PathBuf,
    /// The device directory, for the links of udev below it.
    pub dev: PathBuf,
    /// The mounts.
    pub mountinfo: PathBuf,
    /// What the mount points begin at.
    pub root: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            sys: PathBuf::from("/sys"),
            dev: PathBuf::from("/dev"),
            mountinfo: PathBuf::from("/proc/self/mountinfo"),
            root: PathBuf::from("/"),
        }
    }
}

/// The volumes of the node that this process runs on.
#[derive(Debug)]
pub struct NodeVolumes {
    places: Places,
    within: Duration,
    workers: Workers,
    watch: Watch,
}

/// An operation on an object that failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {object}: {source}")]
struct Failed {
    operation: &'static str,
    object: String,
    source: io::Error,
}

impl From<Failed> for VolumesFailure {
    fn from(failed: Failed) -> Self {
        let gone = failed.source.kind() == io::ErrorKind::NotFound;
        let kind = if gone { VolumesKind::Gone } else { VolumesKind::Refused };
        Self { kind, detail: failed.to_string() }
    }
}

impl NodeVolumes {
    /// Begins to watch mounts and devices. Must be called in a runtime with I/O. Each question
    /// is given up after `within`.
    pub fn open(places: Places, within: Duration) -> Result<Self, VolumesFailure> {
        let watch = Watch::open(&places.mountinfo)?;
        Ok(Self { places, within, workers: Workers::default(), watch })
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: Question,
        what: &str,
        work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
    ) -> Result<T, VolumesFailure> {
        let stuck = |stuck: Stuck| VolumesFailure {
            kind: match stuck {
                Stuck::Late(_) | Stuck::Still => VolumesKind::NotResponding,
                // Nobody has asked it, so nothing is known of it.
                Stuck::Full | Stuck::NoThread(_) | Stuck::Lost => VolumesKind::Refused,
            },
            detail: format!("{what}: {stuck}"),
        };
        Ok(self.workers.ask(question, self.within, work).await.map_err(stuck)??)
    }
}

impl Volumes for NodeVolumes {
    async fn devices(&self) -> Result<Vec<BlockDevice>, VolumesFailure> {
        let (sys, dev) = (self.places.sys.clone(), self.places.dev.clone());
        self.ask(Question::Devices, "list block devices", move || sysfs::read(&sys, &dev)).await
    }

    async fn mounts(&self) -> Result<Vec<Mount>, VolumesFailure> {
        let path = self.places.mountinfo.clone();
        self.ask(Question::Mounts, "list mounts", move || mounts::read(&path)).await
    }

    async fn space(&self, mount: &Mount) -> Result<Usage, VolumesFailure> {
        let (root, asked) = (self.places.root.clone(), mount.clone());
        let what = format!("ask {} for its room", mount.point);
        let question = Question::Space(mount.device);
        self.ask(question, &what, move || space::read(&root, &asked)).await
    }

    async fn changed(&self, within: Duration) -> Result<Change, VolumesFailure> {
        Ok(self.watch.changed(within).await?)
    }
}
