//! The file registry: a directory of YAML objects on one machine, without a cluster.
//!
//! Guarantees: a write is atomic and durable when it returns; of several processes that create or
//! replace one object, one wins and the others get an error; a crash at any point leaves the old
//! object or the new one; an object that cannot be parsed is reported and never overwritten.
//! Whoever starts a member vouches for it, so [`PodView::Vouched`] is the view of every pod.
//!
//! Assumptions: `flock`, `link` and `rename` work between all processes that use the directory,
//! as they do on any local filesystem.

mod atomic_files;
mod cache;
mod change_detection;
mod check_mounted;
mod listing;
mod object_lock;
mod object_paths;
mod objects;
mod poll_changes;
mod records;
mod store;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::{Claim, MemberRecords, Pool, StaticIp, Stored, Write};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::api::{Kind, Object};
use crate::failure::{failed, in_doubt};
use store::Store;

pub use cache::FileListing;
pub use poll_changes::Follower;

/// How long a request to the file registry may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The whole request. A write that has not been published by then is not published.
    pub call: Duration,
    /// Waiting for another process that writes the same object.
    pub lock: Duration,
}

impl Default for Timeouts {
    /// A write takes milliseconds, so a process that holds a lock for 5 s is stuck.
    fn default() -> Self {
        Self { call: Duration::from_secs(8), lock: Duration::from_secs(5) }
    }
}

/// A registry in a directory.
#[derive(Debug, Clone)]
pub struct FileRegistry {
    store: Arc<Store>,
    timeouts: Timeouts,
}

impl FileRegistry {
    /// Opens the directory, which must exist: a wrong path must not look like an empty registry.
    /// Writes nothing.
    pub fn open(dir: impl Into<PathBuf>, timeouts: Timeouts) -> Result<Self, RegistryFailure> {
        let store = Store::open(dir.into(), timeouts.lock)?;
        Ok(Self { store: Arc::new(store), timeouts })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.store.dir()
    }

    /// Creates a pool. Users do the same with an editor.
    pub async fn create_pool(&self, pool: &Pool) -> Result<Version, RegistryFailure> {
        let pool = pool.clone();
        let what = format!("create StaticIPPool {}", pool.name);
        self.run(what, Effect::Unknown, move |store, by| store.create_pool(&pool, by)).await
    }

    /// A reader for callers that poll static IPs and pools.
    pub fn follow(&self) -> Follower {
        Follower::new(self.clone())
    }

    /// The claim of the member. Unlike [`Registry::member`], this needs no pool.
    pub async fn claim(&self, member: &Member) -> Result<Option<Stored<Claim>>, RegistryFailure> {
        let member = member.clone();
        let what = format!("read StaticIPClaim {member}");
        self.run(what, Effect::None, move |store, _by| store.claim(&member)).await
    }

    /// Every object of a kind as its file holds it, sorted by name, or the error of that file.
    /// For diagnosis: the protocol reads records.
    pub async fn objects<S>(
        &self,
    ) -> Result<Vec<Result<Object<S>, RegistryFailure>>, RegistryFailure>
    where
        S: Kind + DeserializeOwned + Send + 'static,
    {
        let what = format!("list the objects of kind {}", S::KIND);
        self.run(what, Effect::None, |store, _by| store.objects()).await
    }

    /// Runs blocking work on a blocking thread and waits at most [`Timeouts::call`]. `late` is the
    /// possible effect of a request that did not finish in time.
    async fn run<T, F>(&self, what: String, late: Effect, work: F) -> Result<T, RegistryFailure>
    where
        T: Send + 'static,
        F: FnOnce(&Store, Instant) -> Result<T, RegistryFailure> + Send + 'static,
    {
        let by = Instant::now() + self.timeouts.call;
        let store = Arc::clone(&self.store);
        let mut task = tokio::task::spawn_blocking(move || work(&store, by));
        let late = |detail| match late {
            Effect::None => failed(RegistryKind::Unavailable, detail),
            Effect::Unknown => in_doubt(RegistryKind::Unavailable, detail),
        };
        match tokio::time::timeout_at(by, &mut task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(ended)) => Err(late(format!("{what}: {ended}"))),
            Err(_elapsed) => {
                // Otherwise a request that no thread has picked up yet would still run.
                task.abort();
                let dir = self.store.dir().display();
                let seconds = self.timeouts.call.as_secs_f32();
                Err(late(format!("{what}: {dir} did not answer within {seconds} s")))
            }
        }
    }
}

impl Registry for FileRegistry {
    async fn member(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        let (member, pool) = (member.clone(), pool.cloned());
        let what = format!("read StaticIPClaim {member}");
        self.run(what, Effect::None, move |store, _by| store.member(&member, pool.as_ref())).await
    }

    async fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        let what = format!("read StaticIP {address}");
        self.run(what, Effect::None, move |store, _by| store.static_ip(address)).await
    }

    async fn pod(&self, _member: &Member) -> Result<PodView, RegistryFailure> {
        Ok(PodView::Vouched)
    }

    async fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        let pool = pool.clone();
        let what = format!("list the addresses of StaticIPPool {pool}");
        self.run(what, Effect::None, move |store, _by| store.allocated(&pool)).await
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        let write = write.clone();
        let what = records::describe(&write);
        self.run(what, Effect::Unknown, move |store, by| store.write(&write, by)).await
    }
}
