//! Whoever follows a file registry.

use std::fs;

use firecamp_core::ids::Epoch;
use firecamp_core::outside::Registry;
use firecamp_core::record::{Stored, Write};
use firecamp_registry::{Everything, Follower};

use super::support::{ADDRESS, Bench};

async fn epoch(follower: &Follower) -> u64 {
    let Everything { static_ips, .. } = follower.everything().await.unwrap();
    static_ips[&ADDRESS].as_ref().unwrap().object.epoch.0
}

#[tokio::test]
async fn every_write_is_seen_by_the_next_look_however_fast_they_follow() {
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
async fn what_a_person_writes_in_place_is_seen() {
    let (bench, _stored) = Bench::with_address().await;
    let follower = bench.registry.follow();
    assert_eq!(epoch(&follower).await, 3);
    let file = bench.path("staticips/10.1.0.20.yaml");
    let text = fs::read_to_string(&file).unwrap();
    // As many bytes as before.
    fs::write(&file, text.replace("epoch: 3", "epoch: 7")).unwrap();
    assert!(follower.has_changed().await);
    assert_eq!(epoch(&follower).await, Epoch(7).0);
}

#[tokio::test]
async fn a_registry_that_has_gone_is_an_error_and_not_empty() {
    let (bench, _stored) = Bench::with_address().await;
    let follower = bench.registry.follow();
    assert_eq!(epoch(&follower).await, 3);
    let away = bench.dir().with_extension("away");
    fs::rename(bench.dir(), &away).unwrap();
    assert!(follower.has_changed().await);
    assert!(follower.everything().await.is_err());
    fs::rename(&away, bench.dir()).unwrap();
    assert_eq!(epoch(&follower).await, 3);
}

#[tokio::test]
async fn pools_are_followed_as_well_and_one_that_cannot_be_read_says_so() {
    let bench = Bench::new().await;
    let follower = bench.registry.follow();
    assert_eq!(
        follower.everything().await.unwrap().pools.unwrap(),
        std::slice::from_ref(&bench.pool)
    );
    let file = bench.path("staticippools/a.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, "nonsense").unwrap();
    assert!(follower.has_changed().await);
    assert!(follower.everything().await.unwrap().pools.is_err());
    fs::write(&file, text).unwrap();
    assert_eq!(
        follower.everything().await.unwrap().pools.unwrap(),
        std::slice::from_ref(&bench.pool)
    );
    follower.forget();
    assert!(follower.has_changed().await);
}
