//! The lock that allows one agent per node: a new agent waits until the old one has ended.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firecamp_core::contract::path;
use firecamp_host::own_directory;
use thiserror::Error;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Interval between attempts to take the lock of another agent.
const RETRY: Duration = Duration::from_millis(200);

/// Why the lock was not taken.
#[derive(Debug, Error)]
pub(crate) enum AgentLockError {
    /// Another agent holds it.
    #[error("failed to lock {}: another agent runs on this node", .0.display())]
    Taken(PathBuf),
    /// The directory or the file cannot be used.
    #[error("{0}")]
    Broken(String),
}

/// Takes the lock. It is held until the file is dropped.
pub(crate) fn take(run_dir: &Path) -> Result<File, AgentLockError> {
    let lock = run_dir.join(path::AGENT_LOCK);
    let failed = |what: &str, why: std::io::Error| {
        AgentLockError::Broken(format!("failed to {what} {}: {why}", lock.display()))
    };
    own_directory(run_dir).map_err(|why| AgentLockError::Broken(why.detail))?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&lock).map_err(|why| failed("open", why))?;
    file.try_lock().map_err(|why| match why {
        TryLockError::WouldBlock => AgentLockError::Taken(lock.clone()),
        TryLockError::Error(why) => failed("lock", why),
    })?;
    Ok(file)
}

/// Repeats `attempt` while another agent holds the lock. None if `end` is cancelled first.
pub(crate) async fn wait<T>(
    attempt: impl Fn() -> Result<T, AgentLockError>,
    end: &CancellationToken,
) -> Result<Option<T>, String> {
    let mut reported = false;
    loop {
        match attempt() {
            Ok(taken) => return Ok(Some(taken)),
            Err(why @ AgentLockError::Broken(_)) => return Err(why.to_string()),
            Err(why @ AgentLockError::Taken(_)) if !reported => {
                reported = true;
                tracing::warn!(reason = %why, "waiting for another agent on this node to end");
            }
            Err(AgentLockError::Taken(_)) => {}
        }
        tokio::select! {
            () = end.cancelled() => return Ok(None),
            () = sleep(RETRY) => {}
        }
    }
}
