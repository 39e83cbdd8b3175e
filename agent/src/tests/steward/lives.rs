//! What becomes of an address when its pod, claim, StatefulSet or node goes away.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::ids::{Epoch, Member, PodUid};
use firecamp_core::outside::Registry as _;
use firecamp_core::record::{State, Write};
use serde_json::json;
use tokio::time::sleep;

use super::city::{ADDRESS, City, until};

const LONG: Duration = Duration::from_mins(30);
const MINUTE: Duration = Duration::from_mins(1);

/// The owner is on record, and then the member was released.
async fn owned(city: &City) {
    until("the owner is on record", || city.owner().as_deref() == Some("set-1")).await;
}

#[tokio::test(start_paused = true)]
async fn f077_the_address_of_a_machine_that_is_gone_is_released_whatever_its_node_object_says() {
    for object in [true, false] {
        let city = City::new().await;
        city.during(async || {
            owned(&city).await;
            city.ec2.terminate();
            city.no_pod();
            city.node("node-1", "Unknown");
            if !object {
                assert!(city.server.remove("nodes", None, "node-1"));
            }
            let took = until("it is released", || city.state().as_deref() == Some("Parked")).await;
            assert!(took >= MINUTE * 2 && took < MINUTE * 5, "{took:?}");
        })
        .await;
        assert_eq!(city.read().await.unwrap().epoch.0, 5, "nobody else took it");
    }
}

#[tokio::test(start_paused = true)]
async fn f077_a_machine_that_still_has_the_address_keeps_it_in_ec2_when_its_node_is_missing() {
    let city = City::new().await;
    city.during(async || {
        owned(&city).await;
        city.no_pod();
        assert!(city.server.remove("nodes", None, "node-1"));
        let took = until("it is released", || city.state().as_deref() == Some("Parked")).await;
        assert!(took >= MINUTE * 10 && took < MINUTE * 13, "{took:?}");
    })
    .await;
    assert!(city.ec2.has(ADDRESS));
    assert_eq!(city.ec2.unassigned(), 0);
}

#[tokio::test(start_paused = true)]
async fn f077_a_live_pod_keeps_its_address_whatever_its_node_looks_like() {
    let city = City::new().await;
    city.during(async || {
        city.ec2.terminate();
        assert!(city.server.remove("nodes", None, "node-1"));
        sleep(LONG).await;
    })
    .await;
    assert_eq!(city.state().as_deref(), Some("Attached"));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_scaled_away_gives_back_claim_address_and_object_in_that_order() {
    let city = City::new().await;
    city.during(async || {
        owned(&city).await;
        city.set("set-1", 0);
        city.no_pod();
        city.record(State::Parked, 5).await;
        until("the claim is gone", || city.claim().is_none()).await;
        assert!(city.ip().is_some() && city.ec2.has(ADDRESS));
        until("it is out of EC2", || !city.ec2.has(ADDRESS)).await;
        assert!(city.ip().is_some(), "until then nobody else can be given the address");
        until("the record says so", || city.state().as_deref() == Some("Released")).await;
        let took = until("its object is gone", || city.ip().is_none()).await;
        assert!(took >= MINUTE * 2, "{took:?}");
    })
    .await;
    assert_eq!(city.ec2.unassigned(), 1);
    let asked = city.server.asked();
    let told = asked.iter().filter(|one| *one == "POST events/*").count();
    assert_eq!(told, 3, "of the claim, of EC2 and of the object");
}

#[tokio::test(start_paused = true)]
async fn an_adopted_address_leaves_ec2_and_then_the_registry_beside_a_member_that_keeps_its_own() {
    let city = City::new().await;
    let stray = Ipv4Addr::new(10, 1, 0, 25);
    let mut adopted = city.read().await.unwrap();
    adopted.address = stray;
    adopted.member = Member::nobody(stray);
    adopted.epoch = Epoch(1);
    let attachment = adopted.attachment.as_mut().unwrap();
    attachment.state = State::Parked;
    attachment.pod = PodUid::nobody();
    city.ec2.put(stray, "eni-0000000a", "i-0000000a");
    city.registry.write(&Write::CreateStaticIp(adopted)).await.unwrap();
    let object = || city.server.object("staticips", None, &stray.to_string());
    city.during(async || {
        until("it is out of EC2", || !city.ec2.has(stray)).await;
        assert!(object().is_some(), "until then nobody else can be given the address");
        until("its object is gone", || object().is_none()).await;
    })
    .await;
    assert!(city.ec2.has(ADDRESS));
    assert_eq!(city.state().as_deref(), Some("Attached"));
    assert_eq!(city.ec2.unassigned(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_comes_back_in_the_moment_of_the_deletion_gets_its_claim_back() {
    let city = City::new().await;
    city.during(async || {
        owned(&city).await;
        let claim = city.claim().unwrap();
        city.set("set-1", 0);
        city.no_pod();
        city.record(State::Parked, 5).await;
        let deleted = || city.server.asked().iter().any(|one| one.starts_with("DELETE"));
        // The agent and this take turns: no time passes but what is let pass here.
        let mut turns = 0_u32;
        while !deleted() {
            if turns.is_multiple_of(500) {
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            tokio::task::yield_now().await;
            turns += 1;
            assert!(turns < 500 * 1_200, "the claim is not deleted");
        }
        assert!(city.claim().is_none());
        city.pod(Some("set-1"));
        sleep(MINUTE * 10).await;
        let again = city.claim().unwrap();
        assert_eq!(again["spec"], claim["spec"]);
        assert_ne!(again["metadata"]["uid"], claim["metadata"]["uid"], "it was deleted");
        assert_eq!(city.owner().as_deref(), Some("set-1"));
    })
    .await;
    assert!(city.ec2.has(ADDRESS) && city.ip().is_some());
}

#[tokio::test(start_paused = true)]
async fn with_retain_nothing_goes_and_the_status_says_what_to_do() {
    let city = City::new().await;
    city.policies("Retain", "Delete");
    city.during(async || {
        owned(&city).await;
        assert!(city.server.remove("statefulsets", Some("prod"), "redis"));
        city.no_pod();
        city.record(State::Parked, 5).await;
        until("the claim is gone", || city.claim().is_none()).await;
        let phase = || city.ip().and_then(|ip| ip.pointer("/status/phase").cloned());
        until("its status says so", || phase() == Some(json!("Released"))).await;
        let writes = city.server.asked().len();
        sleep(MINUTE * 5).await;
        let asked = city.server.asked().split_off(writes);
        let told = asked.iter().filter(|one| one.starts_with("PATCH") && !one.contains("leases"));
        assert_eq!(told.count(), 0, "a status is written once: {asked:?}");
        sleep(LONG).await;
    })
    .await;
    assert!(city.ec2.has(ADDRESS) && city.state().as_deref() == Some("Parked"));
}

#[tokio::test(start_paused = true)]
async fn f079_a_stateful_set_that_was_deleted_and_made_again_finds_its_claims() {
    let city = City::new().await;
    city.during(async || {
        owned(&city).await;
        assert!(city.server.remove("statefulsets", Some("prod"), "redis"));
        city.no_pod();
        city.record(State::Parked, 5).await;
        sleep(MINUTE).await;
        city.set("set-2", 0);
        sleep(LONG).await;
        assert!(city.claim().is_some(), "another one of the same name wants nothing away");
        city.set("set-2", 1);
        city.pod(Some("set-2"));
        city.record(State::Attached, 6).await;
        until("it has its new owner", || city.owner().as_deref() == Some("set-2")).await;
    })
    .await;
    assert!(city.claim().is_some() && city.ec2.has(ADDRESS));
}

#[tokio::test(start_paused = true)]
async fn a_stateful_set_deleted_with_cascade_orphan_loses_nothing() {
    let city = City::new().await;
    city.during(async || {
        owned(&city).await;
        city.pod(None);
        assert!(city.server.remove("statefulsets", Some("prod"), "redis"));
        until("nobody owns it", || city.owner().is_none()).await;
        // Much later a person deletes the pod, too.
        city.no_pod();
        city.record(State::Parked, 5).await;
        sleep(LONG).await;
    })
    .await;
    assert!(city.claim().is_some() && city.ec2.has(ADDRESS));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_a_person_deletes_under_a_live_pod_takes_no_address_from_it() {
    let city = City::new().await;
    city.during(async || {
        assert!(city.server.remove("staticipclaims", Some("prod"), "redis-0"));
        sleep(LONG).await;
        assert_eq!(city.state().as_deref(), Some("Attached"));
        city.no_pod();
        until("it is released without a claim", || city.state().as_deref() == Some("Parked")).await;
        until("its object is gone", || city.ip().is_none()).await;
    })
    .await;
    assert!(!city.ec2.has(ADDRESS));
}

#[tokio::test(start_paused = true)]
async fn a_pool_is_reported_on_when_something_has_changed_and_not_otherwise() {
    let city = City::new().await;
    city.during(async || {
        let free = || {
            let pool = city.server.object("staticippools", None, "a").unwrap();
            pool.pointer("/status/free").and_then(serde_json::Value::as_u64)
        };
        until("it is reported on", || free().is_some()).await;
        let before = free().unwrap();
        owned(&city).await;
        until("its claim is told of", || city.claim().is_some_and(|it| it["status"].is_object()))
            .await;
        let asked = city.server.asked().len();
        sleep(LONG).await;
        let asked = city.server.asked().split_off(asked);
        let writes = asked.iter().filter(|one| !one.starts_with("GET"));
        let writes: Vec<_> = writes.filter(|one| !one.starts_with("WATCH")).collect();
        assert!(writes.iter().all(|one| one.contains("leases")), "{writes:?}");
        let changed = city.server.change("staticippools", None, "a", |pool| {
            let ranges = pool.pointer_mut("/spec/subnets/0/ranges/0").unwrap();
            ranges["end"] = ranges["start"].clone();
        });
        assert!(changed);
        until("it is reported on again", || free().is_some_and(|now| now < before)).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f076_the_object_of_a_live_member_that_a_person_deletes_outlives_the_pod_and_goes_last() {
    let city = City::new().await;
    let told = || {
        let ip = city.ip()?;
        let told = ip.pointer("/status/conditions")?.as_array()?.clone();
        told.iter().find(|it| it["type"] == "Deletable").map(|it| it["reason"].clone())
    };
    city.during(async || {
        owned(&city).await;
        city.delete().await;
        until("its status says so", || told() == Some(json!("Held"))).await;
        sleep(LONG).await;
        assert_eq!(city.state().as_deref(), Some("Attached"), "a live pod keeps its address");
        assert_eq!(city.ec2.unassigned(), 0);
        city.no_pod();
        city.record(State::Parked, 5).await;
        until("it is out of EC2", || !city.ec2.has(ADDRESS)).await;
        assert!(city.ip().is_some(), "until then nobody else can be given the address");
        until("the record says so", || city.state().as_deref() == Some("Released")).await;
        let took = until("its object is gone", || city.ip().is_none()).await;
        assert!(took >= MINUTE * 2, "{took:?}");
    })
    .await;
    assert_eq!(city.ec2.unassigned(), 1);
    assert!(city.claim().is_some(), "the claim is the member's");
}

/// Of the claim, as the agent of node-1 said it before it went down.
fn waits(city: &City) {
    let said = |kind: &str| {
        json!({ "type": kind, "status": "False", "reason": "StuckAttaching",
            "message": "node-1 (i-0000000a): volume vol-0123456789abcdef0 …" })
    };
    let changed = city.server.change("staticipclaims", Some("prod"), "redis-0", |claim| {
        claim["status"]["conditions"] = json!([said("Audited"), said("VolumeReady")]);
    });
    assert!(changed);
}

/// The types of what is said of the claim, beside whether it is bound.
fn said(city: &City) -> Vec<String> {
    let claim = city.claim().unwrap();
    let all = claim["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let types = all.iter().filter_map(|one| one["type"].as_str().map(str::to_owned));
    types.filter(|kind| kind != "Bound").collect()
}

#[tokio::test(start_paused = true)]
async fn f081_what_a_dead_agent_said_of_a_pod_that_is_gone_is_taken_back() {
    let city = City::new().await;
    city.policies("Retain", "Retain");
    city.during(async || {
        waits(&city);
        sleep(LONG).await;
        assert_eq!(said(&city), ["Audited", "VolumeReady"], "its pod is there");
        city.no_pod();
        city.record(State::Parked, 5).await;
        let taken_back = || said(&city) == ["Audited"];
        let took = until("it is taken back", taken_back).await;
        assert!(took >= MINUTE * 2 && took < MINUTE * 5, "{took:?}");
        let asked = city.server.asked().len();
        sleep(LONG).await;
        let asked = city.server.asked_since(asked);
        let about = asked.iter().filter(|one| one.contains("/redis-0"));
        assert_eq!(about.count(), 0, "and nobody asks any more: {asked:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f081_what_is_said_of_the_next_pod_in_that_moment_stands() {
    let city = City::new().await;
    city.policies("Retain", "Retain");
    waits(&city);
    city.no_pod();
    city.record(State::Parked, 5).await;
    city.during(async || {
        // Whenever it is about to be taken back, the next pod's agent speaks first.
        for _turn in 0..20 {
            let asked = city.server.asked().len();
            let is_read = || {
                let asked = city.server.asked_since(asked);
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
            waits(&city);
        }
        assert_eq!(said(&city), ["Audited", "VolumeReady"]);
    })
    .await;
}
