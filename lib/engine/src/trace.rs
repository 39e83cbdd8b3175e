//! A trace of a run, one event a line, for tests that check whether what the real binaries did is a
//! path of the core. Debug builds with the feature `trace` only, and only if `FIRECAMP_TRACE` names
//! a file.

use firecamp_core::action::{Action, Reply};
#[cfg(all(debug_assertions, feature = "trace"))]
use firecamp_core::machine::Machine;
use firecamp_core::machine::Outcome;
use firecamp_core::step::Step;
use firecamp_core::time::Moment;

#[cfg(feature = "trace")]
pub use self::event::{Event, Input};

#[cfg(feature = "trace")]
mod event {
    use firecamp_core::action::{Action, Reply};
    use firecamp_core::attach::AttachInput;
    use firecamp_core::machine::Outcome;
    use firecamp_core::release::ReleaseInput;
    use firecamp_core::step::Step;
    use firecamp_core::time::Moment;
    use serde::{Deserialize, Serialize};

    /// The input of a machine.
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
        /// The machine was created.
        Began {
            /// From this input.
            input: Input,
            /// At this moment.
            now: Moment,
        },
        /// The machine requested an action, which is about to be performed.
        Asked {
            /// The action.
            action: Action,
            /// Before it was performed.
            now: Moment,
        },
        /// The machine received the reply.
        Replied {
            /// The reply.
            reply: Reply,
            /// When it came.
            now: Moment,
        },
        /// The reply made the machine cross a step boundary.
        Crossed(Step),
        /// The machine has an outcome.
        Ended(Outcome),
        /// A signal ended the run.
        Interrupted,
    }
}

/// The trace of one run, if enabled.
#[derive(Debug)]
pub(crate) struct Trace {
    #[cfg(all(debug_assertions, feature = "trace"))]
    file: Option<std::fs::File>,
}

#[cfg(all(debug_assertions, feature = "trace"))]
impl Trace {
    /// Starts a trace if the environment names a file and the machine has an input.
    pub(crate) fn begin<M: Machine>(work: &impl crate::Begin<Machine = M>, now: Moment) -> Self {
        let wanted = std::env::var_os(firecamp_core::contract::env::TRACE);
        let mut trace = Self { file: None };
        if let (Some(path), Some(input)) = (wanted, work.input()) {
            let opened = std::fs::OpenOptions::new().append(true).create(true).open(&path);
            match opened {
                Ok(file) => trace.file = Some(file),
                Err(error) => tracing::error!(?path, %error, "failed to open the trace"),
            }
            trace.record(&Event::Began { input, now });
        }
        trace
    }

    fn record(&mut self, event: &Event) {
        use std::io::Write as _;
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_string(event)
            .map_err(std::io::Error::other)
            .and_then(|line| file.write_all(format!("{line}\n").as_bytes()));
        if let Err(error) = written {
            tracing::error!(%error, "failed to write the trace; it ends here");
            self.file = None;
        }
    }

    pub(crate) fn requested(&mut self, action: &Action, now: Moment) {
        self.record(&Event::Asked { action: action.clone(), now });
    }

    pub(crate) fn replied(&mut self, reply: &Reply, now: Moment) {
        self.record(&Event::Replied { reply: reply.clone(), now });
    }

    pub(crate) fn crossed(&mut self, step: Step) {
        self.record(&Event::Crossed(step));
    }

    /// The outcome; none if a signal ended the run.
    pub(crate) fn ended(&mut self, outcome: Option<&Outcome>) {
        self.record(&outcome.map_or(Event::Interrupted, |o| Event::Ended(o.clone())));
    }
}

/// The disabled trace: every call compiles to nothing.
#[cfg(not(all(debug_assertions, feature = "trace")))]
#[expect(clippy::unused_self, reason = "the methods of the enabled trace need self")]
impl Trace {
    pub(crate) fn begin<B>(_work: &B, _now: Moment) -> Self {
        Self {}
    }

    pub(crate) fn requested(&mut self, _action: &Action, _now: Moment) {}

    pub(crate) fn replied(&mut self, _reply: &Reply, _now: Moment) {}

    pub(crate) fn crossed(&mut self, _step: Step) {}

    pub(crate) fn ended(&mut self, _outcome: Option<&Outcome>) {}
}
