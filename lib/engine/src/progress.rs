//! The progress of a run: logged, and sent to whoever watches.

use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::step::Step;
use firecamp_core::time::Moment;
use tokio::sync::mpsc::Sender;
use tracing::{debug, info, warn};

/// A wait that takes longer than this is reported.
const QUIET: Duration = Duration::from_secs(2);

/// What a run reports while it runs.
#[derive(Debug, Clone, PartialEq)]
pub enum ProgressEvent {
    /// A step is complete.
    Step {
        /// Its stable label: `attach.3`.
        step: String,
        /// What is done.
        done: String,
    },
    /// It waits.
    Waiting {
        /// What it waits for.
        waiting_for: String,
        /// How long it has waited.
        waited: Duration,
        /// How long this wait takes at most.
        at_most: Duration,
    },
    /// A request failed, and may be repeated.
    RequestFailed {
        /// The outside system.
        system: String,
        /// What failed, and why.
        detail: String,
    },
}

impl ProgressEvent {
    /// Writes the log line, which is the same wherever the machine runs.
    pub fn log(&self) {
        match self {
            Self::Step { step, done } => info!(%step, done, "step completed"),
            Self::Waiting { waiting_for, waited, at_most } => info!(
                waiting_for,
                waited_seconds = waited.as_secs_f64(),
                at_most_seconds = at_most.as_secs_f64(),
                "waiting"
            ),
            Self::RequestFailed { system, detail } => warn!(system, detail, "request failed"),
        }
    }
}

/// Reports each step once, each failure, and the reason of a long wait.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    watcher: Option<&'a Sender<ProgressEvent>>,
    waiting: Option<Moment>,
    reported: Option<Moment>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(watcher: Option<&'a Sender<ProgressEvent>>) -> Self {
        Self { watcher, waiting: None, reported: None }
    }

    pub(crate) fn requested(&mut self, action: &Action, now: Moment) {
        debug!(action = ?action, "action requested");
        let Action::Wait(delay) = action else { return };
        let begun = *self.waiting.get_or_insert(now);
        let silent = self.reported.map_or_else(|| now.since(begun), |last| now.since(last));
        if silent >= QUIET || delay.longest() >= QUIET {
            self.reported = Some(now);
            let (waiting_for, waited) = (delay.why.clone(), now.since(begun));
            let at_most = delay.longest();
            self.report(ProgressEvent::Waiting { waiting_for, waited, at_most });
        }
    }

    pub(crate) fn crossed(&mut self, step: Step) {
        self.waiting = None;
        self.reported = None;
        let (step, done) = (step.to_string(), step.done().to_owned());
        self.report(ProgressEvent::Step { step, done });
    }

    /// Reports the failure of a reply.
    pub(crate) fn replied(&self, reply: &Reply) {
        debug!(reply = ?reply, "reply received");
        if let Some((system, detail)) = failed(reply) {
            let (system, detail) = (system.to_owned(), detail.to_owned());
            self.report(ProgressEvent::RequestFailed { system, detail });
        }
    }

    fn report(&self, event: ProgressEvent) {
        event.log();
        // The watcher may be slow or gone; the run does not depend on it.
        self.watcher.map(|watcher| watcher.try_send(event).ok());
    }
}

fn failed(reply: &Reply) -> Option<(&'static str, &str)> {
    let (system, detail) = match reply {
        Reply::Member(read) => ("registry", read.as_ref().err().map(|f| &f.detail)),
        Reply::Record(read) => ("registry", read.as_ref().err().map(|f| &f.detail)),
        Reply::Pod(read) => ("registry", read.as_ref().err().map(|f| &f.detail)),
        Reply::Allocated(read) => ("registry", read.as_ref().err().map(|f| &f.detail)),
        Reply::Written(done) => ("registry", done.as_ref().err().map(|f| &f.detail)),
        Reply::Identity(read) => ("imds", read.as_ref().err().map(|f| &f.detail)),
        Reply::Listed(read) => ("imds", read.as_ref().err().map(|f| &f.detail)),
        Reply::Owner(read) => ("ec2", read.as_ref().err().map(|f| &f.detail)),
        Reply::Cloud(done) => ("ec2", done.as_ref().err().map(|f| &f.detail)),
        Reply::File(done) => ("disk", done.as_ref().err().map(|f| &f.detail)),
        Reply::Host(done) => ("kernel", done.as_ref().err().map(|f| &f.detail)),
        Reply::Observed(read) => ("kernel", read.as_ref().err().map(|f| &f.detail)),
        Reply::Sockets(read) => ("kernel", read.as_ref().err().map(|f| &f.detail)),
        Reply::Begun | Reply::Waited | Reply::Stopping => ("", None),
    };
    detail.map(|text| (system, text.as_str()))
}
