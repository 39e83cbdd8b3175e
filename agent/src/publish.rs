//! Publishes the agent's status: to the cluster if there is one, to `/v1/node`, and to the log. A
//! slow or unavailable API delays no other controller.

mod shared_status;

use std::convert::Infallible;
use std::future::{Future, pending};
use std::rc::Rc;
use std::time::Duration;

use firecamp_controllers::publish::{
    About, Done, Event, PublishController, PublishEffect, PublishEvent, PublishTick, StatusWriter,
    Step, carry_out,
};
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::NodeName;
use firecamp_engine::Rng;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) use self::shared_status::{LeaseRead, SharedStatus};
use crate::runner::{self, Driver};
use crate::status::{Reasons, Requests, Status};

/// Bound of one request; the client's own timeout is shorter.
const REQUEST_BOUND: Duration = Duration::from_secs(20);

/// Opens the writer of the status to a cluster.
pub(crate) trait OpenStatusWriter: 'static {
    /// The writer.
    type Writer: StatusWriter;

    /// Opens the writer. While the cluster cannot be opened, each call tries again.
    fn open(&self) -> impl Future<Output = Result<Self::Writer, RegistryFailure>>;
}

/// Publishes until `end`. Without a cluster, only the log and `/v1/node`.
pub(crate) async fn run<P: OpenStatusWriter>(
    (node, cluster): (NodeName, Option<Rc<P>>),
    shared_status: &SharedStatus,
    status: &Status,
    end: &CancellationToken,
) {
    let controller = match cluster {
        Some(_) => PublishController::new(node.clone()),
        None => PublishController::offline(node.clone()),
    };
    let outside = Outside { node, cluster, shared_status, status };
    let Ok(()) = runner::run(controller, outside, end).await;
}

/// The outside of the controller.
struct Outside<'a, P> {
    node: NodeName,
    cluster: Option<Rc<P>>,
    shared_status: &'a SharedStatus,
    status: &'a Status,
}

impl<P: OpenStatusWriter> Driver<PublishController> for Outside<'_, P> {
    type Failure = Infallible;

    /// What is reported waits for the next tick.
    async fn changed(&mut self) -> Result<PublishEvent, Infallible> {
        pending().await
    }

    fn tick(&mut self) -> PublishEvent {
        let (reports, timestamp) = (self.shared_status.take(), wall());
        PublishEvent::Tick(Box::new(PublishTick { reports, timestamp }))
    }

    async fn perform(
        &mut self,
        effect: PublishEffect,
        tasks: &mut JoinSet<PublishEvent>,
    ) -> Option<PublishEvent> {
        match effect {
            PublishEffect::Send(step) => return self.send(step, tasks),
            PublishEffect::Show(object, capacity) => {
                if let Some(capacity) = capacity {
                    self.status.publishing.capacity.set(i64::from(capacity));
                }
                self.status.publishing.would_publish(*object);
            }
            PublishEffect::PassPublished(volumes) => self.shared_status.set_published(volumes),
            PublishEffect::Emitted(event) => {
                self.status
                    .publishing
                    .events
                    .get_or_create(&Reasons { reason: event.reason })
                    .inc();
                log(&event, &self.node);
            }
            PublishEffect::Failed(request, failure) => {
                self.status.publishing.failures.get_or_create(&Requests { request }).inc();
                tracing::warn!(node = %self.node, request, error = %failure,
                    "publish request failed; will retry");
            }
        }
        None
    }
}

impl<P: OpenStatusWriter> Outside<'_, P> {
    /// Without a cluster a request succeeds at once.
    fn send(&self, step: Step, tasks: &mut JoinSet<PublishEvent>) -> Option<PublishEvent> {
        self.status.publishing.requests.get_or_create(&Requests { request: step.name() }).inc();
        let Some(cluster) = self.cluster.clone() else { return Some(ended(Ok(Done::Success))) };
        let node = self.node.clone();
        tasks.spawn_local(async move {
            let request = async { carry_out(&cluster.open().await?, &node, &step).await };
            let result = timeout(REQUEST_BOUND, request).await;
            ended(result.unwrap_or_else(|_elapsed| Err(too_late(&step))))
        });
        None
    }
}

fn ended(result: Result<Done, RegistryFailure>) -> PublishEvent {
    PublishEvent::Ended { result, jitter: jitter() }
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
