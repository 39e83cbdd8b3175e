//! A client that writes numbers, and what became of those that were acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::test_cluster::ensure;
use crate::Outcome;
use crate::install::until;

/// Records before anything happens to a member.
const EARLY: usize = 30;
const PAUSE: Duration = Duration::from_millis(50);
/// No two producers write the same number, so that nothing kept hides what a later one lost.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Writes numbers, one after the other, until it is stopped.
pub(super) struct Producer {
    stop: Stop,
    /// How many were acknowledged.
    count: Arc<AtomicUsize>,
    thread: JoinHandle<BTreeSet<u64>>,
}

/// Stops a producer, also if the scenario fails.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Producer {
    /// Starts to write, and waits until some records are acknowledged. `write` returns whether a
    /// number is.
    pub(super) async fn start(write: impl Fn(u64) -> bool + Send + 'static) -> Outcome<Self> {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&count));
        let thread = std::thread::spawn(move || {
            let mut acknowledged = BTreeSet::new();
            while !stopped.load(Ordering::Relaxed) {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                if write(number) {
                    acknowledged.insert(number);
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(PAUSE);
            }
            acknowledged
        });
        let producer = Self { stop: Stop(stop), count, thread };
        producer.wait_more().await?;
        Ok(producer)
    }

    /// Waits until more records are acknowledged.
    pub(super) async fn wait_more(&self) -> Outcome {
        let before = self.count.load(Ordering::Relaxed);
        until("more records", || async {
            let count = self.count.load(Ordering::Relaxed);
            ensure(count >= before + EARLY, || format!("{count} records after {before}"))
        })
        .await
    }

    /// Stops it, and returns what was acknowledged.
    pub(super) fn end(self) -> Outcome<BTreeSet<u64>> {
        drop(self.stop);
        Ok(self.thread.join().map_err(|_panic| "the producer panicked")?)
    }
}

/// Fails if anything that was acknowledged is lost; returns how much was.
pub(super) fn verify_kept(acknowledged: &BTreeSet<u64>, kept: &BTreeSet<u64>) -> Outcome<usize> {
    let lost: Vec<&u64> = acknowledged.difference(kept).take(9).collect();
    let count = acknowledged.len();
    ensure(lost.is_empty() && count > 0, || format!("{count} acknowledged, lost: {lost:?}"))?;
    Ok(count)
}
