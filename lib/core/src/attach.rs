//! Attach: what an init container does so that its member has its address.
//!
//! Guarantees: the outcome is `Attached` only after EC2 has the address on this node's ENI, the
//! data path has switched, the kernel has the address, the file is durable, and the record says so
//! by compare-and-swap on this run's epoch. No EC2 mutation is requested without a registry read or
//! write that authorised it less than T ago. Assumptions: A1 (a call takes effect within T of that
//! read, or never). Caveats: a failed attach leaves its epoch used; the next run takes the next.
//! Errors: `Outcome::Failed`, one exit code per cause.

mod acquire;
mod assign;
mod bind;
mod complete;
mod held;
mod input;
mod messages;
mod refused_addresses;
mod undo;

pub use self::input::{AttachInput, LookedUp};
pub use crate::choose_interface::UnwantedEnis;

use std::net::Ipv4Addr;

use crate::action::{Action, Reply};
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::decide::{Calls, Whereabouts};
use crate::ids::Epoch;
use crate::machine::{Failure, Machine, Outcome, Path, Span};
use crate::retry_or_fail::{Halt, Waiting};
use crate::step::{AttachStep, Step};
use crate::takeover_wait;
use crate::time::Moment;

use self::acquire::Acquire;
use self::assign::Assign;
use self::bind::Bind;
use self::complete::Complete;
use self::held::{Acquired, Assigned};
use self::undo::Undo;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Stage {
    Bind(Box<Bind>),
    Acquire(Box<Acquire>),
    Assign(Box<Assign>),
    Complete(Box<Complete>),
    Undo(Box<Undo>),
    Done(Outcome),
}

/// The machine of attach.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attach {
    input: AttachInput,
    waiting: Waiting,
    stage: Stage,
    first_epoch: Option<Epoch>,
    address: Option<Ipv4Addr>,
    crossed: Option<Step>,
    /// When the last reply came; the current action was sent no earlier.
    requested: Moment,
}

impl Attach {
    /// A machine that starts now.
    pub fn new(input: AttachInput, now: Moment) -> Self {
        let waiting = Waiting::until(now.plus(input.deadline));
        let stage = Stage::Bind(Box::new(Bind::new()));
        Self {
            input,
            waiting,
            stage,
            first_epoch: None,
            address: None,
            crossed: None,
            requested: now,
        }
    }

    fn step(&mut self, reply: Reply, span: Span) -> Result<(), Halt> {
        let crossed = &mut self.crossed;
        let next = match &mut self.stage {
            Stage::Bind(bind) => {
                let turn = bind.reply(&self.input, reply, span, crossed);
                self.address = bind.address(&self.input).or(self.address);
                if *crossed == Some(Step::Attach(AttachStep::RecordsRead)) {
                    // A member without a record has no epoch yet.
                    self.first_epoch.get_or_insert(bind.epoch(&self.input));
                }
                turn?.map(|bound| Stage::Acquire(Box::new(Acquire::new(bound, self.first_epoch))))
            }
            Stage::Acquire(acquire) => match acquire.reply(&self.input, reply, span, crossed)? {
                Some(held) => return self.after_take(held, span.now),
                None => None,
            },
            Stage::Assign(assign) => assign
                .reply(&self.input, reply, span, crossed)?
                .map(|moved| Stage::Complete(Box::new(Complete::new(moved, span.now)))),
            Stage::Complete(land) => land
                .reply(&self.input, reply, span, crossed)?
                .map(|attached| Stage::Done(Outcome::Attached(attached))),
            Stage::Undo(undo) => undo.reply(reply).map(|f| Stage::Done(Outcome::Failed(f))),
            Stage::Done(_) => None,
        };
        if let Some(stage) = next {
            self.stage = stage;
        }
        Ok(())
    }

    /// The takeover barrier starts at the answer to our own compare-and-swap.
    fn after_take(&mut self, held: Acquired, now: Moment) -> Result<(), Halt> {
        if held.take.calls == Calls::None {
            let moved = Assigned { held, path: Path::SameNode, unanswered: None };
            self.stage = Stage::Complete(Box::new(Complete::new(moved, now)));
            return Ok(());
        }
        let barrier = held.take.barrier;
        self.stage = Stage::Assign(Box::new(Assign::new(held, &self.input)));
        if barrier {
            return Err(takeover_wait::begin());
        }
        Ok(())
    }

    /// Successful replies can go on past the deadline, too. An attach that assigned the address may
    /// complete.
    fn end_if_late(&mut self, now: Moment) {
        let open = match self.stage {
            Stage::Bind(_) | Stage::Acquire(_) | Stage::Assign(_) => true,
            Stage::Complete(_) | Stage::Undo(_) | Stage::Done(_) => false,
        };
        if open && self.waiting.is_over(now) {
            let AttachInput { member, deadline, .. } = &self.input;
            let text =
                format!("the attach of {member} did not finish within {deadline:?} (--timeout)");
            self.end(Exit::TimedOut, text);
        }
    }

    fn halt(&mut self, halt: Halt, now: Moment) {
        let waiting = match halt {
            Halt::Pause(length, why) => {
                self.waiting.pause(length, why, now).map_err(|text| (Exit::TimedOut, text))
            }
            Halt::Retry(base, exit, why) => {
                self.waiting.back_off(base, why, now).map_err(|text| (exit, text))
            }
            Halt::Fail(exit, message) => return self.end(exit, message),
            Halt::Undo(exit, message, found) => return self.undo(exit, message, found),
            Halt::Superseded(message) => {
                return self.undo(Exit::Superseded, message, Whereabouts::AsBefore);
            }
            Halt::Restart(why) => {
                self.stage = Stage::Bind(Box::new(Bind::new()));
                self.waiting
                    .back_off(timing::BACKOFF_BASE, why, now)
                    .map_err(|text| (Exit::TimedOut, text))
            }
        };
        if let Err((exit, message)) = waiting {
            self.end(exit, message);
        }
    }

    fn undo(&mut self, exit: Exit, message: String, found: Whereabouts) {
        let failure = Failure { exit, message, address: self.address };
        let undo = match &self.stage {
            Stage::Assign(assign) => {
                Undo::record(assign.held(), &self.input, failure.clone(), found)
            }
            Stage::Complete(land) => land.cleanup(&self.input, failure.clone()),
            Stage::Bind(_) | Stage::Acquire(_) | Stage::Undo(_) | Stage::Done(_) => None,
        };
        self.stage = match undo {
            Some(undo) => Stage::Undo(Box::new(undo)),
            None => Stage::Done(Outcome::Failed(failure)),
        };
    }

    /// Fails. Restores the record if EC2 was never changed for this epoch.
    fn end(&mut self, exit: Exit, message: String) {
        if let Stage::Assign(assign) = &self.stage
            && assign.untouched()
        {
            return self.undo(exit, message, Whereabouts::AsBefore);
        }
        let failure = Failure { exit, message, address: self.address };
        self.stage = Stage::Done(Outcome::Failed(failure));
    }
}

impl Machine for Attach {
    fn action(&self) -> Action {
        if let Some(wait) = self.waiting.action() {
            return wait;
        }
        match &self.stage {
            Stage::Bind(bind) => bind.action(&self.input),
            Stage::Acquire(acquire) => acquire.action(&self.input),
            Stage::Assign(assign) => assign.action(),
            Stage::Complete(land) => land.action(&self.input),
            Stage::Undo(undo) => undo.action(),
            Stage::Done(_) => Action::Done,
        }
    }

    fn reply(&mut self, reply: Reply, now: Moment) {
        self.crossed = None;
        let span = Span { requested: self.requested, now };
        self.requested = now;
        if self.waiting.waited(&reply) {
            return;
        }
        match self.step(reply, span) {
            Ok(()) => {
                self.waiting.progress(self.crossed);
                self.end_if_late(now);
            }
            Err(halt) => self.halt(halt, now),
        }
    }

    fn crossed(&self) -> Option<Step> {
        self.crossed
    }

    fn outcome(&self) -> Option<&Outcome> {
        match &self.stage {
            Stage::Done(outcome) => Some(outcome),
            Stage::Bind(_)
            | Stage::Acquire(_)
            | Stage::Assign(_)
            | Stage::Complete(_)
            | Stage::Undo(_) => None,
        }
    }
}
