//! The node's files, below a root directory, and what others have in its kernel.
//!
//! Guarantees: nothing is written and no program is run; every file is small and read whole.
//! Caveats: what systemd-networkd says of its links is its private data, so what cannot be
//! understood there is not known rather than guessed.

mod cni;
mod config;
mod kernel;
mod links;
mod networkd;
mod process;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use firecamp_node::preflight::facts::{Fact, NodeFacts};

use firecamp_node::preflight::NodeChecks;
pub use kernel::Node;

/// No file that is read here is nearly as long.
const FILE_MAX: u64 = 256 * 1024;

/// A node's files for real.
#[derive(Debug, Clone)]
pub struct NodeFiles {
    root: PathBuf,
    run_dir: PathBuf,
    in_cluster: bool,
}

impl NodeFiles {
    /// The files below `root`, which is `/` but in tests. `run_dir` is the directory of the
    /// node-local locks, an absolute path. In a cluster this is a container that sees only what is
    /// mounted into it: there a directory that is missing has not been looked into, elsewhere
    /// what it would hold is not there.
    pub fn new(root: &Path, run_dir: &Path, in_cluster: bool) -> Self {
        let (root, run_dir) = (root.to_owned(), run_dir.to_owned());
        Self { root, run_dir, in_cluster }
    }

    /// And what others have in this kernel.
    pub fn with_kernel<K>(self, kernel: K) -> Node<K> {
        Node { files: self, kernel }
    }

    /// An absolute path, below the root.
    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The text of a file, or none if there is no such file.
    fn text(&self, path: &str) -> Result<Option<String>, String> {
        read(&self.at(path)).map_err(|why| format!("read {path}: {why}"))
    }

    /// Sees that what is looked for there could be there at all.
    fn mounted(&self, dirs: &[&str]) -> Result<(), String> {
        let there = dirs.iter().any(|dir| self.at(dir).is_dir());
        if there || !self.in_cluster {
            return Ok(());
        }
        Err(format!("none of {} can be seen: mount them from the host", dirs.join(", ")))
    }

    fn all(&self) -> NodeFacts {
        let (networkd, links) = (self.networkd(), self.links());
        NodeFacts {
            net_admin: self.net_admin().into(),
            run_dir: self.run_dir().into(),
            vpc_cni: self.vpc_cni().into(),
            net_utils: self.net_utils().into(),
            networkd: networkd.into(),
            links: links.into(),
            rules: Fact::NotAsked,
            nat: Fact::NotAsked,
        }
    }
}

impl NodeChecks for NodeFiles {
    /// On a thread of its own: a disk may hang.
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

/// The names in a directory, in their order; none if it is not there.
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
