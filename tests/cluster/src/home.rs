//! The directory of one cluster: everything that is left of it when its processes are gone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::{Outcome, failed};

/// Under this name our own binary is the VPC in a box.
pub(crate) const VPCBOX: &str = "vpcbox";
/// Longest name of a cluster.
const MAX_NAME: usize = 20;
/// Of the path of a cluster's directory, so that sockets below it can be bound.
const MAX_PATH: usize = 80;

/// Where a cluster keeps its files.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    parent: PathBuf,
    name: String,
}

impl Home {
    pub(crate) fn new(parent: &Path, name: &str) -> Outcome<Self> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let good = name.bytes().all(fits) && !name.is_empty() && name.len() <= MAX_NAME;
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

    /// What begins the names of its cgroups.
    pub(crate) fn cgroups(&self) -> String {
        format!("clusterbox-{}-", self.name)
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
