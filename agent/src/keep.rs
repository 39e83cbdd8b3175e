//! What the agent keeps on the node: its last snapshot, and the lock that makes it the only one.
//!
//! Both are on the tmpfs of the node-local locks. A snapshot is of use only together with those,
//! and dies with them when the node boots.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use firecamp_core::agent::Snapshot;
use firecamp_core::contract::path;
use firecamp_host::own_directory;

/// The agent's files. The lock is held for as long as this lives.
#[derive(Debug)]
pub(crate) struct Keep {
    snapshot: PathBuf,
    written: String,
    _only: File,
}

impl Keep {
    /// Takes the lock: another agent on this node is an error.
    pub(crate) fn open(run_dir: &Path) -> Result<Self, String> {
        let lock = run_dir.join(path::AGENT_LOCK);
        let failed =
            |what: &str, why: &dyn std::fmt::Display| format!("{what} {}: {why}", lock.display());
        own_directory(run_dir).map_err(|why| why.detail)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let only = options.open(&lock).map_err(|why| failed("open", &why))?;
        only.try_lock().map_err(|why| match why {
            TryLockError::WouldBlock => failed("lock", &"another agent runs on this node"),
            TryLockError::Error(why) => failed("lock", &why),
        })?;
        let snapshot = run_dir.join(path::SNAPSHOT);
        Ok(Self { snapshot, written: String::new(), _only: only })
    }

    /// The last snapshot, if there is one that can be read.
    pub(crate) fn last(&self) -> Option<Snapshot> {
        let text = match std::fs::read_to_string(&self.snapshot) {
            Ok(text) => text,
            Err(why) => {
                tracing::info!(file = %self.snapshot.display(), reason = %why, "No snapshot");
                return None;
            }
        };
        Snapshot::decode(&text)
            .inspect_err(|why| tracing::warn!(error = %why, "The snapshot is not used"))
            .ok()
    }

    /// Writes it unless it says the same already.
    pub(crate) fn write(&mut self, snapshot: &Snapshot) {
        let text = snapshot.encode();
        if text == self.written {
            return;
        }
        match replace(&self.snapshot, &text) {
            Ok(()) => self.written = text,
            Err(why) => {
                tracing::warn!(file = %self.snapshot.display(), error = %why,
                    "The snapshot cannot be written");
            }
        }
    }
}

/// In one step: who reads it finds the old text or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let staged = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&staged)?.write_all(text.as_bytes())?;
    std::fs::rename(&staged, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(node: &str) -> Snapshot {
        Snapshot { node: node.parse().unwrap(), enis: vec![], records: vec![] }
    }

    #[test]
    fn f033_a_snapshot_outlives_its_agent_and_a_damaged_one_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("firecamp");
        let mut first = Keep::open(&run).unwrap();
        assert_eq!(first.last(), None);
        first.write(&snapshot("node-1"));
        drop(first);
        let second = Keep::open(&run).unwrap();
        assert_eq!(second.last(), Some(snapshot("node-1")));
        std::fs::write(run.join(path::SNAPSHOT), "firecamp-agent-snapshot 1\nnode x").unwrap();
        assert_eq!(second.last(), None);
    }

    #[test]
    fn f040_a_second_agent_on_the_node_is_refused_while_the_first_lives() {
        let dir = tempfile::tempdir().unwrap();
        let first = Keep::open(dir.path()).unwrap();
        let why = Keep::open(dir.path()).unwrap_err();
        assert!(why.contains("another agent runs on this node"), "{why}");
        drop(first);
        assert!(Keep::open(dir.path()).is_ok());
    }
}
