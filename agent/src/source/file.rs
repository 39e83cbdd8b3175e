//! The file registry, in which a member's starter vouches for its pod.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::outside::PodView;
use firecamp_core::record::Stored;
use firecamp_registry::{Everything, Follower};
use firecamp_run::connect::AnyRegistry;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Listing, Source};
use crate::late::LateRegistry;
use crate::outage::Outage;

/// How often files are looked at: they tell nobody of their changes.
const POLL: Duration = Duration::from_secs(1);
/// How often all of them are read, also those that look as they did.
const WHOLE: Duration = Duration::from_secs(10);

/// The file registry.
#[derive(Debug)]
pub(crate) struct FileSource {
    registry: LateRegistry,
    follower: OnceCell<Follower>,
    poll: Mutex<Poll>,
    current: AtomicBool,
    /// The files that cannot be read, each told once.
    unread: std::sync::Mutex<BTreeMap<String, Outage>>,
}

#[derive(Debug)]
struct Poll {
    every: Interval,
    /// A look is due, and was not made or not ended.
    due: bool,
    /// When everything was read last.
    whole: Option<Instant>,
}

impl FileSource {
    pub(crate) fn new(registry: LateRegistry) -> Self {
        let mut every = interval(POLL);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let poll = Mutex::new(Poll { every, due: false, whole: None });
        let (current, unread) = (AtomicBool::new(false), std::sync::Mutex::default());
        Self { registry, follower: OnceCell::new(), poll, current, unread }
    }

    async fn follower(&self) -> Result<&Follower, RegistryFailure> {
        let open = async || match self.registry.get().await? {
            AnyRegistry::File(registry) => Ok(registry.follow()),
            AnyRegistry::Kube(_) => Err(RegistryFailure {
                kind: RegistryKind::Refused,
                effect: Effect::None,
                detail: "list the records: the registry is no directory".to_owned(),
            }),
        };
        self.follower.get_or_try_init(open).await
    }

    async fn list(&self) -> Result<Listing, RegistryFailure> {
        Ok(self.listing(self.follower().await?.everything().await?))
    }

    fn listing(&self, Everything { static_ips, pools }: Everything) -> Listing {
        let mut listing = Listing::default();
        for (address, read) in static_ips {
            self.tell(format!("the record of {address}"), read.as_ref().err());
            match read {
                Ok(Stored { object, .. }) => {
                    listing.pods.insert(object.member.clone(), PodView::Vouched);
                    listing.records.insert(address, object);
                }
                Err(_told) => {
                    listing.unread.insert(address);
                }
            }
        }
        self.tell("the pools".to_owned(), pools.as_ref().err());
        listing.pools = pools.ok();
        listing
    }

    /// Tells of a file that cannot be read, or can be again.
    fn tell(&self, of: String, why: Option<&RegistryFailure>) {
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

    /// Whether there may be something that was not listed.
    async fn may_differ(&self, whole: &mut Option<Instant>) -> bool {
        let Ok(follower) = self.follower().await else { return true };
        if whole.is_none_or(|at| at.elapsed() >= WHOLE) {
            *whole = Some(Instant::now());
            follower.forget();
            return true;
        }
        !self.is_current() || follower.has_changed().await
    }
}

impl Source for FileSource {
    async fn look(&self, _known: BTreeSet<Ipv4Addr>) -> Result<Listing, RegistryFailure> {
        let read = self.list().await;
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
            // Whoever is cancelled here goes on here, and not a whole interval later.
            let told = self.may_differ(&mut poll.whole).await;
            poll.due = false;
            if told {
                return;
            }
        }
    }

    async fn follow(&self, end: &CancellationToken) {
        end.cancelled().await;
    }

    fn is_current(&self) -> bool {
        self.current.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use firecamp_registry::RegistryUrl;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn f090_a_registry_that_is_not_there_yet_is_read_once_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("registry");
        let source = FileSource::new(LateRegistry::new(RegistryUrl::File(place.clone())));
        let why = source.look(BTreeSet::new()).await.unwrap_err();
        assert!(why.detail.contains("registry"), "{why:?}");
        assert!(!source.is_current());
        std::fs::create_dir_all(place.join("staticippools")).unwrap();
        let listing = source.look(BTreeSet::new()).await.unwrap();
        assert_eq!((listing.records.len(), listing.pools), (0, Some(Vec::new())));
        assert!(source.is_current());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_listed_yet_is_told_within_a_poll_though_the_wait_is_cut_short() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("staticippools")).unwrap();
        let source = FileSource::new(LateRegistry::new(RegistryUrl::File(dir.path().into())));
        source.changed().await;
        source.look(BTreeSet::new()).await.unwrap();
        std::fs::write(dir.path().join("staticippools/a.yaml"), "nonsense").unwrap();
        let begun = Instant::now();
        // The loop's other business ends the wait all the time.
        while timeout(Duration::from_millis(1), source.changed()).await.is_err() {
            assert!(begun.elapsed() < 2 * POLL, "not told of");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unchanged_registry_is_read_whole_every_so_often() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("staticippools")).unwrap();
        let source = FileSource::new(LateRegistry::new(RegistryUrl::File(dir.path().into())));
        source.changed().await;
        source.look(BTreeSet::new()).await.unwrap();
        let begun = Instant::now();
        source.changed().await;
        assert!(begun.elapsed() >= WHOLE && begun.elapsed() < WHOLE + 2 * POLL);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_told_once_and_when_it_can_be_again() {
        let dir = tempfile::tempdir().unwrap();
        let pools = dir.path().join("staticippools");
        std::fs::create_dir_all(&pools).unwrap();
        let source = FileSource::new(LateRegistry::new(RegistryUrl::File(dir.path().into())));
        std::fs::write(pools.join("main.yaml"), "cut off").unwrap();
        for _look in 0..3 {
            assert_eq!(source.look(BTreeSet::new()).await.unwrap().pools, None);
            let unread = source.unread.lock().unwrap();
            assert_eq!(unread.keys().collect::<Vec<_>>(), ["the pools"]);
        }
        std::fs::remove_file(pools.join("main.yaml")).unwrap();
        assert_eq!(source.look(BTreeSet::new()).await.unwrap().pools, Some(Vec::new()));
        assert!(source.unread.lock().unwrap().is_empty());
    }
}
