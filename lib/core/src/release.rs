//! Release: what a stop container does so that the member's address can move on cleanly.
//!
//! Guarantees: it acts only while this pod holds the epoch that was read at the start, and only if
//! a fresh read shows that the pod is terminating. It removes exactly this address from this node's
//! kernel, under the lock, and records the release on that epoch. In any other case it changes
//! nothing. An eviction acts on a parked address, whose member has no pod on that node, and only
//! unassigns it. Assumptions: as for attach. Caveats: if time runs out, it shortens the drain; the
//! node's agent does what is left undone. Errors: `Outcome::Failed`.

mod drain;
mod drive;
mod unassign;

use std::net::Ipv4Addr;
use std::time::Duration;

use self::unassign::Unassign;
use crate::action::Reply;
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::failure::{Effect, HostFailure, HostKind, RegistryFailure, RegistryKind};
use crate::ids::{Epoch, Member, PodUid, RunId};
use crate::machine::{Failure, Outcome, Release as Done, Span};
use crate::ports::{PodLifecycle, PodView, SocketScope};
use crate::record::{Attachment, MemberRecords, ReleasePolicy, State, StaticIp, Stored};
use crate::retry_or_fail::{Halt, Next, Waiting, mismatch, registry_halt};
use crate::step::{ReleaseStep, Step};
use crate::time::Moment;

/// Who releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Releaser {
    /// The pod's stop container: its pod is terminating, terminal or gone.
    Stop,
    /// The node's agent: the pod is gone or terminal, and no stop container released its address.
    Agent,
    /// The leader: the pod is gone or terminal, and its node is gone with its kernel.
    AgentElsewhere,
    /// The node's agent: no pod holds the address, and another pod of the node needs its slot.
    Evictor,
}

/// Input of a release.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReleaseInput {
    /// The member.
    pub member: Member,
    /// Its pod.
    pub pod: PodUid,
    /// This run of the process.
    pub run: RunId,
    /// Unassign in EC2, whatever the pool's policy is.
    pub unassign: bool,
    /// Wait for the stop signal after the epoch was read (sidecar), or release at once (hook).
    pub await_stop: bool,
    /// Which program releases.
    pub by: Releaser,
    /// Which sockets are drained.
    pub scope: SocketScope,
    /// The longest that it drains; shorter if the grace period leaves less.
    pub drain: Duration,
    /// What is left of the grace period if the registry does not report it.
    pub grace: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum At {
    Fix,
    Stop,
    Pod,
    Fresh,
    Drain,
    Again,
    Address,
    Routing,
    Park,
    Parked,
    Unassign(Box<Unassign>),
    Done(Outcome),
}

/// The machine of release.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Release {
    input: ReleaseInput,
    waiting: Waiting,
    at: At,
    stored: Option<Stored<StaticIp>>,
    /// The only epoch that it may release, if the container knows it.
    only: Option<Epoch>,
    epoch: Epoch,
    policy: ReleasePolicy,
    drain_until: Moment,
    cut_short: bool,
    /// Why the last read of the record failed.
    unread: Option<(Exit, String)>,
    crossed: Option<Step>,
    requested: Moment,
}

impl Release {
    /// A machine that starts now. The grace period starts with the signal.
    pub fn new(input: ReleaseInput, now: Moment) -> Self {
        let fix = if input.await_stop { timing::SIDECAR_DEADLINE } else { input.grace };
        let waiting = Waiting::until(now.plus(fix.max(timing::UNKNOWN_GRACE)));
        Self {
            input,
            waiting,
            at: At::Fix,
            stored: None,
            only: None,
            epoch: Epoch::default(),
            policy: ReleasePolicy::Keep,
            drain_until: now,
            cut_short: false,
            unread: None,
            crossed: None,
            requested: now,
        }
    }

    /// The same for a container that fixed this epoch when it started.
    #[must_use]
    pub fn of_epoch(self, only: Option<Epoch>) -> Self {
        Self { only, ..self }
    }

    fn address(&self) -> Option<Ipv4Addr> {
        self.stored.as_ref().map(|s| s.object.address)
    }

    fn step(&mut self, reply: Reply, span: Span) -> Next<Outcome> {
        match (self.at.clone(), reply) {
            (At::Fix, Reply::Member(read)) => {
                let records = *read.map_err(|f| registry_halt(&f))?;
                self.crossed = Some(Step::Release(ReleaseStep::RecordsRead));
                self.unread = None;
                self.after_fix(records, span.now)
            }
            (At::Stop, Reply::Stopping) => {
                self.stopping(span.now);
                Ok(None)
            }
            (At::Pod, Reply::Pod(read)) => {
                let pod = read.map_err(|f| registry_halt(&f))?;
                self.after_pod(&pod, span.now)
            }
            (At::Fresh | At::Again, Reply::Record(read)) => {
                let stored = read.map_err(|f| registry_halt(&f))?.map(|s| *s);
                self.after_fresh(stored, span.now)
            }
            (At::Drain, Reply::Sockets(observed)) => self.after_sockets(observed, span.now),
            (At::Address | At::Routing, Reply::Host(done)) => self.after_kernel(done, span.now),
            (At::Park, Reply::Written(written)) => self.after_park(written.err().as_ref()),
            (At::Parked, Reply::Record(read)) => {
                let stored = read.map_err(|f| registry_halt(&f))?.map(|s| *s);
                self.after_parked(stored)
            }
            (At::Unassign(mut unassign), reply) => {
                let turn = unassign.reply(&self.input, reply, span, &mut self.crossed);
                self.at = At::Unassign(unassign);
                Ok(turn?.map(|done| self.released(done)))
            }
            (at, _) => mismatch(&format!("{at:?}")),
        }
    }

    /// Fixes the epoch that this process may release; it never releases another one.
    fn after_fix(&mut self, records: MemberRecords, now: Moment) -> Next<Outcome> {
        let held = records.static_ip.filter(|ip| {
            let epoch = self.only.unwrap_or(ip.object.epoch);
            ip.object.member == self.input.member && self.is_held(&ip.object, epoch)
        });
        self.policy = records.pool.map(|p| p.release_policy).unwrap_or_default();
        match held {
            Some(stored) => {
                self.epoch = stored.object.epoch;
                self.stored = Some(stored);
            }
            None if self.input.await_stop => {}
            None => return Ok(Some(self.released(Done::NotHolder))),
        }
        if self.input.await_stop {
            self.at = At::Stop;
        } else {
            self.stopping(now);
        }
        Ok(None)
    }

    fn stopping(&mut self, now: Moment) {
        self.waiting = Waiting::until(now.plus(self.input.grace.max(timing::UNKNOWN_GRACE)));
        self.drain_until = now;
        self.at = At::Pod;
    }

    fn is_stop(&self) -> bool {
        self.input.by == Releaser::Stop
    }

    fn after_pod(&mut self, pod: &PodView, now: Moment) -> Next<Outcome> {
        if self.stored.is_none() {
            return Ok(Some(self.released(Done::NotHolder)));
        }
        if self.input.by == Releaser::Evictor && self.is_on_its_node(pod) {
            return Ok(Some(self.released(Done::NotEnding)));
        }
        let left = match pod {
            PodView::Present { pod, .. } if *pod != self.input.pod => None,
            PodView::Vouched
            | PodView::Absent
            | PodView::Present { lifecycle: PodLifecycle::Terminal, .. } => None,
            PodView::Present { lifecycle: PodLifecycle::Terminating(left), .. }
                if self.is_stop() =>
            {
                *left
            }
            PodView::Present {
                lifecycle: PodLifecycle::Running | PodLifecycle::Terminating(_),
                ..
            } => {
                return Ok(Some(self.released(Done::NotEnding)));
            }
        };
        let left = left.unwrap_or(self.input.grace);
        self.waiting = Waiting::until(now.plus(left.max(timing::UNKNOWN_GRACE)));
        self.drain_until = now.plus(self.drain_within(left));
        self.at = At::Fresh;
        Ok(None)
    }

    /// Whether a pod of the member, whichever, lives on the node where the address is parked.
    fn is_on_its_node(&self, pod: &PodView) -> bool {
        let PodView::Present { node, lifecycle, .. } = pod else { return false };
        let parked = self.stored.as_ref().and_then(|s| s.object.attachment.as_ref());
        *lifecycle != PodLifecycle::Terminal && node.as_ref() == parked.map(|a| &a.node)
    }

    /// Held by our pod, or, for an agent, left by it in the middle of an Unassign. What is evicted
    /// is parked instead of held.
    fn is_held(&self, record: &StaticIp, epoch: Epoch) -> bool {
        let ours = |a: &&Attachment| record.epoch == epoch && a.pod == self.input.pod;
        match record.attachment.as_ref().filter(ours).map(|a| a.state) {
            Some(State::Attaching | State::Attached) => self.input.by != Releaser::Evictor,
            Some(State::Releasing) => !self.is_stop(),
            Some(State::Parked) => self.input.by == Releaser::Evictor,
            Some(State::Released) | None => false,
        }
    }

    fn ours(&self, stored: Option<Stored<StaticIp>>) -> Option<Stored<StaticIp>> {
        stored.filter(|s| self.is_held(&s.object, self.epoch))
    }

    /// Before the drain and again after it: the kernel is changed only shortly after a read.
    fn after_fresh(&mut self, stored: Option<Stored<StaticIp>>, now: Moment) -> Next<Outcome> {
        let Some(stored) = self.ours(stored) else {
            return Ok(Some(self.released(Done::NotHolder)));
        };
        self.epoch = stored.object.epoch;
        if stored.object.is_releasing() {
            // Its kernel objects were removed before the Unassign was recorded.
            self.at = At::Unassign(Box::new(Unassign::new(stored.clone(), now)));
            self.stored = Some(stored);
            return Ok(None);
        }
        self.stored = Some(stored);
        self.at = if self.at == At::Fresh {
            self.crossed = Some(Step::Release(ReleaseStep::PodConfirmed));
            match self.input.by {
                Releaser::Stop | Releaser::Agent => At::Drain,
                // A parked address left the kernel when it was released.
                Releaser::AgentElsewhere | Releaser::Evictor => return Ok(self.leave_kernel(now)),
            }
        } else {
            At::Address
        };
        Ok(None)
    }

    fn after_kernel(&mut self, done: Result<bool, HostFailure>, now: Moment) -> Next<Outcome> {
        if let Err(failure) = done {
            return match failure.kind {
                HostKind::Superseded => Ok(Some(self.released(Done::NotHolder))),
                HostKind::Busy | HostKind::NoLink => {
                    Err(Halt::Retry(timing::BACKOFF_BASE, Exit::KernelRefused, failure.detail))
                }
                HostKind::Refused => Err(Halt::Fail(Exit::KernelRefused, failure.detail)),
            };
        }
        if self.at == At::Address {
            self.crossed = Some(Step::Release(ReleaseStep::AddressRemoved));
            self.at = At::Routing;
            return Ok(None);
        }
        self.crossed = Some(Step::Release(ReleaseStep::RoutingRemoved));
        Ok(self.leave_kernel(now))
    }

    /// The kernel part is complete: continues with the record, and with EC2 if the policy says so.
    fn leave_kernel(&mut self, now: Moment) -> Option<Outcome> {
        let unassigns = self.input.unassign || self.policy == ReleasePolicy::Unassign;
        self.at = match (unassigns, self.stored.clone()) {
            (true, Some(stored)) => At::Unassign(Box::new(Unassign::new(stored, now))),
            (true | false, _) => At::Park,
        };
        None
    }

    fn after_park(&mut self, failure: Option<&RegistryFailure>) -> Next<Outcome> {
        let Some(failure) = failure else {
            self.crossed = Some(Step::Release(ReleaseStep::ReleaseRecorded));
            return Ok(Some(self.released(Done::Parked)));
        };
        let reread = failure.kind == RegistryKind::Conflict || failure.effect == Effect::Unknown;
        if reread {
            self.at = At::Parked;
            let text = failure.detail.clone();
            return Err(Halt::Retry(timing::BACKOFF_BASE, Exit::RegistryUnavailable, text));
        }
        Err(registry_halt(failure))
    }

    /// After a conflict or a lost answer: parked by us, still ours to park, or no longer ours.
    fn after_parked(&mut self, stored: Option<Stored<StaticIp>>) -> Next<Outcome> {
        let parked = stored.as_ref().is_some_and(|s| {
            s.object.epoch == self.epoch
                && s.object.attachment.as_ref().is_some_and(|a| a.state == State::Parked)
        });
        if parked {
            self.crossed = Some(Step::Release(ReleaseStep::ReleaseRecorded));
            return Ok(Some(self.released(Done::Parked)));
        }
        match self.ours(stored) {
            Some(stored) => {
                self.stored = Some(stored);
                self.at = At::Park;
                Ok(None)
            }
            None => Ok(Some(self.released(Done::NotHolder))),
        }
    }

    fn released(&self, release: Done) -> Outcome {
        Outcome::Released { release, address: self.address(), cut_short: self.cut_short }
    }

    fn halt(&mut self, halt: Halt, now: Moment) {
        let halt = match halt {
            // A sidecar may retry until its signal; a person may correct what is wrong.
            Halt::Fail(exit, text) if self.at == At::Fix && self.input.await_stop => {
                Halt::Retry(timing::BACKOFF_BASE, exit, text)
            }
            Halt::Superseded(_) => {
                self.at = At::Done(self.released(Done::NotHolder));
                return;
            }
            Halt::Pause(..)
            | Halt::Retry(..)
            | Halt::Fail(..)
            | Halt::Undo(..)
            | Halt::Restart(_) => halt,
        };
        if let (At::Fix, Halt::Retry(_, exit, why)) = (&self.at, &halt) {
            self.unread = Some((*exit, why.clone()));
        }
        if let Err((exit, message)) = self.waiting.halt(halt, now) {
            let failure = Failure { exit, message, address: self.address() };
            self.at = At::Done(Outcome::Failed(failure));
        }
    }
}
