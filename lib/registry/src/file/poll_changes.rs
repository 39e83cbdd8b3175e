//! Polling the directory for changes.

use std::sync::{Arc, Mutex, PoisonError};

use firecamp_core::failure::{Effect, RegistryFailure};

use super::FileRegistry;
use super::cache::{Cache, FileListing};

/// Polls static IPs and pools, and reads only the files that may have changed.
///
/// Guarantees: the follower reuses an object only if name, inode, size and times of its file are
/// unchanged and were old enough when the file was read that any change would alter them. Caveat:
/// on a network filesystem whose clock is behind, two changes within one clock step can look like
/// one. A caller on such a filesystem must call [`forget`](Self::forget) periodically.
#[derive(Debug)]
pub struct Follower {
    registry: FileRegistry,
    cache: Mutex<Arc<Cache>>,
}

impl Follower {
    pub(super) fn new(registry: FileRegistry) -> Self {
        Self { registry, cache: Mutex::default() }
    }

    /// Whether [`list`](Self::list) may return a different result than the last time.
    /// True if this cannot be determined.
    pub async fn has_changed(&self) -> bool {
        let cache = self.cache();
        let what = "check the files of the registry for changes".to_owned();
        let work = move |store: &super::Store, _by| store.has_changed_since(&cache);
        self.registry.run(what, Effect::None, work).await.unwrap_or(true)
    }

    /// The current static IPs and pools.
    pub async fn list(&self) -> Result<FileListing, RegistryFailure> {
        let cache = self.cache();
        let what = "list the StaticIPs".to_owned();
        let work = move |store: &super::Store, _by| store.list(&cache);
        let (listing, cache) = self.registry.run(what, Effect::None, work).await?;
        self.set_cache(cache);
        Ok(listing)
    }

    /// Clears the cache, so that the next call reads every file.
    pub fn forget(&self) {
        self.set_cache(Cache::default());
    }

    fn cache(&self) -> Arc<Cache> {
        Arc::clone(&self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_cache(&self, cache: Cache) {
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(cache);
    }
}
