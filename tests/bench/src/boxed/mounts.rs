//! Volumes of a node, as far as a box can have them: mounts where a kubelet would have made them.

use std::fs::create_dir_all;
use std::path::Path;

use firecamp_node::volumes::path::KUBELET;
use nix::mount::{MsFlags, mount};

use crate::failure::Failure;

/// In the mount namespace of this process: a filesystem of its own for each of so many members.
pub(crate) fn make(volumes: u32) -> Result<(), Failure> {
    // Nothing of the machine's own directory is touched.
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
