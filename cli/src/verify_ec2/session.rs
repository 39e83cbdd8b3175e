//! One run: its calls, what it has in EC2, and its verdicts.
//!
//! Between two calls a run can be stopped; a call in flight is awaited, because its effect must be
//! known before the cleanup.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::{InterfacesBy, ListedInterface};
use firecamp_core::contract::{tag, timing};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, SubnetId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::fact::{By, Measure};
use super::facts::FACTS;
use super::judge::{Answer, Outcome, Verdict};
use super::ports::{Ec2, Reassign};

/// Before each mutating call. EC2 adds five tokens a second to the bucket of an action, so the run
/// takes less than what is added and throttles nobody.
const PACE: Duration = Duration::from_millis(250);
/// How often a failed read is repeated, and how long the command waits before.
const READS: u32 = 3;
const READ_PAUSE: Duration = Duration::from_secs(2);
/// The page size of a listing that is not about pages.
pub(super) const PAGE: i32 = 1000;
/// Between two reads of the same state: four a second, of twenty that EC2 allows.
pub(super) const POLL: Duration = Duration::from_millis(250);
/// How long a new interface may be unknown, and a read may be stale (ec2-semantics, timing model:
/// 60 s at worst).
pub(super) const VISIBLE_WITHIN: Duration = Duration::from_mins(1);

/// Why a group of facts ended before its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// A signal.
    Interrupted,
    /// A failed call.
    Failed(CloudFailure),
}

/// Whether the run is to end.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Ends the run once the value is `true`.
    pub fn new(receiver: watch::Receiver<bool>) -> Self {
        Self(receiver)
    }

    fn check(&self) -> Result<(), Halt> {
        if *self.0.borrow() { Err(Halt::Interrupted) } else { Ok(()) }
    }

    async fn wait(&mut self) {
        if self.0.wait_for(|stop| *stop).await.is_err() {
            // Nobody can stop the run any more.
            std::future::pending::<()>().await;
        }
    }
}

/// What the run has in EC2.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    /// Its interfaces, and when each was created.
    pub(super) created: BTreeMap<EniId, Instant>,
    /// A creation whose answer was lost.
    pub(super) unknown_creation: bool,
    /// The interface on which each of its addresses is, as far as the answers say.
    pub(super) placed: BTreeMap<Ipv4Addr, EniId>,
    /// An interface of the node, and the address that may be on it.
    pub(super) on_node: Option<(EniId, Ipv4Addr)>,
}

/// How many mutating calls were sent, and the longest time to an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Calls {
    /// Their number.
    pub(super) mutating: u32,
    /// The longest time to the answer of a successful one.
    pub(super) longest: Duration,
}

/// One run.
pub(super) struct Session<'a, E> {
    pub(super) ec2: &'a E,
    pub(super) subnet: &'a SubnetId,
    /// Its name in the tags of its interfaces.
    pub(super) run: &'a str,
    pub(super) stop: Stop,
    pub(super) progress: &'a mut dyn FnMut(&str),
    pub(super) holdings: Holdings,
    pub(super) calls: Calls,
    pub(super) verdicts: BTreeMap<&'static str, Verdict>,
}

impl<E: Ec2> Session<'_, E> {
    /// Waits, unless the run is stopped.
    pub(super) async fn pause(&mut self, time: Duration) -> Result<(), Halt> {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = sleep(time) => self.stop.check(),
            () = stop.wait() => Err(Halt::Interrupted),
        }
    }

    /// Interfaces of the subnet. A read that failed for a moment is repeated.
    pub(super) async fn list(&mut self, by: &InterfacesBy) -> Result<Vec<ListedInterface>, Halt> {
        let pages = self.list_pages(by, PAGE).await?;
        Ok(pages.into_iter().flatten().collect())
    }

    /// The same, page by page.
    pub(super) async fn list_pages(
        &mut self,
        by: &InterfacesBy,
        size: i32,
    ) -> Result<Vec<Vec<ListedInterface>>, Halt> {
        // A filter without values is an error.
        if matches!(by, InterfacesBy::Ids(ids) if ids.is_empty()) {
            return Ok(Vec::new());
        }
        let mut left = READS;
        loop {
            self.stop.check()?;
            left = left.saturating_sub(1);
            match self.ec2.pages(self.subnet, by, size).await {
                Ok(pages) => return Ok(pages),
                Err(why) if left > 0 && passes(why.kind) => self.pause(READ_PAUSE).await?,
                Err(why) => return Err(Halt::Failed(why)),
            }
        }
    }

    /// One Assign.
    pub(super) async fn assign(
        &mut self,
        eni: &EniId,
        addresses: &[Ipv4Addr],
        reassign: Reassign,
    ) -> Result<Answer, Halt> {
        self.pause(PACE).await?;
        let sent = Instant::now();
        let answer = self.ec2.assign(eni, addresses, reassign).await;
        self.count(sent, &answer);
        if answer.is_ok() {
            let placed = addresses.iter().map(|address| (*address, eni.clone()));
            self.holdings.placed.extend(placed);
        }
        self.settle(&answer, addresses).await?;
        Ok(answer)
    }

    /// One Unassign.
    pub(super) async fn unassign(
        &mut self,
        eni: &EniId,
        address: Ipv4Addr,
    ) -> Result<Answer, Halt> {
        self.pause(PACE).await?;
        let sent = Instant::now();
        let answer = self.ec2.unassign(eni, address).await;
        self.count(sent, &answer);
        if answer.is_ok() {
            self.holdings.placed.remove(&address);
        }
        self.settle(&answer, &[address]).await?;
        Ok(answer)
    }

    /// One Delete.
    pub(super) async fn delete(&mut self, eni: &EniId) -> Result<Answer, Halt> {
        self.pause(PACE).await?;
        let sent = Instant::now();
        let answer = self.ec2.delete(eni).await;
        self.count(sent, &answer);
        if answer.is_ok() {
            self.holdings.created.remove(eni);
            self.holdings.placed.retain(|_, holder| holder != eni);
        }
        Ok(answer)
    }

    /// Counts a mutating call.
    pub(super) fn count<T>(&mut self, sent: Instant, answer: &Result<T, CloudFailure>) {
        self.calls.mutating = self.calls.mutating.saturating_add(1);
        if answer.is_ok() {
            self.calls.longest = self.calls.longest.max(sent.elapsed());
        }
    }

    /// Brings an address of the run to an interface. It takes the address only from an interface
    /// that has it for this run.
    pub(super) async fn have(&mut self, address: Ipv4Addr, eni: &EniId) -> Result<Answer, Halt> {
        if self.holdings.placed.get(&address) == Some(eni) {
            return Ok(Ok(()));
        }
        let known = self.holdings.placed.contains_key(&address);
        let reassign = if known { Reassign::Allow } else { Reassign::Refuse };
        let answer = self.assign(eni, &[address], reassign).await?;
        let held = |why: &CloudFailure| why.kind == CloudKind::HeldElsewhere;
        if known || !answer.as_ref().is_err_and(held) {
            return Ok(answer);
        }
        // A call may have had another effect than its answer said.
        self.locate(&[address]).await?;
        if !self.holdings.placed.contains_key(&address) {
            return Ok(answer);
        }
        self.assign(eni, &[address], Reassign::Allow).await
    }

    /// Unassigns an address of the run, if one of its interfaces has it.
    pub(super) async fn free(&mut self, address: Ipv4Addr) -> Result<Answer, Halt> {
        match self.holdings.placed.get(&address).cloned() {
            Some(eni) => self.unassign(&eni, address).await,
            None => Ok(Ok(())),
        }
    }

    /// After a call without a clear answer: waits until it has taken effect or never will, and
    /// until reads show it.
    async fn settle(&mut self, answer: &Answer, addresses: &[Ipv4Addr]) -> Result<(), Halt> {
        if !answer.as_ref().is_err_and(|why| why.effect == Effect::Unknown) {
            return Ok(());
        }
        for address in addresses {
            self.holdings.placed.remove(address);
        }
        self.pause(timing::CALL_BOUND.saturating_add(timing::DESCRIBE_LAG)).await?;
        self.locate(addresses).await
    }

    /// Notes which interface of the run, or of the node, EC2 shows with each address.
    async fn locate(&mut self, addresses: &[Ipv4Addr]) -> Result<(), Halt> {
        let node = self.holdings.on_node.iter().map(|(eni, _address)| eni);
        let ours = self.holdings.created.keys().chain(node).cloned().collect();
        for one in self.list(&InterfacesBy::Ids(ours)).await? {
            let here = addresses.iter().filter(|address| one.secondary.contains(*address));
            self.holdings.placed.extend(here.map(|address| (*address, one.id.clone())));
        }
        Ok(())
    }

    /// The verdict; but if somebody else has one of the addresses meanwhile, a difference says
    /// nothing.
    pub(super) async fn unless_taken(
        &mut self,
        verdict: Verdict,
        addresses: &[Ipv4Addr],
    ) -> Result<Verdict, Halt> {
        if verdict.outcome != Outcome::Differs {
            return Ok(verdict);
        }
        for address in addresses {
            let holders = self.list(&InterfacesBy::Address(*address)).await?;
            let own = |run: &String| run == self.run;
            if !holders.iter().all(|one| one.tags.get(tag::VERIFY_EC2_RUN).is_some_and(own)) {
                let observed = format!("another interface has {address}: {}", verdict.observed);
                return Ok(Verdict::new(Outcome::FailedToTry, observed));
            }
        }
        Ok(verdict)
    }

    /// Records a verdict.
    pub(super) fn record(&mut self, id: &'static str, verdict: Verdict) {
        (self.progress)(&format!("{id}: {}", verdict.outcome.as_str()));
        self.verdicts.insert(id, verdict);
    }

    /// Records the verdict of a measurement.
    pub(super) fn measured(&mut self, what: Measure, verdict: &Verdict) {
        for fact in FACTS {
            if matches!(fact.by, By::Measured(measure) if measure == what) {
                self.record(fact.id, verdict.clone());
            }
        }
    }

    /// Ends a group of measurements: those without a verdict failed, for this reason.
    pub(super) fn close(&mut self, group: &[Measure], ended: Result<(), Halt>) -> Result<(), Halt> {
        match ended {
            Ok(()) => Ok(()),
            Err(Halt::Interrupted) => Err(Halt::Interrupted),
            Err(Halt::Failed(why)) => {
                self.skip(group, &Verdict::failed(&why));
                Ok(())
            }
        }
    }

    /// Records this verdict for all measurements of a group that have none.
    pub(super) fn skip(&mut self, group: &[Measure], verdict: &Verdict) {
        for fact in FACTS {
            let open = !self.verdicts.contains_key(fact.id);
            if open && matches!(fact.by, By::Measured(measure) if group.contains(&measure)) {
                self.record(fact.id, verdict.clone());
            }
        }
    }

    /// The verdict of every fact. Those that were not reached were not tried.
    pub(super) fn finished(mut self) -> (BTreeMap<&'static str, Verdict>, Calls) {
        for fact in FACTS {
            let open = match fact.by {
                By::NotObservable(why) => Verdict::new(Outcome::NotObservable, why),
                By::Steps(_) | By::Measured(_) => {
                    Verdict::new(Outcome::FailedToTry, "the run ended before")
                }
            };
            self.verdicts.entry(fact.id).or_insert(open);
        }
        (self.verdicts, self.calls)
    }
}

/// Whether a repetition may succeed soon.
pub(super) fn passes(kind: CloudKind) -> bool {
    matches!(kind, CloudKind::Transient | CloudKind::Throttled)
}
