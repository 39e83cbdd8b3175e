//! The file registry, in which a member's starter vouches for its pod.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firecamp_connect::AnyRegistry;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::outside::PodView;
use firecamp_core::record::Stored;
use firecamp_registry::{Everything, Follower};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Listing, Source};
use crate::late::LateRegistry;

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
        Self { registry, follower: OnceCell::new(), poll, current: AtomicBool::new(false) }
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
        Ok(listing(self.follower().await?.everything().await?))
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

fn listing(Everything { static_ips, pools }: Everything) -> Listing {
    let mut listing = Listing::default();
    for (address, read) in static_ips {
        match read {
            Ok(Stored { object, .. }) => {
                listing.pods.insert(object.member.clone(), PodView::Vouched);
                listing.records.insert(address, object);
            }
            Err(why) => {
                tracing::warn!(%address, error = %why, "A record cannot be read");
                listing.unread.insert(address);
            }
        }
    }
    match pools {
        Ok(pools) => listing.pools = Some(pools),
        Err(why) => tracing::warn!(error = %why, "The pools cannot be read"),
    }
    listing
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
}
