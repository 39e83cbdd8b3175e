//! One holder, none, or two at once.

use std::time::Duration;

use firecamp_apiserver::Fault;
use firecamp_core::record::State;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::fixture::{ADDRESS, ClusterFixture, until};

const LEASES: &str = "leases";

#[tokio::test(start_paused = true)]
async fn stopping_leader_releases_the_lease_to_another_agent() {
    let fixture = ClusterFixture::new().await;
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let body = async {
        until("the first holds it", || fixture.is_led_by("node-2")).await;
        sleep(Duration::from_mins(10)).await;
        assert!(fixture.is_led_by("node-2"), "it is renewed");
        first.cancel();
        // The other one may take it in the very second in which it is given back.
        let took = until("it is given back", || !fixture.is_led_by("node-2")).await;
        assert!(took <= Duration::from_secs(1), "{took:?}");
        let took = until("another one holds it", || fixture.is_led_by("node-3")).await;
        assert!(took < Duration::from_mins(2), "{took:?}");
        second.cancel();
    };
    let later = async {
        sleep(Duration::from_secs(5)).await;
        fixture.agent("node-3", "default", &second).await;
    };
    tokio::join!(fixture.agent("node-2", "default", &first), later, body);
    assert_eq!(fixture.holder("default"), None);
}

#[tokio::test(start_paused = true)]
async fn non_leader_reads_only_the_lease() {
    let fixture = ClusterFixture::new().await;
    let theirs = |version: u32| {
        json!({ "metadata": { "annotations": { "n": version.to_string() } },
            "spec": { "holderIdentity": "node-9_x", "leaseDurationSeconds": 60 } })
    };
    fixture.server.set(LEASES, (Some("default"), "firecamp-agents"), theirs(0));
    let before = fixture.server.requests().len();
    fixture
        .during(async || {
            for renewal in 1..120 {
                sleep(Duration::from_secs(20)).await;
                fixture.server.set(LEASES, (Some("default"), "firecamp-agents"), theirs(renewal));
            }
        })
        .await;
    let asked = fixture.server.requests().split_off(before);
    assert!(asked.iter().all(|one| one == "GET leases/firecamp-agents"), "{asked:?}");
    assert!((20..=41).contains(&asked.len()), "{} reads in 40 minutes", asked.len());
}

#[tokio::test(start_paused = true)]
async fn leader_that_cannot_renew_stops_until_it_holds_the_lease_again() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            until("the owner is on record", || fixture.owner().is_some()).await;
            fixture.server.go_away();
            sleep(Duration::from_mins(5)).await;
            // Another agent, of which this one cannot hear, has taken the Lease.
            fixture.server.change(LEASES, Some("default"), "firecamp-agents", |lease| {
                lease["spec"]["holderIdentity"] = json!("node-9_x");
            });
            fixture.set("set-1", 0);
            fixture.no_pod();
            fixture.server.come_back();
            sleep(Duration::from_secs(50)).await;
            assert_eq!(fixture.holder("default").as_deref(), Some("node-9_x"));
            until("the other one's term is over", || fixture.is_led_by("node-2")).await;
        })
        .await;
}

/// A process gets 700 ms after its signal; longer, and it says that it was interrupted.
const LAST_MOMENTS: Duration = Duration::from_millis(700);

#[tokio::test(start_paused = true)]
async fn leader_stops_in_time_if_lease_requests_hang() {
    for silent in [&["GET"][..], &["PATCH"], &["GET", "GET"], &["PATCH", "GET"]] {
        let fixture = ClusterFixture::new().await;
        let end = CancellationToken::new();
        let body = async {
            until("it holds the Lease", || fixture.holder("default").is_some()).await;
            for verb in silent {
                fixture.server.fail_next(verb, LEASES, Fault::Silence);
            }
            until("a renewal waits", || fixture.server.unmet_faults() < silent.len()).await;
            end.cancel();
            Instant::now()
        };
        let (reported, ()) = tokio::join!(body, fixture.agent("node-2", "default", &end));
        assert!(reported.elapsed() < LAST_MOMENTS, "{silent:?}: {:?}", reported.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn leader_stops_in_time_if_its_api_requests_hang() {
    let fixture = ClusterFixture::new().await;
    let end = CancellationToken::new();
    let body = async {
        fixture.server.fail_next("PATCH", "staticippools", Fault::Silence);
        until("a operation waits", || fixture.server.unmet_faults() == 0).await;
        end.cancel();
        Instant::now()
    };
    let (reported, ()) = tokio::join!(body, fixture.agent("node-2", "default", &end));
    assert!(reported.elapsed() < LAST_MOMENTS, "{:?}", reported.elapsed());
    assert_eq!(fixture.holder("default"), None, "the Lease is given back");
}

#[tokio::test(start_paused = true)]
async fn failed_renewal_does_not_end_the_term() {
    for busy in [Fault::Code(429, "TooManyRequests"), Fault::LostRequest, Fault::Proxy(503)] {
        let fixture = ClusterFixture::new().await;
        fixture
            .during(async || {
                until("everything is watched", || fixture.server.watches() >= 5).await;
                fixture.server.fail_next("PATCH", LEASES, busy);
                until("a renewal fails", || fixture.server.unmet_faults() == 0).await;
                for _second in 0..60 {
                    sleep(Duration::from_secs(1)).await;
                    assert!(fixture.server.watches() >= 5, "{busy:?}: it goes on as the holder");
                }
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn leader_stops_in_time_if_ec2_hangs() {
    let fixture = ClusterFixture::new().await;
    let end = CancellationToken::new();
    let body = async {
        until("it holds the Lease", || fixture.holder("default").is_some()).await;
        fixture.ec2.hang();
        until("a question waits", || fixture.ec2.account().calls.unanswered > 0).await;
        end.cancel();
        Instant::now()
    };
    let (reported, ()) = tokio::join!(body, fixture.agent("node-2", "default", &end));
    assert!(reported.elapsed() < LAST_MOMENTS, "{:?}", reported.elapsed());
    assert_eq!(fixture.holder("default"), None, "the Lease is given back");
}

/// Two agents that both believe to hold the Lease plan the same things at the same time: versions
/// and epochs let each be done once.
#[tokio::test(start_paused = true)]
async fn two_concurrent_leaders_perform_each_operation_once() {
    let fixture = ClusterFixture::new().await;
    let end = CancellationToken::new();
    let body = async {
        until("the owner is on record", || fixture.owner().is_some()).await;
        fixture.set("set-1", 0);
        fixture.no_pod();
        fixture.record(State::Parked, 5).await;
        until("the claim is gone", || fixture.claim().is_none()).await;
        let mut epoch = 5;
        while fixture.ip().is_some() {
            let next = fixture.read().await.map_or(epoch, |record| record.epoch.0);
            assert!(next >= epoch, "epochs only grow");
            assert!(next < 20, "the two do not chase each other: {next}");
            epoch = next;
            sleep(Duration::from_secs(1)).await;
            assert!(fixture.ip().is_some() || !fixture.ec2.has(ADDRESS), "gone while EC2 has it");
        }
        let held = ["one", "two"].map(|lease| fixture.holder(lease));
        assert!(held.iter().all(Option::is_some), "{held:?}");
        end.cancel();
    };
    let (one, two) = (fixture.agent("node-2", "one", &end), fixture.agent("node-3", "two", &end));
    tokio::join!(one, two, body);
    assert_eq!(fixture.ec2.unassigned(), 1);
}

/// What others write of their clocks is for people.
#[tokio::test(start_paused = true)]
async fn f094_leader_with_a_clock_ten_minutes_off_holds_the_lease_for_its_term() {
    for minutes in [-10, 10] {
        let fixture = ClusterFixture::new().await;
        let theirs = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
        let theirs = theirs.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let lease = |version: u32| {
            json!({ "metadata": { "annotations": { "n": version.to_string() } },
                "spec": { "holderIdentity": "node-9_x", "leaseDurationSeconds": 60,
                          "renewTime": theirs, "acquireTime": theirs } })
        };
        let set = |version| {
            fixture.server.set(LEASES, (Some("default"), "firecamp-agents"), lease(version));
        };
        let other = || fixture.holder("default").as_deref() == Some("node-9_x");
        set(0);
        fixture
            .during(async || {
                for renewal in 1..30 {
                    sleep(Duration::from_secs(20)).await;
                    assert!(other(), "it renews its Lease");
                    set(renewal);
                }
                sleep(Duration::from_secs(50)).await;
                assert!(other(), "its term is not over");
                let took = until("its term is over", || !other()).await;
                // Of two looks, 90 s apart at most, the second is after the term that the first
                // saw.
                assert!(took < Duration::from_secs(90 + 90 - 50 + 5), "{took:?}");
            })
            .await;
    }
}
