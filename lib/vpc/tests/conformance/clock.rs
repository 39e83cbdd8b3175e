//! A virtual clock and an executor of one task: time passes only when the task waits.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;

/// The wall clock at time zero.
pub const EPOCH: Duration = Duration::from_secs(1_790_000_000);

#[derive(Debug, Default)]
struct State {
    now: Duration,
    number: u64,
    timers: BTreeMap<(Duration, u64), Option<Waker>>,
}

/// The clock.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<Mutex<State>>);

impl Clock {
    pub fn now(&self) -> Duration {
        self.0.lock().unwrap().now
    }

    pub fn until(&self, at: Duration) -> Timer {
        let mut state = self.0.lock().unwrap();
        state.number += 1;
        let key = (at, state.number);
        state.timers.insert(key, None);
        Timer { clock: self.clone(), key }
    }

    pub async fn pass(&self, time: Duration) {
        let at = self.now() + time;
        self.until(at).await;
    }

    fn to_next_timer(&self) {
        let mut state = self.0.lock().unwrap();
        // Past timers belong to futures that are no longer polled.
        let now = state.now;
        let next = state.timers.keys().find(|(at, _)| *at > now);
        let next = next.expect("the task waits without a timer").0;
        state.now = next;
        let due = state.timers.iter_mut().filter(|((at, _), _)| *at <= next);
        due.filter_map(|(_, waker)| waker.take()).for_each(Waker::wake);
    }

    /// Runs a task to completion.
    pub fn run<F: Future>(&self, task: F) -> F::Output {
        let mut task = pin!(task);
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = task.as_mut().poll(&mut context) {
                return output;
            }
            if !flag.0.swap(false, Ordering::SeqCst) {
                self.to_next_timer();
            }
        }
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A timer, ready at its time.
#[derive(Debug)]
pub struct Timer {
    clock: Clock,
    key: (Duration, u64),
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.0.lock().unwrap();
        if state.now >= self.key.0 {
            return Poll::Ready(());
        }
        state.timers.insert(self.key, Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let mut state = self.clock.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.timers.remove(&self.key);
    }
}

impl AsyncSleep for Clock {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(self.until(self.now() + duration))
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + EPOCH + Clock::now(self)
    }
}
