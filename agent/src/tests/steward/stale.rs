//! A claim is deleted and made again under the same name, and the lists that the holder of the
//! Lease gets are of before (crash page, P5).

use std::time::Duration;

use firecamp_apiserver::Ending;
use firecamp_core::outside::Registry as _;
use firecamp_core::record::{Claim, State, Write};
use firecamp_registry::conformance;
use serde_json::Value;
use tokio::time::sleep;

use super::city::{ADDRESS, City, until};

const LONG: Duration = Duration::from_mins(30);

/// The member is scaled away, and its record says that it was released.
async fn scaled_away(city: &City) {
    until("the owner is on record", || city.owner().as_deref() == Some("set-1")).await;
    city.set("set-1", 0);
    city.no_pod();
    city.record(State::Parked, 5).await;
}

/// A person makes the claim anew.
async fn made_again(city: &City) -> String {
    let (member, record) = (conformance::member(0).unwrap(), city.read().await.unwrap());
    let pool = conformance::pool("a", &[1]).unwrap();
    assert_eq!(record.pool, pool.name);
    let claim = Claim { address: Some(ADDRESS), ..conformance::claim(&member, &pool) };
    city.registry.write(&Write::CreateClaim(claim)).await.unwrap();
    uid(city).unwrap()
}

/// The member is scaled away, its claim is gone in all lists, and then it is made anew.
async fn made_again_unseen(city: &City) -> String {
    scaled_away(city).await;
    assert!(city.server.remove("staticipclaims", Some("prod"), "redis-0"));
    go_stale(city);
    made_again(city).await
}

/// The member is there again, attached at the next epoch.
async fn comes_back(city: &City) {
    city.set("set-1", 1);
    city.pod(Some("set-1"));
    city.record(State::Attached, 6).await;
}

fn uid(city: &City) -> Option<String> {
    city.claim()?.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned)
}

/// The member has what it had: its new claim, its record and its address in EC2.
fn is_untouched(city: &City, claim: &str) {
    assert_eq!(uid(city).as_deref(), Some(claim));
    assert_eq!(city.state().as_deref(), Some("Attached"));
    assert!(city.ec2.has(ADDRESS));
    assert_eq!(city.ec2.unassigned(), 0);
}

/// From now on nobody hears what changes, and whoever lists sees what is there now.
fn go_stale(city: &City) {
    city.server.remember();
    city.server.show_old_lists(true);
    city.server.lose_news(usize::MAX);
}

fn catch_up(city: &City) {
    city.server.lose_news(0);
    city.server.show_old_lists(false);
    city.server.compact();
    city.server.end_watches(Ending::Expired);
}

fn asked(city: &City, what: &str) -> usize {
    city.server.asked().iter().filter(|one| one.contains(what)).count()
}

#[tokio::test(start_paused = true)]
async fn a_new_claim_is_not_deleted_in_the_place_of_one_that_old_lists_still_show() {
    let city = City::new().await;
    city.during(async || {
        scaled_away(&city).await;
        go_stale(&city);
        assert!(city.server.remove("staticipclaims", Some("prod"), "redis-0"));
        let claim = made_again(&city).await;
        city.set("set-1", 1);
        sleep(LONG).await;
        assert!(asked(&city, "GET staticipclaims/redis-0") > 0, "the old one is to go");
        assert_eq!(asked(&city, "DELETE"), 0, "it is read afresh, and is another one");
        assert_eq!(uid(&city).as_deref(), Some(claim.as_str()));
        comes_back(&city).await;
        catch_up(&city);
        sleep(LONG).await;
        is_untouched(&city, &claim);
        assert_eq!(city.owner().as_deref(), Some("set-1"), "and the new one is bound");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_address_whose_claim_was_made_again_is_not_taken_while_old_lists_show_none() {
    let city = City::new().await;
    city.during(async || {
        let claim = made_again_unseen(&city).await;
        comes_back(&city).await;
        let before = asked(&city, "GET staticips/10.1.0.20");
        sleep(LONG).await;
        is_untouched(&city, &claim);
        assert!(asked(&city, "GET staticips/10.1.0.20") > before, "what nobody claims is to go");
        catch_up(&city);
        sleep(LONG).await;
        is_untouched(&city, &claim);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_address_whose_claim_was_made_again_stays_in_ec2_while_old_lists_show_none() {
    let city = City::new().await;
    city.during(async || {
        let claim = made_again_unseen(&city).await;
        city.set("set-1", 1);
        let before = asked(&city, "GET staticipclaims/redis-0");
        sleep(LONG).await;
        assert!(asked(&city, "GET staticipclaims/redis-0") > before, "what nobody claims is to go");
        assert_eq!(uid(&city).as_deref(), Some(claim.as_str()));
        assert_eq!(city.state().as_deref(), Some("Parked"));
        assert!(city.ec2.has(ADDRESS));
        assert_eq!(city.ec2.unassigned(), 0);
    })
    .await;
}
