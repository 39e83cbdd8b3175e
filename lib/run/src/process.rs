//! The life of a container's process, from its configuration to its exit code.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
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

/// After a signal that ends it, a process is gone within a second: what is under way gets this
/// long to come to its own end.
const LAST_MOMENTS: Duration = Duration::from_millis(700);

/// A process that has its configuration.
#[derive(Debug)]
pub struct Started<C> {
    /// The configuration.
    pub config: C,
    /// Who a container acts for; an agent acts for no member.
    pub(crate) identity: Option<Identity>,
    pub(crate) log: LogConfig,
    pub(crate) runtime: Runtime,
    pub(crate) listener: Listener,
}

impl<C> Started<C> {
    /// Runs `body` to its report, or to the end that a signal demands, and says the last words.
    /// A panic becomes [`Exit::Internal`].
    pub fn run<B>(self, first: FirstSignal, body: B) -> ExitCode
    where
        B: AsyncFnOnce(C, Signals) -> Report,
    {
        let Self { config, identity, log, runtime, listener } = self;
        let signals = Signals::default();
        let lived = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let begun = Instant::now();
                let span = span(identity.as_ref());
                let listening = listener.forward(first, signals.clone());
                tokio::spawn(listening.instrument(span.clone()));
                let report = tokio::select! {
                    biased;
                    report = body(config, signals.clone()).instrument(span) => report,
                    report = overdue(&signals) => report,
                };
                (report, begun.elapsed())
            })
        }));
        // A thread that hangs in the kernel must not keep the process.
        runtime.shutdown_background();
        match lived {
            Ok((report, elapsed)) => report.finish(&log, identity.as_ref(), Some(elapsed)),
            Err(panic) => panicked(panic.as_ref()).finish(&log, identity.as_ref(), None),
        }
    }
}

fn span(identity: Option<&Identity>) -> tracing::Span {
    identity.map_or_else(
        tracing::Span::none,
        |Identity { member, pod, node }| tracing::info_span!("run", %member, podUID = %pod, %node),
    )
}

async fn overdue(signals: &Signals) -> Report {
    signals.end.cancelled().await;
    tokio::time::sleep(LAST_MOMENTS).await;
    Report::new(Exit::Interrupted, "ended by a signal while a step was still under way")
}

fn panicked(panic: &(dyn Any + Send)) -> Report {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    Report::new(Exit::Internal, format!("panic: {}", text.unwrap_or("without a message")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use firecamp_core::ids::{Member, NodeName, PodUid};
    use serde_json::Value;
    use tokio::runtime::Builder;

    use super::*;

    fn started(directory: &Path) -> Started<()> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(async { Listener::start() }).unwrap();
        let log = LogConfig {
            termination_log: directory.join("last-words"),
            create: true,
            ..LogConfig::default()
        };
        let identity = Identity {
            member: Member::new("demo", "redis-0").unwrap(),
            pod: PodUid::new("uid-1").unwrap(),
            node: NodeName::new("node-a").unwrap(),
        };
        let identity = Some(identity);
        Started { config: (), identity, log, runtime, listener }
    }

    fn report(directory: &Path) -> Value {
        let line = std::fs::read_to_string(directory.join("last-words")).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn a_panic_ends_as_an_internal_error_with_last_words() {
        let directory = tempfile::tempdir().unwrap();
        let code = started(directory.path())
            .run(FirstSignal::Ends, async |(), _signals| panic!("a bug of {}", "ours"));
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(70)));
        let report = report(directory.path());
        assert_eq!(report["exitCode"], 70);
        assert_eq!(report["message"], "panic: a bug of ours");
        assert_eq!(report["member"], "demo/redis-0");
    }

    #[test]
    fn f018_every_exit_becomes_the_code_of_the_process_and_of_its_last_words() {
        for exit in Exit::ALL {
            let directory = tempfile::tempdir().unwrap();
            let code = started(directory.path())
                .run(FirstSignal::Ends, async |(), _signals| Report::new(exit, "so it was"));
            assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(exit.code())));
            let report = report(directory.path());
            assert_eq!(report["exitCode"], exit.code());
            assert_eq!(report["reason"], exit.reason());
            assert_eq!(report["advice"], exit.advice());
        }
    }

    #[test]
    fn a_step_that_hangs_does_not_outlive_the_signal_by_a_second() {
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
