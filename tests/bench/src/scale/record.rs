//! Records the requests of one real agent while no other one runs.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::audit;
use super::fleet::Node;
use super::scale_run::ScaleRun;
use super::trace::Trace;
use crate::failure::Failure;
use crate::samples::progress;

/// The node of the recorded agent.
pub(super) const RECORDED: Node = Node(0);

/// Whether an agent's node knows it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// It starts for the first time, and publishes everything.
    First,
    /// It starts again, settles and rests.
    Again,
}

/// Starts an agent, lets it run and returns its requests.
pub(super) async fn record(run: &mut ScaleRun, beginning: Beginning) -> Result<Trace, Failure> {
    run.hold_the_lease().await?;
    let (from, begun) = (Timestamp::now(), Instant::now());
    run.start_real(&[RECORDED]).await?;
    let what = "a real agent settles";
    let rest = match beginning {
        Beginning::First => {
            run.settle(what).await?;
            Duration::ZERO
        }
        Beginning::Again => {
            run.settle_completely(what).await?;
            run.rest()
        }
    };
    let settle = begun.elapsed();
    run.wait(rest, "a real agent is recorded").await?;
    let name = RECORDED.name();
    let window = [from, Timestamp::now()];
    let events = audit::read(&run.control.audit(), window, |node| node == name)?;
    let created = run.created.get(&RECORDED);
    let names = created.map(|created| created.names(RECORDED)).unwrap_or_default();
    let parts = [settle, rest].map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let trace = Trace::of(&events, &names, from, parts);
    let (start, later) = (trace.start.len(), trace.rest.len());
    progress(&format!("recorded {start} requests at the start, {later} later"));
    if trace.start.is_empty() {
        return Err(Failure::new("the audit log has no request of the recorded agent"));
    }
    let file = run.dir.with_extension(match beginning {
        Beginning::First => "first.json",
        Beginning::Again => "again.json",
    });
    let text = serde_json::to_string_pretty(&trace).map_err(Failure::of("encode the trace"))?;
    std::fs::write(&file, text + "\n").map_err(Failure::of(file.display()))?;
    Ok(trace)
}
