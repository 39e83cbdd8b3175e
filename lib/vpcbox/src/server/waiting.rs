//! Waiting for a condition, on behalf of a client.

use std::time::Duration;

use firecamp_vpc::{AddressTruth, World};

use super::admin::{Outcome, json, refused};
use crate::driver::Driver;
use crate::protocol::{Condition, Refusal, RefusalKind};

/// How often a condition is looked at. A tenth of the shortest time that anybody measures here.
const STEP: Duration = Duration::from_millis(2);

/// What was found.
struct Found {
    holds: bool,
    seen: String,
}

/// Waits until the condition holds.
pub(super) async fn wait(driver: &Driver, condition: &Condition, timeout_ms: u64) -> Outcome {
    let deadline = driver.clock.now().saturating_add(Duration::from_millis(timeout_ms));
    loop {
        driver.settle().await.map_err(|failure| refused(failure.chain()))?;
        let found = check(driver, condition).await;
        if found.holds {
            return json(());
        }
        if driver.clock.now() >= deadline {
            return Err(Refusal { kind: RefusalKind::TimedOut, reason: found.seen });
        }
        tokio::time::sleep(STEP).await;
    }
}

async fn check(driver: &Driver, condition: &Condition) -> Found {
    match condition {
        Condition::Owner { address, node } => {
            let record = record(driver, *address);
            let eni = record.as_ref().and_then(|r| r.owner.as_deref());
            let name = record.as_ref().and_then(|r| r.node.as_deref());
            compare(eni, name, node.as_deref())
        }
        Condition::Routed { address, node } => {
            let plant = driver.plant.lock().await;
            compare(plant.routed(*address), plant.site_of(*address), node.as_deref())
        }
        Condition::Listed { address, node } => {
            let listings = record(driver, *address).map(|r| r.imds).unwrap_or_default();
            let names: Vec<_> = listings.into_iter().map(|listing| listing.node).collect();
            let seen = format!("listed on [{}]", names.join(", "));
            Found { holds: names.iter().any(|name| name == node), seen }
        }
        Condition::Called { action, caller, count } => {
            let calls = driver.look(|world, _| world.calls(0));
            let now = crate::clock::micros(driver.clock.now());
            let matching = calls.iter().filter(|call| {
                call.action == *action
                    && caller.as_ref().is_none_or(|caller| call.caller == *caller)
                    && call.answered_at_us.is_some_and(|at| at <= now)
            });
            let number = u64::try_from(matching.count()).unwrap_or(u64::MAX);
            Found { holds: number >= *count, seen: format!("{number} calls") }
        }
    }
}

fn record(driver: &Driver, address: std::net::Ipv4Addr) -> Option<AddressTruth> {
    let truth = driver.look(World::truth);
    truth.addresses.into_iter().find(|record| record.address == address)
}

fn compare(eni: Option<&str>, name: Option<&str>, wanted: Option<&str>) -> Found {
    let seen = match (eni, name) {
        (Some(eni), Some(name)) => format!("{name} ({eni})"),
        (Some(eni), None) => eni.to_owned(),
        (None, _) => "nobody".to_owned(),
    };
    let holds = match wanted {
        None => eni.is_none(),
        Some(wanted) => eni == Some(wanted) || name == Some(wanted),
    };
    Found { holds, seen }
}
