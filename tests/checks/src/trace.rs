//! Refinement: compares the traces of real processes with the core.
//!
//! [`check`] creates the machine from the input in the trace, passes each reply to it at its time,
//! and requires exactly the recorded actions, steps and outcome. Then it checks the recorded
//! actions against the rules of the protocol, which are implemented here a second time, without the
//! core's decisions. A trace may end early, because its process may have been killed.

mod path;
mod rules;

use firecamp_core::machine::Outcome;
use firecamp_engine::{Event, Input};

pub use rules::Rule;

/// How a trace ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With the machine's outcome.
    Outcome(Outcome),
    /// With a signal.
    Interrupted,
    /// In the middle: the process was killed.
    Cut,
}

/// A trace that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What the machine was made from.
    pub input: Input,
    /// How it ended.
    pub end: End,
    /// How many actions were performed.
    pub actions: usize,
}

/// Why a trace is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A line is no event.
    #[error("line {line} is no event: {why}")]
    Syntax {
        /// Which line.
        line: usize,
        /// Why.
        why: String,
    },
    /// The core would not have done that.
    #[error("line {line} is no step of the core: {why}")]
    Path {
        /// Which line.
        line: usize,
        /// What the core does.
        why: String,
    },
    /// It breaks a rule of the protocol.
    #[error("line {line} breaks the rule {rule:?}: {why}")]
    Rule {
        /// Which line.
        line: usize,
        /// Which rule.
        rule: Rule,
        /// How.
        why: String,
    },
}

/// Reads a trace. A last line without an end was cut off with its process.
pub fn read(text: &str) -> Result<Vec<Event>, Refused> {
    let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
    let lines = whole.lines().enumerate();
    let events = lines.map(|(index, line)| {
        let failed = |e: serde_json::Error| Refused::Syntax { line: index + 1, why: e.to_string() };
        serde_json::from_str(line).map_err(failed)
    });
    events.collect()
}

/// Whether this is a path of the core, and within the rules. None of an empty trace.
pub fn check(text: &str) -> Result<Option<Accepted>, Refused> {
    let events = read(text)?;
    let accepted = path::follow(&events)?;
    within_the_rules(&events)?;
    Ok(accepted)
}

/// Whether no rule of the protocol is broken, whatever the core would have done.
pub fn within_the_rules(events: &[Event]) -> Result<(), Refused> {
    rules::hold(events)
}
