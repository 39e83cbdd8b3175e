//! The number of requests of one restart.

use firecamp_core::ports::Registry;
use firecamp_core::record::Stored;
use firecamp_core::record::Write;
use serde_json::json;

use super::support::{ADDRESS, Cluster};

/// A restart on the same node: reads of claim, address, pool and pod; writes to acquire and to
/// complete.
#[tokio::test]
async fn a_restart_costs_four_reads_and_two_writes() {
    let cluster = Cluster::new().await;
    cluster.server.set_pod("prod", "redis-0", json!({ "metadata": { "uid": "u-1" } }));
    let before = cluster.server.requests().len();
    let read = cluster.registry.member(&cluster.member, None).await.unwrap();
    cluster.registry.pod(&cluster.member).await.unwrap();
    let mut stored = read.static_ip.unwrap();
    for epoch in [1, 2] {
        let object = firecamp_registry::conformance::attached(&stored.object, epoch).unwrap();
        let write = Write::UpdateStaticIp(Stored { version: stored.version, object });
        let version = cluster.registry.write(&write).await.unwrap();
        stored = Stored { version, object: stored.object };
    }
    let mut requests = cluster.server.requests().split_off(before);
    requests.sort();
    let wanted = [
        "GET pods/redis-0",
        "GET staticipclaims/redis-0",
        "GET staticippools/a",
        "GET staticips/10.1.0.20",
        "PATCH staticips/10.1.0.20",
        "PATCH staticips/10.1.0.20",
    ];
    assert_eq!(requests, wanted);
    assert_eq!(stored.object.address, ADDRESS);
}
