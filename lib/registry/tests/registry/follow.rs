//! Polling a file registry.

use std::fs;

use firecamp_core::ids::Epoch;
use firecamp_core::ports::Registry;
use firecamp_core::record::{Stored, Write};
use firecamp_registry::{FileListing, Follower};

use super::support::{ADDRESS, Bench};

async fn epoch(follower: &Follower) -> u64 {
    let FileListing { static_ips, .. } = follower.list().await.unwrap();
    static_ips[&ADDRESS].as_ref().unwrap().object.epoch.0
}

#[tokio::test]
async fn the_next_poll_sees_every_write() {
    let (bench, mut stored) = Bench::with_address().await;
    let follower = bench.registry.follow();
    assert!(follower.has_changed().await, "nothing was read yet");
    for next in 4..40 {
        assert_eq!(epoch(&follower).await, next - 1);
        let object = bench.attached(next);
        let write = Write::UpdateStaticIp(Stored { version: stored.version, object });
        stored.version = bench.registry.write(&write).await.unwrap();
        assert!(follower.has_changed().await, "epoch {next}");
    }
    assert_eq!(epoch(&follower).await, 39);
}

#[tokio::test]
async fn the_next_poll_sees_an_edit_in_place() {
    let (bench, _stored) = Bench::with_address().await;
    let follower = bench.registry.follow();
    assert_eq!(epoch(&follower).await, 3);
    let file = bench.path("staticips/10.1.0.20.yaml");
    let text = fs::read_to_string(&file).unwrap();
    // The same number of bytes as before.
    fs::write(&file, text.replace("epoch: 3", "epoch: 7")).unwrap();
    assert!(follower.has_changed().await);
    assert_eq!(epoch(&follower).await, Epoch(7).0);
}

#[tokio::test]
async fn polling_a_missing_registry_is_an_error() {
    let (bench, _stored) = Bench::with_address().await;
    let follower = bench.registry.follow();
    assert_eq!(epoch(&follower).await, 3);
    let away = bench.dir().with_extension("away");
    fs::rename(bench.dir(), &away).unwrap();
    assert!(follower.has_changed().await);
    assert!(follower.list().await.is_err());
    fs::rename(&away, bench.dir()).unwrap();
    assert_eq!(epoch(&follower).await, 3);
}

#[tokio::test]
async fn polling_reads_pools_and_reports_an_unreadable_one() {
    let bench = Bench::new().await;
    let follower = bench.registry.follow();
    assert_eq!(follower.list().await.unwrap().pools.unwrap(), std::slice::from_ref(&bench.pool));
    let file = bench.path("staticippools/a.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, "nonsense").unwrap();
    assert!(follower.has_changed().await);
    assert!(follower.list().await.unwrap().pools.is_err());
    fs::write(&file, text).unwrap();
    assert_eq!(follower.list().await.unwrap().pools.unwrap(), std::slice::from_ref(&bench.pool));
    follower.forget();
    assert!(follower.has_changed().await);
}
