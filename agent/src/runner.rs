//! Runs a controller: passes events and the time to it and performs its effects, until the process
//! ends.
//!
//! Guarantees: the effects of an event are performed before the next event. Tasks run beside the
//! controller, and none is detached. At the end, tasks that must end are awaited, and the others
//! are cancelled.

use std::collections::VecDeque;
use std::time::Duration;

use firecamp_controllers::Controller;
use firecamp_core::time::Moment;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The outside of a controller.
pub(crate) trait Driver<C: Controller> {
    /// Why the outside can no longer be observed.
    type Failure;

    /// Waits for the next change outside. Cancel-safe.
    fn changed(&mut self) -> impl Future<Output = Result<C::Event, Self::Failure>>;

    /// The event of a tick.
    fn tick(&mut self) -> C::Event;

    /// Performs an effect: at once, and returns the event to which it leads; or as a task that ends
    /// with its event.
    fn perform(
        &mut self,
        effect: C::Effect,
        tasks: &mut JoinSet<C::Event>,
    ) -> impl Future<Output = Option<C::Event>>;

    /// A task has ended with this event, which the controller handles next.
    fn task_ended(&self, _event: &C::Event) {}

    /// An event was handled, and its effects were performed, in this time.
    fn handled(&self, _took: Duration) {}
}

/// Runs the controller until `end` is cancelled. If the driver fails, cancels `end`.
pub(crate) async fn run<C: Controller, D: Driver<C>>(
    controller: C,
    driver: D,
    end: &CancellationToken,
) -> Result<(), D::Failure> {
    let mut run = Run { controller, tasks: JoinSet::new(), driver, origin: Instant::now() };
    let ended = run.handle_events(end).await;
    end.cancel();
    run.stop().await;
    ended
}

struct Run<C: Controller, D> {
    controller: C,
    /// Dropped before the driver, which may hold what the tasks rely on, such as a lock.
    tasks: JoinSet<C::Event>,
    driver: D,
    origin: Instant,
}

impl<C: Controller, D: Driver<C>> Run<C, D> {
    async fn handle_events(&mut self, end: &CancellationToken) -> Result<(), D::Failure> {
        loop {
            let event = tokio::select! {
                () = end.cancelled() => return Ok(()),
                event = self.driver.changed() => Some(event?),
                Some(done) = self.tasks.join_next() => self.task_ended(done),
                () = reached(self.controller.next_tick(), self.origin) => Some(self.driver.tick()),
            };
            if let Some(event) = event {
                let begun = Instant::now();
                self.handle(event).await;
                self.driver.handled(begun.elapsed());
            }
        }
    }

    /// Handles an event and those to which its effects lead at once.
    async fn handle(&mut self, event: C::Event) {
        let effects = self.controller.handle(event, self.now());
        self.perform(effects).await;
    }

    async fn perform(&mut self, mut effects: Vec<C::Effect>) {
        let mut open = VecDeque::new();
        loop {
            for effect in effects {
                open.extend(self.driver.perform(effect, &mut self.tasks).await);
            }
            let Some(event) = open.pop_front() else { return };
            effects = self.controller.handle(event, self.now());
        }
    }

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    fn task_ended(&self, done: Result<C::Event, JoinError>) -> Option<C::Event> {
        match done {
            Ok(event) => {
                self.driver.task_ended(&event);
                Some(event)
            }
            // A bug: let it end the process like any other panic.
            Err(why) if why.is_panic() => std::panic::resume_unwind(why.into_panic()),
            Err(why) => {
                tracing::error!(error = %why, "task cancelled");
                None
            }
        }
    }

    /// Awaits what must end, and cancels the rest.
    async fn stop(&mut self) {
        let effects = self.controller.stop(self.now());
        self.perform(effects).await;
        while !self.controller.is_idle() {
            let due = self.controller.next_tick();
            let event = tokio::select! {
                Some(done) = self.tasks.join_next() => self.task_ended(done),
                () = reached(due, self.origin), if due.is_some() => Some(self.driver.tick()),
                else => break,
            };
            if let Some(event) = event {
                self.handle(event).await;
            }
        }
        self.tasks.abort_all();
        while let Some(done) = self.tasks.join_next().await {
            if let Err(why) = done
                && why.is_panic()
            {
                std::panic::resume_unwind(why.into_panic());
            }
        }
    }
}

/// Waits until then; forever if it is none.
async fn reached(due: Option<Moment>, origin: Instant) {
    match due {
        Some(due) => sleep_until(origin + due.0).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
