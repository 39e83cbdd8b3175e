//! A worker's own branch of each cgroup hierarchy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use tokio::time::Instant;

use crate::{Outcome, failed};

const ROOT: &str = "/sys/fs/cgroup";
/// So long the kernel may take to be done with what was killed.
const PATIENCE: Duration = Duration::from_mins(1);

/// The roots of the hierarchies: one for each controller, or the only one there is.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").is_file() {
        return vec![root.to_owned()];
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.path()).filter(|dir| dir.join("cgroup.procs").is_file()).collect()
}

/// Makes the branch; what an earlier boot of the worker left in it is the kubelet's to remove.
pub(crate) fn make(name: &str) -> Outcome {
    for hierarchy in hierarchies() {
        let own = hierarchy.join(name);
        fs::create_dir_all(&own).map_err(failed(own.display()))?;
        // Of the first version: a new branch has neither processors nor memory.
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

/// Removes all branches whose names begin so.
pub(crate) fn remove(prefix: &str) -> Outcome {
    let end = Instant::now() + PATIENCE;
    for branch in branches(prefix) {
        while let Err(wrong) = prune(&branch) {
            if Instant::now() > end {
                return Err(format!("remove {}: {wrong}", branch.display()));
            }
            sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// What is there whose name begins so.
pub(crate) fn branches(prefix: &str) -> Vec<PathBuf> {
    let below = |hierarchy: &PathBuf| fs::read_dir(hierarchy).into_iter().flatten().flatten();
    let all = hierarchies();
    let entries = all.iter().flat_map(below);
    let own = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    own.map(|entry| entry.path()).collect()
}

/// The leaves first: a cgroup with children cannot be removed, and its files never.
fn prune(branch: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(branch) {
        Err(wrong) if wrong.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            prune(&entry.path())?;
        }
    }
    match fs::remove_dir(branch) {
        Err(wrong) if wrong.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
