//! A worker's own cgroup in each hierarchy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use tokio::time::Instant;

use crate::{Outcome, failed};

const ROOT: &str = "/sys/fs/cgroup";
/// How long the kernel may take until the cgroups of killed processes can be removed.
const PATIENCE: Duration = Duration::from_mins(1);

/// The roots of the hierarchies: one per controller (cgroup v1), or a single one (v2).
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").is_file() {
        return vec![root.to_owned()];
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.path()).filter(|dir| dir.join("cgroup.procs").is_file()).collect()
}

/// Creates the cgroup. The kubelet removes what an earlier boot of the worker left in it.
pub(crate) fn make(name: &str) -> Outcome {
    for hierarchy in hierarchies() {
        let own = hierarchy.join(name);
        fs::create_dir_all(&own).map_err(failed(own.display()))?;
        // cgroup v1: a new cpuset has neither CPUs nor memory nodes.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let from = hierarchy.join(file);
            if from.is_file() && own.join(file).is_file() {
                let value = fs::read_to_string(&from).map_err(failed(from.display()))?;
                fs::write(own.join(file), value.trim()).map_err(failed(own.display()))?;
            }
        }
    }
    Ok(())
}

/// Removes all cgroups whose names start with `prefix`.
pub(crate) fn remove(prefix: &str) -> Outcome {
    let end = Instant::now() + PATIENCE;
    for cgroup in with_prefix(prefix) {
        while let Err(error) = prune(&cgroup) {
            if Instant::now() > end {
                return Err(format!("remove {}: {error}", cgroup.display()));
            }
            sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// All cgroups whose names start with `prefix`.
pub(crate) fn with_prefix(prefix: &str) -> Vec<PathBuf> {
    let below = |hierarchy: &PathBuf| fs::read_dir(hierarchy).into_iter().flatten().flatten();
    let all = hierarchies();
    let entries = all.iter().flat_map(below);
    let own = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    own.map(|entry| entry.path()).collect()
}

/// Removes the leaves first: rmdir fails on a cgroup with children. Its files cannot be unlinked.
fn prune(cgroup: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(cgroup) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            prune(&entry.path())?;
        }
    }
    match fs::remove_dir(cgroup) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
