//! Pods with FireCamp's scheduling gate.

use std::time::Duration;

use firecamp_apiserver::Fault;
use firecamp_core::record::State;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::fixture::{ClusterFixture, until};

const SECOND: Duration = Duration::from_secs(1);
/// The zone of the member's address.
const ZONE: &str = "us-east-1a";

/// The next pod of redis-0, with the gate.
fn gate(fixture: &ClusterFixture, selector: &Value, volumes: &Value) {
    fixture.server.set_pod(
        "prod",
        "redis-0",
        json!({
            "metadata": { "uid": "pod-2" },
            "spec": {
                "schedulingGates": [{ "name": "firecamp.io/zone" }],
                "nodeSelector": selector,
                "volumes": volumes,
            },
        }),
    );
}

fn spec(fixture: &ClusterFixture) -> Value {
    fixture.server.object("pods", Some("prod"), "redis-0").unwrap()["spec"].take()
}

fn is_gated(fixture: &ClusterFixture) -> bool {
    spec(fixture)["schedulingGates"] != json!([])
}

fn zone(fixture: &ClusterFixture) -> Value {
    spec(fixture)["nodeSelector"]["topology.kubernetes.io/zone"].take()
}

/// The Events about the pod, by reason.
fn events(fixture: &ClusterFixture) -> Vec<(String, String)> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    let all = fixture.server.all("events");
    let of_pod = all.iter().filter(|event| event["regarding"]["uid"] == "pod-2");
    of_pod.map(|event| (text(event, "reason"), text(event, "note"))).collect()
}

/// The member was released, and the leader has made a pass.
async fn released(fixture: &ClusterFixture) {
    until("its owner is on record", || fixture.owner().is_some()).await;
    fixture.no_pod();
    fixture.record(State::Parked, 5).await;
    let node = json!({ "metadata": { "labels": { "topology.kubernetes.io/zone": ZONE } },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    fixture.server.set("nodes", (None, "node-3"), node);
    sleep(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn the_next_pod_gets_the_zone_of_the_address_within_seconds() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            released(&fixture).await;
            gate(&fixture, &json!({ "disk": "ssd" }), &json!([]));
            let took = until("its gate is removed", || !is_gated(&fixture)).await;
            assert!(took <= SECOND * 2, "{took:?}");
        })
        .await;
    assert_eq!(
        (zone(&fixture), &spec(&fixture)["nodeSelector"]["disk"]),
        (json!(ZONE), &json!("ssd"))
    );
    assert_eq!(events(&fixture), []);
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_a_new_member_loses_its_gate_without_a_zone() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            released(&fixture).await;
            assert!(fixture.server.remove("staticipclaims", Some("prod"), "redis-0"));
            gate(&fixture, &json!({}), &json!([]));
            until("its gate is removed", || !is_gated(&fixture)).await;
        })
        .await;
    assert_eq!(zone(&fixture), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_zone_without_a_ready_node_is_reported_on_the_pod() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            released(&fixture).await;
            fixture.node("node-3", "True");
            // Nodes and pods have a watch each.
            sleep(SECOND).await;
            gate(&fixture, &json!({}), &json!([]));
            until("its gate is removed", || !is_gated(&fixture)).await;
            until("it is reported", || !events(&fixture).is_empty()).await;
        })
        .await;
    assert_eq!(zone(&fixture), json!(ZONE));
    let [(reason, note)] = &*events(&fixture) else { panic!("{:?}", events(&fixture)) };
    assert_eq!(reason, "ZoneNotReady");
    assert!(note.contains("us-east-1a, where no Node is ready"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn a_volume_of_another_zone_keeps_the_gate_and_is_reported_once() {
    let fixture = ClusterFixture::new().await;
    let claim = json!({ "metadata": {}, "spec": { "volumeName": "pv-1" } });
    fixture.server.set("persistentvolumeclaims", (Some("prod"), "data-redis-0"), claim);
    let terms = json!([{ "matchExpressions": [{
        "key": "topology.kubernetes.io/zone", "operator": "In", "values": ["us-east-1b"],
    }] }]);
    let affinity = json!({ "required": { "nodeSelectorTerms": terms } });
    let volume = json!({ "metadata": {}, "spec": { "nodeAffinity": affinity } });
    fixture.server.set("persistentvolumes", (None, "pv-1"), volume);
    let volumes = json!([{ "persistentVolumeClaim": { "claimName": "data-redis-0" } }]);
    fixture
        .during(async || {
            released(&fixture).await;
            gate(&fixture, &json!({}), &volumes);
            until("it is reported", || !events(&fixture).is_empty()).await;
            let since = fixture.server.requests().len();
            // After 10 minutes the claims are listed again, and then the volumes are read.
            sleep(SECOND * 540).await;
            let asked = fixture.server.requests_since(since);
            assert!(!asked.iter().any(|one| one.contains("persistentvolume")), "{asked:?}");
        })
        .await;
    assert!(is_gated(&fixture));
    let [(reason, note)] = &*events(&fixture) else { panic!("{:?}", events(&fixture)) };
    assert_eq!(reason, "ZoneConflict");
    assert!(note.contains("pv-1 in us-east-1b"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn a_gate_is_removed_with_the_next_pass_after_a_failed_write() {
    for fault in [Fault::Code(403, "Forbidden"), Fault::LostRequest, Fault::LostAnswer] {
        let fixture = ClusterFixture::new().await;
        fixture
            .during(async || {
                released(&fixture).await;
                fixture.server.fail_next("PATCH", "pods", fault);
                gate(&fixture, &json!({}), &json!([]));
                let took = until("its gate is removed", || !is_gated(&fixture)).await;
                assert!(took <= SECOND * 35, "{fault:?}: {took:?}");
            })
            .await;
        assert_eq!((zone(&fixture), fixture.server.unmet_faults()), (json!(ZONE), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_the_watch_has_not_reported_yet_still_decides() {
    let fixture = ClusterFixture::new().await;
    fixture
        .during(async || {
            released(&fixture).await;
            // The claim names no address any more, and no watch reports it.
            fixture.server.lose_events(1);
            let changed =
                fixture.server.change("staticipclaims", Some("prod"), "redis-0", |claim| {
                    claim["spec"].as_object_mut().unwrap().remove("address");
                });
            assert!(changed);
            gate(&fixture, &json!({}), &json!([]));
            sleep(SECOND * 60).await;
            assert!(is_gated(&fixture), "the plan is out of date");
            until("a list shows the claim", || !is_gated(&fixture)).await;
        })
        .await;
    assert_eq!(zone(&fixture), Value::Null);
}
