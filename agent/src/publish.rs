//! Publishes the agent's status: to the cluster if there is one, to `/v1/node`, and to the log. It
//! runs beside the loop, so that a slow or unavailable API delays nothing.

mod lazy_status_writer;
mod shared_status;

use std::time::Duration;

use firecamp_controllers::publish::{About, Done, Event, Publisher, StatusWriter, Step, carry_out};
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::NodeName;
use firecamp_core::time::Moment;
use firecamp_engine::Rng;
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::lazy_status_writer::LazyStatusWriter;
pub(crate) use self::shared_status::SharedStatus;
use crate::status::{Reasons, Requests, Status};

/// How often the shared status is checked.
const TICK: Duration = Duration::from_secs(1);
/// Maximum number of requests per check.
const MAX_REQUESTS: u32 = 64;
/// Bound of one request; the client's own timeout is shorter.
const REQUEST_BOUND: Duration = Duration::from_secs(20);

/// Publishes until `end`. Without a status writer, only the log and `/v1/node`.
pub(crate) async fn run<B: StatusWriter>(
    (node, status_writer): (NodeName, Option<&B>),
    shared_status: &SharedStatus,
    status: &Status,
    end: &CancellationToken,
) {
    let publisher = match status_writer {
        Some(_) => Publisher::new(node.clone()),
        None => Publisher::offline(node.clone()),
    };
    let origin = Instant::now();
    let mut it = Publishing { node, status_writer, publisher, status, origin };
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let all = async {
        loop {
            tick.tick().await;
            it.update(shared_status);
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
    status_writer: Option<&'a B>,
    publisher: Publisher,
    status: &'a Status,
    origin: Instant,
}

impl<B: StatusWriter> Publishing<'_, B> {
    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    fn update(&mut self, shared_status: &SharedStatus) {
        if let Some(published) = self.publisher.published() {
            shared_status.published(&published.volumes);
        }
        let now = self.now();
        let due = self.publisher.is_due(now);
        let Some((facts, notices)) = shared_status.take(due) else { return };
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
        for _ in 0..MAX_REQUESTS {
            let Some(step) = self.publisher.next(self.now()) else { return };
            let name = step.name();
            self.status.published.get_or_create(&Requests { request: name }).inc();
            let done = self.carry_out(&step).await;
            if let Err(failure) = &done {
                self.status.publish_failures.get_or_create(&Requests { request: name }).inc();
                tracing::warn!(node = %self.node, request = name, error = %failure,
                    "publish request failed; will retry");
            }
            self.publisher.done(&step, done, (self.now(), jitter()));
        }
    }

    async fn carry_out(&self, step: &Step) -> Result<Done, RegistryFailure> {
        let done = match self.status_writer {
            Some(status_writer) => {
                let done = timeout(REQUEST_BOUND, carry_out(status_writer, &self.node, step)).await;
                done.unwrap_or_else(|_elapsed| Err(too_late(step)))
            }
            None => Ok(Done::Success),
        };
        if let (Step::EmitEvent(event), Ok(_)) = (step, &done) {
            self.status.events.get_or_create(&Reasons { reason: event.reason }).inc();
            log(event, &self.node);
        }
        done
    }
}

fn too_late(step: &Step) -> RegistryFailure {
    let detail = format!("publish ({}): no answer within {REQUEST_BOUND:?}", step.name());
    RegistryFailure { kind: RegistryKind::Unavailable, effect: Effect::Unknown, detail }
}

/// Logs an emitted Event.
fn log(event: &Event, node: &NodeName) {
    let Event { reason, action, note, warns, .. } = event;
    let address = event.related.map(|address| address.to_string());
    let (member, pod) = match &event.about {
        About::Pod { namespace, name, uid } => (Some(format!("{namespace}/{name}")), Some(uid)),
        About::StaticIp(_) | About::Node => (None, None),
    };
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(%node, member, address, podUID = pod, reason, action, note,
                "event emitted")
        };
    }
    if *warns { line!(warn) } else { line!(info) }
}

/// The time in seconds, the precision of condition timestamps.
fn wall() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

fn jitter() -> u32 {
    let digits = Rng::default().run_id();
    digits.as_str().get(..4).and_then(|four| u32::from_str_radix(four, 16).ok()).unwrap_or(0)
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
