//! The agent tells what it knows: to the cluster if there is one, to its own `/v1/node`, and to the
//! log. Beside the loop, so that an API that is slow or away holds up nothing.

mod bulletin;
mod late;

use std::time::Duration;

use firecamp_controllers::publish::{About, Board, Done, Event, Publisher, Step, carry_out};
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::NodeName;
use firecamp_core::time::Moment;
use firecamp_engine::Dice;
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::bulletin::Bulletin;
pub(crate) use self::late::LateBoard;
use crate::status::{Reasons, Status, Steps};

/// How often what is known is looked at.
const TICK: Duration = Duration::from_secs(1);
/// So many steps at most follow from one look.
const STEPS: u32 = 64;
/// The most that one step may take; its requests have shorter bounds of their own.
const STEP_BOUND: Duration = Duration::from_secs(20);

/// Publishes until the end. Without a board there is only the log.
pub(crate) async fn run<B: Board>(
    (node, board): (NodeName, Option<&B>),
    bulletin: &Bulletin,
    status: &Status,
    end: &CancellationToken,
) {
    let publisher = match board {
        Some(_) => Publisher::new(node.clone()),
        None => Publisher::offline(node.clone()),
    };
    let origin = Instant::now();
    let mut it = Publishing { node, board, publisher, status, origin };
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let all = async {
        loop {
            tick.tick().await;
            it.look(bulletin);
            it.publish().await;
        }
    };
    tokio::select! {
        () = end.cancelled() => {}
        () = all => {}
    }
}

struct Publishing<'a, B> {
    node: NodeName,
    board: Option<&'a B>,
    publisher: Publisher,
    status: &'a Status,
    origin: Instant,
}

impl<B: Board> Publishing<'_, B> {
    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    fn look(&mut self, bulletin: &Bulletin) {
        if let Some(published) = self.publisher.published() {
            bulletin.published(&published.volumes);
        }
        let now = self.now();
        let due = self.publisher.is_due(now);
        let Some((facts, notices)) = bulletin.take(due) else { return };
        self.publisher.take(facts, now, &wall());
        for notice in notices {
            self.publisher.notice(notice, now);
        }
        if let Some(capacity) = self.publisher.capacity() {
            self.status.capacity.set(i64::from(capacity));
        }
        self.status.would_publish(self.publisher.wanted());
    }

    async fn publish(&mut self) {
        for _ in 0..STEPS {
            let Some(step) = self.publisher.next(self.now()) else { return };
            let name = step.name();
            self.status.published.get_or_create(&Steps { step: name }).inc();
            let done = self.carry_out(&step).await;
            if let Err(failure) = &done {
                self.status.unpublished.get_or_create(&Steps { step: name }).inc();
                tracing::warn!(node = %self.node, step = name, error = %failure,
                    "Something was not published; it is tried again");
            }
            self.publisher.done(&step, done, (self.now(), chance()));
        }
    }

    async fn carry_out(&self, step: &Step) -> Result<Done, RegistryFailure> {
        let done = match self.board {
            Some(board) => {
                let done = timeout(STEP_BOUND, carry_out(board, &self.node, step)).await;
                done.unwrap_or_else(|_elapsed| Err(too_late(step)))
            }
            None => Ok(Done::Well),
        };
        if let (Step::Tell(event), Ok(_)) = (step, &done) {
            self.status.events.get_or_create(&Reasons { reason: event.reason }).inc();
            log(event, &self.node);
        }
        done
    }
}

fn too_late(step: &Step) -> RegistryFailure {
    let detail = format!("publish ({}): no answer within {STEP_BOUND:?}", step.name());
    RegistryFailure { kind: RegistryKind::Unavailable, effect: Effect::Unknown, detail }
}

/// An Event is also a line of the log.
fn log(event: &Event, node: &NodeName) {
    let Event { reason, action, note, warns, .. } = event;
    let address = event.related.map(|address| address.to_string());
    let (member, pod) = match &event.about {
        About::Pod { namespace, name, uid } => (Some(format!("{namespace}/{name}")), Some(uid)),
        About::StaticIp(_) | About::Node => (None, None),
    };
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(%node, member, address, podUID = pod, reason, action, note, "An Event")
        };
    }
    if *warns { line!(warn) } else { line!(info) }
}

/// The time to the second: Kubernetes keeps no more of it in a condition.
fn wall() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// Any number.
fn chance() -> u32 {
    let digits = Dice::default().run_id();
    digits.as_str().get(..4).and_then(|four| u32::from_str_radix(four, 16).ok()).unwrap_or(0)
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
