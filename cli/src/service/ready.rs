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
    let (begun, mut reported) = (Instant::now(), Reported::default());
    loop {
        let missing = match poll(members).await {
            Ok(facts) => first_missing(&facts),
            Err(why) if is_transient(why.kind) && begun.elapsed() < within => {
                reported.report(begun.elapsed(), format!("{why}; retrying"), report);
                sleep(POLL).await;
                continue;
            }
            Err(why) => return Err(why.into()),
        };
        let Some(missing) = missing else { return Ok(None) };
        if begun.elapsed() >= within {
            return Ok(Some(missing));
        }
        reported.report(begun.elapsed(), missing.to_string(), report);
        sleep(POLL).await;
    }
}

async fn poll<C: ServiceCluster>(members: &Members<'_, C>) -> Result<Facts, RegistryFailure> {
    let set: Value = members.stateful_set().await?;
    members.facts(&set).await
}

fn first_missing(facts: &Facts) -> Option<Stopped> {
    facts.not_observed().or_else(|| facts.members.iter().find_map(not_back))
}
