//! Where there is much to do, what is urgent does not wait for it.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::fixture::{ADDRESS, ClusterFixture, until};

const MINUTE: Duration = Duration::from_mins(1);
/// How long EC2 takes over each Unassign.
const SLOW: Duration = Duration::from_secs(4);

#[tokio::test(start_paused = true)]
async fn f077_release_for_a_lost_node_does_not_wait_for_slow_unassignments() {
    let fixture = ClusterFixture::new().await;
    let orphans: Vec<Ipv4Addr> =
        (1..=150).map(|last| Ipv4Addr::new(10, 1, 0, 100 + last)).collect();
    for (number, address) in (1..).zip(&orphans) {
        fixture.orphan(*address, number).await;
    }
    let left = || orphans.iter().filter(|address| fixture.ec2.has(**address)).count();
    fixture
        .during(async || {
            until("the owner is on record", || fixture.owner().as_deref() == Some("set-1")).await;
            fixture.ec2.account().faults.unassign_delay = SLOW;
            until("orphans leave EC2", || left() < orphans.len()).await;
            fixture.ec2.lose(ADDRESS);
            fixture.no_pod();
            fixture.node("node-1", "Unknown");
            let took =
                until("it is released", || fixture.state().as_deref() == Some("Parked")).await;
            assert!(took < MINUTE * 5, "{took:?}, and {} orphans are left", left());
            assert!(left() > 0, "they were faster: this shows nothing");
            until("all others have left EC2", || left() == 0).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn f077_every_address_of_an_unresponsive_node_is_looked_up_in_slow_ec2() {
    let fixture = ClusterFixture::new().await;
    // All before [`ADDRESS`] in every order.
    let others: Vec<Ipv4Addr> = (4..=19).map(|last| Ipv4Addr::new(10, 1, 0, last)).collect();
    for (number, address) in (1..).zip(&others) {
        fixture.held(*address, number).await;
    }
    fixture
        .during(async || {
            until("the owner is on record", || fixture.owner().as_deref() == Some("set-1")).await;
            // Its pods stay on record, and its machine may live.
            fixture.node("node-1", "Unknown");
            fixture.ec2.account().faults.read_delay = Duration::from_secs(1);
            fixture.no_pod();
            fixture.ec2.lose(ADDRESS);
            let took =
                until("it is released", || fixture.state().as_deref() == Some("Parked")).await;
            assert!(took < MINUTE * 8, "{took:?}");
        })
        .await;
}
