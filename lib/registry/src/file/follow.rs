//! Following the directory: it tells nobody of its changes, so it is looked at again and again.

use std::sync::{Arc, Mutex, PoisonError};

use firecamp_core::failure::{Effect, RegistryFailure};

use super::FileRegistry;
use super::again::{Everything, Seen};

/// Reads static IPs and pools again and again, and only what may have changed.
///
/// Guarantees: an object is taken for what it was only if name, inode, size and times of its file
/// say so, and were old enough when it was read that any change would show in them. Caveat: on a
/// network filesystem whose clock is behind, two changes within a step of its clock can look like
/// one, so whoever follows one has it [forget](Self::forget) every so often.
#[derive(Debug)]
pub struct Follower {
    registry: FileRegistry,
    seen: Mutex<Arc<Seen>>,
}

impl Follower {
    pub(super) fn new(registry: FileRegistry) -> Self {
        Self { registry, seen: Mutex::default() }
    }

    /// Whether [`everything`](Self::everything) may find something else than it did. What cannot
    /// be told may have changed.
    pub async fn has_changed(&self) -> bool {
        let seen = self.seen();
        let what = "look at the files of the registry".to_owned();
        let work = move |store: &super::Store, _by| store.has_changed_since(&seen);
        self.registry.run(what, Effect::None, work).await.unwrap_or(true)
    }

    /// Everything as it is now.
    pub async fn everything(&self) -> Result<Everything, RegistryFailure> {
        let seen = self.seen();
        let what = "list the StaticIPs".to_owned();
        let work = move |store: &super::Store, _by| store.everything(&seen);
        let (everything, seen) = self.registry.run(what, Effect::None, work).await?;
        self.keep(seen);
        Ok(everything)
    }

    /// The next time every file is read.
    pub fn forget(&self) {
        self.keep(Seen::default());
    }

    fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, seen: Seen) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(seen);
    }
}
