//! What the code that decides was asked in a history and what it answered, as lines of JSON. A
//! recording outlives the wiring that made it: `firecamp-oracle` asks later code the same.
//!
//! Guarantees: recording draws no chance and changes nothing. A call is written as a whole before
//! another one begins, with its answer. Calls of one instance have its number, in their order.

use firecamp_core::action::{Action, Reply, Step};
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::time::Moment;
use serde::Serialize;

/// Lines of JSON, one for each call.
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

/// What a machine names after it has begun, or has been told a reply.
#[derive(Debug, Serialize)]
struct Effect<'a> {
    action: Action,
    crossed: Option<Step>,
    outcome: Option<&'a Outcome>,
}

impl Tape {
    /// A tape that begins with the history's name and seed.
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

    /// A call is about to be made of an instance, or of a function that remembers nothing.
    /// [`Tape::gives`] follows at once.
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

    /// What the call that was made has given.
    pub fn gives(&mut self, what: &impl Serialize) {
        self.lines.extend_from_slice(b",\"gives\":");
        self.json(what);
        self.lines.extend_from_slice(b"}\n");
    }

    /// A function that remembers nothing was called.
    pub fn function(&mut self, call: &str, with: &impl Serialize, gives: &impl Serialize) {
        self.call(call, None, with);
        self.gives(gives);
    }

    /// What a machine names first.
    pub fn begins(&mut self, call: &str, of: u64, with: &impl Serialize, machine: &impl Machine) {
        self.call(call, Some(of), with);
        self.gives(&Effect::of(machine));
    }

    /// Tells a machine a reply.
    pub fn tell(&mut self, of: u64, machine: &mut impl Machine, reply: Reply, now: Moment) {
        self.call("machine.reply", Some(of), &(&reply, now));
        machine.reply(reply, now);
        self.gives(&Effect::of(machine));
    }

    fn json(&mut self, what: &(impl Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.lines, what).expect("what is recorded has texts for keys");
    }
}

impl<'a> Effect<'a> {
    fn of(machine: &'a impl Machine) -> Self {
        let (action, crossed, outcome) = (machine.action(), machine.crossed(), machine.outcome());
        Self { action, crossed, outcome }
    }
}
