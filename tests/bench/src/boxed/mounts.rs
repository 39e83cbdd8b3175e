//! Simulated volumes of a node: tmpfs mounts at a kubelet's paths.

use std::fs::create_dir_all;
use std::path::Path;

use firecamp_node::volumes::path::KUBELET;
use nix::mount::{MsFlags, mount};

use crate::failure::Failure;

/// Mounts one file system per volume in the mount namespace of this process.
pub(crate) fn make(volumes: u32) -> Result<(), Failure> {
    // Hides the machine's own directory.
    let above = Path::new(KUBELET).parent().unwrap_or(Path::new("/"));
    tmpfs(above)?;
    for number in 0..volumes {
        let inside = format!("pods/pod-{number}/volumes/kubernetes.io~csi/pv-{number}/mount");
        let point = Path::new(KUBELET).join(inside);
        create_dir_all(&point).map_err(Failure::of(point.display()))?;
        tmpfs(&point)?;
    }
    Ok(())
}

fn tmpfs(point: &Path) -> Result<(), Failure> {
    let (kind, options) = (Some("tmpfs"), Some("size=1m,mode=0755"));
    mount(kind, point, kind, MsFlags::MS_NOSUID | MsFlags::MS_NODEV, options)
        .map_err(Failure::of(point.display()))
}
