//! Sends the publisher's requests: one at a time, and a bounded number per check.

use std::time::Duration;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::NodeName;
use firecamp_core::time::Moment;
use firecamp_node::volumes::Table;
use firecamp_registry::api::NodeAttachments;

use crate::Controller;
use crate::publish::event::Event;
use crate::publish::facts::Facts;
use crate::publish::publisher::Publisher;
use crate::publish::reports::Reports;
use crate::publish::request::{Done, Step};
use crate::publish::volume_status::table;

/// How often the reports are checked.
const TICK: Duration = Duration::from_secs(1);
/// Maximum number of requests per check.
const MAX_REQUESTS: u32 = 64;

/// What happens to the controller.
#[derive(Debug)]
pub enum PublishEvent {
    /// The next check is due.
    Tick(Box<PublishTick>),
    /// The request has ended.
    Ended {
        /// Its result.
        result: Result<Done, RegistryFailure>,
        /// Any number; it spreads retries.
        jitter: u32,
    },
}

/// What a tick brings from outside.
#[derive(Debug, Default)]
pub struct PublishTick {
    /// What was reported since the last tick.
    pub reports: Reports,
    /// The time as RFC 3339, in seconds, the precision of condition timestamps.
    pub timestamp: String,
}

/// What the controller wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishEffect {
    /// Send a request, which ends with an event.
    Send(Step),
    /// Show the status that is to be published, and the capacity of the node, of all resources
    /// together, if it is known.
    Show(Box<NodeAttachments>, Option<u32>),
    /// Pass the volumes that an earlier process published on.
    PassPublished(Table),
    /// Report to the operator: an Event was emitted.
    Emitted(Event),
    /// Report to the operator: the request of this name has failed.
    Failed(&'static str, RegistryFailure),
}

/// The controller of what an agent publishes.
#[derive(Debug)]
pub struct PublishController {
    publisher: Publisher,
    /// The latest facts; none before the first report of the node.
    facts: Option<Facts>,
    /// What was reported and not evaluated yet.
    reports: Reports,
    /// The volumes that an earlier process published were passed on.
    passed: bool,
    /// The running request.
    request: Option<Step>,
    /// How many requests this check may still send.
    left: u32,
    next_check: Moment,
}

impl PublishController {
    /// The controller of a cluster node.
    pub fn new(node: NodeName) -> Self {
        Self::with(Publisher::new(node))
    }

    /// The controller of a node without a Kubernetes API: its only requests are Events, for the
    /// log.
    pub fn offline(node: NodeName) -> Self {
        Self::with(Publisher::offline(node))
    }

    fn with(publisher: Publisher) -> Self {
        Self {
            publisher,
            facts: None,
            reports: Reports::default(),
            passed: false,
            request: None,
            left: 0,
            next_check: Moment::default(),
        }
    }

    fn check(&mut self, tick: PublishTick, now: Moment, effects: &mut Vec<PublishEffect>) {
        self.next_check = now.plus(TICK);
        self.left = MAX_REQUESTS;
        self.reports.extend(tick.reports);
        self.evaluate(&tick.timestamp, now, effects);
    }

    /// Evaluates the facts if they have changed or if it is due.
    fn evaluate(&mut self, timestamp: &str, now: Moment, effects: &mut Vec<PublishEffect>) {
        let changed = self.reports.apply(&mut self.facts);
        let Some(facts) = &self.facts else { return };
        let notices = self.reports.take_notices();
        if !changed && notices.is_empty() && !self.publisher.is_due(now) {
            return;
        }
        self.publisher.take(facts.clone(), now, timestamp);
        for notice in notices {
            self.publisher.notice(notice, now);
        }
        let object = Box::new(self.publisher.wanted());
        let capacity = self.publisher.capacity().into_values().reduce(u32::saturating_add);
        effects.push(PublishEffect::Show(object, capacity));
    }

    fn ended(
        &mut self,
        result: Result<Done, RegistryFailure>,
        (now, jitter): (Moment, u32),
        effects: &mut Vec<PublishEffect>,
    ) {
        let Some(step) = self.request.take() else { return };
        match (&result, &step) {
            (Ok(_), Step::EmitEvent(event)) => effects.push(PublishEffect::Emitted(event.clone())),
            (Ok(_), _) => {}
            (Err(why), _) => effects.push(PublishEffect::Failed(step.name(), why.clone())),
        }
        self.publisher.done(&step, result, (now, jitter));
    }

    /// The next request of this check.
    fn send(&mut self, now: Moment) -> Option<PublishEffect> {
        if self.request.is_some() || self.left == 0 {
            return None;
        }
        let step = self.publisher.next(now)?;
        self.left -= 1;
        self.request = Some(step.clone());
        Some(PublishEffect::Send(step))
    }

    /// What was published last, once.
    fn pass_published(&mut self) -> Option<PublishEffect> {
        let published = self.publisher.published().filter(|_| !self.passed)?;
        self.passed = true;
        Some(PublishEffect::PassPublished(table(&published.volumes)))
    }
}

impl Controller for PublishController {
    type Event = PublishEvent;
    type Effect = PublishEffect;

    fn handle(&mut self, event: PublishEvent, now: Moment) -> Vec<PublishEffect> {
        let mut effects = Vec::new();
        match event {
            PublishEvent::Tick(tick) => self.check(*tick, now, &mut effects),
            PublishEvent::Ended { result, jitter } => {
                self.ended(result, (now, jitter), &mut effects);
            }
        }
        effects.extend(self.pass_published());
        effects.extend(self.send(now));
        effects
    }

    /// A check ends with its last request.
    fn next_tick(&self) -> Option<Moment> {
        self.request.is_none().then_some(self.next_check)
    }

    fn stop(&mut self, _now: Moment) -> Vec<PublishEffect> {
        Vec::new()
    }

    /// A later process repeats a request that did not end.
    fn is_idle(&self) -> bool {
        true
    }
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
