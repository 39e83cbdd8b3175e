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
    pub(crate) identity: Identity,
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
                let Identity { member, pod, node } = &identity;
                let span = tracing::info_span!("run", %member, pod_uid = %pod, %node);
                tokio::spawn(listener.forward(first, signals.clone()));
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
            Ok((report, elapsed)) => report.finish(&log, Some(&identity), Some(elapsed)),
            Err(panic) => panicked(panic.as_ref()).finish(&log, Some(&identity), None),
        }
    }
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
