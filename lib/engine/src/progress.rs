//! Logs the progress of a run.

use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::step::Step;
use firecamp_core::time::Moment;
use tracing::{debug, info, warn};

/// A wait that takes longer than this is logged.
const QUIET: Duration = Duration::from_secs(2);

/// Logs each step once, each failure, and the reason of a long wait.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    waiting: Option<Moment>,
    reported: Option<Moment>,
}

impl Progress {
    pub(crate) fn requested(&mut self, action: &Action, now: Moment) {
        debug!(action = ?action, "action requested");
        let Action::Wait(delay) = action else { return };
        let begun = *self.waiting.get_or_insert(now);
        let silent = self.reported.map_or_else(|| now.since(begun), |last| now.since(last));
        if silent >= QUIET || delay.longest() >= QUIET {
            self.reported = Some(now);
            info!(
                waiting_for = delay.why,
                waited_seconds = now.since(begun).as_secs_f64(),
                at_most_seconds = delay.longest().as_secs_f64(),
                "waiting"
            );
        }
    }

    pub(crate) fn crossed(&mut self, step: Step) {
        self.waiting = None;
        self.reported = None;
        info!(step = %step, done = step.done(), "step completed");
    }
}

/// Logs the reply, and its failure as a warning.
pub(crate) fn replied(reply: &Reply) {
    debug!(reply = ?reply, "reply received");
    if let Some((system, detail)) = failed(reply) {
        warn!(system, detail, "request failed");
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
