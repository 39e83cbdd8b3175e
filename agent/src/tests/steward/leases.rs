//! One holder, none, or two at once.

use std::time::Duration;

use firecamp_apiserver::Fault;
use firecamp_core::record::State;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::city::{ADDRESS, City, until};

const LEASES: &str = "leases";

#[tokio::test(start_paused = true)]
async fn who_ends_gives_the_lease_back_and_another_agent_takes_it() {
    let city = City::new().await;
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let body = async {
        until("the first holds it", || city.is_led_by("node-2")).await;
        sleep(Duration::from_mins(10)).await;
        assert!(city.is_led_by("node-2"), "it is renewed");
        first.cancel();
        // The other one may take it in the very second in which it is given back.
        let took = until("it is given back", || !city.is_led_by("node-2")).await;
        assert!(took <= Duration::from_secs(1), "{took:?}");
        let took = until("another one holds it", || city.is_led_by("node-3")).await;
        assert!(took < Duration::from_mins(2), "{took:?}");
        second.cancel();
    };
    let later = async {
        sleep(Duration::from_secs(5)).await;
        city.agent("node-3", "default", &second).await;
    };
    tokio::join!(city.agent("node-2", "default", &first), later, body);
    assert_eq!(city.holder("default"), None);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_hold_the_lease_asks_for_nothing_but_the_lease() {
    let city = City::new().await;
    let theirs = |version: u32| {
        json!({ "metadata": { "annotations": { "n": version.to_string() } },
            "spec": { "holderIdentity": "node-9_x", "leaseDurationSeconds": 60 } })
    };
    city.server.set(LEASES, (Some("default"), "firecamp-agents"), theirs(0));
    let before = city.server.asked().len();
    city.during(async || {
        for renewal in 1..120 {
            sleep(Duration::from_secs(20)).await;
            city.server.set(LEASES, (Some("default"), "firecamp-agents"), theirs(renewal));
        }
    })
    .await;
    let asked = city.server.asked().split_off(before);
    assert!(asked.iter().all(|one| one == "GET leases/firecamp-agents"), "{asked:?}");
    assert!((20..=41).contains(&asked.len()), "{} reads in 40 minutes", asked.len());
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_cannot_renew_does_nothing_more_until_it_holds_the_lease_again() {
    let city = City::new().await;
    city.during(async || {
        until("the owner is on record", || city.owner().is_some()).await;
        city.server.go_away();
        sleep(Duration::from_mins(5)).await;
        // Another agent, of which this one cannot hear, has taken the Lease.
        city.server.change(LEASES, Some("default"), "firecamp-agents", |lease| {
            lease["spec"]["holderIdentity"] = json!("node-9_x");
        });
        city.set("set-1", 0);
        city.no_pod();
        city.server.come_back();
        sleep(Duration::from_secs(50)).await;
        assert_eq!(city.holder("default").as_deref(), Some("node-9_x"));
        until("the other one's term is over", || city.is_led_by("node-2")).await;
    })
    .await;
}

/// A process gets 700 ms after its signal; longer, and it says that it was interrupted.
const LAST_MOMENTS: Duration = Duration::from_millis(700);

#[tokio::test(start_paused = true)]
async fn a_holder_ends_in_time_though_the_api_server_answers_nothing_about_the_lease() {
    for silent in [&["GET"][..], &["PATCH"], &["GET", "GET"], &["PATCH", "GET"]] {
        let city = City::new().await;
        let end = CancellationToken::new();
        let body = async {
            until("it holds the Lease", || city.holder("default").is_some()).await;
            for verb in silent {
                city.server.fail_next(verb, LEASES, Fault::Silence);
            }
            until("a renewal waits", || city.server.unmet_faults() < silent.len()).await;
            end.cancel();
            Instant::now()
        };
        let (told, ()) = tokio::join!(body, city.agent("node-2", "default", &end));
        assert!(told.elapsed() < LAST_MOMENTS, "{silent:?}: {:?}", told.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_ends_in_time_though_the_api_server_answers_nothing_about_what_it_does() {
    let city = City::new().await;
    let end = CancellationToken::new();
    let body = async {
        city.server.fail_next("PATCH", "staticippools", Fault::Silence);
        until("a duty waits", || city.server.unmet_faults() == 0).await;
        end.cancel();
        Instant::now()
    };
    let (told, ()) = tokio::join!(body, city.agent("node-2", "default", &end));
    assert!(told.elapsed() < LAST_MOMENTS, "{:?}", told.elapsed());
    assert_eq!(city.holder("default"), None, "the Lease is given back");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_no_time_for_a_renewal_does_not_end_the_term() {
    for busy in [Fault::Code(429, "TooManyRequests"), Fault::LostRequest, Fault::Proxy(503)] {
        let city = City::new().await;
        city.during(async || {
            until("everything is watched", || city.server.watches() >= 5).await;
            city.server.fail_next("PATCH", LEASES, busy);
            until("a renewal fails", || city.server.unmet_faults() == 0).await;
            for _second in 0..60 {
                sleep(Duration::from_secs(1)).await;
                assert!(city.server.watches() >= 5, "{busy:?}: it goes on as the holder");
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_ends_in_time_though_ec2_answers_nothing() {
    let city = City::new().await;
    let end = CancellationToken::new();
    let body = async {
        until("it holds the Lease", || city.holder("default").is_some()).await;
        city.ec2.fall_silent();
        until("a question waits", || city.ec2.unanswered() > 0).await;
        end.cancel();
        Instant::now()
    };
    let (told, ()) = tokio::join!(body, city.agent("node-2", "default", &end));
    assert!(told.elapsed() < LAST_MOMENTS, "{:?}", told.elapsed());
    assert_eq!(city.holder("default"), None, "the Lease is given back");
}

/// Two agents that both believe to hold the Lease plan the same things at the same time: versions
/// and epochs let each be done once.
#[tokio::test(start_paused = true)]
async fn two_holders_at_once_break_nothing() {
    let city = City::new().await;
    let end = CancellationToken::new();
    let body = async {
        until("the owner is on record", || city.owner().is_some()).await;
        city.set("set-1", 0);
        city.no_pod();
        city.record(State::Parked, 5).await;
        until("the claim is gone", || city.claim().is_none()).await;
        let mut epoch = 5;
        while city.ip().is_some() {
            let next = city.read().await.map_or(epoch, |record| record.epoch.0);
            assert!(next >= epoch, "epochs only grow");
            assert!(next < 20, "the two do not chase each other: {next}");
            epoch = next;
            sleep(Duration::from_secs(1)).await;
            assert!(city.ip().is_some() || !city.ec2.has(ADDRESS), "gone while EC2 has it");
        }
        let held = ["one", "two"].map(|lease| city.holder(lease));
        assert!(held.iter().all(Option::is_some), "{held:?}");
        end.cancel();
    };
    let (one, two) = (city.agent("node-2", "one", &end), city.agent("node-3", "two", &end));
    tokio::join!(one, two, body);
    assert_eq!(city.ec2.unassigned(), 1);
}

/// What others write of their clocks is for people.
#[tokio::test(start_paused = true)]
async fn f094_a_holder_whose_clock_is_ten_minutes_off_keeps_the_lease_for_its_term_and_no_longer() {
    for minutes in [-10, 10] {
        let city = City::new().await;
        let theirs = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
        let theirs = theirs.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let lease = |version: u32| {
            json!({ "metadata": { "annotations": { "n": version.to_string() } },
                "spec": { "holderIdentity": "node-9_x", "leaseDurationSeconds": 60,
                          "renewTime": theirs, "acquireTime": theirs } })
        };
        let set = |version| {
            city.server.set(LEASES, (Some("default"), "firecamp-agents"), lease(version));
        };
        let other = || city.holder("default").as_deref() == Some("node-9_x");
        set(0);
        city.during(async || {
            for renewal in 1..30 {
                sleep(Duration::from_secs(20)).await;
                assert!(other(), "it renews its Lease");
                set(renewal);
            }
            sleep(Duration::from_secs(50)).await;
            assert!(other(), "its term is not over");
            let took = until("its term is over", || !other()).await;
            // Of two looks, 90 s apart at most, the second is after the term that the first saw.
            assert!(took < Duration::from_secs(90 + 90 - 50 + 5), "{took:?}");
        })
        .await;
    }
}
