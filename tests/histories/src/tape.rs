//! Records every call of the deciding code with its answer, as lines of JSON. A recording outlives
//! the wiring that made it: `firecamp-oracle` replays it against later code.
//!
//! Guarantees: recording draws no random numbers and has no effect on the run. A call is recorded
//! with its answer before another one begins. Calls of one instance carry its number, in order.

use firecamp_core::action::{Action, Reply};
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::step::Step;
use firecamp_core::time::Moment;
use serde::Serialize;

/// A recording: one line of JSON for each call.
#[derive(Debug, Clone, Default)]
pub struct Tape {
    lines: Vec<u8>,
}

/// The first line of a history.
#[derive(Debug, Serialize)]
struct Title<'a> {
    history: &'a str,
    seed: u64,
}

/// What a machine returns after it has started, or after a reply.
#[derive(Debug, Serialize)]
struct Effect<'a> {
    action: Action,
    crossed: Option<Step>,
    outcome: Option<&'a Outcome>,
}

impl Tape {
    /// A recording that begins with the history's name and seed.
    pub fn of(history: &str, seed: u64) -> Self {
        let mut tape = Self::default();
        tape.json(&Title { history, seed });
        tape.lines.push(b'\n');
        tape
    }

    /// All lines.
    pub fn into_lines(self) -> Vec<u8> {
        self.lines
    }

    /// Records a call of an instance, or of a pure function (`of` is none). [`Tape::gives`] must
    /// follow immediately.
    pub fn call(&mut self, call: &str, of: Option<u64>, with: &impl Serialize) {
        self.lines.extend_from_slice(b"{\"call\":");
        self.json(call);
        if let Some(number) = of {
            self.lines.extend_from_slice(b",\"of\":");
            self.json(&number);
        }
        self.lines.extend_from_slice(b",\"with\":");
        self.json(with);
    }

    /// Records the result of the call.
    pub fn gives(&mut self, what: &impl Serialize) {
        self.lines.extend_from_slice(b",\"gives\":");
        self.json(what);
        self.lines.extend_from_slice(b"}\n");
    }

    /// Records a call of a pure function.
    pub fn function(&mut self, call: &str, with: &impl Serialize, gives: &impl Serialize) {
        self.call(call, None, with);
        self.gives(gives);
    }

    /// Records the first action of a machine.
    pub fn begins(&mut self, call: &str, of: u64, with: &impl Serialize, machine: &impl Machine) {
        self.call(call, Some(of), with);
        self.gives(&Effect::of(machine));
    }

    /// Passes a reply to a machine and records it.
    pub fn report(&mut self, of: u64, machine: &mut impl Machine, reply: Reply, now: Moment) {
        self.call("machine.reply", Some(of), &(&reply, now));
        machine.reply(reply, now);
        self.gives(&Effect::of(machine));
    }

    fn json(&mut self, what: &(impl Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.lines, what).expect("recorded maps have string keys");
    }
}

impl<'a> Effect<'a> {
    fn of(machine: &'a impl Machine) -> Self {
        let (action, crossed, outcome) = (machine.action(), machine.crossed(), machine.outcome());
        Self { action, crossed, outcome }
    }
}
