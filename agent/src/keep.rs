//! What the agent keeps on the node: its last snapshot, the ENIs that it bars, which versions it
//! works with, and the lock that makes it the only one.
//!
//! All are on the tmpfs of the node-local locks. A snapshot is of use only together with those,
//! and dies with them when the node boots.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firecamp_core::agent::Snapshot;
use firecamp_core::contract::path;
use firecamp_core::failure::HostFailure;
use firecamp_host::{Barred, BarredFile, own_directory, replace};
use firecamp_node::preflight::{Manager, Verdict};
use firecamp_run::protocol;
use thiserror::Error;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often the lock of another agent is tried.
const AGAIN: Duration = Duration::from_millis(200);

/// The agent's files. The lock is held for as long as this lives.
#[derive(Debug)]
pub(crate) struct Keep {
    snapshot: PathBuf,
    /// The one that is in the file.
    written: Option<Snapshot>,
    barred_file: BarredFile,
    barred: Option<Barred>,
    _only: File,
}

/// Why the lock is not ours.
#[derive(Debug, Error)]
pub(crate) enum NoKeep {
    /// It is held.
    #[error("lock {}: another agent runs on this node", .0.display())]
    Taken(PathBuf),
    /// The directory or the file cannot be used.
    #[error("{0}")]
    Broken(String),
}

impl Keep {
    /// Takes the lock as soon as nobody else on this node has it. None if the end comes first.
    pub(crate) async fn wait(
        run_dir: &Path,
        end: &CancellationToken,
    ) -> Result<Option<Self>, String> {
        let mut told = false;
        loop {
            match Self::open(run_dir) {
                Ok(keep) => return Ok(Some(keep)),
                Err(why @ NoKeep::Broken(_)) => return Err(why.to_string()),
                Err(why @ NoKeep::Taken(_)) if !told => {
                    told = true;
                    tracing::warn!(reason = %why, "Waiting for the end of another agent");
                }
                Err(NoKeep::Taken(_)) => {}
            }
            tokio::select! {
                () = end.cancelled() => return Ok(None),
                () = sleep(AGAIN) => {}
            }
        }
    }

    /// Takes the lock, and says to the other containers which versions they must have.
    pub(crate) fn open(run_dir: &Path) -> Result<Self, NoKeep> {
        let lock = run_dir.join(path::AGENT_LOCK);
        let failed = |what: &str, why: std::io::Error| {
            NoKeep::Broken(format!("{what} {}: {why}", lock.display()))
        };
        own_directory(run_dir).map_err(|why| NoKeep::Broken(why.detail))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let only = options.open(&lock).map_err(|why| failed("open", why))?;
        only.try_lock().map_err(|why| match why {
            TryLockError::WouldBlock => NoKeep::Taken(lock.clone()),
            TryLockError::Error(why) => failed("lock", why),
        })?;
        let said = run_dir.join(path::AGENT_PROTOCOL);
        replace(&said, &protocol::said())
            .map_err(|why| NoKeep::Broken(format!("write {}: {why}", said.display())))?;
        let snapshot = run_dir.join(path::SNAPSHOT);
        let barred_file = BarredFile::new(run_dir);
        Ok(Self { snapshot, written: None, barred_file, barred: None, _only: only })
    }

    /// Tells the init containers of this node which ENIs are barred, if that has changed. A verdict
    /// that is not known yet leaves what an earlier agent said of its ENI.
    pub(crate) fn bar(&mut self, verdicts: &[Verdict]) {
        let file = &self.barred_file;
        let before = self.barred.get_or_insert_with(|| {
            let unread =
                |why: &HostFailure| tracing::warn!(error = %why, "Barred ENIs are not read");
            file.read().inspect_err(unread).unwrap_or_default()
        });
        let now = barred(before, verdicts);
        if now == *before {
            return;
        }
        match file.write(&now) {
            Ok(()) => *before = now,
            Err(why) => tracing::warn!(error = %why, "Barred ENIs cannot be told"),
        }
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
    pub(crate) fn write(&mut self, snapshot: Snapshot) {
        if self.written.as_ref() == Some(&snapshot) {
            return;
        }
        match replace(&self.snapshot, &snapshot.encode()) {
            Ok(()) => self.written = Some(snapshot),
            Err(why) => {
                tracing::warn!(file = %self.snapshot.display(), error = %why,
                    "The snapshot cannot be written");
            }
        }
    }
}

fn barred(before: &Barred, verdicts: &[Verdict]) -> Barred {
    let bars = |verdict: &Verdict| match verdict.manager {
        Manager::FireCamp => None,
        Manager::VpcCni | Manager::Other => Some(verdict.why.clone()),
        Manager::Unknown => before.get(&verdict.eni).cloned(),
    };
    verdicts.iter().filter_map(|one| Some((one.eni.clone(), bars(one)?))).collect()
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
        first.write(snapshot("node-1"));
        drop(first);
        let second = Keep::open(&run).unwrap();
        assert_eq!(second.last(), Some(snapshot("node-1")));
        std::fs::write(run.join(path::SNAPSHOT), "firecamp-agent-snapshot 1\nnode x").unwrap();
        assert_eq!(second.last(), None);
    }

    #[test]
    fn a_snapshot_is_written_when_it_changes_and_only_then() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let mut keep = Keep::open(dir.path()).unwrap();
        // Each is a new file, put in the place of the last one.
        let file = || std::fs::metadata(dir.path().join(path::SNAPSHOT)).unwrap().ino();
        keep.write(snapshot("node-1"));
        let first = file();
        let _held = File::open(dir.path().join(path::SNAPSHOT)).unwrap();
        keep.write(snapshot("node-1"));
        assert_eq!(file(), first);
        keep.write(snapshot("node-2"));
        assert_ne!(file(), first);
        assert_eq!(keep.last(), Some(snapshot("node-2")));
    }

    fn verdict(manager: Manager) -> Verdict {
        Verdict {
            eni: "eni-0000000a".parse().unwrap(),
            device_index: 1,
            subnet: "subnet-0000000a".parse().unwrap(),
            manager,
            why: "so it is".to_owned(),
        }
    }

    #[test]
    fn f057_an_eni_stays_barred_through_a_restart_until_it_is_known_to_be_ours() {
        let dir = tempfile::tempdir().unwrap();
        let told = || BarredFile::new(dir.path()).read().unwrap().into_values().collect::<Vec<_>>();
        let mut keep = Keep::open(dir.path()).unwrap();
        keep.bar(&[verdict(Manager::Unknown)]);
        assert_eq!(told(), Vec::<String>::new(), "nobody has said anything");
        for manager in [Manager::VpcCni, Manager::Other] {
            keep.bar(&[verdict(Manager::FireCamp)]);
            keep.bar(&[verdict(manager)]);
            assert_eq!(told(), ["so it is"]);
        }
        drop(keep);
        let mut keep = Keep::open(dir.path()).unwrap();
        keep.bar(&[verdict(Manager::Unknown)]);
        assert_eq!(told(), ["so it is"]);
        keep.bar(&[verdict(Manager::FireCamp)]);
        assert_eq!(told(), Vec::<String>::new());
        keep.bar(&[verdict(Manager::VpcCni)]);
        keep.bar(&[]);
        assert_eq!(told(), Vec::<String>::new(), "it was detached");
    }

    #[test]
    fn f097_an_agent_says_which_versions_it_works_with_as_soon_as_it_is_the_only_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(path::AGENT_PROTOCOL);
        let said = || std::fs::read_to_string(&file).unwrap();
        let first = Keep::open(dir.path()).unwrap();
        assert_eq!(said(), protocol::said());
        std::fs::write(&file, "an agent of another version").unwrap();
        assert!(Keep::open(dir.path()).is_err());
        assert_eq!(said(), "an agent of another version", "the one that runs is asked");
        drop(first);
        let _second = Keep::open(dir.path()).unwrap();
        assert_eq!(said(), protocol::said());
    }

    #[tokio::test(start_paused = true)]
    async fn f040_a_second_agent_on_the_node_waits_while_the_first_lives() {
        let dir = tempfile::tempdir().unwrap();
        let (first, end) = (Keep::open(dir.path()).unwrap(), CancellationToken::new());
        let why = Keep::open(dir.path()).unwrap_err().to_string();
        assert!(why.contains("another agent runs on this node"), "{why}");
        let mut second = Box::pin(Keep::wait(dir.path(), &end));
        let hour = Duration::from_hours(1);
        assert!(tokio::time::timeout(hour, &mut second).await.is_err(), "it waits");
        drop(first);
        assert!(second.await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_another_agent_can_be_ended() {
        let dir = tempfile::tempdir().unwrap();
        let (_first, end) = (Keep::open(dir.path()).unwrap(), CancellationToken::new());
        end.cancel();
        assert!(Keep::wait(dir.path(), &end).await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_cannot_be_used_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        drop(Keep::open(dir.path()).unwrap());
        let lock = dir.path().join(path::AGENT_LOCK);
        std::fs::remove_file(&lock).unwrap();
        std::fs::create_dir(&lock).unwrap();
        let end = CancellationToken::new();
        let why = Keep::wait(dir.path(), &end).await.unwrap_err();
        assert!(why.starts_with("open "), "{why}");
    }
}
