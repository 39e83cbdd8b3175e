//! The box's clock: the machine's monotonic one, from an origin that everybody can learn.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::failure::Failure;

/// Time since the start of the world, on the clock that any process of the machine can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    origin: Duration,
}

impl Clock {
    /// A clock whose zero is now.
    pub(crate) fn start() -> Result<Self, Failure> {
        Ok(Self { origin: monotonic()? })
    }

    /// A clock whose zero was told as nanoseconds of `CLOCK_MONOTONIC`.
    pub fn with_origin_ns(origin_ns: u64) -> Self {
        Self { origin: Duration::from_nanos(origin_ns) }
    }

    /// Its zero, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn origin_ns(&self) -> u64 {
        u64::try_from(self.origin.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The time now.
    pub fn now(&self) -> Duration {
        // The clock was there at the start, and Linux has no way to lose it.
        monotonic().unwrap_or(self.origin).saturating_sub(self.origin)
    }

    /// The time now in microseconds, as in the call log.
    pub fn now_us(&self) -> u64 {
        micros(self.now())
    }
}

/// The runtime's timers round up to whole milliseconds, and more on a busy machine.
const COARSE: Duration = Duration::from_millis(3);

impl Clock {
    /// Sleeps until a time of this clock, to some ten microseconds where the machine allows it:
    /// the last milliseconds on a thread, because some of what is simulated is shorter than the
    /// runtime's own timers can count.
    pub(crate) async fn sleep_until(&self, due: Duration) {
        let left = due.saturating_sub(self.now());
        if left > COARSE {
            tokio::time::sleep(left.saturating_sub(COARSE)).await;
        }
        let left = due.saturating_sub(self.now());
        if left.is_zero() {
            return;
        }
        let slept = tokio::task::spawn_blocking(move || std::thread::sleep(left)).await;
        if slept.is_err() {
            // The runtime is ending, and with it everything that waits.
            tokio::time::sleep(left).await;
        }
    }
}

/// Microseconds, as in the call log.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn monotonic() -> Result<Duration, Failure> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_err(|e| Failure::kernel("read", "the monotonic clock", e))?;
    Ok(now.into())
}
