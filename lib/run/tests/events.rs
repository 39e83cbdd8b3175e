//! The Event that a container writes when it ends: its contents, and that failures have no effect.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_core::contract::api;
use firecamp_core::contract::event::Notice;
use firecamp_core::ids::{Member, NodeName, PodUid};
use firecamp_kube::{KubeRegistry, Timeouts};
use firecamp_registry::RegistryUrl;
use firecamp_run::connect::{AnyRegistry, Reporter};
use firecamp_run::container_events;
use serde_json::Value;
use tokio::time::Instant;

fn registry(server: &ApiServer) -> AnyRegistry {
    AnyRegistry::from(KubeRegistry::new(server.client(), Timeouts::default()))
}

async fn report(registry: &AnyRegistry, notice: Notice, text: &str) {
    let member = Member::new("prod", "redis-0").unwrap();
    let (pod, node) = (PodUid::new("uid-1").unwrap(), NodeName::new("node-a").unwrap());
    let reporter = Reporter {
        program: api::INIT,
        member: &member,
        pod: &pod,
        node: &node,
        within: container_events::WITHIN,
    };
    let address = Some("10.0.0.9".parse().unwrap());
    registry.report(reporter, notice, address, text.to_owned()).await;
}

fn text<'a>(event: &'a Value, path: &str) -> &'a str {
    event.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[tokio::test]
async fn every_notice_is_an_event_on_the_pod_with_the_static_ip() {
    for notice in Notice::ALL {
        let server = ApiServer::default();
        report(&registry(&server), notice, "note").await;
        assert_eq!(server.requests(), ["POST events/*"]);
        let events = server.all("events");
        let [event] = events.as_slice() else { panic!("{events:#?}") };
        let expected = [
            ("/apiVersion", "events.k8s.io/v1"),
            ("/metadata/namespace", "prod"),
            ("/reason", notice.reason()),
            ("/action", notice.action()),
            ("/type", if notice.warns() { "Warning" } else { "Normal" }),
            ("/note", "note"),
            ("/regarding/kind", "Pod"),
            ("/regarding/name", "redis-0"),
            ("/regarding/uid", "uid-1"),
            ("/related/kind", "StaticIP"),
            ("/related/name", "10.0.0.9"),
            ("/reportingController", api::INIT),
            ("/reportingInstance", "node-a"),
        ];
        for (path, wanted) in expected {
            assert_eq!(text(event, path), wanted, "{path} of {event:#}");
        }
        // The API requires six decimal places.
        let (_, fraction) = text(event, "/eventTime").rsplit_once('.').unwrap();
        assert_eq!(fraction.len(), "000000Z".len(), "{event:#}");
    }
}

#[tokio::test]
async fn a_second_run_is_another_event() {
    let server = ApiServer::default();
    for _run in 0..2 {
        report(&registry(&server), Notice::AddressAttachFailed, "note").await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(server.all("events").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_event_is_ignored_without_delay() {
    let faults = [
        Fault::Code(403, "Forbidden"),
        Fault::Code(429, "TooManyRequests"),
        Fault::Proxy(503),
        Fault::LostRequest,
        Fault::LostAnswer,
        Fault::Silence,
    ];
    for fault in faults {
        let server = ApiServer::default();
        server.fail_next("POST", "events", fault);
        let start = Instant::now();
        report(&registry(&server), Notice::AddressAttached, "note").await;
        assert!(start.elapsed() <= Duration::from_millis(301), "{fault:?}: {:?}", start.elapsed());
        assert_eq!((server.unmet_faults(), server.requests().len()), (0, 1), "{fault:?}");
    }
}

#[tokio::test]
async fn with_a_file_registry_there_is_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let url = RegistryUrl::File(dir.path().to_owned());
    let registry = firecamp_run::connect::open(&url).await.unwrap();
    report(&registry, Notice::AddressAttached, "note").await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
