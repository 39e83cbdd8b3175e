//! How the attaches of a process go on while EC2 throttles their requests.
//!
//! EC2's bucket is the account's. Attaches that each wait for a time of their own meet in small
//! requests, and each that has waited needs a new read of its record and a new look-up of the owner
//! (T): while a zone returns, the look-ups alone would empty the bucket of describing requests. So
//! the attaches of a process pause together: each pause costs one look-up and fills the requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firecamp_core::contract::timing;
use tokio::time::Instant;

use crate::rng::Rng;

/// The first pause. It doubles.
const FIRST: Duration = Duration::from_secs(2);
/// The longest pause. After this time without one, the next pause is the first.
const LONGEST: Duration = timing::THROTTLE_PAUSE_CAP;

/// The pauses of a process.
#[derive(Debug)]
pub struct Pacing {
    pub(crate) rng: Rng,
    last: Mutex<Pause>,
}

#[derive(Debug)]
struct Pause {
    length: Duration,
    until: Instant,
}

impl Pacing {
    /// No pause. Half of each one is random: nodes that pause at the same time do not go on at the
    /// same time.
    pub(crate) fn new(rng: Rng) -> Arc<Self> {
        let last = Pause { length: Duration::ZERO, until: Instant::now() };
        Arc::new(Self { rng, last: Mutex::new(last) })
    }

    fn last(&self) -> MutexGuard<'_, Pause> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// EC2 has throttled a request that was sent then, for as long as it was authorised.
    pub(crate) fn throttled(&self, sent: Instant) {
        let (part, now, mut last) = (self.rng.part(), Instant::now(), self.last());
        // What was sent before a pause ended says nothing about its length.
        if sent < last.until {
            return;
        }
        if now - last.until > LONGEST {
            last.length = Duration::ZERO;
        }
        last.length = last.length.saturating_mul(2).clamp(FIRST, LONGEST);
        last.until = now + last.length.mul_f64(f64::midpoint(part, 1.0));
    }

    /// EC2 has accepted an Assign.
    pub(crate) fn accepted(&self) {
        let mut last = self.last();
        last.length /= 2;
    }

    /// What is left of the pause, if there is one.
    pub(crate) fn left(&self) -> Option<Duration> {
        let left = self.last().until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn f149_pauses_grow_while_ec2_throttles_and_shrink_when_it_accepts() {
        let pacing = Pacing::new(Rng::seeded(1));
        assert_eq!(pacing.left(), None);
        let mut longest = FIRST;
        for _round in 0..6 {
            let sent = Instant::now();
            pacing.throttled(sent);
            let left = pacing.left().unwrap();
            pacing.throttled(Instant::now());
            assert_eq!(pacing.left(), Some(left), "one pause at a time");
            assert!(left >= longest / 2 && left <= longest, "{left:?} of {longest:?}");
            sleep(left).await;
            pacing.throttled(sent);
            assert_eq!(pacing.left(), None, "sent before the pause");
            longest = (longest * 2).min(LONGEST);
        }
        (0..5).for_each(|_| pacing.accepted());
        pacing.throttled(Instant::now());
        assert!(pacing.left().unwrap() <= FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn f149_a_throttle_long_after_a_pause_causes_the_first_one() {
        let pacing = Pacing::new(Rng::seeded(1));
        for _round in 0..6 {
            pacing.throttled(Instant::now());
            sleep(pacing.left().unwrap()).await;
        }
        sleep(LONGEST * 2).await;
        pacing.throttled(Instant::now());
        assert!(pacing.left().unwrap() <= FIRST);
    }
}
