//! The directory of one cluster: everything that is left of it when its processes are gone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::topology::Layout;
use crate::{Outcome, failed};

/// Under this name our own binary is the VPC in a box.
pub(crate) const VPCBOX: &str = "vpcbox";
/// There if each worker is in a zone of its own.
const ZONES: &str = "zones";
/// Longest name of a cluster.
const MAX_NAME: usize = 20;
/// Of the path of a cluster's directory, so that sockets below it can be bound.
const MAX_PATH: usize = 80;

/// Whether a cluster's name may have it.
fn in_names(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// Where a cluster keeps its files.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    parent: PathBuf,
    name: String,
}

impl Home {
    pub(crate) fn new(parent: &Path, name: &str) -> Outcome<Self> {
        let good = name.bytes().all(in_names) && !name.is_empty() && name.len() <= MAX_NAME;
        if !good || name.starts_with('-') {
            return Err(format!(
                "{name:?} is no name of a cluster: 1 to {MAX_NAME} of a to z, 0 to 9 and -"
            ));
        }
        let parent = std::path::absolute(parent).map_err(failed(parent.display()))?;
        let home = Self { parent, name: name.to_owned() };
        if home.dir().as_os_str().len() > MAX_PATH {
            let dir = home.dir();
            return Err(format!("{} is too long a path for sockets: --dir", dir.display()));
        }
        Ok(home)
    }

    /// Another one in the same directory.
    pub(crate) fn beside(&self, name: &str) -> Outcome<Self> {
        let fits = self.name.len().min(MAX_NAME - 1 - name.len());
        Self::new(&self.parent, &format!("{}-{name}", self.name.get(..fits).unwrap_or_default()))
    }

    /// How its workers are spread.
    pub(crate) fn layout(&self) -> Layout {
        if self.path(ZONES).exists() { Layout::Zones } else { Layout::OneSubnet }
    }

    /// Decides how its workers are spread, before it is started.
    pub(crate) fn lay_out(&self, layout: Layout) -> Outcome {
        let mark = self.path(ZONES);
        match layout {
            Layout::OneSubnet => Ok(()),
            Layout::Zones => fs::write(&mark, "").map_err(failed(mark.display())),
        }
    }

    /// The clusters that left something in this directory.
    pub(crate) fn all(parent: &Path) -> Vec<Self> {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| Self::new(parent, &name).ok()).collect()
    }

    /// The flags by which another process of ours finds it.
    pub(crate) fn flags(&self) -> Vec<String> {
        let parent = self.parent.display().to_string();
        ["--dir", &parent, "--name", &self.name].map(str::to_owned).to_vec()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Keys, kubeconfigs and logs of the control plane.
    pub(crate) fn control(&self) -> PathBuf {
        self.path("control")
    }

    /// What a worker has on its disk.
    pub(crate) fn worker(&self, name: &str) -> PathBuf {
        self.path("nodes").join(name)
    }

    /// The socket of a worker's first process.
    pub(crate) fn door(&self, name: &str) -> PathBuf {
        self.worker(name).join("door")
    }

    /// The socket that takes orders about the control plane.
    pub(crate) fn orders(&self) -> PathBuf {
        self.path("orders")
    }

    /// What begins the names of its cgroups. The dots are in no cluster's name, so that those of
    /// a cluster `a` are not taken for `a-b`'s.
    pub(crate) fn cgroups(&self) -> String {
        format!("clusterbox.{}.", self.name)
    }

    /// Whether a text names its directory or something in it, and not a longer name's.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let dir = self.dir().display().to_string();
        text.match_indices(&dir).any(|(at, _dir)| {
            let rest = text.as_bytes().get(at + dir.len()..).unwrap_or_default();
            !rest.first().is_some_and(|byte| in_names(*byte))
        })
    }

    /// Our own binary as the VPC in a box.
    pub(crate) fn vpcbox(&self) -> PathBuf {
        self.path(VPCBOX)
    }

    /// Makes it, empty but for our own binary.
    pub(crate) fn create(&self) -> Outcome {
        let dir = self.dir();
        let wrong = || failed::<std::io::Error>(format!("make {}", dir.display()));
        fs::create_dir_all(self.control()).map_err(wrong())?;
        let ourselves = std::env::current_exe().map_err(wrong())?;
        symlink(ourselves, self.vpcbox()).map_err(wrong())
    }

    pub(crate) fn remove(&self) -> Outcome {
        let dir = self.dir();
        match fs::remove_dir_all(&dir) {
            Err(wrong) if wrong.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("remove {}: {wrong}", dir.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(name: &str) -> Home {
        Home::new(Path::new("/clusters"), name).unwrap()
    }

    #[test]
    fn no_clusters_cgroups_are_taken_for_another_ones() {
        let names = ["a", "a-b", "a-node-a", "b-a", "ab"];
        for one in names {
            let group = format!("/{}node-a/kubepods", home(one).cgroups());
            for other in names {
                assert_eq!(group.contains(&home(other).cgroups()), one == other, "{one}, {other}");
            }
        }
    }

    #[test]
    fn a_name_has_nothing_that_ends_it_in_the_name_of_a_cgroup() {
        for bad in ["a.b", "a/b", "", "-a", "A", "a_b"] {
            assert!(Home::new(Path::new("/clusters"), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_directory_is_not_found_in_that_of_a_longer_name() {
        let e2e = home("e2e");
        for text in ["/clusters/e2e", "--config=/clusters/e2e/nodes/a\0-v", "/clusters/e2e\0 x"] {
            assert!(e2e.is_in(text), "{text}");
        }
        for text in ["/clusters/e2e-2/nodes", "/clusters/e2e2", "/clusters", ""] {
            assert!(!e2e.is_in(text), "{text}");
        }
        assert!(e2e.is_in("/clusters/e2e-2 and /clusters/e2e/x"));
    }
}
