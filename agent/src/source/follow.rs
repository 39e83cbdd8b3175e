//! Follows one kind for as long as the agent runs: a list, then watches, each from where the last
//! one ended.
//!
//! Guarantees: whatever ends a watch, what was told before stands until a whole list takes its
//! place. A list is asked for at the start, where the server cannot go on from a version, and every
//! so often in case it left something out. An outage is two lines of the log.

use std::time::Duration;

use firecamp_engine::Dice;
use firecamp_kube::{Event, Item, Lost, Watched};
use tokio::time::{Instant, sleep, timeout};

use crate::outage::Outage;

/// A watch lasts so long: the server ends it.
const WATCH: Duration = Duration::from_mins(5);
/// A server tells every minute how far it is. Where nothing comes for longer, nobody is there.
const QUIET: Duration = Duration::from_secs(90);
/// Everything is listed anew so often, for a server may have left something out.
const RELIST: Duration = Duration::from_mins(10);
/// After a failure nothing is asked for so long, then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A watch that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(5);

/// What is told of a kind.
#[derive(Debug)]
pub(crate) enum Told<T> {
    /// Everything there is.
    All(Vec<Item<T>>),
    /// One change.
    One(Event<T>),
    /// Whether the server answers.
    Current(bool),
}

/// How long to wait before the next attempt.
#[derive(Debug)]
pub(super) struct Pause {
    next: Duration,
    dice: Dice,
}

impl Default for Pause {
    fn default() -> Self {
        Self { next: FIRST_PAUSE, dice: Dice::default() }
    }
}

impl Pause {
    /// At least half of it: many agents lose their server at once.
    pub(super) fn take(&mut self) -> Duration {
        let pause = self.next.mul_f64(0.5 + self.dice.part() / 2.0);
        self.next = self.next.saturating_mul(2).min(LONGEST_PAUSE);
        pause
    }

    pub(super) fn reset(&mut self) {
        self.next = FIRST_PAUSE;
    }

    /// Up to half as long again.
    fn spread(&self, time: Duration) -> Duration {
        time.mul_f64(1.0 + self.dice.part() / 2.0)
    }
}

struct Follow<'a, T, F> {
    watched: &'a Watched<T>,
    take: F,
    outage: Outage,
    pause: Pause,
}

/// Follows for ever. To be cancelled at any time.
pub(crate) async fn follow<T>(watched: &Watched<T>, take: impl FnMut(Told<T>)) {
    let outage = Outage::new(format!("the {}", watched.what()));
    let mut it = Follow { watched, take, outage, pause: Pause::default() };
    loop {
        match watched.list().await {
            Ok((items, version)) => {
                it.well();
                (it.take)(Told::All(items));
                it.go_on_from(version).await;
            }
            Err(why) => it.failed(&why.detail).await,
        }
    }
}

impl<T, F: FnMut(Told<T>)> Follow<'_, T, F> {
    fn well(&mut self) {
        self.outage.ended();
        (self.take)(Told::Current(true));
    }

    async fn failed(&mut self, why: &str) {
        self.outage.lasts(&why);
        (self.take)(Told::Current(false));
        sleep(self.pause.take()).await;
    }

    /// Watches until everything has to be listed anew.
    async fn go_on_from(&mut self, mut version: String) {
        let relist = Instant::now() + self.pause.spread(RELIST);
        while Instant::now() < relist {
            let begun = Instant::now();
            let lasting = self.pause.spread(WATCH).min(relist.duration_since(begun));
            let ended = self.watch(&mut version, lasting).await;
            let good = begun.elapsed() >= GOOD;
            if good {
                self.pause.reset();
            }
            match ended {
                Ok(()) if good => {}
                Ok(()) => sleep(self.pause.take()).await,
                Err(Lost::Broken(why)) => self.failed(&why.detail).await,
                Err(Lost::Expired(why)) => {
                    tracing::info!(what = self.watched.what(), reason = %why.detail,
                        "A watch cannot go on: everything is listed anew");
                    sleep(self.pause.take()).await;
                    return;
                }
            }
        }
    }

    /// One watch, until it ends as it should or nothing comes any more.
    async fn watch(&mut self, version: &mut String, lasting: Duration) -> Result<(), Lost> {
        let mut events = self.watched.watch(version, lasting).await?;
        self.well();
        while let Ok(next) = timeout(QUIET, events.next()).await {
            let Some(event) = next? else { return Ok(()) };
            events.version().clone_into(version);
            (self.take)(Told::One(event));
        }
        Ok(())
    }
}
