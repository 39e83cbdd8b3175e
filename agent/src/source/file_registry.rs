//! The source of a file registry, where the program that starts a member vouches for its pod.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firecamp_controllers::node::Listing;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ports::PodView;
use firecamp_core::record::Stored;
use firecamp_registry::{FileListing, Follower};
use firecamp_run::connect::{AnyRegistry, OpenRegistry};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Source;
use crate::outage::Outage;

/// Poll interval: files report no changes.
const POLL: Duration = Duration::from_secs(1);
/// How often all files are read, also those whose metadata is unchanged.
const FULL_READ: Duration = Duration::from_secs(10);

/// The file registry.
#[derive(Debug)]
pub(crate) struct FileSource {
    registry: AnyRegistry,
    follower: OnceCell<Follower>,
    poll: Mutex<Poll>,
    current: AtomicBool,
    /// The files that cannot be read, each logged once.
    unread: std::sync::Mutex<BTreeMap<String, Outage>>,
}

#[derive(Debug)]
struct Poll {
    every: Interval,
    /// A poll is due or was cancelled.
    due: bool,
    /// When all files were last read.
    full_read: Option<Instant>,
}

impl FileSource {
    pub(crate) fn new(registry: AnyRegistry) -> Self {
        let mut every = interval(POLL);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let poll = Mutex::new(Poll { every, due: false, full_read: None });
        let (current, unread) = (AtomicBool::new(false), std::sync::Mutex::default());
        Self { registry, follower: OnceCell::new(), poll, current, unread }
    }

    async fn follower(&self) -> Result<&Follower, RegistryFailure> {
        let open = async || match self.registry.get().await? {
            OpenRegistry::File(registry) => Ok(registry.follow()),
            OpenRegistry::Kube(_) => Err(RegistryFailure {
                kind: RegistryKind::Refused,
                effect: Effect::None,
                detail: "failed to list records: the registry is not a directory".to_owned(),
            }),
        };
        self.follower.get_or_try_init(open).await
    }

    async fn read_all(&self) -> Result<Listing, RegistryFailure> {
        Ok(self.listing(self.follower().await?.list().await?))
    }

    fn listing(&self, FileListing { static_ips, pools }: FileListing) -> Listing {
        let mut listing = Listing::default();
        for (address, read) in static_ips {
            self.report(format!("the record of {address}"), read.as_ref().err());
            match read {
                Ok(Stored { object, .. }) => {
                    listing.pods.insert(object.member.clone(), PodView::Vouched);
                    listing.records.insert(address, object);
                }
                Err(_logged) => {
                    listing.unread.insert(address);
                }
            }
        }
        self.report("the pools".to_owned(), pools.as_ref().err());
        listing.pools = pools.ok();
        listing
    }

    /// Logs that a file cannot be read, or that it can be read again.
    fn report(&self, of: String, why: Option<&RegistryFailure>) {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => {
                unread.entry(of).or_insert_with_key(|of| Outage::new(of.as_str())).lasts(why);
            }
            None => {
                if let Some(mut outage) = unread.remove(&of) {
                    outage.ended();
                }
            }
        }
    }

    /// Whether something may have changed since the last list.
    async fn may_differ(&self, full_read: &mut Option<Instant>) -> bool {
        let Ok(follower) = self.follower().await else { return true };
        if full_read.is_none_or(|at| at.elapsed() >= FULL_READ) {
            *full_read = Some(Instant::now());
            follower.forget();
            return true;
        }
        !self.is_synced() || follower.has_changed().await
    }
}

impl Source for FileSource {
    async fn list(&self, _known: BTreeSet<Ipv4Addr>) -> Result<Listing, RegistryFailure> {
        let read = self.read_all().await;
        self.current.store(read.is_ok(), Ordering::Relaxed);
        read
    }

    async fn changed(&self) {
        let mut poll = self.poll.lock().await;
        loop {
            if !poll.due {
                poll.every.tick().await;
                poll.due = true;
            }
            // If cancelled here, the next call continues here instead of an interval later.
            let reported = self.may_differ(&mut poll.full_read).await;
            poll.due = false;
            if reported {
                return;
            }
        }
    }

    async fn follow(&self, end: &CancellationToken) {
        end.cancelled().await;
    }

    fn is_synced(&self) -> bool {
        self.current.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use firecamp_registry::RegistryUrl;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn f090_registry_that_does_not_exist_yet_is_read_once_it_does() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("registry");
        let source = FileSource::new(AnyRegistry::new(RegistryUrl::File(place.clone())));
        let why = source.list(BTreeSet::new()).await.unwrap_err();
        assert!(why.detail.contains("registry"), "{why:?}");
        assert!(!source.is_synced());
        std::fs::create_dir_all(place.join("staticippools")).unwrap();
        let listing = source.list(BTreeSet::new()).await.unwrap();
        assert_eq!((listing.records.len(), listing.pools), (0, Some(Vec::new())));
        assert!(source.is_synced());
    }

    #[tokio::test(start_paused = true)]
    async fn change_is_reported_within_a_poll_although_the_wait_is_cancelled() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("staticippools")).unwrap();
        let source = FileSource::new(AnyRegistry::new(RegistryUrl::File(dir.path().into())));
        source.changed().await;
        source.list(BTreeSet::new()).await.unwrap();
        std::fs::write(dir.path().join("staticippools/a.yaml"), "nonsense").unwrap();
        let begun = Instant::now();
        // Other events of the loop cancel the wait all the time.
        while timeout(Duration::from_millis(1), source.changed()).await.is_err() {
            assert!(begun.elapsed() < 2 * POLL, "not reported");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unchanged_registry_is_read_completely_every_ten_seconds() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("staticippools")).unwrap();
        let source = FileSource::new(AnyRegistry::new(RegistryUrl::File(dir.path().into())));
        source.changed().await;
        source.list(BTreeSet::new()).await.unwrap();
        let begun = Instant::now();
        source.changed().await;
        assert!(begun.elapsed() >= FULL_READ && begun.elapsed() < FULL_READ + 2 * POLL);
    }

    #[tokio::test]
    async fn unreadable_file_is_logged_once_and_again_when_it_recovers() {
        let dir = tempfile::tempdir().unwrap();
        let pools = dir.path().join("staticippools");
        std::fs::create_dir_all(&pools).unwrap();
        let source = FileSource::new(AnyRegistry::new(RegistryUrl::File(dir.path().into())));
        std::fs::write(pools.join("main.yaml"), "cut off").unwrap();
        for _list in 0..3 {
            assert_eq!(source.list(BTreeSet::new()).await.unwrap().pools, None);
            let unread = source.unread.lock().unwrap();
            assert_eq!(unread.keys().collect::<Vec<_>>(), ["the pools"]);
        }
        std::fs::remove_file(pools.join("main.yaml")).unwrap();
        assert_eq!(source.list(BTreeSet::new()).await.unwrap().pools, Some(Vec::new()));
        assert!(source.unread.lock().unwrap().is_empty());
    }
}
