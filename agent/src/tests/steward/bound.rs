//! Whether a claim has its address, as the holder of the Lease tells it through the API.

use std::time::Duration;

use firecamp_core::outside::Registry as _;
use firecamp_core::record::{Claim, State, Write};
use firecamp_registry::conformance;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::city::{ADDRESS, City, until};

const LONG: Duration = Duration::from_mins(30);

/// What is said of the claim of this member.
fn bound(city: &City, name: &str) -> Option<Value> {
    let claim = city.server.object("staticipclaims", Some("prod"), name)?;
    let all = claim.pointer("/status/conditions")?.as_array()?.clone();
    all.into_iter().find(|one| one["type"] == "Bound")
}

fn reason(city: &City, name: &str) -> Option<String> {
    bound(city, name)?["reason"].as_str().map(str::to_owned)
}

/// Writes of claims since then.
fn writes(city: &City, since: usize) -> Vec<String> {
    let asked = city.server.asked_since(since);
    let written = |one: &String| one.starts_with("PATCH") && one.contains("staticipclaims");
    asked.into_iter().filter(written).collect()
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_told_of_when_it_is_bound_and_no_restart_or_move_writes_it_again() {
    let city = City::new().await;
    city.during(async || {
        until("its owner is on record", || city.owner().is_some()).await;
        until("it is bound", || reason(&city, "redis-0").as_deref() == Some("Bound")).await;
        let said = bound(&city, "redis-0").unwrap();
        assert_eq!(said["status"], "True");
        assert!(said["message"].as_str().unwrap().contains("10.1.0.20"), "{said}");
        assert!(said["lastTransitionTime"].is_string(), "{said}");
        let generation = city.claim().unwrap()["metadata"]["generation"].clone();
        assert_eq!(said["observedGeneration"], generation);
        let since = city.server.asked().len();
        for (state, epoch) in [(State::Parked, 5), (State::Attaching, 6), (State::Attached, 6)] {
            city.record(state, epoch).await;
            sleep(LONG).await;
        }
        assert_eq!(writes(&city, since), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_asks_for_anothers_address_says_whose_it_is_until_it_asks_for_a_free_one() {
    let city = City::new().await;
    let (member, pool) = (conformance::member(1).unwrap(), conformance::pool("a", &[1]).unwrap());
    let claim = Claim { requested: Some(ADDRESS), ..conformance::claim(&member, &pool) };
    city.registry.write(&Write::CreateClaim(claim)).await.unwrap();
    city.during(async || {
        let is = |wanted: &str| reason(&city, "redis-1").as_deref() == Some(wanted);
        until("it says why", || is("AddressUnavailable")).await;
        let before = bound(&city, "redis-1").unwrap();
        assert_eq!(before["status"], "False");
        assert!(before["message"].as_str().unwrap().contains("prod/redis-0"), "{before}");
        let since = city.server.asked().len();
        sleep(LONG).await;
        assert_eq!(writes(&city, since), Vec::<String>::new(), "it is written once");
        let changed = city.server.change("staticipclaims", Some("prod"), "redis-1", |claim| {
            claim["spec"]["requestedAddress"] = json!("10.1.0.21");
        });
        assert!(changed);
        until("nothing is wrong with it", || is("AwaitingFirstStart")).await;
        let after = bound(&city, "redis-1").unwrap();
        assert_eq!(after["lastTransitionTime"], before["lastTransitionTime"], "False as before");
    })
    .await;
}
