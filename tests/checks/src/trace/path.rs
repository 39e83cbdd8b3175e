//! Replays a trace in the core.

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::Attach;
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::release::Release;
use firecamp_core::step::Step;
use firecamp_core::time::Moment;
use firecamp_engine::{Event, Input};

use crate::trace::{Accepted, End, Refused};

/// The machine that a trace's input makes.
enum Core {
    Attach(Box<Attach>),
    Release(Box<Release>),
}

impl Core {
    fn new(input: &Input, now: Moment) -> Self {
        match input {
            Input::Attach(input) => Self::Attach(Box::new(Attach::new(input.clone(), now))),
            Input::Release(input) => Self::Release(Box::new(Release::new(input.clone(), now))),
        }
    }

    fn action(&self) -> Action {
        match self {
            Self::Attach(machine) => machine.action(),
            Self::Release(machine) => machine.action(),
        }
    }

    fn reply(&mut self, reply: Reply, now: Moment) {
        match self {
            Self::Attach(machine) => machine.reply(reply, now),
            Self::Release(machine) => machine.reply(reply, now),
        }
    }

    fn crossed(&self) -> Option<Step> {
        match self {
            Self::Attach(machine) => machine.crossed(),
            Self::Release(machine) => machine.crossed(),
        }
    }

    fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Attach(machine) => machine.outcome(),
            Self::Release(machine) => machine.outcome(),
        }
    }
}

/// What may come next in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The next action, or the outcome.
    Action,
    /// The reply to the action.
    Reply,
    /// The boundary that was just crossed.
    Boundary(Step),
    /// Nothing more.
    Nothing,
}

struct Follower {
    core: Core,
    due: Due,
    now: Moment,
    actions: usize,
    end: End,
}

/// Follows a trace from its first line to its last.
pub(crate) fn follow(events: &[Event]) -> Result<Option<Accepted>, Refused> {
    let Some((first, rest)) = events.split_first() else { return Ok(None) };
    let Event::Began { input, now } = first else {
        return Err(refused(1, format!("a trace begins with its input, not with {first:?}")));
    };
    let core = Core::new(input, *now);
    let mut follower = Follower { core, due: Due::Action, now: *now, actions: 0, end: End::Cut };
    for (index, event) in rest.iter().enumerate() {
        follower.step(event).map_err(|why| refused(index + 2, why))?;
    }
    let Follower { actions, end, .. } = follower;
    Ok(Some(Accepted { input: input.clone(), end, actions }))
}

fn refused(line: usize, why: String) -> Refused {
    Refused::Path { line, why }
}

impl Follower {
    fn step(&mut self, event: &Event) -> Result<(), String> {
        match (self.due, event) {
            (Due::Action, Event::Asked { action, now }) => {
                self.passes(*now)?;
                self.asked(action)
            }
            (Due::Reply, Event::Replied { reply, now }) => {
                self.passes(*now)?;
                self.core.reply(reply.clone(), *now);
                self.due = self.core.crossed().map_or(Due::Action, Due::Boundary);
                Ok(())
            }
            (Due::Boundary(due), Event::Crossed(step)) if due == *step => {
                self.due = Due::Action;
                Ok(())
            }
            (Due::Action, Event::Ended(outcome)) => self.ended(outcome),
            (Due::Reply, Event::Interrupted) => {
                (self.due, self.end) = (Due::Nothing, End::Interrupted);
                Ok(())
            }
            (due, event) => Err(format!("{due:?} is due, not {event:?}")),
        }
    }

    /// Time does not go backwards.
    fn passes(&mut self, now: Moment) -> Result<(), String> {
        if now < self.now {
            return Err(format!("{now:?} is before {:?}", self.now));
        }
        self.now = now;
        Ok(())
    }

    fn asked(&mut self, action: &Action) -> Result<(), String> {
        if let Some(outcome) = self.core.outcome() {
            return Err(format!("the core has ended with {outcome:?}"));
        }
        let named = self.core.action();
        if named != *action {
            return Err(format!("the core names {named:?}, the trace {action:?}"));
        }
        self.actions += 1;
        self.due = Due::Reply;
        Ok(())
    }

    fn ended(&mut self, outcome: &Outcome) -> Result<(), String> {
        let named = self.core.outcome();
        if named != Some(outcome) {
            return Err(format!("the core's outcome is {named:?}, the trace's {outcome:?}"));
        }
        (self.due, self.end) = (Due::Nothing, End::Outcome(outcome.clone()));
        Ok(())
    }
}
