//! Reads the facts for the preflight: files of the node below a root directory, and foreign objects
//! in its kernel.
//!
//! Guarantees: it writes nothing and runs no program; every file is small. Caveats: the link state
//! of systemd-networkd is private data, so unparsable content counts as unknown.

mod foreign_kernel_objects;
mod links;
mod network_manager;
mod networkd;
mod other_network_software;
mod privileges;
mod systemd_config;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use firecamp_node::preflight::facts::{Fact, NodeFacts};

use firecamp_node::preflight::NodeChecks;
pub use foreign_kernel_objects::Node;

/// Maximum number of bytes to read; all these files are much smaller.
const FILE_MAX: u64 = 256 * 1024;

/// The files of a node.
#[derive(Debug, Clone)]
pub struct NodeFiles {
    root: PathBuf,
    run_dir: PathBuf,
    in_cluster: bool,
}

impl NodeFiles {
    /// The files below `root`, which is `/` except in tests. `run_dir` is the absolute path of the
    /// run directory. In a cluster this process is a container that sees only mounted directories:
    /// there the content of a missing directory is unknown, elsewhere it is absent.
    pub fn new(root: &Path, run_dir: &Path, in_cluster: bool) -> Self {
        let (root, run_dir) = (root.to_owned(), run_dir.to_owned());
        Self { root, run_dir, in_cluster }
    }

    /// Adds the foreign objects in this kernel.
    pub fn with_kernel<K>(self, kernel: K) -> Node<K> {
        Node { files: self, kernel }
    }

    /// An absolute path below the root.
    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The text of a file; none if it does not exist.
    fn text(&self, path: &str) -> Result<Option<String>, String> {
        read(&self.at(path)).map_err(|why| format!("failed to read {path}: {why}"))
    }

    /// Fails if none of the directories is mounted in this container.
    fn mounted(&self, dirs: &[&str]) -> Result<(), String> {
        let there = dirs.iter().any(|dir| self.at(dir).is_dir());
        if there || !self.in_cluster {
            return Ok(());
        }
        Err(format!("none of {} is visible; mount them from the host", dirs.join(", ")))
    }

    fn all(&self) -> NodeFacts {
        let (networkd, links) = (self.networkd(), self.links());
        NodeFacts {
            net_admin: self.net_admin().into(),
            run_dir: self.run_dir().into(),
            cni: self.cni().into(),
            net_utils: self.net_utils().into(),
            networkd: networkd.into(),
            network_manager: self.network_manager().into(),
            links: links.into(),
            rules: Fact::NotChecked,
            nat: Fact::NotChecked,
        }
    }
}

impl NodeChecks for NodeFiles {
    /// Runs on its own thread, because a disk may hang.
    async fn facts(&self) -> NodeFacts {
        let files = self.clone();
        let read = tokio::task::spawn_blocking(move || files.all()).await;
        read.unwrap_or_else(|why| NodeFacts::unread(&format!("read the node's files: {why}")))
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let absent = |kind| matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(why) if absent(why.kind()) => return Ok(None),
        Err(why) => return Err(why),
    };
    let mut text = String::new();
    file.take(FILE_MAX).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// The sorted names in a directory; none if it does not exist.
fn names(path: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(why),
    };
    let name = |entry: io::Result<std::fs::DirEntry>| {
        entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
    };
    let mut names = entries.map(name).collect::<io::Result<Vec<String>>>()?;
    names.sort();
    Ok(names)
}

#[cfg(test)]
#[path = "preflight/tests.rs"]
mod tests;
