//! A holder that EC2 does not answer.

use std::time::Duration;

use firecamp_core::failure::CloudKind;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::fixture::{ClusterFixture, until};

const MINUTE: Duration = Duration::from_mins(1);

/// Somebody holds the Lease, and asks EC2 in each pass: a node does not answer, whose pod lives.
async fn asking(fixture: &ClusterFixture) {
    until("somebody holds it", || fixture.holder("default").is_some()).await;
    fixture.node("node-1", "Unknown");
}

/// It is held all the while.
async fn lease_is_held(fixture: &ClusterFixture, time: Duration) {
    for _second in 0..time.as_secs() {
        sleep(Duration::from_secs(1)).await;
        assert!(fixture.holder("default").is_some(), "it is kept");
    }
}

#[tokio::test(start_paused = true)]
async fn f077_leader_without_ec2_releases_the_lease() {
    let fixture = ClusterFixture::new().await;
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let body = async {
        asking(&fixture).await;
        assert!(fixture.is_led_by("node-2"));
        fixture.ec2.hang();
        // The other one may take it in the very second in which it is given back.
        let took = until("it gives it back", || !fixture.is_led_by("node-2")).await;
        assert!(took >= MINUTE * 10 && took < MINUTE * 12, "{took:?}");
        let took = until("the other one holds it", || fixture.is_led_by("node-3")).await;
        assert!(took < MINUTE * 2, "{took:?}");
        let took = until("it gives it back, too", || !fixture.is_led_by("node-3")).await;
        assert!(took >= MINUTE * 10, "{took:?}");
        until("the first holds it again", || fixture.is_led_by("node-2")).await;
        first.cancel();
        second.cancel();
    };
    let later = async {
        sleep(Duration::from_secs(5)).await;
        fixture.agent("node-3", "default", &second).await;
    };
    tokio::join!(fixture.agent("node-2", "default", &first), later, body);
}

#[tokio::test(start_paused = true)]
async fn only_agent_reacquires_the_lease_and_releases_once_ec2_responds() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            asking(&fixture).await;
            fixture.ec2.refuse(Some(CloudKind::Unknown), None);
            until("it gives it back", || fixture.holder("default").is_none()).await;
            let took = until("it holds it again", || fixture.holder("default").is_some()).await;
            assert!(took >= MINUTE * 3 && took < MINUTE * 4, "{took:?}");
            fixture.ec2.recover();
            fixture.terminate_instance();
            fixture.no_pod();
            until("it is released", || fixture.state().as_deref() == Some("Parked")).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn short_ec2_outages_and_throttling_keep_the_lease() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            asking(&fixture).await;
            for outage in 0..5 {
                match outage % 2 {
                    0 => fixture.ec2.hang(),
                    _ => fixture.ec2.refuse(Some(CloudKind::Auth), None),
                }
                lease_is_held(&fixture, MINUTE * 8).await;
                fixture.ec2.recover();
                sleep(MINUTE).await;
                // A throttle is an answer: another agent of the account would hear the same.
                fixture.ec2.refuse(Some(CloudKind::Throttled), None);
                lease_is_held(&fixture, MINUTE * 20).await;
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn leader_whose_lists_ec2_denies_releases_the_lease() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            until("somebody holds it", || fixture.holder("default").is_some()).await;
            fixture.ec2.refuse(Some(CloudKind::Auth), None);
            let took = until("it gives it back", || fixture.holder("default").is_none()).await;
            assert!(took >= MINUTE * 9 && took < MINUTE * 13, "{took:?}");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn leader_without_mutate_permission_releases_the_lease() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            until("somebody holds it", || fixture.holder("default").is_some()).await;
            fixture.policies("Delete", "Delete");
            let orphan = "10.1.0.77".parse().unwrap();
            fixture.orphan(orphan, 77).await;
            fixture.ec2.refuse(None, Some(CloudKind::Auth));
            until("it gives it back", || fixture.holder("default").is_none()).await;
            assert!(fixture.ec2.has(orphan));
            fixture.ec2.recover();
            until("it is out of EC2", || !fixture.ec2.has(orphan)).await;
        })
        .await;
}
