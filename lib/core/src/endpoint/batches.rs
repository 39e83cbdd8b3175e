//! Calls about single addresses that wait to go to EC2 as one request, so that many members that
//! start together on a node cost a few requests.
//!
//! For a caller nothing changes: its call has an effect at most once, and only while the read that
//! authorised it is young enough. A request is all or nothing, so one that EC2 refuses because of
//! one address is split until the refusal reaches the caller that it is about.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::contract::timing::QUEUED_CALL_MINIMUM;
use crate::failure::{CloudFailure, CloudKind, Effect};
use crate::time::Moment;

/// How long a queue remembers that one of its addresses was refused: longer than its calls pause
/// while EC2 throttles.
const SEARCH: Duration = Duration::from_mins(1);
/// How long calls wait for the answer to the request before theirs while one of the addresses is
/// probably refused: the answer says how many may go together.
const SEARCH_PATIENCE: Duration = Duration::from_secs(1);

/// When the waiting calls become a request.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The most addresses in a request.
    pub most: usize,
    /// How long a call waits for others that are expected.
    pub gather: Duration,
    /// How long the calls wait for the answer to the previous request. One that takes longer holds
    /// up nobody.
    pub patience: Duration,
    /// How long the calls wait after a throttled request; twice as long after the next ones in a
    /// row.
    pub throttled: Duration,
    /// Whom a refused request concerns.
    pub refusal: Refusal,
}

/// Whom a refused request concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Perhaps only one of the addresses: the request is split.
    OfOneAddress,
    /// All callers.
    OfAll,
}

/// Whether other calls will arrive soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// None that is known of.
    NotExpected,
    /// Attaches run that have not sent theirs.
    Expected,
}

/// A call that waits.
#[derive(Debug)]
pub struct Waiting<T> {
    /// Its address.
    pub address: Ipv4Addr,
    /// It is not sent later.
    pub not_after: Moment,
    /// Who waits for the answer.
    pub caller: T,
}

/// A request.
#[derive(Debug)]
pub struct Batch<K, T> {
    /// What its calls have in common.
    pub key: K,
    /// Its calls, each for another address.
    pub calls: Vec<Waiting<T>>,
    number: u64,
}

impl<K, T> Batch<K, T> {
    /// When the first of its authorisations ends. There is always one.
    pub fn not_after(&self) -> Moment {
        self.calls.iter().map(|call| call.not_after).min().unwrap_or_default()
    }

    /// Its addresses, in order.
    pub fn addresses(&self) -> Vec<Ipv4Addr> {
        self.calls.iter().map(|call| call.address).collect()
    }
}

/// What is due.
#[derive(Debug)]
pub struct Due<K, T> {
    /// Requests to send.
    pub requests: Vec<Batch<K, T>>,
    /// Calls that are not sent, because what authorised them is too old.
    pub expired: Vec<Waiting<T>>,
}

/// What becomes of the calls of a request that was answered. The others are sent again.
#[derive(Debug)]
pub struct Answered<T> {
    /// The answer is for these.
    pub done: Vec<Waiting<T>>,
    /// They are not sent again, because what authorised them is too old.
    pub expired: Vec<Waiting<T>>,
}

impl<K, T> Default for Due<K, T> {
    fn default() -> Self {
        Self { requests: Vec::new(), expired: Vec::new() }
    }
}

/// The calls with one key.
#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<Waiting<T>>,
    /// The most addresses in its next request: half of a refused one, so that the search for the
    /// refused address goes on after a throttle, and twice as many after an accepted one.
    most: usize,
    /// The search is forgotten then.
    search_until: Moment,
    /// The waiting calls gather until then.
    gather_until: Moment,
    /// The last request that has no answer yet, and when it was sent.
    open: Option<(u64, Moment)>,
    /// Nothing is sent before.
    held_until: Moment,
    /// The last request was throttled.
    throttled: bool,
}

impl<T> Queue<T> {
    fn new(rule: &Rule) -> Self {
        Self {
            waiting: VecDeque::new(),
            most: rule.most,
            search_until: Moment::default(),
            gather_until: Moment::default(),
            open: None,
            held_until: Moment::default(),
            throttled: false,
        }
    }

    /// When its calls become a request, if none of them expires before.
    fn due(&self, rule: &Rule) -> Moment {
        let searches = self.most < rule.most;
        let patience = if searches { SEARCH_PATIENCE } else { rule.patience };
        let open = self.open.map_or(Moment::default(), |(_, sent)| sent.plus(patience));
        let full = self.waiting.len() >= rule.most && !searches;
        let first = if full { Moment::default() } else { self.gather_until.max(open) };
        first.max(self.held_until)
    }

    fn expire(&mut self, now: Moment) -> Vec<Waiting<T>> {
        let sent = now.max(self.held_until);
        let young = |call: &Waiting<T>| call.not_after.since(sent) >= QUEUED_CALL_MINIMUM;
        let (kept, expired): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(young);
        self.waiting = kept;
        expired.into()
    }

    /// A throttled request had no effect: its calls go again after a pause, with those that gather
    /// meanwhile. Returns those whose authorisation ends before.
    fn throttled(&mut self, calls: Vec<Waiting<T>>, rule: &Rule, now: Moment) -> Vec<Waiting<T>> {
        // Requests that were sent together are one round.
        if self.held_until <= now {
            let doublings = u32::from(self.throttled);
            self.held_until = now.plus(rule.throttled.saturating_mul(1 << doublings));
            self.throttled = true;
        }
        self.again(calls, now)
    }

    /// EC2 refused a request because of one of its addresses, so none was assigned: the calls go
    /// again at once, in halves. Returns those whose authorisation has ended.
    fn halve(&mut self, calls: Vec<Waiting<T>>, now: Moment) -> Vec<Waiting<T>> {
        self.most = self.most.min(calls.len().div_ceil(2));
        self.search_until = now.plus(SEARCH);
        self.gather_until = now;
        self.again(calls, now)
    }

    fn again(&mut self, calls: Vec<Waiting<T>>, now: Moment) -> Vec<Waiting<T>> {
        calls.into_iter().rev().for_each(|call| self.waiting.push_front(call));
        self.expire(now)
    }

    /// The next calls, each for another address.
    fn take(&mut self) -> Vec<Waiting<T>> {
        let (mut taken, mut left) = (Vec::new(), VecDeque::new());
        let mut addresses = BTreeSet::new();
        for call in std::mem::take(&mut self.waiting) {
            if taken.len() < self.most && addresses.insert(call.address) {
                taken.push(call);
            } else {
                left.push_back(call);
            }
        }
        self.waiting = left;
        taken
    }
}

/// The waiting calls of one kind.
#[derive(Debug)]
pub struct Batches<K, T> {
    rule: Rule,
    queues: BTreeMap<K, Queue<T>>,
    requests: u64,
}

impl<K: Ord + Clone, T> Batches<K, T> {
    /// None waits.
    pub fn new(rule: Rule) -> Self {
        Self { rule, queues: BTreeMap::new(), requests: 0 }
    }

    /// A call arrives. It waits a little for others that are expected.
    pub fn add(&mut self, key: K, call: Waiting<T>, others: Others, now: Moment) {
        let queue = self.queues.entry(key).or_insert_with(|| Queue::new(&self.rule));
        if queue.waiting.is_empty() {
            queue.gather_until = now.plus(self.rule.gather);
        }
        queue.waiting.push_back(call);
        if others == Others::NotExpected {
            self.expect_no_more(now);
        }
    }

    /// No other call is expected: those that gather are due.
    pub fn expect_no_more(&mut self, now: Moment) {
        for queue in self.queues.values_mut() {
            queue.gather_until = queue.gather_until.min(now);
        }
    }

    /// When to ask again what is due, if anything waits.
    pub fn next_due(&self) -> Option<Moment> {
        let waiting = self.queues.values().filter(|queue| !queue.waiting.is_empty());
        waiting.map(|queue| queue.due(&self.rule)).min()
    }

    /// What is due now.
    pub fn due(&mut self, now: Moment) -> Due<K, T> {
        let mut due = Due::default();
        for (key, queue) in &mut self.queues {
            due.expired.append(&mut queue.expire(now));
            if queue.search_until <= now {
                queue.most = self.rule.most;
            }
            while !queue.waiting.is_empty() && queue.due(&self.rule) <= now {
                self.requests = self.requests.saturating_add(1);
                queue.open = Some((self.requests, now));
                let (key, calls) = (key.clone(), queue.take());
                due.requests.push(Batch { key, calls, number: self.requests });
            }
        }
        due
    }

    /// A request was answered, with this failure or none.
    pub fn answered(
        &mut self,
        batch: Batch<K, T>,
        failure: Option<&CloudFailure>,
        now: Moment,
    ) -> Answered<T> {
        let throttled = failure.is_some_and(|failure| {
            failure.kind == CloudKind::Throttled && failure.effect == Effect::None
        });
        let splits = failure.is_some_and(|failure| self.splits(failure));
        let Batch { key, calls, number } = batch;
        let rule = self.rule;
        let queue = self.queues.entry(key).or_insert_with(|| Queue::new(&rule));
        queue.open = queue.open.filter(|(open, _)| *open != number);
        if throttled {
            return Answered { done: Vec::new(), expired: queue.throttled(calls, &rule, now) };
        }
        queue.throttled &= calls.is_empty();
        if splits && calls.len() > 1 {
            return Answered { done: Vec::new(), expired: queue.halve(calls, now) };
        }
        if failure.is_none() && !calls.is_empty() {
            queue.most = queue.most.saturating_mul(2).min(rule.most);
        }
        self.queues.retain(|_, queue| {
            let held = queue.open.is_some() || queue.held_until.max(queue.search_until) > now;
            held || !queue.waiting.is_empty()
        });
        Answered { done: calls, expired: Vec::new() }
    }

    fn splits(&self, failure: &CloudFailure) -> bool {
        self.rule.refusal == Refusal::OfOneAddress
            && failure.effect == Effect::None
            && is_about_one_address(failure.kind)
    }
}

/// Whether EC2 may accept the other addresses of a refused request.
fn is_about_one_address(kind: CloudKind) -> bool {
    match kind {
        CloudKind::HeldElsewhere
        | CloudKind::NotOnInterface
        | CloudKind::CapacityExceeded
        | CloudKind::SubnetExhausted
        | CloudKind::BadAddress
        | CloudKind::Unknown => true,
        CloudKind::AttachmentLimitExceeded
        | CloudKind::DeviceIndexTaken
        | CloudKind::InterfaceInUse
        | CloudKind::QuotaExceeded
        | CloudKind::NotFound
        | CloudKind::Auth
        | CloudKind::Throttled
        | CloudKind::Transient => false,
    }
}
