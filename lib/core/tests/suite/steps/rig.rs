//! Drives a machine with a fixture, up to the action that a test is about.

use std::time::Duration;

use firecamp_core::action::{Action, Delay, Reply};
use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::{
    CloudFailure, CloudKind, Effect, HostFailure, HostKind, RegistryFailure, RegistryKind,
};
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::step::Step;
use firecamp_core::time::Moment;

use super::fixture::{Fixture, input};

/// The default latency of a reply.
pub(crate) const TICK: Duration = Duration::from_millis(1);

#[derive(Debug, Clone)]
pub(crate) struct Rig<M> {
    pub(crate) machine: M,
    pub(crate) fixture: Fixture,
    pub(crate) now: Moment,
}

/// An attach in this fixture.
pub(crate) fn attach(fixture: Fixture) -> Rig<Attach> {
    attach_with(input(), fixture)
}

pub(crate) fn attach_with(input: AttachInput, fixture: Fixture) -> Rig<Attach> {
    let now = Moment(Duration::from_secs(100));
    Rig { machine: Attach::new(input, now), fixture, now }
}

impl<M: Machine> Rig<M> {
    pub(crate) fn action(&self) -> Action {
        self.machine.action()
    }

    pub(crate) fn report(&mut self, reply: Reply) -> &mut Self {
        self.report_after(reply, TICK)
    }

    pub(crate) fn report_after(&mut self, reply: Reply, took: Duration) -> &mut Self {
        self.now = self.now.plus(took);
        self.machine.reply(reply, self.now);
        self
    }

    /// Replies to the current action with success, or waits as long as it requests.
    pub(crate) fn step(&mut self) -> &mut Self {
        self.step_after(TICK)
    }

    pub(crate) fn step_after(&mut self, took: Duration) -> &mut Self {
        let action = self.action();
        let reply = self.fixture.answer(&action);
        let took = if let Action::Wait(delay) = action { delay.longest() } else { took };
        self.report_after(reply, took)
    }

    /// Replies with success until this action is next.
    pub(crate) fn until(&mut self, is_it: impl Fn(&Action) -> bool) -> &mut Self {
        for _ in 0..10_000 {
            if is_it(&self.action()) {
                return self;
            }
            assert_eq!(self.machine.outcome(), None, "it ended too early");
            self.step();
        }
        unreachable!("it never requested that, but {:?}", self.action())
    }

    /// Replies with success until it crosses this boundary.
    pub(crate) fn past(&mut self, step: Step) -> &mut Self {
        for _ in 0..10_000 {
            if self.machine.crossed() == Some(step) {
                return self;
            }
            assert_eq!(self.machine.outcome(), None, "it ended too early");
            self.step();
        }
        unreachable!("it never crossed {step}")
    }

    /// Replies with success to the end.
    pub(crate) fn end(&mut self) -> Outcome {
        self.until(|action| *action == Action::Done);
        self.machine.outcome().expect("an outcome").clone()
    }

    /// Its current wait, if any.
    pub(crate) fn pause(&self) -> Option<Delay> {
        if let Action::Wait(delay) = self.action() { Some(delay) } else { None }
    }

    /// The action after the pause that it must request.
    pub(crate) fn after_pause(&mut self) -> Action {
        assert!(self.pause().is_some(), "no pause before {:?}", self.action());
        while self.pause().is_some() {
            self.step();
        }
        self.action()
    }

    /// The exit code that it has failed with.
    pub(crate) fn failed(&self) -> Option<Exit> {
        if let Some(Outcome::Failed(failure)) = self.machine.outcome() {
            return Some(failure.exit);
        }
        None
    }
}

pub(crate) fn is_write(action: &Action) -> bool {
    matches!(action, Action::Write(_))
}

pub(crate) fn is_assign(action: &Action) -> bool {
    matches!(action, Action::Assign { .. })
}

pub(crate) fn is_owner(action: &Action) -> bool {
    matches!(action, Action::ReadOwner(..) | Action::AwaitOwner)
}

pub(crate) fn is_listed(action: &Action) -> bool {
    matches!(action, Action::ReadListed(_))
}

pub(crate) fn is_fresh(action: &Action) -> bool {
    matches!(action, Action::ReadRecord(_))
}

pub(crate) fn registry(kind: RegistryKind, effect: Effect) -> RegistryFailure {
    RegistryFailure { kind, effect, detail: "so it was".to_owned() }
}

pub(crate) fn unwritten(kind: RegistryKind, effect: Effect) -> Reply {
    Reply::Written(Err(registry(kind, effect)))
}

pub(crate) fn cloud(kind: CloudKind, effect: Effect) -> CloudFailure {
    CloudFailure { kind, effect, detail: "so it was".to_owned() }
}

pub(crate) fn refused(kind: CloudKind) -> Reply {
    Reply::Cloud(Err(cloud(kind, Effect::None)))
}

/// The answer to an EC2 mutation is lost.
pub(crate) fn lost() -> Reply {
    Reply::Cloud(Err(cloud(CloudKind::Transient, Effect::Unknown)))
}

pub(crate) fn host(kind: HostKind) -> HostFailure {
    HostFailure { kind, detail: "so it was".to_owned() }
}
