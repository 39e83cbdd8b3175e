//! Follows one kind while the agent runs: lists and watches, and again after each interruption.
//!
//! Guarantees: when a watch ends, the cache stays: each object of the next list replaces what was
//! known of it, and only a complete list shows that others are gone. A list happens at the start,
//! when the server cannot continue from a version (410), and periodically in case the server left
//! something out. An outage causes two log lines.

use std::pin::pin;
use std::time::Duration;

use firecamp_controllers::leader::ObjectEvent;
use firecamp_engine::Rng;
use firecamp_kube::{Interrupted, Item, Watchable, Watched, watcher};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep_until};

use crate::outage::Outage;

/// Interval between complete lists, because a server may have left something out.
const RELIST: Duration = Duration::from_mins(10);
struct Follow<'a, T, N, F> {
    watched: &'a Watched<T>,
    key: N,
    take: F,
    outage: Outage,
    rng: Rng,
}

/// Follows forever. Leaves out what has no valid `key`. Cancel-safe.
pub(crate) async fn follow<K, T: Watchable>(
    watched: &Watched<T>,
    key: impl Fn(&Item<T>) -> Option<K>,
    take: impl FnMut(ObjectEvent<K, T>),
) {
    let outage = Outage::new(format!("the {}", watched.what()));
    let mut it = Follow { watched, key, take, outage, rng: Rng::default() };
    loop {
        it.until_next_list().await;
    }
}

impl<K, T, N, F> Follow<'_, T, N, F>
where
    T: Watchable,
    N: Fn(&Item<T>) -> Option<K>,
    F: FnMut(ObjectEvent<K, T>),
{
    /// A list, then watches until a new list is due.
    async fn until_next_list(&mut self) {
        let watched = self.watched;
        let mut events = pin!(watched.events());
        let relist = Instant::now() + RELIST.mul_f64(1.0 + self.rng.part() / 2.0);
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = watched.opened() => {
                    self.recovered();
                    continue;
                }
                () = sleep_until(relist) => return,
            };
            match event {
                Some(Ok(watcher::Event::Init)) => (self.take)(ObjectEvent::ListBegins),
                Some(Ok(watcher::Event::InitApply(item))) => {
                    if let Some((key, object)) = self.object(item) {
                        (self.take)(ObjectEvent::Listing(key, object));
                    }
                }
                Some(Ok(watcher::Event::InitDone)) => {
                    self.recovered();
                    (self.take)(ObjectEvent::Listed);
                }
                Some(Ok(watcher::Event::Apply(item))) => {
                    if let Some((key, object)) = self.object(item) {
                        (self.take)(ObjectEvent::Set(key, object));
                    }
                }
                Some(Ok(watcher::Event::Delete(item))) => {
                    if let Some(key) = (self.key)(&item) {
                        (self.take)(ObjectEvent::Deleted(key));
                    }
                }
                Some(Err(Interrupted { failure, is_lost: true })) => {
                    tracing::info!(
                        what = self.watched.what(),
                        reason = failure.detail,
                        "watch expired; listing again"
                    );
                    return;
                }
                Some(Err(Interrupted { failure, is_lost: false })) => {
                    self.outage.lasts(&failure.detail);
                    (self.take)(ObjectEvent::Current(false));
                }
                None => return,
            }
        }
    }

    fn recovered(&mut self) {
        self.outage.ended();
        (self.take)(ObjectEvent::Current(true));
    }

    /// The key, and the object if it can be parsed.
    fn object(&self, item: Item<T>) -> Option<(K, Option<T>)> {
        let key = (self.key)(&item)?;
        if let Err(why) = &item.object {
            let (what, name) = (self.watched.what(), item.name());
            tracing::warn!(what, name, error = why, "failed to parse object");
        }
        Some((key, item.object.ok()))
    }
}
