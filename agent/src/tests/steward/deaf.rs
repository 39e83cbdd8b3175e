//! A holder that EC2 does not answer.

use std::time::Duration;

use firecamp_core::failure::CloudKind;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::city::{City, until};

const MINUTE: Duration = Duration::from_mins(1);

/// Somebody holds the Lease, and asks EC2 in each pass: a node does not answer, whose pod lives.
async fn asking(city: &City) {
    until("somebody holds it", || city.holder("default").is_some()).await;
    city.node("node-1", "Unknown");
}

/// It is held all the while.
async fn kept(city: &City, time: Duration) {
    for _second in 0..time.as_secs() {
        sleep(Duration::from_secs(1)).await;
        assert!(city.holder("default").is_some(), "it is kept");
    }
}

#[tokio::test(start_paused = true)]
async fn f077_a_holder_that_ec2_does_not_answer_leaves_the_lease_to_another() {
    let city = City::new().await;
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let body = async {
        asking(&city).await;
        assert!(city.is_led_by("node-2"));
        city.ec2.fall_silent();
        // The other one may take it in the very second in which it is given back.
        let took = until("it gives it back", || !city.is_led_by("node-2")).await;
        assert!(took >= MINUTE * 10 && took < MINUTE * 12, "{took:?}");
        let took = until("the other one holds it", || city.is_led_by("node-3")).await;
        assert!(took < MINUTE * 2, "{took:?}");
        let took = until("it gives it back, too", || !city.is_led_by("node-3")).await;
        assert!(took >= MINUTE * 10, "{took:?}");
        until("the first holds it again", || city.is_led_by("node-2")).await;
        first.cancel();
        second.cancel();
    };
    let later = async {
        sleep(Duration::from_secs(5)).await;
        city.agent("node-3", "default", &second).await;
    };
    tokio::join!(city.agent("node-2", "default", &first), later, body);
}

#[tokio::test(start_paused = true)]
async fn who_is_alone_holds_it_again_soon_and_releases_once_ec2_answers() {
    let city = City::new().await;
    city.during(async || {
        asking(&city).await;
        city.ec2.refuse(Some(CloudKind::Unknown), None);
        until("it gives it back", || city.holder("default").is_none()).await;
        let took = until("it holds it again", || city.holder("default").is_some()).await;
        assert!(took >= MINUTE * 3 && took < MINUTE * 4, "{took:?}");
        city.ec2.speak();
        city.ec2.terminate();
        city.no_pod();
        until("it is released", || city.state().as_deref() == Some("Parked")).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_ec2_answers_or_leaves_unanswered_for_moments_costs_nobody_the_lease() {
    let city = City::new().await;
    city.during(async || {
        asking(&city).await;
        for outage in 0..5 {
            match outage % 2 {
                0 => city.ec2.fall_silent(),
                _ => city.ec2.refuse(Some(CloudKind::Auth), None),
            }
            kept(&city, MINUTE * 8).await;
            city.ec2.speak();
            sleep(MINUTE).await;
            // A throttle is an answer: another agent of the account would hear the same.
            city.ec2.refuse(Some(CloudKind::Throttled), None);
            kept(&city, MINUTE * 20).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn questions_that_lie_far_apart_are_no_long_silence() {
    let city = City::new().await;
    city.during(async || {
        until("somebody holds it", || city.holder("default").is_some()).await;
        city.ec2.refuse(Some(CloudKind::Auth), None);
        for _question in 0..10 {
            city.node("node-1", "Unknown");
            kept(&city, MINUTE).await;
            city.node("node-1", "True");
            kept(&city, MINUTE * 5).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_may_ask_ec2_but_not_change_it_leaves_that_to_another() {
    let city = City::new().await;
    city.during(async || {
        until("somebody holds it", || city.holder("default").is_some()).await;
        city.policies("Delete", "Delete");
        let stray = "10.1.0.77".parse().unwrap();
        city.orphan(stray, 77).await;
        city.ec2.refuse(None, Some(CloudKind::Auth));
        until("it gives it back", || city.holder("default").is_none()).await;
        assert!(city.ec2.has(stray));
        city.ec2.speak();
        until("it is out of EC2", || !city.ec2.has(stray)).await;
    })
    .await;
}
