//! Test support: boxes, pods, the client, and the checks after every scenario.

pub(crate) mod assertions;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod jailed_agent;
pub(crate) mod member;
pub(crate) mod neighbours;
pub(crate) mod parallel;
pub(crate) mod pod;
pub(crate) mod process;
pub(crate) mod test_box;

use std::thread;
use std::time::{Duration, SystemTime};

/// Long enough for a machine that runs many tests at once.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until `seen` returns a value; fails with `what` after [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually<T>(what: &str, seen: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, seen)
}

/// Waits until `seen` returns a value; fails with `what` after `patience`.
#[track_caller]
pub(crate) fn within<T>(patience: Duration, what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let begun = SystemTime::now();
    loop {
        if let Some(found) = seen() {
            return found;
        }
        let late = begun.elapsed().unwrap_or_default() > patience;
        assert!(!late, "timed out after {patience:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
