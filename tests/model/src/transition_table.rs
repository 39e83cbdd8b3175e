//! The transitions of attach and release as they are taken: rows of `docs/proof/transitions.md`.

use firecamp_core::action::{Action, Reply};
use firecamp_core::machine::Machine;
use firecamp_core::step::Step;
use firecamp_core::time::Moment;
use serde::Serialize;

use crate::canonical::{serialised, state_name};

/// A machine's reaction to the answer to one action.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    /// The state before, such as `Assign.Fresh`.
    pub state: String,
    /// The action that the machine requested.
    pub action: String,
    /// The action succeeded, failed, its answer was lost, or the stop signal came first.
    pub answer: &'static str,
    /// The state after.
    pub next: String,
    /// Whether the machine first waits.
    pub wait: &'static str,
    /// The boundary that the answer crossed.
    pub crossed: Option<Step>,
}

impl Row {
    /// Passes the reply to the machine. `None` if the machine had waited or ended: then the state
    /// has no action of its own.
    pub fn take<M: Machine + Serialize>(
        machine: &mut M,
        reply: Reply,
        now: Moment,
    ) -> Option<Self> {
        let (state, action) = (state_name(machine), machine.action());
        let answer = answer(&action, &reply);
        machine.reply(reply, now);
        if matches!(action, Action::Wait(_) | Action::Done) {
            return None;
        }
        let wait = if let Action::Wait(delay) = machine.action() {
            if delay.jitter { "back-off" } else { "pause" }
        } else {
            ""
        };
        let (next, crossed) = (state_name(machine), machine.crossed());
        Some(Self { state, action: action_name(&action), answer, next, wait, crossed })
    }

    /// The first cells of its line on the page.
    pub fn cause(&self) -> String {
        format!("| {} | {} | {} |", self.state, self.action, self.answer)
    }

    /// Its part of the last cell.
    pub fn effect(&self) -> String {
        let Self { next, wait, crossed, .. } = self;
        let crossed = crossed.map(|step| format!(" ({step})")).unwrap_or_default();
        let wait = if wait.is_empty() { String::new() } else { format!("{wait}, then ") };
        format!("{wait}{next}{crossed}")
    }

    /// Whether the page lists it.
    pub fn is_in(&self, page: &str) -> bool {
        let effects = page.lines().find_map(|line| line.strip_prefix(&self.cause()));
        let effects = effects.map(|cell| cell.trim_matches([' ', '|']).split("; "));
        effects.into_iter().flatten().any(|effect| effect == self.effect())
    }
}

fn action_name(action: &Action) -> String {
    let text = if let Action::Write(write) = action {
        format!("{write:?}")
    } else {
        format!("{action:?}")
    };
    text.chars().take_while(char::is_ascii_alphabetic).collect()
}

fn answer(action: &Action, reply: &Reply) -> &'static str {
    if *reply == Reply::Stopping && *action != Action::AwaitStop {
        return "stop signal";
    }
    let changes =
        matches!(action, Action::Write(_) | Action::Assign { .. } | Action::Unassign { .. });
    let reply = serialised(reply);
    let result = reply.as_object().and_then(|object| object.values().next());
    match result.and_then(|result| result.get("Err")) {
        Some(failure) if changes && failure.get("effect") == Some(&"Unknown".into()) => "lost",
        Some(_) => "failure",
        None => "success",
    }
}
