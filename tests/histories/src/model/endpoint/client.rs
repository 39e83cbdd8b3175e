//! A container that asks its node's agent. An init container writes the static-IP file itself; a
//! sidecar fixes its epoch when it starts.

use std::time::Duration;

use firecamp_core::action::{Action, Delay, Reply};
use firecamp_core::contract::endpoint::LONGEST_RELEASE;
use firecamp_core::contract::exit::Exit;
use firecamp_core::endpoint::{Asking, NoOutcome, Request};
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Attached, Failure, Outcome};
use firecamp_core::time::Moment;

use super::failure;
use super::look_ahead::Ahead;
use crate::level::Role;
use crate::model::process::Slot;
use crate::scenario::StopKind;

/// What a container does next.
#[derive(Debug)]
enum Step {
    Probe,
    AwaitStop,
    Ask,
    /// It waits for the agent.
    Asked,
    Pause(Duration),
    Stage(Attached),
    Publish(Attached),
    Sync(Attached),
    Done(Outcome),
}

/// What reaches the container from the agent.
#[derive(Debug)]
pub(super) enum Answer {
    Outcome(Outcome),
    Without(NoOutcome, Failure),
    /// The epoch that the pod holds; 0 if none.
    Epoch(Epoch),
}

/// A container.
#[derive(Debug)]
pub(in crate::model) struct Client {
    request: Request,
    step: Step,
    asking: Option<Asking>,
    /// The epoch that a sidecar has fixed.
    pub(super) epoch: Option<Epoch>,
    /// What runs for it in the agent.
    pub(super) run: Option<Slot>,
    /// The agent has begun to answer.
    is_answered: bool,
    pub(super) incoming: Option<Answer>,
    /// What its agent has looked up ahead.
    pub(super) ahead: Option<Ahead>,
}

impl Client {
    pub(super) fn new(role: Role) -> Self {
        let (request, step) = match role {
            Role::Init => (Request::Attach, Step::Probe),
            Role::Stop(StopKind::Sidecar, _) => (Request::Address, Step::Ask),
            Role::Stop(StopKind::Hook, _) | Role::Agent => (Request::Release, Step::Ask),
        };
        let (asking, epoch, run, incoming) = (None, None, None, None);
        Self { request, step, asking, epoch, run, is_answered: false, incoming, ahead: None }
    }

    /// The kubelet starts it after this long.
    pub(super) fn start_after(&mut self, length: Duration) {
        self.step = Step::Pause(length);
    }

    /// What it asks for.
    pub(super) fn request(&self) -> Request {
        self.request
    }

    /// Whether it attaches.
    pub(in crate::model) fn attaches(&self) -> bool {
        self.request == Request::Attach
    }

    /// SIGTERM, before its epoch is known: it leaves the release to the agent. True if it ends.
    pub(in crate::model) fn gives_up(&mut self) -> bool {
        let ends = self.request == Request::Address && !matches!(self.step, Step::AwaitStop);
        if ends {
            let why = failure(Exit::AgentUnavailable, "no epoch is known");
            self.step = Step::Done(Outcome::Failed(why));
        }
        ends
    }

    /// Whether it sends its request now.
    pub(super) fn is_due(&self) -> bool {
        matches!(self.step, Step::Ask)
    }

    /// It sends its request. Returns until when it waits for an answer.
    pub(super) fn begin(&mut self, within: Duration, now: Moment) -> Moment {
        let request = self.request;
        let asking = self.asking.get_or_insert_with(|| match request {
            Request::Attach => Asking::attach(within, now),
            Request::Release => Asking::release(LONGEST_RELEASE, now),
            Request::Address => Asking::epoch(now),
        });
        self.step = Step::Asked;
        self.is_answered = false;
        asking.answer_by(now)
    }

    /// The time that its request gives the agent.
    pub(super) fn time_for_agent(&self, now: Moment) -> Duration {
        self.asking.as_ref().map(|asking| asking.time_for_agent(now)).unwrap_or_default()
    }

    /// The agent has begun to answer. Returns until when it waits for the outcome.
    pub(super) fn answered(&mut self) -> Option<Moment> {
        self.is_answered = true;
        self.asking.as_ref().map(Asking::outcome_by)
    }

    pub(in crate::model) fn action(&self) -> Action {
        match &self.step {
            Step::Probe => Action::ProbeFile,
            Step::AwaitStop => Action::AwaitStop,
            Step::Pause(length) => Action::Wait(Delay {
                length: *length,
                jitter: false,
                limit: *length,
                why: String::new(),
            }),
            Step::Stage(attached) => Action::StageFile(attached.address),
            Step::Publish(_) => Action::PublishFile,
            Step::Sync(_) => Action::SyncFile,
            Step::Ask | Step::Asked | Step::Done(_) => Action::Done,
        }
    }

    pub(in crate::model) fn outcome(&self) -> Option<&Outcome> {
        if let Step::Done(outcome) = &self.step { Some(outcome) } else { None }
    }

    /// Handles a reply. Returns the run that it no longer waits for.
    pub(super) fn handle(&mut self, reply: &Reply, now: Moment) -> Option<Slot> {
        if let Reply::File(done) = reply {
            self.file(done.as_ref().ok().copied());
        } else if let (Step::AwaitStop, Reply::Stopping) = (&self.step, reply) {
            (self.request, self.asking, self.step) = (Request::Release, None, Step::Ask);
        } else if let (Step::Pause(_), Reply::Waited) = (&self.step, reply) {
            let starts = self.asking.is_none() && self.attaches();
            self.step = if starts { Step::Probe } else { Step::Ask };
        } else if let (Step::Asked, Reply::Waited) = (&self.step, reply) {
            let kind = if self.is_answered { NoOutcome::Final } else { NoOutcome::NoAnswer };
            let run = self.run;
            self.without(kind, failure(Exit::AgentUnavailable, "the agent is silent"), now);
            return run;
        } else if let (Step::Asked, Reply::Begun) = (&self.step, reply) {
            match self.incoming.take() {
                Some(Answer::Outcome(Outcome::Attached(attached))) => {
                    self.step = Step::Stage(attached);
                }
                // Whatever the agent says, a sidecar asks again for its epoch.
                Some(Answer::Outcome(Outcome::Failed(why))) if self.request == Request::Address => {
                    self.without(NoOutcome::NoAnswer, why, now);
                }
                Some(Answer::Outcome(outcome)) => self.step = Step::Done(outcome),
                Some(Answer::Without(kind, why)) => self.without(kind, why, now),
                Some(Answer::Epoch(epoch)) => {
                    (self.epoch, self.run, self.step) = (Some(epoch), None, Step::AwaitStop);
                }
                None => {}
            }
        }
        None
    }

    fn without(&mut self, kind: NoOutcome, why: Failure, now: Moment) {
        self.run = None;
        let kind = if self.request == Request::Address { NoOutcome::NoAnswer } else { kind };
        let pause = self.asking.as_mut().and_then(|asking| asking.again(kind, now));
        self.step = pause.map_or(Step::Done(Outcome::Failed(why)), Step::Pause);
    }

    /// A file operation has ended; none: it failed.
    fn file(&mut self, done: Option<bool>) {
        let refused = || Step::Done(Outcome::Failed(failure(Exit::DiskRefused, "disk")));
        let step = std::mem::replace(&mut self.step, Step::Ask);
        self.step = match (step, done) {
            (_, None) => refused(),
            (Step::Stage(attached), Some(true)) => Step::Publish(attached),
            (Step::Stage(attached) | Step::Publish(attached), Some(_)) => Step::Sync(attached),
            (Step::Sync(attached), Some(_)) => Step::Done(Outcome::Attached(attached)),
            (Step::Probe, Some(_)) => Step::Ask,
            (other, Some(_)) => other,
        };
    }
}
