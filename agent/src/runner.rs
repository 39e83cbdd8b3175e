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
use tokio::time::{Instant, MissedTickBehavior, interval};
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
    fn task_ended(&self, event: &C::Event);

    /// An event was handled, and its effects were performed, in this time.
    fn handled(&self, took: Duration);
}

/// Runs the controller until `end` is cancelled. If the driver fails, cancels `end`.
pub(crate) async fn run<C: Controller, D: Driver<C>>(
    controller: C,
    driver: D,
    period: Duration,
    end: &CancellationToken,
) -> Result<(), D::Failure> {
    let mut run = Run { controller, tasks: JoinSet::new(), driver, origin: Instant::now() };
    let ended = run.handle_events(period, end).await;
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
    async fn handle_events(
        &mut self,
        period: Duration,
        end: &CancellationToken,
    ) -> Result<(), D::Failure> {
        let mut tick = interval(period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                () = end.cancelled() => return Ok(()),
                event = self.driver.changed() => Some(event?),
                Some(done) = self.tasks.join_next() => self.task_ended(done),
                _at = tick.tick() => Some(self.driver.tick()),
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
        let mut open = VecDeque::from([event]);
        while let Some(event) = open.pop_front() {
            for effect in self.controller.handle(event, Moment(self.origin.elapsed())) {
                open.extend(self.driver.perform(effect, &mut self.tasks).await);
            }
        }
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
        self.controller.stop();
        while !self.controller.is_idle() {
            let Some(done) = self.tasks.join_next().await else { break };
            if let Some(event) = self.task_ended(done) {
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

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
