//! The agent's files in the run directory: its last snapshot, the excluded and usable ENIs, the UID
//! of the cluster, the protocol versions that it works with, and the lock that allows one agent per
//! node.
//!
//! All are on the tmpfs of the node-local locks. A snapshot is useful only together with the locks,
//! and a reboot deletes both.

use std::fs::File;
use std::path::{Path, PathBuf};

use firecamp_core::agent::Snapshot;
use firecamp_core::contract::path;
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::Uid;
use firecamp_host::{EniList, EniListFile, replace};
use firecamp_node::preflight::{Manager, Verdict};
use firecamp_run::agent_compatibility;
use tokio_util::sync::CancellationToken;

use crate::agent_lock::{self, AgentLockError};

/// The agent's files. Holds the lock until it is dropped.
#[derive(Debug)]
pub(crate) struct AgentFiles {
    snapshot: PathBuf,
    /// The content of the snapshot file.
    written: Option<Snapshot>,
    excluded: KeptList,
    usable: KeptList,
    avoided_file: EniListFile,
    cluster_uid_file: PathBuf,
    cluster_uid: Option<Uid>,
    _lock: File,
}

impl AgentFiles {
    /// Waits for the lock and takes it. None if `end` is cancelled first.
    pub(crate) async fn wait(
        run_dir: &Path,
        end: &CancellationToken,
    ) -> Result<Option<Self>, String> {
        agent_lock::wait(|| Self::open(run_dir), end).await
    }

    /// Takes the lock, and publishes the protocol versions for the init and stop containers.
    pub(crate) fn open(run_dir: &Path) -> Result<Self, AgentLockError> {
        let lock = agent_lock::take(run_dir)?;
        let versions = run_dir.join(path::AGENT_PROTOCOL);
        replace(&versions, &agent_compatibility::agent_file()).map_err(|why| {
            AgentLockError::Broken(format!("failed to write {}: {why}", versions.display()))
        })?;
        let snapshot = run_dir.join(path::SNAPSHOT);
        let avoided_file = EniListFile::avoided(run_dir);
        let mut files = Self {
            snapshot,
            written: None,
            excluded: KeptList::of(EniListFile::excluded(run_dir)),
            usable: KeptList::of(EniListFile::usable(run_dir)),
            avoided_file,
            cluster_uid_file: run_dir.join(path::CLUSTER_UID),
            cluster_uid: None,
            _lock: lock,
        };
        // An earlier agent's list may be wrong by now, and an empty one forbids nothing.
        files.avoid(&EniList::new());
        Ok(files)
    }

    /// Writes the ENIs that members of this node get only if there is no other.
    pub(crate) fn avoid(&mut self, avoided: &EniList) {
        if let Err(why) = self.avoided_file.write(avoided) {
            tracing::warn!(error = %why, "failed to write avoided ENIs");
        }
    }

    /// Writes the UID of this cluster, if it has changed.
    pub(crate) fn identify_cluster(&mut self, uid: &Uid) {
        if self.cluster_uid.as_ref() == Some(uid) {
            return;
        }
        match replace(&self.cluster_uid_file, uid.as_str()) {
            Ok(()) => self.cluster_uid = Some(uid.clone()),
            Err(why) => tracing::warn!(error = %why, "failed to write the UID of the cluster"),
        }
    }

    /// Writes the excluded ENIs for the init containers of this node, if they have changed. An
    /// unknown verdict keeps the entry of an earlier agent, and so does a verdict that is not yet
    /// based on everything (`complete`).
    pub(crate) fn exclude(&mut self, verdicts: &[Verdict], complete: bool) {
        let before = self.excluded.last().unwrap_or_default();
        let mut now = excluded(&before, verdicts);
        if !complete {
            let kept = before.into_iter().filter(|(eni, _)| !now.contains_key(eni));
            let kept: EniList = kept.collect();
            now.extend(kept);
        }
        self.excluded.replace(Some(now));
    }

    /// Beside the VPC CNI, writes the ENIs that init containers of this node may use; any other may
    /// be one that the plugin has just attached. An unknown verdict keeps the entry of an earlier
    /// one. Elsewhere there is no such list.
    pub(crate) fn allow(&mut self, verdicts: &[Verdict], vpc_cni: Option<bool>) {
        let before = self.usable.last().unwrap_or_default();
        let now = match vpc_cni {
            Some(true) if verdicts.is_empty() => Some(before),
            Some(true) => Some(usable(&before, verdicts)),
            Some(false) => None,
            None => return,
        };
        self.usable.replace(now);
    }

    /// The last snapshot, if it exists and is valid.
    pub(crate) fn last_snapshot(&self) -> Option<Snapshot> {
        let text = match std::fs::read_to_string(&self.snapshot) {
            Ok(text) => text,
            Err(why) => {
                tracing::info!(file = %self.snapshot.display(), reason = %why, "no snapshot");
                return None;
            }
        };
        Snapshot::decode(&text)
            .inspect_err(|why| tracing::warn!(error = %why, "snapshot ignored"))
            .ok()
    }

    /// Writes the snapshot if it has changed.
    pub(crate) fn write(&mut self, snapshot: Snapshot) {
        if self.written.as_ref() == Some(&snapshot) {
            return;
        }
        match replace(&self.snapshot, &snapshot.encode()) {
            Ok(()) => self.written = Some(snapshot),
            Err(why) => {
                tracing::warn!(file = %self.snapshot.display(), error = %why,
                    "failed to write snapshot");
            }
        }
    }
}

/// A list of ENIs whose last content is known.
#[derive(Debug)]
struct KeptList {
    file: EniListFile,
    last: Last,
}

/// What this agent or an earlier one wrote.
#[derive(Debug)]
enum Last {
    NotRead,
    Read(Option<EniList>),
}

impl KeptList {
    fn of(file: EniListFile) -> Self {
        Self { file, last: Last::NotRead }
    }

    /// The last content; none without a file.
    fn last(&mut self) -> Option<EniList> {
        if let Last::Read(list) = &self.last {
            return list.clone();
        }
        let unread =
            |why: &HostFailure| tracing::warn!(error = %why, "failed to read list of ENIs");
        // A damaged file is there, and is replaced or removed.
        let list = self.file.find().inspect_err(unread).unwrap_or_else(|_| Some(EniList::new()));
        self.last = Last::Read(list.clone());
        list
    }

    /// Writes or removes the file, if that changes it.
    fn replace(&mut self, now: Option<EniList>) {
        if self.last() == now {
            return;
        }
        let done = now.as_ref().map_or_else(|| self.file.remove(), |list| self.file.write(list));
        match done {
            Ok(()) => self.last = Last::Read(now),
            Err(why) => tracing::warn!(error = %why, "failed to write list of ENIs"),
        }
    }
}

fn usable(before: &EniList, verdicts: &[Verdict]) -> EniList {
    let reason = |verdict: &Verdict| match verdict.manager {
        Manager::FireCamp => Some(verdict.why.clone()),
        Manager::Unknown => before.get(&verdict.eni).cloned(),
        Manager::VpcCni
        | Manager::Other
        | Manager::TakenByCni
        | Manager::UnknownCni
        | Manager::Removing => None,
    };
    verdicts.iter().filter_map(|one| Some((one.eni.clone(), reason(one)?))).collect()
}

fn excluded(before: &EniList, verdicts: &[Verdict]) -> EniList {
    let reason = |verdict: &Verdict| match verdict.manager {
        Manager::FireCamp => None,
        Manager::VpcCni
        | Manager::Other
        | Manager::TakenByCni
        | Manager::UnknownCni
        | Manager::Removing => Some(verdict.why.clone()),
        Manager::Unknown => before.get(&verdict.eni).cloned(),
    };
    verdicts.iter().filter_map(|one| Some((one.eni.clone(), reason(one)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn snapshot(node: &str) -> Snapshot {
        Snapshot { node: node.parse().unwrap(), enis: vec![], records: vec![] }
    }

    #[test]
    fn f033_snapshot_survives_the_agent_and_a_damaged_one_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("firecamp");
        let mut first = AgentFiles::open(&run).unwrap();
        assert_eq!(first.last_snapshot(), None);
        first.write(snapshot("node-1"));
        drop(first);
        let second = AgentFiles::open(&run).unwrap();
        assert_eq!(second.last_snapshot(), Some(snapshot("node-1")));
        std::fs::write(run.join(path::SNAPSHOT), "firecamp-agent-snapshot 1\nnode x").unwrap();
        assert_eq!(second.last_snapshot(), None);
    }

    #[test]
    fn snapshot_is_written_only_when_it_changes() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let mut files = AgentFiles::open(dir.path()).unwrap();
        // Each write replaces the file, so the inode changes.
        let file = || std::fs::metadata(dir.path().join(path::SNAPSHOT)).unwrap().ino();
        files.write(snapshot("node-1"));
        let first = file();
        let _held = File::open(dir.path().join(path::SNAPSHOT)).unwrap();
        files.write(snapshot("node-1"));
        assert_eq!(file(), first);
        files.write(snapshot("node-2"));
        assert_ne!(file(), first);
        assert_eq!(files.last_snapshot(), Some(snapshot("node-2")));
    }

    #[test]
    fn cluster_uid_is_there_for_init_containers_and_survives_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        let file = || std::fs::read_to_string(dir.path().join(path::CLUSTER_UID)).ok();
        let mut first = AgentFiles::open(dir.path()).unwrap();
        assert_eq!(file(), None);
        first.identify_cluster(&"uid-1".parse().unwrap());
        assert_eq!(file().as_deref(), Some("uid-1"));
        drop(first);
        let mut second = AgentFiles::open(dir.path()).unwrap();
        assert_eq!(file().as_deref(), Some("uid-1"));
        second.identify_cluster(&"uid-2".parse().unwrap());
        assert_eq!(file().as_deref(), Some("uid-2"), "the node is in another cluster now");
    }

    fn verdict(manager: Manager) -> Verdict {
        Verdict {
            eni: "eni-0000000a".parse().unwrap(),
            device_index: 1,
            subnet: "subnet-0000000a".parse().unwrap(),
            manager,
            why: "managed".to_owned(),
        }
    }

    #[test]
    fn f057_eni_stays_excluded_across_a_restart_until_firecamp_may_use_it() {
        let dir = tempfile::tempdir().unwrap();
        let reported =
            || EniListFile::excluded(dir.path()).read().unwrap().into_values().collect::<Vec<_>>();
        let mut files = AgentFiles::open(dir.path()).unwrap();
        files.exclude(&[verdict(Manager::Unknown)], true);
        assert_eq!(reported(), Vec::<String>::new(), "no verdict yet");
        for manager in [Manager::VpcCni, Manager::Other, Manager::UnknownCni] {
            files.exclude(&[verdict(Manager::FireCamp)], true);
            files.exclude(&[verdict(manager)], true);
            assert_eq!(reported(), ["managed"]);
        }
        drop(files);
        let mut files = AgentFiles::open(dir.path()).unwrap();
        files.exclude(&[verdict(Manager::Unknown)], true);
        assert_eq!(reported(), ["managed"]);
        files.exclude(&[], false);
        files.exclude(&[verdict(Manager::FireCamp)], false);
        assert_eq!(reported(), ["managed"], "the new agent has not read everything");
        files.exclude(&[verdict(Manager::FireCamp)], true);
        assert_eq!(reported(), Vec::<String>::new());
        files.exclude(&[verdict(Manager::VpcCni)], true);
        files.exclude(&[], true);
        assert_eq!(reported(), Vec::<String>::new(), "it was detached");
    }

    #[test]
    fn f057_beside_the_vpc_cni_an_eni_is_usable_once_its_tags_say_so() {
        let dir = tempfile::tempdir().unwrap();
        let listed = || {
            let found = EniListFile::usable(dir.path()).find().unwrap();
            found.map(|all| all.into_values().collect::<Vec<_>>())
        };
        let mut files = AgentFiles::open(dir.path()).unwrap();
        files.allow(&[verdict(Manager::Unknown)], None);
        assert_eq!(listed(), None, "whether the plugin runs here is not known");
        for verdicts in [vec![], vec![verdict(Manager::Unknown)]] {
            files.allow(&verdicts, Some(true));
            assert_eq!(listed(), Some(vec![]), "the plugin may have just attached it");
        }
        files.allow(&[verdict(Manager::FireCamp)], Some(true));
        assert_eq!(listed(), Some(vec!["managed".to_owned()]));
        drop(files);
        let mut files = AgentFiles::open(dir.path()).unwrap();
        for (verdicts, vpc_cni) in [(vec![], Some(true)), (vec![], None)] {
            files.allow(&verdicts, vpc_cni);
            assert_eq!(listed().unwrap().len(), 1, "nothing is known of it");
        }
        files.allow(&[verdict(Manager::Unknown)], Some(true));
        assert_eq!(listed().unwrap().len(), 1, "an earlier agent knew it");
        for foreign in [Manager::VpcCni, Manager::Removing, Manager::TakenByCni] {
            files.allow(&[verdict(Manager::FireCamp)], Some(true));
            files.allow(&[verdict(foreign)], Some(true));
            assert_eq!(listed(), Some(vec![]));
        }
        files.allow(&[verdict(Manager::FireCamp)], Some(false));
        assert_eq!(listed(), None, "no plugin takes interfaces here");
        drop(files);
        std::fs::write(dir.path().join(path::USABLE_ENIS), "eni-0000000a").unwrap();
        AgentFiles::open(dir.path()).unwrap().allow(&[], Some(false));
        assert_eq!(listed(), None, "a damaged list does not stay");
    }

    #[test]
    fn f097_agent_publishes_its_protocol_versions_once_it_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(path::AGENT_PROTOCOL);
        let published = || std::fs::read_to_string(&file).unwrap();
        let first = AgentFiles::open(dir.path()).unwrap();
        assert_eq!(published(), agent_compatibility::agent_file());
        std::fs::write(&file, "an agent of another version").unwrap();
        assert!(AgentFiles::open(dir.path()).is_err());
        assert_eq!(published(), "an agent of another version", "the running agent published it");
        drop(first);
        let _second = AgentFiles::open(dir.path()).unwrap();
        assert_eq!(published(), agent_compatibility::agent_file());
    }

    #[tokio::test(start_paused = true)]
    async fn f040_second_agent_on_a_node_waits_while_the_first_runs() {
        let dir = tempfile::tempdir().unwrap();
        let (first, end) = (AgentFiles::open(dir.path()).unwrap(), CancellationToken::new());
        let why = AgentFiles::open(dir.path()).unwrap_err().to_string();
        assert!(why.contains("another agent runs on this node"), "{why}");
        let mut second = Box::pin(AgentFiles::wait(dir.path(), &end));
        let hour = Duration::from_hours(1);
        assert!(tokio::time::timeout(hour, &mut second).await.is_err(), "it waits");
        drop(first);
        assert!(second.await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_another_agent_can_be_cancelled() {
        let dir = tempfile::tempdir().unwrap();
        let (_first, end) = (AgentFiles::open(dir.path()).unwrap(), CancellationToken::new());
        end.cancel();
        assert!(AgentFiles::wait(dir.path(), &end).await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_unusable_run_directory_fails_at_once() {
        let dir = tempfile::tempdir().unwrap();
        drop(AgentFiles::open(dir.path()).unwrap());
        let lock = dir.path().join(path::AGENT_LOCK);
        std::fs::remove_file(&lock).unwrap();
        std::fs::create_dir(&lock).unwrap();
        let end = CancellationToken::new();
        let why = AgentFiles::wait(dir.path(), &end).await.unwrap_err();
        assert!(why.starts_with("failed to open "), "{why}");
    }
}
