//! The file registry, in which a member's starter vouches for its pod.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firecamp_connect::AnyRegistry;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::outside::PodView;
use firecamp_core::record::Stored;
use firecamp_registry::FileRegistry;
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Listing, Source};
use crate::late::LateRegistry;

/// How often files are looked at: they tell nobody of their changes.
const POLL: Duration = Duration::from_secs(1);

/// The file registry.
#[derive(Debug)]
pub(crate) struct FileSource {
    registry: LateRegistry,
    poll: Mutex<Interval>,
    current: AtomicBool,
}

impl FileSource {
    pub(crate) fn new(registry: LateRegistry) -> Self {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { registry, poll: Mutex::new(poll), current: AtomicBool::new(false) }
    }

    async fn list(&self) -> Result<Listing, RegistryFailure> {
        match self.registry.get().await? {
            AnyRegistry::File(registry) => list(registry).await,
            AnyRegistry::Kube(_) => Err(RegistryFailure {
                kind: RegistryKind::Refused,
                effect: Effect::None,
                detail: "list the records: the registry is no directory".to_owned(),
            }),
        }
    }
}

async fn list(registry: &FileRegistry) -> Result<Listing, RegistryFailure> {
    let mut listing = Listing::default();
    for (address, read) in registry.static_ips().await? {
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
    match registry.pools().await {
        Ok(pools) => listing.pools = Some(pools),
        Err(why) => tracing::warn!(error = %why, "The pools cannot be read"),
    }
    Ok(listing)
}

impl Source for FileSource {
    async fn look(&self, _known: BTreeSet<Ipv4Addr>) -> Result<Listing, RegistryFailure> {
        let read = self.list().await;
        self.current.store(read.is_ok(), Ordering::Relaxed);
        read
    }

    async fn changed(&self) {
        self.poll.lock().await.tick().await;
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
}
