//! The leader lists the interfaces of the cluster in EC2, and the Lease publishes what it finds.

use std::time::Duration;

use firecamp_core::failure::CloudKind;
use serde_json::Value;
use tokio::time::sleep;

use super::fixture::{ADDRESS, ClusterFixture, until};
use crate::publish::LeaseRead;

const MINUTE: Duration = Duration::from_mins(1);

/// The annotation of the Lease.
fn published(fixture: &ClusterFixture) -> Option<Value> {
    let lease = fixture.server.object("leases", Some("default"), "firecamp-agents")?;
    let text = lease.pointer("/metadata/annotations/firecamp.io~1ec2-observation")?.as_str()?;
    Some(serde_json::from_str(text).unwrap())
}

fn is_named(fixture: &ClusterFixture) -> bool {
    published(fixture).is_some_and(|it| it["misplaced"] == serde_json::json!([ADDRESS]))
}

#[tokio::test(start_paused = true)]
async fn misplaced_address_is_named_in_the_lease_until_it_is_back() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            until("a list is published", || published(&fixture).is_some_and(|it| it["count"] == 1))
                .await;
            assert_eq!(published(&fixture).unwrap()["nodes"], 3);
            assert!(!is_named(&fixture));
            fixture.in_ec2(ADDRESS, "eni-0000000b", "i-0000000b");
            let took = until("it is named", || is_named(&fixture)).await;
            assert!(took < MINUTE * 2, "{took:?}");
            fixture.in_ec2(ADDRESS, "eni-0000000a", "i-0000000a");
            until("it is back", || !is_named(&fixture)).await;
            // Until the Lease is read again.
            sleep(MINUTE).await;
        })
        .await;
    let read = fixture.shared_status.take_lease_read().and_then(|LeaseRead(read)| read).unwrap();
    assert!(read.count > 1 && read.misplaced.is_empty(), "{read:?}");
}

#[tokio::test(start_paused = true)]
async fn f148_throttled_leader_keeps_the_lease_and_publishes_that_it_is_throttled() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            until("a list is published", || published(&fixture).is_some_and(|it| it["count"] == 1))
                .await;
            fixture.ec2.refuse(Some(CloudKind::Throttled), None);
            let throttled = || published(&fixture).is_some_and(|it| it["throttled"] == true);
            until("it is throttled", throttled).await;
            let before = published(&fixture).unwrap()["count"].as_u64().unwrap();
            sleep(MINUTE * 20).await;
            let after = published(&fixture).unwrap()["count"].as_u64().unwrap();
            assert!(throttled() && after >= before + 15, "{before} {after}");
            fixture.ec2.recover();
            until("it recovers", || !throttled()).await;
        })
        .await;
}
