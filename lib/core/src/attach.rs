//! Attach: what an init container does so that its member has its address.
//!
//! Guarantees: the outcome is `Attached` only after EC2 has the address on this node's ENI, the
//! data path has switched, the kernel answers for it, the file is durable, and the record, by
//! compare-and-swap on this run's epoch, says so. No EC2 mutation is named without a registry
//! read or write that authorised it less than T ago. Assumptions: A1 (a call takes effect within
//! T of that read, or never). Caveats: a failed attach leaves its epoch taken; the next run takes
//! the next. Errors: `Outcome::Failed`, one exit code per cause.

mod barred;
mod bind;
mod hold;
mod land;
mod moving;
mod texts;
mod undo;

pub use self::land::kernel_target;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::action::{Action, Reply, Step};
use crate::canonical::Canonical;
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::decide::{Calls, Whereabouts};
use crate::ids::{ClusterName, EniId, Epoch, Member, NodeName, PodUid, PoolName, RunId};
use crate::machine::{Failure, Halt, Machine, Outcome, Path, Patience, Span};
use crate::node::EniRule;
use crate::time::Moment;

use self::bind::Bind;
use self::hold::{Held, Hold};
use self::land::Land;
use self::moving::{Move, Moved};
use self::undo::Undo;

/// Who attaches, where and by which rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AttachInput {
    /// The member.
    pub member: Member,
    /// Its pod.
    pub pod: PodUid,
    /// The node that this process runs on.
    pub node: NodeName,
    /// The cluster whose ENIs may be overridden.
    pub cluster: ClusterName,
    /// The pool for a member that has no claim yet.
    pub pool: Option<PoolName>,
    /// Which ENI carries the address.
    pub rule: EniRule,
    /// The ENIs that may not, because something else gives addresses to them, each with why.
    pub barred: BTreeMap<EniId, String>,
    /// This run of the process: random, never used before.
    pub run: RunId,
    /// Give up after this long.
    pub deadline: Duration,
    /// How long a dying predecessor may keep using the address on this node.
    pub predecessor_grace: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Stage {
    Bind(Box<Bind>),
    Hold(Box<Hold>),
    Move(Box<Move>),
    Land(Box<Land>),
    Undo(Box<Undo>),
    Done(Outcome),
}

/// The attach machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attach {
    input: AttachInput,
    patience: Patience,
    stage: Stage,
    first_epoch: Option<Epoch>,
    address: Option<Ipv4Addr>,
    crossed: Option<Step>,
    /// When the last reply came: no later than the current action was sent.
    asked: Moment,
}

impl Attach {
    /// A machine that begins now.
    pub fn new(input: AttachInput, now: Moment) -> Self {
        let patience = Patience::until(now.plus(input.deadline));
        let stage = Stage::Bind(Box::new(Bind::new()));
        Self { input, patience, stage, first_epoch: None, address: None, crossed: None, asked: now }
    }

    fn step(&mut self, reply: Reply, span: Span) -> Result<(), Halt> {
        let crossed = &mut self.crossed;
        let next = match &mut self.stage {
            Stage::Bind(bind) => {
                let turn = bind.reply(&self.input, reply, span, crossed);
                self.address = bind.address(&self.input).or(self.address);
                if *crossed == Some(Step::Attach(0)) {
                    // A member without a record has had no epoch yet.
                    self.first_epoch.get_or_insert(bind.epoch(&self.input));
                }
                turn?.map(|bound| Stage::Hold(Box::new(Hold::new(bound, self.first_epoch))))
            }
            Stage::Hold(taking) => match taking.reply(&self.input, reply, span, crossed)? {
                Some(held) => return self.after_take(held, span.now),
                None => None,
            },
            Stage::Move(moving) => moving
                .reply(&self.input, reply, span, crossed)?
                .map(|moved| Stage::Land(Box::new(Land::new(moved, span.now)))),
            Stage::Land(land) => land
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

    /// The takeover barrier begins at the answer to our own compare-and-swap.
    fn after_take(&mut self, held: Held, now: Moment) -> Result<(), Halt> {
        if held.take.calls == Calls::None {
            let moved = Moved { held, path: Path::SameNode, unanswered: None };
            self.stage = Stage::Land(Box::new(Land::new(moved, now)));
            return Ok(());
        }
        let barrier = held.take.barrier;
        self.stage = Stage::Move(Box::new(Move::new(held)));
        if barrier {
            let text = "calls of an earlier holder that may be in flight (takeover barrier)";
            return Err(Halt::Pause(timing::CALL_BOUND, text.to_owned()));
        }
        Ok(())
    }

    /// Answers that are all good can go on for ever, too. What has landed may be completed.
    fn end_if_late(&mut self, now: Moment) {
        let open = match self.stage {
            Stage::Bind(_) | Stage::Hold(_) | Stage::Move(_) => true,
            Stage::Land(_) | Stage::Undo(_) | Stage::Done(_) => false,
        };
        if open && self.patience.is_over(now) {
            self.end(Exit::TimedOut, "the deadline passed".to_owned());
        }
    }

    fn halt(&mut self, halt: Halt, now: Moment) {
        let waiting = match halt {
            Halt::Pause(length, why) => {
                self.patience.pause(length, why, now).map_err(|text| (Exit::TimedOut, text))
            }
            Halt::Retry(base, exit, why) => {
                self.patience.back_off(base, why, now).map_err(|text| (exit, text))
            }
            Halt::Fail(exit, message) => return self.end(exit, message),
            Halt::Undo(exit, message, found) => return self.undo(exit, message, found),
            Halt::Superseded(message) => {
                return self.undo(Exit::Superseded, message, Whereabouts::AsBefore);
            }
            Halt::Restart(why) => {
                self.stage = Stage::Bind(Box::new(Bind::new()));
                self.patience
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
            Stage::Move(moving) => Undo::record(moving.held(), &self.input, failure.clone(), found),
            Stage::Land(land) => land.cleanup(&self.input, failure.clone()),
            Stage::Bind(_) | Stage::Hold(_) | Stage::Undo(_) | Stage::Done(_) => None,
        };
        self.stage = match undo {
            Some(undo) => Stage::Undo(Box::new(undo)),
            None => Stage::Done(Outcome::Failed(failure)),
        };
    }

    /// Gives up. A take that EC2 was never changed for is put back.
    fn end(&mut self, exit: Exit, message: String) {
        if let Stage::Move(moving) = &self.stage
            && moving.untouched()
        {
            return self.undo(exit, message, Whereabouts::AsBefore);
        }
        let failure = Failure { exit, message, address: self.address };
        self.stage = Stage::Done(Outcome::Failed(failure));
    }
}

impl Machine for Attach {
    fn action(&self) -> Action {
        if let Some(wait) = self.patience.action() {
            return wait;
        }
        match &self.stage {
            Stage::Bind(bind) => bind.action(&self.input),
            Stage::Hold(taking) => taking.action(&self.input),
            Stage::Move(moving) => moving.action(),
            Stage::Land(land) => land.action(&self.input),
            Stage::Undo(undo) => undo.action(),
            Stage::Done(_) => Action::Done,
        }
    }

    fn reply(&mut self, reply: Reply, now: Moment) {
        self.crossed = None;
        let span = Span { asked: self.asked, now };
        self.asked = now;
        if self.patience.waited(&reply) {
            return;
        }
        match self.step(reply, span) {
            Ok(()) => {
                self.patience.progress(self.crossed);
                self.end_if_late(now);
            }
            Err(halt) => self.halt(halt, now),
        }
    }

    fn crossed(&self) -> Option<Step> {
        self.crossed
    }

    fn canonical(&mut self, now: Moment) {
        let canon = Canonical::at(now);
        self.crossed = None;
        let action = self.action();
        canon.asked(&mut self.asked, &action);
        self.patience.canonical(canon);
        match &mut self.stage {
            Stage::Bind(bind) => bind.canonical(canon),
            Stage::Hold(taking) => taking.canonical(canon),
            Stage::Move(moving) => moving.canonical(canon),
            Stage::Land(land) => land.canonical(canon, self.input.predecessor_grace),
            Stage::Undo(undo) => undo.canonical(),
            Stage::Done(outcome) => outcome.canonical(),
        }
    }

    fn outcome(&self) -> Option<&Outcome> {
        match &self.stage {
            Stage::Done(outcome) => Some(outcome),
            Stage::Bind(_) | Stage::Hold(_) | Stage::Move(_) | Stage::Land(_) | Stage::Undo(_) => {
                None
            }
        }
    }
}
