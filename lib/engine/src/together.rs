//! EC2 for attaches that run in one process: the calls of those that run at the same time go to EC2
//! together. `firecamp_core::endpoint::batches` decides which and when.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firecamp_core::endpoint::batches::{
    Answered, Batch, Batches, Due, Others, Refusal, Rule, Waiting,
};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, Mac, SubnetId};
use firecamp_core::node_identity::NodeIdentity;
use firecamp_core::ports::{Cloud, Owner};
use firecamp_core::time::Moment;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::metadata_reads::MetadataReads;
use crate::pacing::Pacing;
use crate::perform::READ_BOUND;
use crate::rng::Rng;

/// How long a call waits for the answer to the request before it. EC2 answers an Assign in 250 ms
/// and a Describe in 60 ms at the median (ec2-semantics, timing model).
const PATIENCE: Duration = Duration::from_millis(100);
/// Pause after a throttled request. EC2's bucket of mutating requests gains a token in 200 ms
/// (ec2-semantics, throttling).
const THROTTLED: Duration = Duration::from_millis(500);
/// EC2 performs a request for all of its addresses or for none, so a refused one is sent again in
/// parts: the more addresses, the more parts.
const ASSIGNS: Rule = Rule {
    most: 10,
    gather: Duration::from_millis(500),
    patience: PATIENCE,
    throttled: THROTTLED,
    refusal: Refusal::OfOneAddress,
};
/// Far below the 200 values that a filter takes, so that the answer fits a page.
const LOOKUPS: Rule = Rule {
    most: 50,
    gather: Duration::from_millis(25),
    patience: PATIENCE,
    throttled: THROTTLED,
    refusal: Refusal::OfAll,
};
/// An attach that has not assigned after this long waits for something else, such as a
/// predecessor, and others do not wait for it.
const EXPECTED_FOR: Duration = Duration::from_secs(1);
/// Calls that have not reached the queue yet.
const BUFFER: usize = 64;

/// Interface, and whether by force.
type AssignKey = (EniId, bool);
type Answer<A> = Result<A, CloudFailure>;

/// A call on its way to the queue.
#[derive(Debug)]
struct Call<K, A> {
    key: K,
    others: Others,
    waiting: Waiting<oneshot::Sender<Answer<A>>>,
}

/// What arrives at a queue.
#[derive(Debug)]
enum Arrival<K, A> {
    Call(Call<K, A>),
    /// The last attach that was expected has ended without a call.
    ExpectNoMore,
}

/// Where the calls of attaches wait for each other.
#[derive(Debug)]
pub struct Queues {
    assigns: mpsc::Sender<Arrival<AssignKey, ()>>,
    lookups: mpsc::Sender<Arrival<SubnetId, Owner>>,
    expected: Mutex<Expected>,
    metadata: MetadataReads,
    pacing: Arc<Pacing>,
    origin: Instant,
}

/// Attaches that have not assigned yet.
#[derive(Debug, Default)]
struct Expected {
    /// When they began or go on, by number.
    began: BTreeMap<u64, Instant>,
    numbers: u64,
}

/// The calls that wait in [`Queues`].
#[derive(Debug)]
pub struct Queued {
    assigns: mpsc::Receiver<Arrival<AssignKey, ()>>,
    lookups: mpsc::Receiver<Arrival<SubnetId, Owner>>,
    pacing: Arc<Pacing>,
    origin: Instant,
}

impl Queues {
    /// Empty queues, and what sends their calls.
    pub fn new(rng: Rng) -> (Self, Queued) {
        let (origin, pacing) = (Instant::now(), Pacing::new(rng));
        let (assigns, assigned) = mpsc::channel(BUFFER);
        let (lookups, looked_up) = mpsc::channel(BUFFER);
        let queued =
            Queued { assigns: assigned, lookups: looked_up, pacing: Arc::clone(&pacing), origin };
        let (expected, metadata) = (Mutex::default(), MetadataReads::default());
        (Self { assigns, lookups, expected, metadata, pacing, origin }, queued)
    }

    /// Whether the attaches pause because EC2 throttles them.
    pub fn is_paused(&self) -> bool {
        self.pacing.left().is_some()
    }

    /// The random numbers of the attaches.
    pub fn rng(&self) -> Rng {
        Rng::Paced(Arc::clone(&self.pacing))
    }

    /// EC2 for one attach. Until its first Assign, the calls of others wait for it a little.
    pub fn cloud<'a, C>(&'a self, cloud: &'a C) -> SharedCloud<'a, C> {
        let mut expected = self.expected();
        expected.numbers = expected.numbers.saturating_add(1);
        let number = expected.numbers;
        expected.began.insert(number, Instant::now());
        SharedCloud { cloud, queues: self, number, assigned: AtomicBool::new(false) }
    }

    fn expected(&self) -> MutexGuard<'_, Expected> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether other attaches than this one will probably send such a call soon.
    fn others(&self, number: u64) -> Others {
        let expected = self.expected();
        let mut others = expected.began.iter().filter(|(other, _)| **other != number);
        let now = Instant::now();
        let soon = others.any(|(_, began)| *began <= now && now - *began < EXPECTED_FOR);
        if soon { Others::Expected } else { Others::NotExpected }
    }

    /// Puts a call into its queue and waits for the answer.
    async fn call<K, A>(
        &self,
        queue: &mpsc::Sender<Arrival<K, A>>,
        (key, address, others): (K, Ipv4Addr, Others),
        within: Duration,
    ) -> Answer<A> {
        let (caller, answer) = oneshot::channel();
        let not_after = Moment(self.origin.elapsed()).plus(within);
        let call = Call { key, others, waiting: Waiting { address, not_after, caller } };
        // Both fail only while the process shuts down.
        let ended = |effect| failure(effect, format!("{address}: shut down before EC2's response"));
        queue.send(Arrival::Call(call)).await.map_err(|_closed| ended(Effect::None))?;
        answer.await.unwrap_or_else(|_closed| Err(ended(Effect::Unknown)))
    }
}

/// EC2 for one attach.
#[derive(Debug)]
pub struct SharedCloud<'a, C> {
    cloud: &'a C,
    queues: &'a Queues,
    /// Its number among those that have not assigned yet.
    number: u64,
    /// EC2 has accepted its Assign. Pauses are for the others.
    assigned: AtomicBool,
}

impl<C> SharedCloud<'_, C> {
    fn expect_no_more(&self) {
        self.queues.expected().began.remove(&self.number);
    }

    /// Others wait for it a little, once the pause has ended.
    fn goes_on(&self) -> Instant {
        Instant::now() + self.queues.pacing.left().unwrap_or_default()
    }

    /// While all pause, a call is refused as EC2 would refuse it.
    async fn call<K, A>(
        &self,
        queue: &mpsc::Sender<Arrival<K, A>>,
        (key, address): (K, Ipv4Addr),
        within: Duration,
    ) -> Answer<A> {
        let left = self.queues.pacing.left().filter(|_| !self.assigned.load(Ordering::Relaxed));
        let Some(left) = left else {
            let call = (key, address, self.queues.others(self.number));
            return self.queues.call(queue, call, within).await;
        };
        let detail = format!("{address}: EC2 throttles; this node's next request is in {left:.0?}");
        Err(CloudFailure { kind: CloudKind::Throttled, effect: Effect::None, detail })
    }
}

impl<C> Drop for SharedCloud<'_, C> {
    fn drop(&mut self) {
        self.expect_no_more();
        if self.queues.others(self.number) == Others::NotExpected {
            // If the queue is full, its calls say so.
            drop(self.queues.assigns.try_send(Arrival::ExpectNoMore));
        }
    }
}

impl<C: Cloud> Cloud for SharedCloud<'_, C> {
    async fn identity(&self) -> Answer<NodeIdentity> {
        self.cloud.identity().await
    }

    async fn listed(&self, mac: Mac) -> Answer<BTreeSet<Ipv4Addr>> {
        self.queues.metadata.listed(mac, self.cloud.listed(mac)).await
    }

    async fn owners(
        &self,
        addresses: &[Ipv4Addr],
        subnet: &SubnetId,
    ) -> Answer<BTreeMap<Ipv4Addr, Owner>> {
        let [address] = addresses else { return self.cloud.owners(addresses, subnet).await };
        let call = (subnet.clone(), *address);
        let found = self.call(&self.queues.lookups, call, READ_BOUND).await;
        if let Some(began) = self.queues.expected().began.get_mut(&self.number) {
            *began = self.goes_on();
        }
        let owner = found?;
        Ok(BTreeMap::from([(*address, owner)]))
    }

    async fn assign(
        &self,
        eni: &EniId,
        addresses: &[Ipv4Addr],
        force: bool,
        within: Duration,
    ) -> Answer<()> {
        self.expect_no_more();
        let [address] = addresses else {
            return self.cloud.assign(eni, addresses, force, within).await;
        };
        let call = ((eni.clone(), force), *address);
        let done = self.call(&self.queues.assigns, call, within).await;
        self.assigned.store(done.is_ok(), Ordering::Relaxed);
        if done.is_err() {
            self.queues.expected().began.insert(self.number, self.goes_on());
        }
        done
    }

    async fn unassign(&self, eni: &EniId, address: Ipv4Addr, within: Duration) -> Answer<()> {
        self.cloud.unassign(eni, address, within).await
    }
}

impl Queued {
    /// Sends the calls. Ends with the [`Queues`]; if it is dropped before, all calls fail.
    pub async fn send(self, cloud: &impl Cloud) {
        let Self { assigns, lookups, pacing, origin } = self;
        let assign = async |batch: Requested<AssignKey, ()>| {
            let ((eni, force), addresses) = (&batch.key, batch.addresses());
            let within = batch.not_after().since(Moment(origin.elapsed()));
            let assigned = cloud.assign(eni, &addresses, *force, within).await;
            if assigned.is_ok() {
                pacing.accepted();
            }
            let answer = assigned.map(|()| addresses.iter().map(|one| (*one, ())).collect());
            (batch, answer)
        };
        let look_up = async |batch: Requested<SubnetId, Owner>| {
            let answer = cloud.owners(&batch.addresses(), &batch.key).await;
            (batch, answer)
        };
        tokio::join!(
            send_together(assigns, (ASSIGNS, &pacing), origin, assign),
            send_together(lookups, (LOOKUPS, &pacing), origin, look_up)
        );
    }
}

type Requested<K, A> = Batch<K, oneshot::Sender<Answer<A>>>;
type WithAnswer<K, A> = (Requested<K, A>, Answer<BTreeMap<Ipv4Addr, A>>);

/// The answer to a request, and when that was sent.
async fn timed<T>(sending: impl Future<Output = T>) -> (Instant, T) {
    (Instant::now(), sending.await)
}

/// Sends the calls of one queue until it is closed.
async fn send_together<K: Ord + Clone, A>(
    mut calls: mpsc::Receiver<Arrival<K, A>>,
    (rule, pacing): (Rule, &Pacing),
    origin: Instant,
    send: impl AsyncFn(Requested<K, A>) -> WithAnswer<K, A>,
) {
    let now = || Moment(origin.elapsed());
    let mut batches = Batches::new(rule);
    let mut open = FuturesUnordered::new();
    let mut throttle = None;
    loop {
        let mut due = Due::default();
        tokio::select! {
            arrival = calls.recv() => match arrival {
                Some(Arrival::Call(Call { key, others, waiting })) => {
                    batches.add(key, waiting, others, now());
                }
                Some(Arrival::ExpectNoMore) => batches.expect_no_more(now()),
                None => return,
            },
            Some((at, answered)) = open.next() => {
                let (batch, answer): WithAnswer<K, A> = answered;
                let (addresses, why) = (batch.addresses(), answer.as_ref().err());
                throttle = why.filter(|why| why.kind == CloudKind::Throttled).cloned();
                let Answered { done, expired } = batches.answered(batch, why, now());
                let late = |one: &Ipv4Addr| expired.iter().any(|call| call.address == *one);
                if throttle.is_some() && addresses.iter().all(late) {
                    pacing.throttled(at);
                }
                due.expired = expired;
                answer_each(done, answer);
            }
            () = sleep_until_due(batches.next_due(), origin) => {}
        }
        let next = batches.due(now());
        due.requests = next.requests;
        due.expired.extend(next.expired);
        due.expired.into_iter().for_each(|call| answer_unsent(call, throttle.as_ref()));
        for mut batch in due.requests {
            // An attach that has ended takes no answer, and its call is not sent.
            batch.calls.retain(|call| !call.caller.is_closed());
            if batch.calls.is_empty() {
                batches.answered(batch, None, now());
            } else {
                open.push(timed(send(batch)));
            }
        }
    }
}

async fn sleep_until_due(due: Option<Moment>, origin: Instant) {
    match due {
        Some(Moment(at)) => sleep_until(origin + at).await,
        None => std::future::pending().await,
    }
}

fn answer_each<A>(
    calls: Vec<Waiting<oneshot::Sender<Answer<A>>>>,
    mut answer: Answer<BTreeMap<Ipv4Addr, A>>,
) {
    let several = calls.len() > 1;
    for Waiting { address, caller, .. } in calls {
        let absent =
            || failure(Effect::Unknown, format!("EC2's response has nothing of {address}"));
        let own = match &mut answer {
            Ok(each) => each.remove(&address).ok_or_else(absent),
            Err(why) => Err(why.clone()),
        };
        let named = |why: CloudFailure| CloudFailure {
            detail: if several { format!("{address}: {}", why.detail) } else { why.detail },
            ..why
        };
        // An attach that has ended takes no answer.
        drop(caller.send(own.map_err(named)));
    }
}

/// A call whose authorisation has ended, after this throttle if there was one.
fn answer_unsent<A>(
    Waiting { address, caller, .. }: Waiting<oneshot::Sender<Answer<A>>>,
    throttle: Option<&CloudFailure>,
) {
    let late = || failure(Effect::None, format!("{address}: not sent to EC2 in time"));
    let throttled = |why: &CloudFailure| CloudFailure {
        kind: CloudKind::Throttled,
        effect: Effect::None,
        detail: format!("{address}: {}", why.detail),
    };
    drop(caller.send(Err(throttle.map_or_else(late, throttled))));
}

fn failure(effect: Effect, detail: String) -> CloudFailure {
    CloudFailure { kind: CloudKind::Transient, effect, detail }
}
