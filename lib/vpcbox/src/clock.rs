//! The box's clock: the machine's monotonic clock with a published origin.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::failure::Failure;

/// Time since the start of the simulation, on a clock that any process of the machine can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    origin: Duration,
}

impl Clock {
    /// A clock that starts at zero now.
    pub(crate) fn start() -> Result<Self, Failure> {
        Ok(Self { origin: monotonic()? })
    }

    /// A clock with this origin, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn with_origin_ns(origin_ns: u64) -> Self {
        Self { origin: Duration::from_nanos(origin_ns) }
    }

    /// Its origin, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn origin_ns(&self) -> u64 {
        u64::try_from(self.origin.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The current time.
    pub fn now(&self) -> Duration {
        // The clock existed at the start, and Linux cannot remove it.
        monotonic().unwrap_or(self.origin).saturating_sub(self.origin)
    }

    /// The current time in microseconds, as in the call log.
    pub fn now_us(&self) -> u64 {
        micros(self.now())
    }
}

/// The runtime's timers round up to whole milliseconds, and more on a busy machine.
const COARSE: Duration = Duration::from_millis(3);

impl Clock {
    /// Sleeps until a time of this clock, with a precision of about ten microseconds where the
    /// machine allows it: the last milliseconds on a thread, because some simulated durations are
    /// shorter than the resolution of the runtime's timers.
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
            // The runtime is shutting down, and with it all waiting tasks.
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
