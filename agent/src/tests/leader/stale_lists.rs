//! A claim is deleted and made again under the same name, and the lists that the holder of the
//! Lease gets are of before (crash page, P5).

use std::time::Duration;

use firecamp_apiserver::Ending;
use firecamp_core::ports::Registry as _;
use firecamp_core::record::{Claim, State, Write};
use firecamp_registry::conformance;
use serde_json::Value;
use tokio::time::sleep;

use super::fixture::{ADDRESS, ClusterFixture, until};

const LONG: Duration = Duration::from_mins(30);

/// The member is scaled away, and its record says that it was released.
async fn scaled_away(fixture: &ClusterFixture) {
    until("the owner is on record", || fixture.owner().as_deref() == Some("set-1")).await;
    fixture.set("set-1", 0);
    fixture.no_pod();
    fixture.record(State::Parked, 5).await;
}

/// A person makes the claim anew.
async fn made_again(fixture: &ClusterFixture) -> String {
    let (member, record) = (conformance::member(0).unwrap(), fixture.read().await.unwrap());
    let pool = conformance::pool("a", &[1]).unwrap();
    assert_eq!(record.pool, pool.name);
    let claim = Claim { address: Some(ADDRESS), ..conformance::claim(&member, &pool) };
    fixture.registry.write(&Write::CreateClaim(claim)).await.unwrap();
    uid(fixture).unwrap()
}

/// The member is scaled away, its claim is gone in all lists, and then it is made anew.
async fn made_again_unseen(fixture: &ClusterFixture) -> String {
    scaled_away(fixture).await;
    assert!(fixture.server.remove("staticipclaims", Some("prod"), "redis-0"));
    go_stale(fixture);
    made_again(fixture).await
}

/// The member is there again, attached at the next epoch.
async fn comes_back(fixture: &ClusterFixture) {
    fixture.set("set-1", 1);
    fixture.pod(Some("set-1"));
    fixture.record(State::Attached, 6).await;
}

fn uid(fixture: &ClusterFixture) -> Option<String> {
    fixture.claim()?.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned)
}

/// The member has what it had: its new claim, its record and its address in EC2.
fn is_untouched(fixture: &ClusterFixture, claim: &str) {
    assert_eq!(uid(fixture).as_deref(), Some(claim));
    assert_eq!(fixture.state().as_deref(), Some("Attached"));
    assert!(fixture.ec2.has(ADDRESS));
    assert_eq!(fixture.ec2.unassigned(), 0);
}

/// From now on nobody hears what changes, and whoever lists sees what is there now.
fn go_stale(fixture: &ClusterFixture) {
    fixture.server.remember();
    fixture.server.show_old_lists(true);
    fixture.server.lose_events(usize::MAX);
}

fn catch_up(fixture: &ClusterFixture) {
    fixture.server.lose_events(0);
    fixture.server.show_old_lists(false);
    fixture.server.compact();
    fixture.server.end_watches(Ending::Expired);
}

fn asked(fixture: &ClusterFixture, what: &str) -> usize {
    fixture.server.requests().iter().filter(|one| one.contains(what)).count()
}

#[tokio::test(start_paused = true)]
async fn recreated_claim_is_not_deleted_by_a_stale_list() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            scaled_away(&fixture).await;
            go_stale(&fixture);
            assert!(fixture.server.remove("staticipclaims", Some("prod"), "redis-0"));
            let claim = made_again(&fixture).await;
            fixture.set("set-1", 1);
            sleep(LONG).await;
            assert!(asked(&fixture, "GET staticipclaims/redis-0") > 0, "the old one is to go");
            assert_eq!(asked(&fixture, "DELETE"), 0, "it is read afresh, and is another one");
            assert_eq!(uid(&fixture).as_deref(), Some(claim.as_str()));
            comes_back(&fixture).await;
            catch_up(&fixture);
            sleep(LONG).await;
            is_untouched(&fixture, &claim);
            assert_eq!(fixture.owner().as_deref(), Some("set-1"), "and the new one is bound");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn address_of_a_recreated_claim_is_kept_despite_stale_lists() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            let claim = made_again_unseen(&fixture).await;
            comes_back(&fixture).await;
            let before = asked(&fixture, "GET staticips/10.1.0.20");
            sleep(LONG).await;
            is_untouched(&fixture, &claim);
            assert!(
                asked(&fixture, "GET staticips/10.1.0.20") > before,
                "what nobody claims is to go"
            );
            catch_up(&fixture);
            sleep(LONG).await;
            is_untouched(&fixture, &claim);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn parked_address_of_a_recreated_claim_stays_in_ec2_despite_stale_lists() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            let claim = made_again_unseen(&fixture).await;
            fixture.set("set-1", 1);
            let before = asked(&fixture, "GET staticipclaims/redis-0");
            sleep(LONG).await;
            assert!(
                asked(&fixture, "GET staticipclaims/redis-0") > before,
                "what nobody claims is to go"
            );
            assert_eq!(uid(&fixture).as_deref(), Some(claim.as_str()));
            assert_eq!(fixture.state().as_deref(), Some("Parked"));
            assert!(fixture.ec2.has(ADDRESS));
            assert_eq!(fixture.ec2.unassigned(), 0);
        })
        .await;
}
