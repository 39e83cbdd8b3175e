//! The directory of one cluster. It remains when the cluster's processes are gone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::topology::Layout;
use crate::{Outcome, failed};

/// Under this name our own binary runs the VPC in a box.
pub(crate) const VPCBOX: &str = "vpcbox";
/// These files exist with the layout of that name.
const ZONES: &str = "zones";
const PTP: &str = "ptp";
const VPC_CNI: &str = "vpc-cni";
/// Maximum length of a cluster's name.
const MAX_NAME: usize = 20;
/// Maximum length of a cluster's directory: the paths of sockets in it are limited to 107 bytes.
const MAX_PATH: usize = 80;

/// Whether the byte is valid in a cluster's name.
fn is_valid_in_name(byte: u8) -> bool {
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
        let good = name.bytes().all(is_valid_in_name) && !name.is_empty() && name.len() <= MAX_NAME;
        if !good || name.starts_with('-') {
            return Err(format!(
                "invalid cluster name {name:?}: use 1 to {MAX_NAME} of a-z, 0-9 and -, not - first"
            ));
        }
        let parent = std::path::absolute(parent).map_err(failed(parent.display()))?;
        let home = Self { parent, name: name.to_owned() };
        if home.dir().as_os_str().len() > MAX_PATH {
            let dir = home.dir();
            return Err(format!(
                "path {} is too long for sockets: use a shorter --dir",
                dir.display()
            ));
        }
        Ok(home)
    }

    /// Another cluster in the same parent directory.
    pub(crate) fn sibling(&self, name: &str) -> Outcome<Self> {
        let fits = self.name.len().min(MAX_NAME - 1 - name.len());
        Self::new(&self.parent, &format!("{}-{name}", self.name.get(..fits).unwrap_or_default()))
    }

    /// How its workers are connected.
    pub(crate) fn layout(&self) -> Layout {
        if self.path(ZONES).exists() {
            Layout::Zones
        } else if self.path(PTP).exists() {
            Layout::Ptp
        } else if self.path(VPC_CNI).exists() {
            Layout::VpcCni
        } else {
            Layout::OneSubnet
        }
    }

    /// Sets the layout, before the cluster starts.
    pub(crate) fn set_layout(&self, layout: Layout) -> Outcome {
        let mark = match layout {
            Layout::OneSubnet => return Ok(()),
            Layout::Zones => self.path(ZONES),
            Layout::Ptp => self.path(PTP),
            Layout::VpcCni => self.path(VPC_CNI),
        };
        fs::write(&mark, "").map_err(failed(mark.display()))
    }

    /// All clusters that have a directory here, running or not.
    pub(crate) fn all(parent: &Path) -> Vec<Self> {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| Self::new(parent, &name).ok()).collect()
    }

    /// The flags that select this cluster on our command line.
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

    /// Directory of the control plane: keys, kubeconfigs and logs.
    pub(crate) fn control(&self) -> PathBuf {
        self.path("control")
    }

    /// The disk of a worker: it survives reboots.
    pub(crate) fn worker(&self, name: &str) -> PathBuf {
        self.path("nodes").join(name)
    }

    /// The socket of a worker's init process.
    pub(crate) fn init_socket(&self, name: &str) -> PathBuf {
        self.worker(name).join("door")
    }

    /// The supervisor's socket.
    pub(crate) fn orders(&self) -> PathBuf {
        self.path("orders")
    }

    /// Prefix of its cgroups' names. A cluster's name contains no dot, so that the prefix of `a`
    /// does not match cgroups of `a-b`.
    pub(crate) fn cgroups(&self) -> String {
        format!("clusterbox.{}.", self.name)
    }

    /// Whether a text contains its directory or a path in it. `/clusters/ab` does not match `a`.
    pub(crate) fn is_named_in(&self, text: &str) -> bool {
        let dir = self.dir().display().to_string();
        text.match_indices(&dir).any(|(at, _dir)| {
            let rest = text.as_bytes().get(at + dir.len()..).unwrap_or_default();
            !rest.first().is_some_and(|byte| is_valid_in_name(*byte))
        })
    }

    /// Our own binary under the name of the VPC in a box.
    pub(crate) fn vpcbox(&self) -> PathBuf {
        self.path(VPCBOX)
    }

    /// Creates the directory, with only a link to our own binary in it.
    pub(crate) fn create(&self) -> Outcome {
        let dir = self.dir();
        let context = || failed::<std::io::Error>(format!("create {}", dir.display()));
        fs::create_dir_all(self.control()).map_err(context())?;
        let own_binary = std::env::current_exe().map_err(context())?;
        symlink(own_binary, self.vpcbox()).map_err(context())
    }

    pub(crate) fn remove(&self) -> Outcome {
        let dir = self.dir();
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("remove {}: {error}", dir.display()))
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
    fn cgroup_prefix_of_one_cluster_never_matches_another() {
        let names = ["a", "a-b", "a-node-a", "b-a", "ab"];
        for one in names {
            let group = format!("/{}node-a/kubepods", home(one).cgroups());
            for other in names {
                assert_eq!(group.contains(&home(other).cgroups()), one == other, "{one}, {other}");
            }
        }
    }

    #[test]
    fn invalid_cluster_names_are_rejected() {
        for bad in ["a.b", "a/b", "", "-a", "A", "a_b"] {
            assert!(Home::new(Path::new("/clusters"), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cluster_does_not_match_paths_of_a_longer_name() {
        let e2e = home("e2e");
        for text in ["/clusters/e2e", "--config=/clusters/e2e/nodes/a\0-v", "/clusters/e2e\0 x"] {
            assert!(e2e.is_named_in(text), "{text}");
        }
        for text in ["/clusters/e2e-2/nodes", "/clusters/e2e2", "/clusters", ""] {
            assert!(!e2e.is_named_in(text), "{text}");
        }
        assert!(e2e.is_named_in("/clusters/e2e-2 and /clusters/e2e/x"));
    }
}
