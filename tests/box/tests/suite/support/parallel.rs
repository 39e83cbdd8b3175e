//! Runs many scenarios in one box concurrently, because they mostly wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

/// Concurrent scenarios.
const WIDTH: usize = 8;

/// Runs every scenario, several at once, and fails with the names of those that failed.
#[track_caller]
pub(crate) fn each<T: Send + Sync>(
    scenarios: &[T],
    name: impl Fn(&T) -> String + Sync,
    play: impl Fn(&T) + Sync,
) {
    let (left, failed) = (Mutex::new(scenarios.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..WIDTH.min(scenarios.len()) {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().next();
                    let Some(scenario) = next else { break };
                    if catch_unwind(AssertUnwindSafe(|| play(scenario))).is_err() {
                        failed.lock().unwrap().push(name(scenario));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} failed: {failed:?}", failed.len(), scenarios.len());
}
