//! The names of members, from a user's Service to the objects in the API.

use std::time::Duration;

use firecamp_apiserver::Fault;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::fixture::{ClusterFixture, until};

const SECOND: Duration = Duration::from_secs(1);

async fn naming() -> ClusterFixture {
    ClusterFixture { keeps_names: true, ..ClusterFixture::new().await }
}

/// A user names the members of StatefulSet redis, whose headless Service is redis.
fn service(fixture: &ClusterFixture, annotations: &Value) {
    let changed = fixture.server.change("statefulsets", Some("prod"), "redis", |set| {
        set["spec"]["serviceName"] = json!("redis");
    });
    assert!(changed);
    let service = json!({
        "metadata": {
            "labels": { "firecamp.io/statefulset": "redis" },
            "annotations": annotations,
        },
        "spec": { "clusterIP": "None", "ports": [{ "name": "redis", "port": 6379 }] },
    });
    fixture.server.set("services", (Some("prod"), "redis-static"), service);
}

/// The control plane knows whether the pod is ready.
fn pod(fixture: &ClusterFixture, ready: bool) {
    let slice = json!({
        "metadata": {
            "labels": {
                "kubernetes.io/service-name": "redis",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "service.kubernetes.io/headless": "",
            },
        },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": ["10.0.0.7"],
            "conditions": { "ready": ready, "serving": ready, "terminating": false },
            "targetRef": { "kind": "Pod", "name": "redis-0" },
        }],
    });
    fixture.server.set("endpointslices", (Some("prod"), "redis-x7k2p"), slice);
}

fn slice(fixture: &ClusterFixture) -> Option<Value> {
    fixture.server.object("endpointslices", Some("prod"), "redis-static-firecamp")
}

fn is_ready(fixture: &ClusterFixture) -> bool {
    slice(fixture).is_some_and(|slice| slice["endpoints"][0]["conditions"]["ready"] == true)
}

fn records(fixture: &ClusterFixture) -> Option<Value> {
    fixture.server.object("dnsendpoints", Some("prod"), "redis-static")
}

fn condition(fixture: &ClusterFixture) -> Value {
    let service = fixture.server.object("services", Some("prod"), "redis-static").unwrap();
    service["status"]["conditions"][0].clone()
}

#[tokio::test(start_paused = true)]
async fn a_member_is_named_within_a_second_and_follows_its_pod() {
    let fixture = naming().await;
    fixture
        .during(async || {
            until("an agent leads", || fixture.is_led_by("node-2")).await;
            sleep(SECOND * 5).await;
            pod(&fixture, false);
            service(&fixture, &json!({}));
            let took = until("it is named", || slice(&fixture).is_some()).await;
            assert!(took <= SECOND * 2, "{took:?}");
            assert!(!is_ready(&fixture));
            pod(&fixture, true);
            let took = until("it is ready", || is_ready(&fixture)).await;
            assert!(took <= SECOND * 2, "{took:?}");
            until("that is reported", || condition(&fixture)["status"] == "True").await;
        })
        .await;
    let slice = slice(&fixture).unwrap();
    let owner = &slice["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["name"]), (&json!("Service"), &json!("redis-static")));
    assert_eq!(slice["metadata"]["labels"]["service.kubernetes.io/headless"], "");
    let endpoint = &slice["endpoints"][0];
    assert_eq!(endpoint["addresses"], json!(["10.1.0.20"]));
    assert_eq!(endpoint["hostname"], "redis-0");
    assert_eq!(slice["ports"], json!([{ "name": "redis", "port": 6379, "protocol": "TCP" }]));
    assert_eq!(records(&fixture), None, "without a zone");
}

#[tokio::test(start_paused = true)]
async fn a_service_with_a_zone_gets_records_for_external_dns() {
    let fixture = naming().await;
    fixture
        .during(async || {
            service(&fixture, &json!({ "firecamp.io/dns-zone": "default" }));
            until("it has records", || records(&fixture).is_some()).await;
        })
        .await;
    let expected = json!([{
        "dnsName": "redis-0.prod-firecamp.com",
        "recordType": "A",
        "recordTTL": 5,
        "targets": ["10.1.0.20"],
    }]);
    assert_eq!(records(&fixture).unwrap()["spec"]["endpoints"], expected);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_keeps_no_names_does_not_read_services() {
    let fixture = ClusterFixture::new().await;
    service(&fixture, &json!({}));
    fixture.during(async || sleep(SECOND * 120).await).await;
    let asked = fixture.server.requests();
    let named = ["services", "endpointslices", "dnsendpoints"];
    assert!(!asked.iter().any(|it| named.iter().any(|kind| it.contains(kind))), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_without_an_answer_is_made_again_and_only_once() {
    for fault in [Fault::LostRequest, Fault::LostAnswer, Fault::Code(403, "Forbidden")] {
        let fixture = naming().await;
        fixture.server.fail_next("POST", "endpointslices", fault);
        fixture
            .during(async || {
                service(&fixture, &json!({}));
                until("it is named", || slice(&fixture).is_some()).await;
                sleep(SECOND * 120).await;
            })
            .await;
        assert_eq!(fixture.server.unmet_faults(), 0);
        assert_eq!(slice(&fixture).unwrap()["metadata"]["generation"], 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_leader_finds_the_names_and_changes_nothing() {
    let fixture = naming().await;
    fixture
        .during(async || {
            service(&fixture, &json!({ "firecamp.io/dns-zone": "default" }));
            until("it has records", || records(&fixture).is_some()).await;
            until("that is reported", || condition(&fixture)["status"] == "True").await;
        })
        .await;
    let before = (slice(&fixture), records(&fixture), condition(&fixture));
    fixture.during(async || sleep(SECOND * 150).await).await;
    assert_eq!((slice(&fixture), records(&fixture), condition(&fixture)), before);
}

#[tokio::test(start_paused = true)]
async fn f009_a_record_that_was_removed_or_changed_is_written_again_within_one_resync() {
    let fixture = naming().await;
    fixture
        .during(async || {
            service(&fixture, &json!({ "firecamp.io/dns-zone": "default" }));
            until("it has records", || records(&fixture).is_some()).await;
            let targets = |fixture: &ClusterFixture| {
                records(fixture).map(|it| it["spec"]["endpoints"][0]["targets"][0].clone())
            };
            // No watch reports either change.
            fixture.server.lose_events(1);
            fixture.server.change("dnsendpoints", Some("prod"), "redis-static", |records| {
                records["spec"]["endpoints"][0]["targets"] = json!(["10.9.9.9"]);
            });
            let took =
                until("a list shows it", || targets(&fixture) == Some(json!("10.1.0.20"))).await;
            assert!(took <= SECOND * 900, "{took:?}");
            assert!(fixture.server.remove("dnsendpoints", Some("prod"), "redis-static"));
            let took = until("it is written again", || records(&fixture).is_some()).await;
            assert!(took <= SECOND * 2, "{took:?}");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn f008_no_address_waits_for_a_name() {
    let fixture = naming().await;
    // No name can be written, and DNS knows none.
    for _ in 0..200 {
        for verb in ["POST", "PATCH"] {
            fixture.server.fail_next(verb, "dnsendpoints", Fault::Code(403, "Forbidden"));
            fixture.server.fail_next(verb, "endpointslices", Fault::Code(403, "Forbidden"));
        }
    }
    fixture
        .during(async || {
            service(&fixture, &json!({ "firecamp.io/dns-zone": "default" }));
            until("its owner is on record", || fixture.owner().is_some()).await;
            fixture.terminate_instance();
            fixture.node("node-1", "False");
            fixture.no_pod();
            let took = until("the address is parked or released", || {
                fixture.state().is_some_and(|state| state != "Attached")
            })
            .await;
            assert!(took <= SECOND * 300, "{took:?}");
        })
        .await;
    assert_eq!((slice(&fixture), records(&fixture)), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_record_goes_with_its_address_though_the_leader_dies() {
    // At any moment after the address is gone: before the removal, during it, and after it.
    for seconds in [0, 20, 29, 30, 31, 60] {
        let fixture = naming().await;
        fixture
            .during(async || {
                service(&fixture, &json!({ "firecamp.io/dns-zone": "default" }));
                until("it has records", || records(&fixture).is_some()).await;
                fixture.set("set-1", 0);
                assert!(fixture.server.remove("staticipclaims", Some("prod"), "redis-0"));
                assert!(fixture.server.remove("staticips", None, "10.1.0.20"));
                sleep(SECOND * seconds).await;
            })
            .await;
        fixture.during(async || sleep(SECOND * 240).await).await;
        let left = records(&fixture).unwrap();
        assert_eq!(left["spec"]["endpoints"], json!([]), "{seconds}");
        assert_eq!(slice(&fixture), None, "{seconds}");
    }
}
