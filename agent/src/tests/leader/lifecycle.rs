//! What becomes of an address when its pod, claim, StatefulSet or node goes away.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_apiserver::Fault;
use firecamp_core::ids::{Epoch, Member, PodUid};
use firecamp_core::ports::Registry as _;
use firecamp_core::record::{State, Write};
use serde_json::json;
use tokio::time::sleep;

use super::fixture::{ADDRESS, ClusterFixture, until};

const LONG: Duration = Duration::from_mins(30);
const MINUTE: Duration = Duration::from_mins(1);

/// The owner is on record, and then the member was released.
async fn owned(fixture: &ClusterFixture) {
    until("the owner is on record", || fixture.owner().as_deref() == Some("set-1")).await;
}

#[tokio::test(start_paused = true)]
async fn f077_address_of_a_terminated_instance_is_released_with_or_without_its_node_object() {
    for object in [true, false] {
        let fixture = ClusterFixture::new().await;
        fixture
            .during(async || {
                owned(&fixture).await;
                fixture.terminate_instance();
                fixture.no_pod();
                fixture.node("node-1", "Unknown");
                if !object {
                    assert!(fixture.server.remove("nodes", None, "node-1"));
                }
                let took =
                    until("it is released", || fixture.state().as_deref() == Some("Parked")).await;
                assert!(took >= MINUTE * 2 && took < MINUTE * 5, "{took:?}");
            })
            .await;
        assert_eq!(fixture.read().await.unwrap().epoch.0, 5, "nobody else took it");
    }
}

#[tokio::test(start_paused = true)]
async fn f077_instance_without_node_object_keeps_the_address_in_ec2() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            owned(&fixture).await;
            fixture.no_pod();
            assert!(fixture.server.remove("nodes", None, "node-1"));
            let took =
                until("it is released", || fixture.state().as_deref() == Some("Parked")).await;
            assert!(took >= MINUTE * 10 && took < MINUTE * 13, "{took:?}");
        })
        .await;
    assert!(fixture.ec2.has(ADDRESS));
    assert_eq!(fixture.ec2.unassigned(), 0);
}

#[tokio::test(start_paused = true)]
async fn f077_live_pod_keeps_its_address_when_its_node_is_lost() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            fixture.terminate_instance();
            assert!(fixture.server.remove("nodes", None, "node-1"));
            sleep(LONG).await;
        })
        .await;
    assert_eq!(fixture.state().as_deref(), Some("Attached"));
}

#[tokio::test(start_paused = true)]
async fn scale_down_deletes_claim_address_and_staticip_in_order() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            owned(&fixture).await;
            fixture.set("set-1", 0);
            fixture.no_pod();
            fixture.record(State::Parked, 5).await;
            until("the claim is gone", || fixture.claim().is_none()).await;
            assert!(fixture.ip().is_some() && fixture.ec2.has(ADDRESS));
            until("it is out of EC2", || !fixture.ec2.has(ADDRESS)).await;
            assert!(fixture.ip().is_some(), "until then nobody else can be given the address");
            until("the record says so", || fixture.state().as_deref() == Some("Released")).await;
            let took = until("its object is gone", || fixture.ip().is_none()).await;
            assert!(took >= MINUTE * 2, "{took:?}");
        })
        .await;
    assert_eq!(fixture.ec2.unassigned(), 1);
    let asked = fixture.server.requests();
    let reported = asked.iter().filter(|one| *one == "POST events/*").count();
    assert_eq!(reported, 3, "of the claim, of EC2 and of the object");
}

#[tokio::test(start_paused = true)]
async fn adopted_address_is_unassigned_then_deleted_while_a_member_keeps_its_own() {
    let fixture = ClusterFixture::new().await;
    let orphan = Ipv4Addr::new(10, 1, 0, 25);
    let mut adopted = fixture.read().await.unwrap();
    adopted.address = orphan;
    adopted.member = Member::orphaned(orphan);
    adopted.epoch = Epoch(1);
    let attachment = adopted.attachment.as_mut().unwrap();
    attachment.state = State::Parked;
    attachment.pod = PodUid::orphaned();
    fixture.in_ec2(orphan, "eni-0000000a", "i-0000000a");
    fixture.registry.write(&Write::CreateStaticIp(adopted)).await.unwrap();
    let object = || fixture.server.object("staticips", None, &orphan.to_string());
    fixture
        .during(async || {
            until("it is out of EC2", || !fixture.ec2.has(orphan)).await;
            assert!(object().is_some(), "until then nobody else can be given the address");
            until("its object is gone", || object().is_none()).await;
        })
        .await;
    assert!(fixture.ec2.has(ADDRESS));
    assert_eq!(fixture.state().as_deref(), Some("Attached"));
    assert_eq!(fixture.ec2.unassigned(), 1);
}

#[tokio::test(start_paused = true)]
async fn claim_is_restored_if_its_pod_appears_during_the_deletion() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            owned(&fixture).await;
            let claim = fixture.claim().unwrap();
            fixture.set("set-1", 0);
            fixture.no_pod();
            fixture.record(State::Parked, 5).await;
            // The pod appears before the agent reads it again.
            let late = Fault::LateAnswer(Duration::from_secs(1));
            fixture.server.fail_next("DELETE", "staticipclaims", late);
            until("the claim is deleted", || fixture.claim().is_none()).await;
            fixture.pod(Some("set-1"));
            sleep(MINUTE * 10).await;
            let again = fixture.claim().unwrap();
            assert_eq!(again["spec"], claim["spec"]);
            assert_ne!(again["metadata"]["uid"], claim["metadata"]["uid"], "it was deleted");
            assert_eq!(fixture.owner().as_deref(), Some("set-1"));
        })
        .await;
    assert!(fixture.ec2.has(ADDRESS) && fixture.ip().is_some());
}

#[tokio::test(start_paused = true)]
async fn retain_policy_keeps_everything_and_reports_released() {
    let fixture = ClusterFixture::new().await;
    fixture.policies("Retain", "Delete");
    fixture
        .during(async || {
            owned(&fixture).await;
            assert!(fixture.server.remove("statefulsets", Some("prod"), "redis"));
            fixture.no_pod();
            fixture.record(State::Parked, 5).await;
            until("the claim is gone", || fixture.claim().is_none()).await;
            let phase = || fixture.ip().and_then(|ip| ip.pointer("/status/phase").cloned());
            until("its status says so", || phase() == Some(json!("Released"))).await;
            let writes = fixture.server.requests().len();
            sleep(MINUTE * 5).await;
            let asked = fixture.server.requests().split_off(writes);
            let reported =
                asked.iter().filter(|one| one.starts_with("PATCH") && !one.contains("leases"));
            assert_eq!(reported.count(), 0, "a status is written once: {asked:?}");
            sleep(LONG).await;
        })
        .await;
    assert!(fixture.ec2.has(ADDRESS) && fixture.state().as_deref() == Some("Parked"));
}

#[tokio::test(start_paused = true)]
async fn f079_recreated_stateful_set_finds_its_claims() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            owned(&fixture).await;
            assert!(fixture.server.remove("statefulsets", Some("prod"), "redis"));
            fixture.no_pod();
            fixture.record(State::Parked, 5).await;
            sleep(MINUTE).await;
            fixture.set("set-2", 0);
            sleep(LONG).await;
            assert!(fixture.claim().is_some(), "another one of the same name wants nothing away");
            fixture.set("set-2", 1);
            fixture.pod(Some("set-2"));
            fixture.record(State::Attached, 6).await;
            until("it has its new owner", || fixture.owner().as_deref() == Some("set-2")).await;
        })
        .await;
    assert!(fixture.claim().is_some() && fixture.ec2.has(ADDRESS));
}

#[tokio::test(start_paused = true)]
async fn stateful_set_deleted_with_cascade_orphan_keeps_its_claims() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            owned(&fixture).await;
            fixture.pod(None);
            assert!(fixture.server.remove("statefulsets", Some("prod"), "redis"));
            until("nobody owns it", || fixture.owner().is_none()).await;
            // Much later a person deletes the pod, too.
            fixture.no_pod();
            fixture.record(State::Parked, 5).await;
            sleep(LONG).await;
        })
        .await;
    assert!(fixture.claim().is_some() && fixture.ec2.has(ADDRESS));
}

#[tokio::test(start_paused = true)]
async fn claim_deleted_under_a_live_pod_releases_no_address() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            assert!(fixture.server.remove("staticipclaims", Some("prod"), "redis-0"));
            sleep(LONG).await;
            assert_eq!(fixture.state().as_deref(), Some("Attached"));
            fixture.no_pod();
            until("it is released without a claim", || {
                fixture.state().as_deref() == Some("Parked")
            })
            .await;
            until("its object is gone", || fixture.ip().is_none()).await;
        })
        .await;
    assert!(!fixture.ec2.has(ADDRESS));
}

#[tokio::test(start_paused = true)]
async fn pool_status_is_written_only_on_change() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            let free = || {
                let pool = fixture.server.object("staticippools", None, "a").unwrap();
                pool.pointer("/status/free").and_then(serde_json::Value::as_u64)
            };
            until("it is reported on", || free().is_some()).await;
            let before = free().unwrap();
            owned(&fixture).await;
            until("its claim is told of", || {
                fixture.claim().is_some_and(|it| it["status"].is_object())
            })
            .await;
            let asked = fixture.server.requests().len();
            sleep(LONG).await;
            let asked = fixture.server.requests().split_off(asked);
            let writes = asked.iter().filter(|one| !one.starts_with("GET"));
            let writes: Vec<_> = writes.filter(|one| !one.starts_with("WATCH")).collect();
            assert!(writes.iter().all(|one| one.contains("leases")), "{writes:?}");
            let changed = fixture.server.change("staticippools", None, "a", |pool| {
                let ranges = pool.pointer_mut("/spec/subnets/0/ranges/0").unwrap();
                ranges["end"] = ranges["start"].clone();
            });
            assert!(changed);
            until("it is reported on again", || free().is_some_and(|now| now < before)).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn f076_deleted_staticip_of_a_live_member_is_removed_after_the_pod() {
    let fixture = ClusterFixture::new().await;
    let reported = || {
        let ip = fixture.ip()?;
        let reported = ip.pointer("/status/conditions")?.as_array()?.clone();
        reported.iter().find(|it| it["type"] == "Deletable").map(|it| it["reason"].clone())
    };
    fixture
        .during(async || {
            owned(&fixture).await;
            fixture.delete().await;
            until("its status says so", || reported() == Some(json!("InUse"))).await;
            sleep(LONG).await;
            assert_eq!(
                fixture.state().as_deref(),
                Some("Attached"),
                "a live pod keeps its address"
            );
            assert_eq!(fixture.ec2.unassigned(), 0);
            fixture.no_pod();
            fixture.record(State::Parked, 5).await;
            until("it is out of EC2", || !fixture.ec2.has(ADDRESS)).await;
            assert!(fixture.ip().is_some(), "until then nobody else can be given the address");
            until("the record says so", || fixture.state().as_deref() == Some("Released")).await;
            let took = until("its object is gone", || fixture.ip().is_none()).await;
            assert!(took >= MINUTE * 2, "{took:?}");
        })
        .await;
    assert_eq!(fixture.ec2.unassigned(), 1);
    assert!(fixture.claim().is_some(), "the claim is the member's");
}

/// Of the claim, as the agent of node-1 said it before it went down.
fn waits(fixture: &ClusterFixture) {
    let said = |kind: &str| {
        json!({ "type": kind, "status": "False", "reason": "StuckAttaching",
            "message": "node-1 (i-0000000a): volume vol-0123456789abcdef0 …" })
    };
    let changed = fixture.server.change("staticipclaims", Some("prod"), "redis-0", |claim| {
        claim["status"]["conditions"] = json!([said("Audited"), said("VolumeReady")]);
    });
    assert!(changed);
}

/// The types of what is said of the claim, beside whether it is bound.
fn said(fixture: &ClusterFixture) -> Vec<String> {
    let claim = fixture.claim().unwrap();
    let all = claim["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let types = all.iter().filter_map(|one| one["type"].as_str().map(str::to_owned));
    types.filter(|kind| kind != "Bound").collect()
}

#[tokio::test(start_paused = true)]
async fn f081_volume_condition_of_a_deleted_pod_is_cleared() {
    let fixture = ClusterFixture::new().await;
    fixture.policies("Retain", "Retain");
    fixture
        .during(async || {
            waits(&fixture);
            sleep(LONG).await;
            assert_eq!(said(&fixture), ["Audited", "VolumeReady"], "its pod is there");
            fixture.no_pod();
            fixture.record(State::Parked, 5).await;
            let taken_back = || said(&fixture) == ["Audited"];
            let took = until("it is taken back", taken_back).await;
            assert!(took >= MINUTE * 2 && took < MINUTE * 5, "{took:?}");
            let asked = fixture.server.requests().len();
            sleep(LONG).await;
            let asked = fixture.server.requests_since(asked);
            let about = asked.iter().filter(|one| one.contains("/redis-0"));
            assert_eq!(about.count(), 0, "and nobody asks any more: {asked:?}");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn f081_volume_condition_of_the_next_pod_is_not_cleared() {
    let fixture = ClusterFixture::new().await;
    fixture.policies("Retain", "Retain");
    waits(&fixture);
    fixture.no_pod();
    fixture.record(State::Parked, 5).await;
    fixture
        .during(async || {
            // Whenever it is about to be taken back, the next pod's agent speaks first.
            for _turn in 0..20 {
                let asked = fixture.server.requests().len();
                let is_read = || {
                    let asked = fixture.server.requests_since(asked);
                    asked.iter().any(|one| one == "GET staticipclaims/redis-0")
                };
                let mut turns = 0_u32;
                while !is_read() {
                    if turns.is_multiple_of(500) {
                        tokio::time::advance(Duration::from_secs(1)).await;
                    }
                    tokio::task::yield_now().await;
                    turns += 1;
                    assert!(turns < 500 * 1_200, "it is not about to be taken back");
                }
                waits(&fixture);
            }
            assert_eq!(said(&fixture), ["Audited", "VolumeReady"]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn parked_address_leaves_a_draining_interface_only_once_a_reservation_keeps_it() {
    let fixture = ClusterFixture::new().await;
    fixture.policies("Retain", "Retain");
    fixture.no_pod();
    fixture.on_own_interface().await;
    fixture.drain();
    let reported =
        || fixture.server.requests().iter().filter(|one| *one == "POST events/*").count();
    fixture
        .during(async || {
            sleep(LONG).await;
            assert!(fixture.ec2.has(ADDRESS) && fixture.interface("/spec/phase").is_some());
            assert_eq!(reported(), 3, "once in ten minutes");
            fixture.reserve();
            until("it is out of EC2", || !fixture.ec2.has(ADDRESS)).await;
            until("the interface is gone", || fixture.interface("/spec/phase").is_none()).await;
        })
        .await;
    assert_eq!(fixture.state().as_deref(), Some("Released"));
    assert_eq!(fixture.ec2.account().created.count(), 1, "another cluster's stays");
}
