//! Runs a process from its configuration to its exit code.

use std::process::ExitCode;
use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tracing::Instrument;

use crate::config::{Identity, LogConfig};
use crate::report::Report;
use crate::signals::Listener;
pub use crate::signals::{FirstSignal, Signals};

/// After a terminating signal, a process exits within a second: a running operation gets this much
/// time to finish.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(700);

/// A configured process.
#[derive(Debug)]
pub struct Started<C> {
    /// The configuration.
    pub config: C,
    /// The member of a container; `None` for an agent.
    pub(crate) identity: Option<Identity>,
    pub(crate) log: LogConfig,
    pub(crate) runtime: Runtime,
    pub(crate) listener: Listener,
}

impl<C> Started<C> {
    /// Runs `body` until its report or a terminating signal, and writes the termination message.
    pub fn run<B>(self, first: FirstSignal, body: B) -> ExitCode
    where
        B: AsyncFnOnce(C, Signals) -> Report,
    {
        let Self { config, identity, log, runtime, listener } = self;
        let signals = Signals::default();
        let (report, elapsed) = runtime.block_on(async {
            let start = Instant::now();
            let span = span(identity.as_ref());
            let listening = listener.forward(first, signals.clone());
            tokio::spawn(listening.instrument(span.clone()));
            let report = tokio::select! {
                biased;
                report = body(config, signals.clone()).instrument(span) => report,
                report = overdue(&signals) => report,
            };
            (report, start.elapsed())
        });
        // A thread that hangs in the kernel must not delay the exit.
        runtime.shutdown_background();
        report.finish(&log, identity.as_ref(), Some(elapsed))
    }
}

/// From now on a panic, in any thread, ends the process with [`Exit::Internal`] and a termination
/// message. The programs of the images cannot unwind (docs/decisions/0021).
pub fn end_at_panic(log: &LogConfig, identity: Option<&Identity>) {
    let (log, identity) = (log.clone(), identity.cloned());
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(%panic, "panic");
        let text = panic.payload_as_str().unwrap_or("without a message");
        let report = Report::new(Exit::Internal, format!("panic: {text}"));
        report.finish(&log, identity.as_ref(), None);
        end(Exit::Internal);
    }));
}

#[expect(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "a panic can neither return nor unwind"
)]
fn end(exit: Exit) -> ! {
    std::process::exit(exit.code().into())
}

fn span(identity: Option<&Identity>) -> tracing::Span {
    identity.map_or_else(
        tracing::Span::none,
        |Identity { member, pod, node }| tracing::info_span!("run", %member, podUID = %pod, %node),
    )
}

async fn overdue(signals: &Signals) -> Report {
    signals.end.cancelled().await;
    tokio::time::sleep(SHUTDOWN_GRACE).await;
    Report::new(Exit::Interrupted, "terminated by a signal while a step was still running")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;
    use tokio::runtime::Builder;

    use super::*;

    fn started(directory: &Path) -> Started<()> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(async { Listener::start() }).unwrap();
        let log = LogConfig {
            termination_log: directory.join("termination-message"),
            create: true,
            ..LogConfig::default()
        };
        Started { config: (), identity: None, log, runtime, listener }
    }

    fn report(directory: &Path) -> Value {
        let line = std::fs::read_to_string(directory.join("termination-message")).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn f018_every_exit_has_its_code_in_the_process_and_the_termination_message() {
        for exit in Exit::ALL {
            let directory = tempfile::tempdir().unwrap();
            let code = started(directory.path())
                .run(FirstSignal::Ends, async |(), _signals| Report::new(exit, "cause"));
            assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(exit.code())));
            let report = report(directory.path());
            assert_eq!(report["exitCode"], exit.code());
            assert_eq!(report["reason"], exit.reason());
            assert_eq!(report["advice"], exit.advice());
        }
    }

    #[test]
    fn a_hanging_step_ends_within_a_second_after_the_signal() {
        let directory = tempfile::tempdir().unwrap();
        let paused = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let started = Started { runtime: paused, ..started(directory.path()) };
        let _code = started.run(FirstSignal::Ends, async |(), signals| {
            signals.end.cancel();
            std::future::pending::<Report>().await
        });
        let report = report(directory.path());
        assert_eq!(report["reason"], "Interrupted");
        assert!((700..1000).contains(&report["elapsedMs"].as_u64().unwrap()), "{report}");
    }
}
