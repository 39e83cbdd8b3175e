//! Checks whether a directory is on a separate mount or in the container's writable layer.

use std::path::{Path, PathBuf};

use procfs::process::{MountInfos, Process};
use thiserror::Error;

/// The directory of the static-IP file is not on the member's data volume.
#[derive(Debug, Error)]
pub enum NotMounted {
    /// The directory is on the root file system.
    #[error(
        "failed to write the static-IP file: {path:?} is not on a separate mount, so the file \
         would be lost with the container; mount the data volume there, or set \
         --require-mount=false"
    )]
    Root {
        /// The directory.
        path: PathBuf,
    },
    /// The mounts could not be read.
    #[error("failed to read the mounts of this process")]
    Unreadable(#[source] procfs::ProcError),
}

/// Checks that `directory`, which need not exist yet, is below a mount other than `/`.
pub fn require_own_mount(directory: &Path) -> Result<(), NotMounted> {
    let mounts =
        Process::myself().and_then(|myself| myself.mountinfo()).map_err(NotMounted::Unreadable)?;
    let real = existing_ancestor(directory);
    if mount_of(&real, &mounts).is_some_and(|mount| mount != Path::new("/")) {
        Ok(())
    } else {
        Err(NotMounted::Root { path: directory.to_owned() })
    }
}

/// The nearest existing ancestor of the directory, without symbolic links.
fn existing_ancestor(directory: &Path) -> PathBuf {
    let mut ancestors = directory.ancestors();
    ancestors.find_map(|path| path.canonicalize().ok()).unwrap_or_else(|| directory.to_owned())
}

fn mount_of<'a>(path: &Path, mounts: &'a MountInfos) -> Option<&'a Path> {
    let points = mounts.iter().map(|mount| mount.mount_point.as_path());
    points.filter(|point| path.starts_with(point)).max_by_key(|point| point.components().count())
}

#[cfg(test)]
mod tests {
    use procfs::FromRead;

    use super::*;

    fn mount(path: &str, points: &[&str]) -> Option<PathBuf> {
        let lines: Vec<String> = points
            .iter()
            .map(|point| format!("700 600 0:50 / {point} rw - ext4 /dev/x rw\n"))
            .collect();
        let mounts = MountInfos::from_read(lines.concat().as_bytes()).unwrap();
        mount_of(Path::new(path), &mounts).map(Path::to_owned)
    }

    #[test]
    fn the_deepest_mount_above_a_path_is_its_mount() {
        let points = ["/", "/data", "/data/conf", "/database"];
        assert_eq!(mount("/data/conf", &points), Some("/data/conf".into()));
        assert_eq!(mount("/data/other", &points), Some("/data".into()));
        assert_eq!(mount("/datum", &points), Some("/".into()));
    }

    #[test]
    fn a_missing_directory_is_checked_by_its_parent() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("conf/deep");
        assert_eq!(existing_ancestor(&missing), directory.path().canonicalize().unwrap());
    }

    #[test]
    fn proc_is_a_separate_mount_and_the_root_is_not() {
        require_own_mount(Path::new("/proc/self")).unwrap();
        let refused = require_own_mount(Path::new("/no-such-firecamp-directory/conf")).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("/no-such-firecamp-directory/conf"), "{text}");
        assert!(text.contains("--require-mount=false"), "{text}");
    }
}
