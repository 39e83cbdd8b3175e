//! Where there is much to do, what is urgent does not wait for it.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::city::{ADDRESS, City, until};

const MINUTE: Duration = Duration::from_mins(1);
/// How long EC2 takes over each Unassign.
const SLOW: Duration = Duration::from_secs(4);

#[tokio::test(start_paused = true)]
async fn f077_an_address_of_a_machine_that_is_gone_does_not_wait_for_many_that_leave_ec2_slowly() {
    let city = City::new().await;
    let orphans: Vec<Ipv4Addr> =
        (1..=150).map(|last| Ipv4Addr::new(10, 1, 0, 100 + last)).collect();
    for (number, address) in (1..).zip(&orphans) {
        city.orphan(*address, number).await;
    }
    let left = || orphans.iter().filter(|address| city.ec2.has(**address)).count();
    city.during(async || {
        until("the owner is on record", || city.owner().as_deref() == Some("set-1")).await;
        city.ec2.slow_down(SLOW);
        until("orphans leave EC2", || left() < orphans.len()).await;
        city.ec2.lose(ADDRESS);
        city.no_pod();
        city.node("node-1", "Unknown");
        let took = until("it is released", || city.state().as_deref() == Some("Parked")).await;
        assert!(took < MINUTE * 5, "{took:?}, and {} orphans are left", left());
        assert!(left() > 0, "they were faster: this shows nothing");
        until("all others have left EC2", || left() == 0).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f077_a_slow_ec2_is_asked_about_each_address_of_a_node_that_does_not_answer() {
    let city = City::new().await;
    // All before [`ADDRESS`] in every order.
    let others: Vec<Ipv4Addr> = (4..=19).map(|last| Ipv4Addr::new(10, 1, 0, last)).collect();
    for (number, address) in (1..).zip(&others) {
        city.held(*address, number).await;
    }
    city.during(async || {
        until("the owner is on record", || city.owner().as_deref() == Some("set-1")).await;
        // Its pods stay on record, and its machine may live.
        city.node("node-1", "Unknown");
        city.ec2.answer_slowly(Duration::from_secs(1));
        city.no_pod();
        city.ec2.lose(ADDRESS);
        let took = until("it is released", || city.state().as_deref() == Some("Parked")).await;
        assert!(took < MINUTE * 8, "{took:?}");
    })
    .await;
}
