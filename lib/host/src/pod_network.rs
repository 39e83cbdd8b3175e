//! Pods with a network of their own: which pods of this node have one, and which namespace it is.
//!
//! There is a small file for each such pod. Whether an address belongs to the node's network or to
//! a pod's follows from the pod that holds it, by the pod's object in the API and never by what a
//! client says. A reboot deletes the files, like the namespaces.

mod delivery;
mod find;
mod inside;
mod namespace;
mod ops;
mod sources;

pub(crate) use self::ops::Networks;
pub(crate) use self::sources::Nat;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use firecamp_core::contract::path::POD_SUBDIR;
use firecamp_core::ids::PodUid;
use ipnet::Ipv4Net;
use tokio::sync::{Mutex, MutexGuard};

use crate::atomic_replace::replace;
use crate::error::HostError;
use crate::lock::dir;

/// How the agent reaches the networks of pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodNetworks {
    /// The directory in which the container runtime keeps a file for each network namespace.
    pub namespaces: PathBuf,
    /// The ranges of the cluster: those of its pods and of its Services. Pods talk to them from
    /// their own address.
    pub ranges: Vec<Ipv4Net>,
}

/// The network of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodNetwork {
    /// The cookie of its namespace (`SO_NETNS_COOKIE`), which is unique until the node reboots.
    pub(crate) cookie: u64,
    /// Its own address.
    pub(crate) ip: Ipv4Addr,
    /// The file of its namespace, whose name is used again for others.
    pub(crate) name: String,
}

/// Which network the addresses of a pod are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The node's.
    Node,
    /// The pod's own, which is not known since the node booted.
    NotKnown,
    /// The pod's own.
    Pod(PodNetwork),
}

/// The files.
#[derive(Debug, Clone)]
pub(crate) struct PodFiles {
    run_dir: PathBuf,
    searching: Arc<Mutex<()>>,
}

impl PodFiles {
    pub(crate) fn new(run_dir: &Path) -> Self {
        Self { run_dir: run_dir.to_owned(), searching: Arc::default() }
    }

    fn path(&self, pod: &PodUid) -> PathBuf {
        self.run_dir.join(POD_SUBDIR).join(pod.as_str())
    }

    /// Where the pod's addresses are.
    pub(crate) fn place(&self, pod: &PodUid) -> Result<Place, HostError> {
        let path = self.path(pod);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Place::Node),
            Err(source) => Err(failed("read", &path, source)),
        }
    }

    /// Waits until no other search for a pod's network runs.
    async fn turn(&self) -> MutexGuard<'_, ()> {
        self.searching.lock().await
    }

    /// Records the network of a pod.
    fn found(&self, pod: &PodUid, network: &PodNetwork) -> Result<(), HostError> {
        let PodNetwork { cookie, ip, name } = network;
        self.write(pod, &format!("{cookie} {ip} {name}\n"))
    }

    /// Records that these pods have a network of their own.
    fn note(&self, own: &BTreeSet<PodUid>) -> Result<(), HostError> {
        for pod in own {
            if self.place(pod)? == Place::Node {
                self.write(pod, "")?;
            }
        }
        Ok(())
    }

    fn forget(&self, pod: &PodUid) -> Result<(), HostError> {
        let path = self.path(pod);
        std::fs::remove_file(&path).map_err(|source| failed("remove", &path, source))
    }

    fn write(&self, pod: &PodUid, text: &str) -> Result<(), HostError> {
        let run = dir::open_own(&self.run_dir)?;
        dir::open_own_at(&run, POD_SUBDIR, &self.run_dir.join(POD_SUBDIR))?;
        let path = self.path(pod);
        replace(&path, text).map_err(|source| failed("write", &path, source))
    }

    /// All pods with a file.
    fn all(&self) -> Result<BTreeMap<PodUid, Place>, HostError> {
        let dir = self.run_dir.join(POD_SUBDIR);
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(source) => return Err(failed("list", &dir, source)),
        };
        let mut found = BTreeMap::new();
        for entry in entries {
            let name = entry.map_err(|source| failed("list", &dir, source))?.file_name();
            // Ignores what a crash left beside the files.
            let pod = name.to_str().and_then(|name| PodUid::new(name).ok());
            if let Some(pod) = pod.filter(|pod| !pod.as_str().contains('.')) {
                let place = self.place(&pod)?;
                found.insert(pod, place);
            }
        }
        Ok(found)
    }
}

/// An empty or damaged file means that only the namespace is unknown.
fn parse(text: &str) -> Place {
    let mut words = text.split_ascii_whitespace();
    let mut network = || {
        let (cookie, ip) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let name = words.next().filter(|name| !name.contains('/'))?.to_owned();
        Some(PodNetwork { cookie, ip, name })
    };
    network().map_or(Place::NotKnown, Place::Pod)
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> HostError {
    HostError::File { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> PodUid {
        PodUid::new(name).unwrap()
    }

    #[test]
    fn a_pod_keeps_its_network_until_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let files = PodFiles::new(&dir.path().join("firecamp"));
        let (own, other) = (pod("uid-1"), pod("uid-2"));
        files.note(&BTreeSet::from([own.clone()])).unwrap();
        assert_eq!(files.place(&own).unwrap(), Place::NotKnown);
        assert_eq!(files.place(&other).unwrap(), Place::Node);
        let ip = Ipv4Addr::new(10, 244, 1, 5);
        let network = PodNetwork { cookie: u64::MAX, ip, name: "cni-1".to_owned() };
        files.found(&own, &network).unwrap();
        files.note(&BTreeSet::from([own.clone()])).unwrap();
        let all = files.all().unwrap();
        assert_eq!(all, BTreeMap::from([(own.clone(), Place::Pod(network))]));
        files.forget(&own).unwrap();
        assert_eq!(files.place(&own).unwrap(), Place::Node);
    }

    #[test]
    fn a_damaged_file_never_moves_an_address_to_the_node() {
        for text in [
            "",
            "17",
            "17 ",
            "x 10.0.0.1 a",
            "17 10.0.0 a",
            "-1 10.0.0.1 a",
            "17 10.0.0.1",
            "17 10.0.0.1 ../a",
        ] {
            assert_eq!(parse(text), Place::NotKnown, "{text:?}");
        }
    }
}
