//! Waits until all members of a service are ready, with their addresses attached.

use std::time::Duration;

use firecamp_core::failure::RegistryFailure;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::cluster::ServiceCluster;
use super::members::Members;
use super::restart::decide::not_back;
use super::restart::facts::Facts;
use super::restart::progress::Stopped;
use crate::common::progress::Reported;
use crate::failure::Failure;
use crate::wait::is_transient;

/// Interval between two polls. A poll is three reads.
const POLL: Duration = Duration::from_secs(1);

/// Waits until no member is missing. Returns what one is missing after the timeout.
pub async fn wait<C: ServiceCluster>(
    members: &Members<'_, C>,
    within: Duration,
    report: &mut dyn FnMut(&str),
) -> Result<Option<Stopped>, Failure> {
    let missing = async || {
        let missing = first_missing(&poll(members).await?);
        Ok(missing.map(|missing| (missing.clone(), missing.to_string())))
    };
    until(within, report, missing).await
}

/// Polls until nothing is left. Returns what is left after the timeout. What is left comes with a
/// line that says it.
pub(super) async fn until<T>(
    within: Duration,
    report: &mut dyn FnMut(&str),
    mut poll: impl AsyncFnMut() -> Result<Option<(T, String)>, RegistryFailure>,
) -> Result<Option<T>, Failure> {
    let (begun, mut reported) = (Instant::now(), Reported::default());
    loop {
        let line = match poll().await {
            Ok(None) => return Ok(None),
            Ok(Some((left, _line))) if begun.elapsed() >= within => return Ok(Some(left)),
            Ok(Some((_left, line))) => line,
            Err(why) if is_transient(why.kind) && begun.elapsed() < within => {
                format!("{why}; retrying")
            }
            Err(why) => return Err(why.into()),
        };
        reported.report(begun.elapsed(), line, report);
        sleep(POLL).await;
    }
}

async fn poll<C: ServiceCluster>(members: &Members<'_, C>) -> Result<Facts, RegistryFailure> {
    let set: Value = members.workload().await?;
    members.facts(&set).await
}

fn first_missing(facts: &Facts) -> Option<Stopped> {
    facts.not_observed().or_else(|| facts.members.iter().find_map(not_back))
}
