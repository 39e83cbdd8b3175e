//! What a run was told and what it did, line by line in a file: for tests that check whether what
//! the real binaries did is a path of the core. Debug builds with the feature `trace` only, and
//! only where `FIRECAMP_TRACE` names a file.

use firecamp_core::action::{Action, Reply, Step};
#[cfg(all(debug_assertions, feature = "trace"))]
use firecamp_core::machine::Machine;
use firecamp_core::machine::Outcome;
use firecamp_core::time::Moment;

#[cfg(feature = "trace")]
pub use self::event::{Event, Input};

#[cfg(feature = "trace")]
mod event {
    use firecamp_core::action::{Action, Reply, Step};
    use firecamp_core::attach::AttachInput;
    use firecamp_core::machine::Outcome;
    use firecamp_core::release::ReleaseInput;
    use firecamp_core::time::Moment;
    use serde::{Deserialize, Serialize};

    /// What a machine was made from.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub enum Input {
        /// An attach.
        Attach(AttachInput),
        /// A release.
        Release(ReleaseInput),
    }

    /// One line of a trace.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub enum Event {
        /// The machine was made.
        Began {
            /// From this.
            input: Input,
            /// At this moment.
            now: Moment,
        },
        /// The machine named an action, which is about to be performed.
        Asked {
            /// The action.
            action: Action,
            /// Before it was performed.
            now: Moment,
        },
        /// The machine was told of the answer.
        Told {
            /// The answer.
            reply: Reply,
            /// When it came.
            now: Moment,
        },
        /// With that the machine crossed a boundary.
        Crossed(Step),
        /// The machine came to its outcome.
        Ended(Outcome),
        /// A signal ended the run.
        Interrupted,
    }
}

/// The trace of one run, if anybody wants it.
#[derive(Debug)]
pub(crate) struct Trace {
    #[cfg(all(debug_assertions, feature = "trace"))]
    file: Option<std::fs::File>,
}

#[cfg(all(debug_assertions, feature = "trace"))]
impl Trace {
    /// Begins a trace where the environment asks for one and the machine's input can be told.
    pub(crate) fn begin<M: Machine>(work: &impl crate::Begin<Machine = M>, now: Moment) -> Self {
        let wanted = std::env::var_os(firecamp_core::contract::env::TRACE);
        let mut trace = Self { file: None };
        if let (Some(path), Some(input)) = (wanted, work.input()) {
            let opened = std::fs::OpenOptions::new().append(true).create(true).open(&path);
            match opened {
                Ok(file) => trace.file = Some(file),
                Err(error) => tracing::error!(?path, %error, "No trace can be written"),
            }
            trace.tell(&Event::Began { input, now });
        }
        trace
    }

    fn tell(&mut self, event: &Event) {
        use std::io::Write as _;
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_string(event)
            .map_err(std::io::Error::other)
            .and_then(|line| file.write_all(format!("{line}\n").as_bytes()));
        if let Err(error) = written {
            tracing::error!(%error, "The trace breaks off");
            self.file = None;
        }
    }

    pub(crate) fn asked(&mut self, action: &Action, now: Moment) {
        self.tell(&Event::Asked { action: action.clone(), now });
    }

    pub(crate) fn told(&mut self, reply: &Reply, now: Moment) {
        self.tell(&Event::Told { reply: reply.clone(), now });
    }

    pub(crate) fn crossed(&mut self, step: Step) {
        self.tell(&Event::Crossed(step));
    }

    /// The outcome; none if a signal ended the run.
    pub(crate) fn ended(&mut self, outcome: Option<&Outcome>) {
        self.tell(&outcome.map_or(Event::Interrupted, |o| Event::Ended(o.clone())));
    }
}

/// Nobody traces: every call of this compiles to nothing.
#[cfg(not(all(debug_assertions, feature = "trace")))]
#[expect(clippy::unused_self, reason = "the callers do not know whether anybody traces")]
impl Trace {
    pub(crate) fn begin<B>(_work: &B, _now: Moment) -> Self {
        Self {}
    }

    pub(crate) fn asked(&mut self, _action: &Action, _now: Moment) {}

    pub(crate) fn told(&mut self, _reply: &Reply, _now: Moment) {}

    pub(crate) fn crossed(&mut self, _step: Step) {}

    pub(crate) fn ended(&mut self, _outcome: Option<&Outcome>) {}
}
