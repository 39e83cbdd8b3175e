//! A node with its own mounts, and the member `redis-0` with the volume `pvc-1`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firecamp_core::time::Moment;
use firecamp_host::volumes::{NodeVolumes, Places};
use firecamp_node::volumes::observation::{
    ClaimName, ClusterView, Mount, NodeView, Observation, PersistentVolume, Pod, PodClaim, Usage,
};
use firecamp_node::volumes::{
    Change, Reason, Table, Tracker, VolumeRow, Volumes, VolumesFailure, observe,
};
use nix::mount::{MsFlags, mount};

pub(crate) const KUBELET: &str = "/run/kubelet";
pub(crate) const LONG: Duration = Duration::from_secs(30);
pub(crate) const SHORT: Duration = Duration::from_millis(50);
const NONE: Option<&str> = None;

pub(crate) struct Node {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) volumes: NodeVolumes,
    tracker: Tracker,
    now: Moment,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::at(Places::default(), LONG)
    }

    pub(crate) fn at(places: Places, within: Duration) -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().unwrap();
        let volumes = runtime.block_on(async { NodeVolumes::open(places, within) }).unwrap();
        Self { runtime, volumes, tracker: Tracker::new(KUBELET), now: Moment::default() }
    }

    pub(crate) fn observe(&self) -> (NodeView, Vec<VolumesFailure>) {
        self.runtime.block_on(observe(&self.volumes, KUBELET))
    }

    /// The table of the current state, after all grace periods.
    pub(crate) fn table(&mut self) -> Table {
        let mut table = Table::default();
        for _observation in 0..2 {
            let (node, _) = self.observe();
            let seen = Observation { node, cluster: Some(member()), ..Observation::default() };
            table = self.tracker.step(self.now, seen);
            self.now = self.now.plus(Duration::from_hours(1));
        }
        table
    }

    pub(crate) fn reasons(&mut self, name: &str) -> Vec<Reason> {
        let table = self.table();
        let row = table.row(name).unwrap_or_else(|| panic!("no {name} in {table:?}"));
        row.problems.iter().map(|problem| problem.reason).collect()
    }

    pub(crate) fn row(&mut self, name: &str) -> VolumeRow {
        let table = self.table();
        table.row(name).unwrap_or_else(|| panic!("no {name} in {table:?}")).clone()
    }

    pub(crate) fn mounts(&self) -> Vec<Mount> {
        self.runtime.block_on(self.volumes.mounts()).unwrap()
    }

    /// The last mount at this point.
    pub(crate) fn mount_at(&self, point: &str) -> Mount {
        let mut mounts = self.mounts();
        mounts.retain(|mount| mount.point == point);
        mounts.pop().unwrap_or_else(|| panic!("nothing at {point:?}"))
    }

    pub(crate) fn space(&self, mount: &Mount) -> Result<Usage, VolumesFailure> {
        self.runtime.block_on(self.volumes.space(mount))
    }

    pub(crate) fn changed(&self, within: Duration) -> Change {
        self.runtime.block_on(self.volumes.changed(within)).unwrap()
    }
}

/// The pod `redis-0`, whose UID is its name, with the claim `data` on `pvc-1`.
pub(crate) fn member() -> ClusterView {
    let claim = PodClaim { claim: "data".to_owned(), read_only: false };
    let (namespace, name) = ("prod".to_owned(), "data".to_owned());
    ClusterView {
        pods: Vec::from([Pod {
            uid: "redis-0".parse().unwrap(),
            namespace: namespace.clone(),
            name: "redis-0".to_owned(),
            ending: false,
            claims: Vec::from([claim]),
        }]),
        persistent_volumes: Vec::from([PersistentVolume {
            name: "pvc-1".to_owned(),
            claim: Some(ClaimName { namespace, name }),
            ebs: None,
            read_only: false,
            zones: Vec::new(),
        }]),
        ..ClusterView::default()
    }
}

/// The mount point of the member's volume; the directory exists.
pub(crate) fn point() -> String {
    created_dir(&format!("{KUBELET}/pods/redis-0/volumes/kubernetes.io~csi/pvc-1/mount"))
}

pub(crate) fn created_dir(directory: &str) -> String {
    fs::create_dir_all(directory).unwrap();
    directory.to_owned()
}

pub(crate) fn tmpfs(source: &str, point: &str, options: &str) {
    let flags = MsFlags::empty();
    mount(Some(source), point, Some("tmpfs"), flags, Some(options)).unwrap();
}

/// Makes the filesystem read-only.
pub(crate) fn freeze(point: &str) {
    mount(NONE, point, NONE, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, NONE).unwrap();
}

/// Fills the filesystem to this percentage. Returns the file with the data.
pub(crate) fn fill(node: &Node, point: &str, percent: u64) -> PathBuf {
    let path = Path::new(point).join("filler");
    let mut file = fs::File::create(&path).unwrap();
    let chunk = vec![7; 64 * 1024];
    loop {
        let bytes = node.space(&node.mount_at(point)).unwrap().bytes;
        if (bytes.total - bytes.free) * 100 >= bytes.total * percent {
            return path;
        }
        std::io::Write::write_all(&mut file, &chunk).unwrap();
        // Written data counts once it is allocated.
        file.sync_all().unwrap();
    }
}

/// Creates empty files until this percentage of all inodes is in use.
pub(crate) fn fill_inodes(node: &Node, point: &str, percent: u64) {
    for n in 0.. {
        let inodes = node.space(&node.mount_at(point)).unwrap().inodes;
        if (inodes.total - inodes.free) * 100 >= inodes.total * percent {
            return;
        }
        for part in 0..10 {
            fs::write(Path::new(point).join(format!("{n}-{part}")), "").unwrap();
        }
    }
}
