//! The trace of a history: nothing, a hash, or text.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::Operation;
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use crate::audit::{AddressMove, End};
use crate::level::Order;

/// How much of a history is recorded.
#[derive(Debug, Clone, Default)]
pub enum Trace {
    /// Nothing.
    #[default]
    Off,
    /// A hash of every action, reply and order, with its time.
    Hash(Box<DefaultHasher>),
    /// One line for each.
    Full(Vec<String>),
}

impl Trace {
    /// A hash of the whole history.
    pub fn hash() -> Self {
        Self::Hash(Box::default())
    }

    /// Every line of the history.
    pub fn full() -> Self {
        Self::Full(Vec::new())
    }

    /// The hash so far.
    pub fn value(&self) -> Option<u64> {
        if let Self::Hash(hasher) = self { Some(hasher.finish()) } else { None }
    }

    /// The lines so far.
    pub fn lines(self) -> Vec<String> {
        if let Self::Full(lines) = self { lines } else { Vec::new() }
    }

    /// Adds an entry.
    pub fn add(&mut self, now: Moment, what: &impl Hash, text: impl FnOnce() -> String) {
        match self {
            Self::Off => {}
            Self::Hash(hasher) => (now, what).hash(hasher),
            Self::Full(lines) => lines.push(format!("{:>11.6} {}", now.0.as_secs_f64(), text())),
        }
    }

    /// A machine has named an action.
    pub fn action(&mut self, now: Moment, slot: u32, action: &Action) {
        self.add(now, &(slot, action), || format!("run-{slot} -> {}", short(action)));
    }

    /// A machine has received a reply.
    pub fn reply(&mut self, now: Moment, slot: u32, reply: &Reply) {
        self.add(now, &(slot, reply), || format!("run-{slot} <- {}", short(reply)));
    }

    /// The orchestrator has given an order.
    pub fn order(&mut self, now: Moment, order: &Order) {
        if let Self::Off = self {
            return;
        }
        let text = format!("{order:?}");
        self.add(now, &text, || format!("* {text}"));
    }

    /// A process has ended.
    pub fn ended(&mut self, now: Moment, slot: u32, end: &End<'_>) {
        if let Self::Off = self {
            return;
        }
        let text = format!("{end:?}");
        self.add(now, &(slot, &text), || format!("run-{slot} ends: {text}"));
    }

    /// An agent starts an operation.
    pub fn operation(&mut self, now: Moment, agent: u32, execution: u32, operation: &Operation) {
        self.add(now, &(agent, execution, operation), || {
            format!("run-{agent} begins run-{execution}: {operation:?}")
        });
    }

    /// A record has changed.
    pub fn record(&mut self, now: Moment, record: &StaticIp) {
        self.add(now, record, || {
            let marks: Vec<String> = record.pending_mutations.iter().map(short).collect();
            let state = record.attachment.as_ref().map(|a| {
                let eni = a.eni.as_ref().map_or("none", |eni| eni.as_str());
                format!("{:?} by {} {} on {} {eni}", a.state, a.pod, a.run, a.node)
            });
            format!(
                "  record of {}: epoch {}, {}, pending mutations {marks:?}",
                record.address,
                record.epoch,
                state.unwrap_or_default()
            )
        });
    }

    /// An address has moved in EC2.
    pub fn moved(&mut self, now: Moment, moving: AddressMove) {
        let AddressMove { address, from, to } = moving;
        self.add(now, &(address, from, to), || format!("  EC2: {address} from {from:?} to {to:?}"));
    }
}

/// A value as text, without uninformative type names.
fn short(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let cut = text.replace("EniId(\"", "(\"").replace("RunId(\"", "(\"");
    if cut.chars().count() > 600 {
        cut.chars().take(600).chain("...".chars()).collect()
    } else {
        cut
    }
}
