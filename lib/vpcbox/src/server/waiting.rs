//! Waits for a condition on behalf of a client.

use std::time::Duration;

use firecamp_vpc::{AddressTruth, Simulator};

use super::admin::{Outcome, json, refused};
use crate::protocol::{Condition, Refusal, RefusalKind};
use crate::real_time_simulator::Driver;

/// The polling interval: a tenth of the shortest time that tests measure.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The result of a check.
struct CheckResult {
    holds: bool,
    observed: String,
}

/// Waits until the condition holds.
pub(super) async fn wait(driver: &Driver, condition: &Condition, timeout_ms: u64) -> Outcome {
    let deadline = driver.clock.now().saturating_add(Duration::from_millis(timeout_ms));
    loop {
        driver.reconcile().await.map_err(|failure| refused(failure.chain()))?;
        let result = check(driver, condition).await;
        if result.holds {
            return json(());
        }
        if driver.clock.now() >= deadline {
            return Err(Refusal { kind: RefusalKind::TimedOut, reason: result.observed });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn check(driver: &Driver, condition: &Condition) -> CheckResult {
    match condition {
        Condition::Owner { address, node } => {
            let record = record(driver, *address);
            let eni = record.as_ref().and_then(|r| r.owner.as_deref());
            let name = record.as_ref().and_then(|r| r.node.as_deref());
            compare(eni, name, node.as_deref())
        }
        Condition::Routed { address, node } => {
            let network = driver.network.lock().await;
            compare(network.routed(*address), network.site_of(*address), node.as_deref())
        }
        Condition::Listed { address, node } => {
            let listings = record(driver, *address).map(|r| r.imds).unwrap_or_default();
            let names: Vec<_> = listings.into_iter().map(|listing| listing.node).collect();
            let observed = format!("listed on [{}]", names.join(", "));
            CheckResult { holds: names.iter().any(|name| name == node), observed }
        }
        Condition::Called { action, caller, count } => {
            let calls = driver.with_simulator(|simulator, _| simulator.calls(0));
            let now = crate::clock::micros(driver.clock.now());
            let matching = calls.iter().filter(|call| {
                call.action == *action
                    && caller.as_ref().is_none_or(|caller| call.caller == *caller)
                    && call.answered_at_us.is_some_and(|at| at <= now)
            });
            let number = u64::try_from(matching.count()).unwrap_or(u64::MAX);
            CheckResult { holds: number >= *count, observed: format!("{number} calls") }
        }
    }
}

fn record(driver: &Driver, address: std::net::Ipv4Addr) -> Option<AddressTruth> {
    let truth = driver.with_simulator(Simulator::truth);
    truth.addresses.into_iter().find(|record| record.address == address)
}

fn compare(eni: Option<&str>, name: Option<&str>, wanted: Option<&str>) -> CheckResult {
    let observed = match (eni, name) {
        (Some(eni), Some(name)) => format!("{name} ({eni})"),
        (Some(eni), None) => eni.to_owned(),
        (None, _) => "no ENI".to_owned(),
    };
    let holds = match wanted {
        None => eni.is_none(),
        Some(wanted) => eni == Some(wanted) || name == Some(wanted),
    };
    CheckResult { holds, observed }
}
