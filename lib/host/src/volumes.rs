//! The volumes of the node: sysfs, mountinfo, statvfs, and kernel events.
//!
//! Every read runs on its own thread, because it can hang: a filesystem whose server is gone blocks
//! a caller forever, beyond the reach of signals. A query has a deadline and runs once at a time,
//! and the number of hanging queries is bounded.

mod mounts;
mod space;
mod sysfs;
mod uevent;
mod watch;
mod workers;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use firecamp_node::volumes::observation::{BlockDevice, Mount, Usage};
use firecamp_node::volumes::{Change, Volumes, VolumesFailure, VolumesKind};
use watch::Watch;
use workers::{Query, Stuck, Workers};

/// The paths that show the volumes of a node; they may differ in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// sysfs.
    pub sys: PathBuf,
    /// The device directory, for the links of udev below it.
    pub dev: PathBuf,
    /// The mounts.
    pub mountinfo: PathBuf,
    /// The root of the mount points.
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

/// A failed operation on an object.
#[derive(Debug, thiserror::Error)]
#[error("failed to {operation} {object}: {source}")]
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
    /// Starts to watch mounts and devices. Needs a runtime with I/O. Each query times out after
    /// `within`.
    pub fn open(places: Places, within: Duration) -> Result<Self, VolumesFailure> {
        let watch = Watch::open(&places.mountinfo)?;
        Ok(Self { places, within, workers: Workers::default(), watch })
    }

    async fn ask<T: Send + 'static>(
        &self,
        query: Query,
        what: &str,
        work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
    ) -> Result<T, VolumesFailure> {
        let stuck = |stuck: Stuck| VolumesFailure {
            kind: match stuck {
                Stuck::Late(_) | Stuck::Still => VolumesKind::NotResponding,
                // The query did not run, so nothing is known.
                Stuck::Full | Stuck::NoThread(_) | Stuck::Lost => VolumesKind::Refused,
            },
            detail: format!("{what}: {stuck}"),
        };
        Ok(self.workers.ask(query, self.within, work).await.map_err(stuck)??)
    }
}

impl Volumes for NodeVolumes {
    async fn devices(&self) -> Result<Vec<BlockDevice>, VolumesFailure> {
        let (sys, dev) = (self.places.sys.clone(), self.places.dev.clone());
        self.ask(Query::Devices, "failed to list block devices", move || sysfs::read(&sys, &dev))
            .await
    }

    async fn mounts(&self) -> Result<Vec<Mount>, VolumesFailure> {
        let path = self.places.mountinfo.clone();
        self.ask(Query::Mounts, "failed to list mounts", move || mounts::read(&path)).await
    }

    async fn space(&self, mount: &Mount) -> Result<Usage, VolumesFailure> {
        let (root, asked) = (self.places.root.clone(), mount.clone());
        let what = format!("failed to read the free space of {}", mount.point);
        let query = Query::Space(mount.device);
        self.ask(query, &what, move || space::read(&root, &asked)).await
    }

    async fn changed(&self, within: Duration) -> Result<Change, VolumesFailure> {
        Ok(self.watch.changed(within).await?)
    }
}
