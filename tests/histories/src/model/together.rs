//! Assigns of the attaches that an agent runs for pods go to EC2 together, by the core's
//! `Batches`. EC2 performs a request for all of its addresses or for none.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::Reply;
use firecamp_core::endpoint::batches::{
    Answered, Batch, Batches, Due, Others, Refusal, Rule, Waiting,
};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect as ReportedEffect};
use firecamp_core::time::Moment;

use super::Model;
use super::calls::Effect;
use super::cloud::{Fate, failure};
use super::process::{ProcessKind, Slot};
use super::queue::Event;
use crate::names::EniIx;
use crate::seed::{Purpose, SeededRng};
use crate::simulated_cluster::ec2::{Change, Lags};

/// The random stream that decides whether Assigns go together, chosen so that no regression seed
/// before it (seeds/found.txt) gets another history.
const KEY: u64 = 40_029;

/// Calls wait longer than in the product and requests are smaller, so that with few members they
/// meet, wait and are split as often as with many.
const RULE: Rule = Rule {
    most: 3,
    gather: Duration::from_millis(1_500),
    patience: Duration::from_millis(400),
    throttled: Duration::from_millis(500),
    refusal: Refusal::OfOneAddress,
};
/// In calm histories, as in the product.
const CALM: Duration = Duration::from_millis(500);
/// Between two attempts of an agent that stands still.
const FROZEN: Duration = Duration::from_millis(250);

const AGAIN: &str = "endpoint: sent again after a throttle";

/// Interface, and whether by force.
type Key = (EniIx, bool);
type Request = Batch<Key, Slot>;

/// An Assign of several addresses, when it takes effect.
#[derive(Debug)]
pub(super) struct Together {
    pub(super) key: Key,
    pub(super) calls: Vec<(Slot, Ipv4Addr)>,
    pub(super) lags: Lags,
    /// The number of the request whose caller learns the result, and when.
    pub(super) answer: Option<(u32, Duration)>,
}

/// A request that was sent, and its result so far.
#[derive(Debug)]
struct Open {
    agent: Slot,
    request: Request,
    failure: Option<CloudFailure>,
}

/// The queues of all agents.
#[derive(Debug, Default)]
pub(super) struct Queues {
    queues: BTreeMap<u32, Batches<Key, Slot>>,
    open: Vec<Option<Open>>,
}

impl Model<'_> {
    /// The agent whose requests an attach shares, if it does. The enumeration of crashes needs no
    /// shared requests: an agent that dies with a call in its queue has sent nothing that took
    /// effect, like one that dies before its Assign.
    pub(super) fn shares_requests(&mut self, slot: Slot) -> Option<Slot> {
        let process = &self.processes[slot.at()];
        let agent = process.agent?;
        let attaches = matches!(process.machine, ProcessKind::Attach(_));
        let together = SeededRng::new(self.scenario.seed, Purpose::Shape, KEY).once_in(2);
        (attaches && together && self.crash_injector.is_none()).then_some(agent)
    }

    /// An Assign waits to be sent.
    pub(super) fn queue_assign(
        &mut self,
        agent: Slot,
        slot: Slot,
        (eni, address, force): (EniIx, Ipv4Addr, bool),
        not_after: Moment,
    ) {
        self.coverage.expect(&["endpoint: assigned together", "endpoint: split", AGAIN]);
        self.next_generation(slot);
        let gather = if self.scenario.is_calm() { CALM } else { RULE.gather };
        let expected = self.process(slot).rng.once_in(2);
        let others = if expected { Others::Expected } else { Others::NotExpected };
        let rule = Rule { gather, ..RULE };
        let queue = self.together.queues.entry(agent.0).or_insert_with(|| Batches::new(rule));
        let call = Waiting { address, not_after, caller: slot };
        queue.add((eni, force), call, others, self.now);
        self.plan_requests(agent);
    }

    fn plan_requests(&mut self, agent: Slot) {
        let due = self.together.queues.get(&agent.0).and_then(Batches::next_due);
        if let Some(due) = due {
            self.queue.push(due.max(self.now), Event::RequestsDue(agent));
        }
    }

    /// An agent sends the requests that are due.
    pub(super) fn requests_due(&mut self, agent: Slot) {
        if !self.processes[agent.at()].alive {
            self.together.queues.remove(&agent.0);
            return;
        }
        if self.processes[agent.at()].frozen {
            return self.queue.push(self.now.plus(FROZEN), Event::RequestsDue(agent));
        }
        let now = self.now;
        let Some(queue) = self.together.queues.get_mut(&agent.0) else { return };
        let due = queue.due(now);
        self.send_requests(agent, due);
        self.plan_requests(agent);
    }

    fn send_requests(&mut self, agent: Slot, due: Due<Key, Slot>) {
        for call in due.expired {
            let why = failure(CloudKind::Transient, ReportedEffect::None);
            self.answer_call(call.caller, Some(why));
        }
        for mut request in due.requests {
            request.calls.retain(|call| self.processes[call.caller.at()].alive);
            self.send_request(agent, request);
        }
    }

    fn send_request(&mut self, agent: Slot, request: Request) {
        let ((eni, force), number) = (request.key, self.together.open.len());
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let calls: Vec<(Slot, Ipv4Addr)> =
            request.calls.iter().map(|call| (call.caller, call.address)).collect();
        let left = request.not_after().since(self.now);
        self.together.open.push(Some(Open { agent, request, failure: None }));
        let Some((first, _)) = calls.first().copied() else {
            return self.queue.push(self.now, Event::RequestAnswered(number));
        };
        for (slot, address) in &calls {
            self.count_mutation(*slot, (eni, *address), Some(force));
        }
        if calls.len() > 1 {
            self.coverage.hit("endpoint: assigned together");
        }
        if let Some(kind) = self.refused(first) {
            let after = self.process(first).rng.millis(20, 150);
            let why = failure(kind, ReportedEffect::None);
            return self.answer_request(number, after, Some(why));
        }
        let lags = self.lags(first);
        let mut effect = Together { key: (eni, force), calls, lags, answer: None };
        let unknown = failure(CloudKind::Transient, ReportedEffect::Unknown);
        match self.fate(first, left) {
            Fate::Answered { lands, back } => {
                effect.answer = Some((number, back));
                self.send(first, (lands, None), Effect::Together(effect));
            }
            Fate::Unanswered { notified, lands } => {
                for (slot, _) in &effect.calls {
                    self.pending_mutations(*slot, self.now.plus(left));
                }
                self.answer_request(number, notified, Some(unknown));
                if let Some(lands) = lands {
                    self.send(first, (lands, None), Effect::Together(effect));
                }
            }
            Fate::AfterDeadline { lands } => {
                self.answer_request(number, left, Some(unknown));
                self.send_after_deadline(first, lands, Effect::Together(effect));
            }
        }
    }

    fn answer_request(&mut self, number: u32, after: Duration, why: Option<CloudFailure>) {
        if let Some(open) = self.open_request(number) {
            open.failure = why;
            self.queue.push(self.now.plus(after), Event::RequestAnswered(number));
        }
    }

    fn open_request(&mut self, number: u32) -> Option<&mut Open> {
        let at = usize::try_from(number).ok()?;
        self.together.open.get_mut(at)?.as_mut()
    }

    /// An Assign of several addresses takes effect, or is refused as a whole.
    pub(super) fn land_together(&mut self, effect: &Together, after_deadline: bool) {
        let Together { key: (eni, force), calls, lags, answer } = effect;
        let mut next = self.cluster.ec2.clone();
        let assign = |(slot, address): &(Slot, Ipv4Addr)| {
            let done = next.assign(self.now, (*eni, *address), *force, *lags);
            done.map(|change| (*slot, *address, change))
        };
        let done: Result<Vec<(Slot, Ipv4Addr, Change)>, CloudKind> =
            calls.iter().map(assign).collect();
        let refused = done.as_ref().err().copied();
        if let Ok(done) = done {
            self.cluster.ec2 = next;
            for (slot, address, change) in done {
                self.landed(slot, address, Ok(change), after_deadline);
            }
        }
        if let Some((number, back)) = *answer {
            let why = refused.map(|kind| failure(kind, ReportedEffect::None));
            self.answer_request(number, back, why);
        }
    }

    /// The answer to a request reaches its agent.
    pub(super) fn request_answered(&mut self, number: u32) {
        let Some(agent) = self.open_request(number).map(|open| open.agent) else { return };
        if self.processes[agent.at()].alive && self.processes[agent.at()].frozen {
            return self.queue.push(self.now.plus(FROZEN), Event::RequestAnswered(number));
        }
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let open = self.together.open.get_mut(at).and_then(Option::take);
        let Some(Open { request, failure, .. }) = open else { return };
        let now = self.now;
        let Some(queue) = self.together.queues.get_mut(&agent.0) else { return };
        let addresses = request.calls.len();
        let Answered { done, expired } = queue.answered(request, failure.as_ref(), now);
        if done.len() + expired.len() < addresses {
            let throttled = failure.as_ref().is_some_and(|why| why.kind == CloudKind::Throttled);
            self.coverage.hit(if throttled { AGAIN } else { "endpoint: split" });
        }
        for call in done {
            self.answer_call(call.caller, failure.clone());
        }
        self.send_requests(agent, Due { expired, ..Due::default() });
        self.requests_due(agent);
    }

    /// An attach learns the result of its Assign.
    fn answer_call(&mut self, slot: Slot, why: Option<CloudFailure>) {
        if self.processes[slot.at()].alive {
            let answer = why.map_or(Ok(()), Err);
            self.reply_after(slot, Duration::ZERO, Reply::Cloud(answer));
        }
    }
}
