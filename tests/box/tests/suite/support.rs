//! Boxes, pods, the client and what is checked after every scenario.

pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod crowd;
pub(crate) mod member;
pub(crate) mod pod;
pub(crate) mod process;
pub(crate) mod story;
pub(crate) mod world;

use std::thread;
use std::time::{Duration, SystemTime};

/// Long enough for a machine that runs many tests at once.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until something is there, and says what is missing if it never is.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, seen: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, seen)
}

/// The same for what takes longer by itself.
#[track_caller]
pub(crate) fn within<T>(patience: Duration, what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let begun = SystemTime::now();
    loop {
        if let Some(found) = seen() {
            return found;
        }
        let late = begun.elapsed().unwrap_or_default() > patience;
        assert!(!late, "{what}: not within {patience:?}");
        thread::sleep(Duration::from_millis(2));
    }
}
