//! Whether a claim has its address, as the leader tells it through the API.

use std::time::Duration;

use firecamp_core::ports::Registry as _;
use firecamp_core::record::{Claim, State, Write};
use firecamp_registry::conformance;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::fixture::{ADDRESS, ClusterFixture, until};

const LONG: Duration = Duration::from_mins(30);

/// What is said of the claim of this member.
fn bound(fixture: &ClusterFixture, name: &str) -> Option<Value> {
    let claim = fixture.server.object("staticipclaims", Some("prod"), name)?;
    let all = claim.pointer("/status/conditions")?.as_array()?.clone();
    all.into_iter().find(|one| one["type"] == "Bound")
}

fn reason(fixture: &ClusterFixture, name: &str) -> Option<String> {
    bound(fixture, name)?["reason"].as_str().map(str::to_owned)
}

/// Writes of claims since then.
fn writes(fixture: &ClusterFixture, since: usize) -> Vec<String> {
    let asked = fixture.server.requests_since(since);
    let written = |one: &String| one.starts_with("PATCH") && one.contains("staticipclaims");
    asked.into_iter().filter(written).collect()
}

#[tokio::test(start_paused = true)]
async fn bound_condition_is_written_once_despite_restarts_and_moves() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            until("its owner is on record", || fixture.owner().is_some()).await;
            until("it is bound", || reason(&fixture, "redis-0").as_deref() == Some("Bound")).await;
            let said = bound(&fixture, "redis-0").unwrap();
            assert_eq!(said["status"], "True");
            assert!(said["message"].as_str().unwrap().contains("10.1.0.20"), "{said}");
            assert!(said["lastTransitionTime"].is_string(), "{said}");
            let generation = fixture.claim().unwrap()["metadata"]["generation"].clone();
            assert_eq!(said["observedGeneration"], generation);
            let since = fixture.server.requests().len();
            for (state, epoch) in [(State::Parked, 5), (State::Attaching, 6), (State::Attached, 6)]
            {
                fixture.record(state, epoch).await;
                sleep(LONG).await;
            }
            assert_eq!(writes(&fixture, since), Vec::<String>::new());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn claim_for_a_taken_address_names_its_member_until_it_requests_a_free_one() {
    let fixture = ClusterFixture::new().await;
    let (member, pool) = (conformance::member(1).unwrap(), conformance::pool("a", &[1]).unwrap());
    let claim = Claim { requested: Some(ADDRESS), ..conformance::claim(&member, &pool) };
    fixture.registry.write(&Write::CreateClaim(claim)).await.unwrap();
    fixture
        .during(async || {
            let is = |wanted: &str| reason(&fixture, "redis-1").as_deref() == Some(wanted);
            until("it says why", || is("AddressUnavailable")).await;
            let before = bound(&fixture, "redis-1").unwrap();
            assert_eq!(before["status"], "False");
            assert!(before["message"].as_str().unwrap().contains("prod/redis-0"), "{before}");
            let since = fixture.server.requests().len();
            sleep(LONG).await;
            assert_eq!(writes(&fixture, since), Vec::<String>::new(), "it is written once");
            let changed =
                fixture.server.change("staticipclaims", Some("prod"), "redis-1", |claim| {
                    claim["spec"]["requestedAddress"] = json!("10.1.0.21");
                });
            assert!(changed);
            until("nothing is wrong with it", || is("AwaitingFirstStart")).await;
            let after = bound(&fixture, "redis-1").unwrap();
            assert_eq!(
                after["lastTransitionTime"], before["lastTransitionTime"],
                "False as before"
            );
        })
        .await;
}
