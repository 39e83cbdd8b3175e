//! One value for all states of a machine that have the same future, for exhaustive search.
//!
//! Moments are relative to now, ages that no comparison distinguishes are one age, and texts and
//! failure counts are dropped, because only people and the length of a backoff depend on them. A
//! wait with jitter may end at any moment, so its length becomes zero.
//!
//! The state is rewritten in its serialised form, so its fields stay private in the core.
//! `relevance` has a row for each moment; a moment without a row is a panic, not a guess.

use std::time::Duration;

use firecamp_core::action::Action;
use firecamp_core::contract::timing;
use firecamp_core::machine::Machine;
use firecamp_core::time::Moment;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The canonical now: the clock that continues from a canonical state reads this.
pub const ORIGIN: Moment = Moment(HORIZON);

/// A moment further ahead never comes: only a sidecar runs that long.
const HORIZON: Duration = Duration::from_hours(1);
const NEVER: Moment = Moment(Duration::MAX);

/// The canonical form of a machine, seen at `now`.
pub fn canonical<M: Machine + Serialize + DeserializeOwned>(machine: &M, now: Moment) -> M {
    let mut state = serialised(machine);
    let view = View::new(&machine.action(), &state, now);
    view.rewrite(&mut state, &mut Vec::new());
    parsed(state)
}

/// The name of the state that a machine is in, such as `Assign.Fresh`.
pub fn state_name(machine: &impl Serialize) -> String {
    name(&serialised(machine))
}

pub(crate) fn serialised(machine: &impl Serialize) -> Value {
    serde_json::to_value(machine).expect("a state has a serialised form")
}

fn parsed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the form of a state")
}

/// Follows `stage` and `at` to the innermost state.
fn name(state: &Value) -> String {
    let below = state.get("stage").or_else(|| state.get("at")).unwrap_or(state);
    let Some((variant, inner)) = below.as_object().and_then(|object| object.iter().next()) else {
        return below.as_str().unwrap_or_default().to_owned();
    };
    let nested = inner.get("at").is_some() || inner.get("stage").is_some();
    if nested {
        format!("{variant}.{}", name(inner))
    } else if variant == "Done" {
        name(inner)
    } else {
        variant.clone()
    }
}

/// How long a moment matters.
enum Relevance {
    /// Its age matters, up to this bound.
    Age(Duration),
    /// It matters until it has come.
    Due,
    /// It is not used any more.
    Unused,
}

/// What decides which moments of a state matter.
struct View {
    now: Moment,
    /// The current state.
    at: String,
    /// The reply to the current action authorises something or shows an owner, so the moment at
    /// which it was requested matters.
    dates: bool,
    /// The record had pending mutations before the epoch was acquired.
    pending: bool,
    predecessor_grace: Duration,
}

impl View {
    fn new(action: &Action, state: &Value, now: Moment) -> Self {
        let dates = matches!(
            action,
            Action::Write(_)
                | Action::ReadRecord(_)
                | Action::ReadOwner(..)
                | Action::BeginOwner(..)
        );
        let held = ["/stage/Assign/held", "/stage/Complete/moved/held"];
        let held = held.iter().find_map(|held| state.pointer(held));
        let pending = held.and_then(|held| held.pointer("/before/pending_mutations"));
        let grace = state.pointer("/input/predecessor_grace").cloned();
        Self {
            now,
            at: name(state),
            dates,
            pending: pending.and_then(Value::as_array).is_some_and(|list| !list.is_empty()),
            predecessor_grace: grace.map_or(Duration::ZERO, parsed),
        }
    }

    fn relevance(&self, path: &[&str]) -> Relevance {
        let age_if = |used, bound| if used { Relevance::Age(bound) } else { Relevance::Unused };
        let call = |used| age_if(used, timing::CALL_BOUND);
        match path {
            [.., "deadline" | "drain_until" | "unanswered" | "not_after"]
            | [.., "Unassign", "at", "Call"] => Relevance::Due,
            [.., "requested"] => call(self.dates),
            ["stage", "Bind", "missing"] | [.., "assigned"] => {
                Relevance::Age(timing::METADATA_PATIENCE)
            }
            ["stage", "Complete", "begun"] => {
                age_if(self.at == "Complete.Predecessor", self.predecessor_grace)
            }
            ["stage", "Complete", .., "authorised"] => Relevance::Unused,
            [.., "Unassign", "authorised"] => call(self.at.ends_with("Unassign.Call")),
            [.., "taken"] => call(self.pending),
            ["stage", "Assign", "look_up_until"] => {
                let used = ["Assign.Fresh", "Assign.Note", "Assign.Assign"];
                if used.contains(&self.at.as_str()) { Relevance::Due } else { Relevance::Unused }
            }
            [.., "Begun" | "authorised" | "look_up_sent"] => call(true),
            [.., "Unanswered"] => Relevance::Age(timing::SETTLE),
            [.., "refused"] => Relevance::Age(timing::DESCRIBE_LAG),
            _ => unreachable!("{path:?} of {}: how long does this moment matter?", self.at),
        }
    }

    fn rewrite<'a>(&self, value: &'a mut Value, path: &mut Vec<&'a str>) {
        match path.as_slice() {
            ["input"] | [_, "input"] | [.., "delay", "length"] => return,
            [.., "crossed" | "furthest"] => *value = Value::Null,
            // Only Assign's first state is decided by it.
            [.., "held", "look_up"] => *value = "None".into(),
            [.., "failures"] | [.., "delay", "limit"] => reset(value),
            [.., "message" | "why"] => *value = "".into(),
            [.., "unread"] => {
                if let Some(why) = value.get_mut(1) {
                    *why = "".into();
                }
            }
            [.., "delay"] if value.get("jitter") == Some(&Value::Bool(true)) => {
                if let Some(length) = value.get_mut("length") {
                    reset(length);
                }
            }
            path if value.get("nanos").is_some() => {
                let moment = self.moved(parsed(value.clone()), &self.relevance(path));
                *value = serialised(&moment);
                return;
            }
            _ => {}
        }
        for (key, inner) in value.as_object_mut().into_iter().flatten() {
            path.push(key);
            self.rewrite(inner, path);
            path.pop();
        }
    }

    fn moved(&self, moment: Moment, relevance: &Relevance) -> Moment {
        let ahead = moment.since(self.now);
        let ahead = if ahead > HORIZON { NEVER } else { ORIGIN.plus(ahead) };
        match relevance {
            Relevance::Age(bound) => {
                let age = self.now.since(moment).min(*bound);
                Moment(ahead.0.saturating_sub(age))
            }
            Relevance::Due => ahead,
            Relevance::Unused => ORIGIN,
        }
    }
}

/// Zero, for a number or a duration. The limit of a wait follows from the deadline.
fn reset(value: &mut Value) {
    *value = if value.is_number() { 0.into() } else { serialised(&Duration::ZERO) };
}
