//! Follows one kind while the agent runs: a list, then watches, each from where the last one ended.
//!
//! Guarantees: when a watch ends, the cache stays until a complete list replaces it. A list happens
//! at the start, when the server cannot continue from a version (410), and periodically in case the
//! server left something out. An outage causes two log lines.

use std::time::Duration;

use firecamp_engine::Rng;
use firecamp_kube::{Event, Item, WatchFailure, Watched};
use tokio::time::{Instant, sleep, timeout};

use crate::outage::Outage;

/// Duration of a watch; the server ends it.
const WATCH: Duration = Duration::from_mins(5);
/// The server sends a bookmark every minute. A watch that is silent for longer is dead.
const QUIET: Duration = Duration::from_secs(90);
/// Interval between complete lists, because a server may have left something out.
const RELIST: Duration = Duration::from_mins(10);
/// Backoff after the first failure; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A watch that lasts this long resets the backoff.
const HEALTHY: Duration = Duration::from_secs(5);

/// What is reported about a kind.
#[derive(Debug)]
pub(crate) enum Reported<T> {
    /// A complete list.
    All(Vec<Item<T>>),
    /// One change.
    One(Event<T>),
    /// Whether the server responds.
    Current(bool),
}

/// The backoff before the next attempt.
#[derive(Debug)]
pub(super) struct Pause {
    next: Duration,
    rng: Rng,
}

impl Default for Pause {
    fn default() -> Self {
        Self { next: FIRST_PAUSE, rng: Rng::default() }
    }
}

impl Pause {
    /// A random time of at least half: many agents lose their server at once.
    pub(super) fn take(&mut self) -> Duration {
        let pause = self.next.mul_f64(0.5 + self.rng.part() / 2.0);
        self.next = self.next.saturating_mul(2).min(LONGEST_PAUSE);
        pause
    }

    pub(super) fn reset(&mut self) {
        self.next = FIRST_PAUSE;
    }

    /// Extends a time by up to half, at random.
    fn spread(&self, time: Duration) -> Duration {
        time.mul_f64(1.0 + self.rng.part() / 2.0)
    }
}

struct Follow<'a, T, F> {
    watched: &'a Watched<T>,
    take: F,
    outage: Outage,
    pause: Pause,
}

/// Follows forever. Cancel-safe.
pub(crate) async fn follow<T>(watched: &Watched<T>, take: impl FnMut(Reported<T>)) {
    let outage = Outage::new(format!("the {}", watched.what()));
    let mut it = Follow { watched, take, outage, pause: Pause::default() };
    loop {
        match watched.list().await {
            Ok((items, version)) => {
                it.recovered();
                (it.take)(Reported::All(items));
                it.watch_from(version).await;
            }
            Err(why) => it.failed(&why.detail).await,
        }
    }
}

impl<T, F: FnMut(Reported<T>)> Follow<'_, T, F> {
    fn recovered(&mut self) {
        self.outage.ended();
        (self.take)(Reported::Current(true));
    }

    async fn failed(&mut self, why: &str) {
        self.outage.lasts(&why);
        (self.take)(Reported::Current(false));
        sleep(self.pause.take()).await;
    }

    /// Watches until a new list is due.
    async fn watch_from(&mut self, mut version: String) {
        let relist = Instant::now() + self.pause.spread(RELIST);
        while Instant::now() < relist {
            let begun = Instant::now();
            let lasting = self.pause.spread(WATCH).min(relist.duration_since(begun));
            let ended = self.watch(&mut version, lasting).await;
            let healthy = begun.elapsed() >= HEALTHY;
            if healthy {
                self.pause.reset();
            }
            match ended {
                Ok(()) if healthy => {}
                Ok(()) => sleep(self.pause.take()).await,
                Err(WatchFailure::Broken(why)) => self.failed(&why.detail).await,
                Err(WatchFailure::Expired(why)) => {
                    tracing::info!(what = self.watched.what(), reason = %why.detail,
                        "watch expired; listing again");
                    sleep(self.pause.take()).await;
                    return;
                }
            }
        }
    }

    /// One watch, until it ends normally or is silent for too long.
    async fn watch(&mut self, version: &mut String, lasting: Duration) -> Result<(), WatchFailure> {
        let mut events = self.watched.watch(version, lasting).await?;
        self.recovered();
        while let Ok(next) = timeout(QUIET, events.next()).await {
            let Some(event) = next? else { return Ok(()) };
            events.version().clone_into(version);
            (self.take)(Reported::One(event));
        }
        Ok(())
    }
}
