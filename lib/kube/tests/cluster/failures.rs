//! The classification of failures, and whether a write may have taken effect.

use firecamp_apiserver::Fault;
use firecamp_core::failure::{Effect, RegistryKind};
use firecamp_core::ports::Registry;
use firecamp_core::record::Write;
use firecamp_kube::KubeRegistry;
use firecamp_registry::conformance::{claim, member};

use super::support::{ADDRESS, CLAIMS, Cluster, IPS, POOLS, QUICK, failed};

/// Every way to lose a request or its response, and whether the request takes effect.
const LOST: [(Fault, bool); 10] = [
    (Fault::LostRequest, false),
    (Fault::LostAnswer, true),
    (Fault::Silence, false),
    (Fault::SilenceAfter, true),
    (Fault::Cut, true),
    (Fault::Flood, true),
    (Fault::Code(500, "InternalError"), false),
    (Fault::Code(503, "ServiceUnavailable"), false),
    (Fault::Code(504, "Timeout"), false),
    (Fault::Proxy(502), false),
];

#[tokio::test(start_paused = true)]
async fn f052_a_write_whose_response_is_lost_may_have_taken_effect() {
    for (fault, took_effect) in LOST {
        let cluster = Cluster::new().await;
        cluster.server.fail_next("PATCH", IPS, fault);
        let (kind, effect, text) = failed(cluster.registry.write(&cluster.attach()).await);
        assert_eq!((kind, effect), (RegistryKind::Unavailable, Effect::Unknown), "{text}");
        assert!(text.contains("update StaticIP 10.1.0.20"), "{fault:?}: {text}");
        assert_eq!(cluster.epoch(), u64::from(took_effect), "{fault:?}");
        assert_eq!(cluster.server.unmet_faults(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn f052_a_create_whose_response_is_lost_may_have_taken_effect() {
    for (fault, took_effect) in LOST {
        let cluster = Cluster::new().await;
        let other = claim(&member(7).unwrap(), &cluster.pool);
        cluster.server.fail_next("POST", CLAIMS, fault);
        let answer = cluster.registry.write(&Write::CreateClaim(other)).await;
        let (kind, effect, text) = failed(answer);
        assert_eq!((kind, effect), (RegistryKind::Unavailable, Effect::Unknown), "{text}");
        let exists = cluster.server.object(CLAIMS, Some("prod"), "redis-7").is_some();
        assert_eq!(exists, took_effect, "{fault:?}");
    }
}

#[tokio::test]
async fn a_rejected_write_has_no_effect_and_keeps_the_servers_message() {
    let cases = [
        (Fault::Code(400, "BadRequest"), RegistryKind::Refused, "BadRequest"),
        (Fault::Code(401, "Unauthorized"), RegistryKind::Refused, "token"),
        (Fault::Code(403, "Forbidden"), RegistryKind::Refused, "deploy/rbac"),
        (Fault::Code(422, "Invalid"), RegistryKind::Refused, "on purpose"),
        (Fault::Code(409, "Conflict"), RegistryKind::Conflict, "409"),
        (Fault::Code(409, "AlreadyExists"), RegistryKind::AlreadyExists, "409"),
        (Fault::Code(404, "NotFound"), RegistryKind::NotFound, "404"),
        (Fault::Code(429, "TooManyRequests"), RegistryKind::Unavailable, "429"),
    ];
    for (fault, wanted, named) in cases {
        let cluster = Cluster::new().await;
        cluster.server.fail_next("PATCH", IPS, fault);
        let (kind, effect, text) = failed(cluster.registry.write(&cluster.attach()).await);
        assert_eq!((kind, effect), (wanted, Effect::None), "{text}");
        assert!(text.contains(named), "{text}");
        assert_eq!(cluster.epoch(), 0, "{fault:?}");
    }
}

/// A load balancer knows nothing about our objects, whatever code it sends.
#[tokio::test]
async fn a_conflict_code_without_a_status_object_is_not_a_conflict() {
    let cluster = Cluster::new().await;
    cluster.server.fail_next("PATCH", IPS, Fault::Proxy(409));
    let (kind, effect, text) = failed(cluster.registry.write(&cluster.attach()).await);
    assert_eq!((kind, effect), (RegistryKind::Unavailable, Effect::Unknown), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_never_means_absent() {
    let faults = LOST.map(|(fault, _)| fault).into_iter();
    let more = [Fault::Proxy(404), Fault::Proxy(200), Fault::Code(403, "Forbidden")];
    for fault in faults.chain(more) {
        let cluster = Cluster::new().await;
        for plural in [CLAIMS, IPS, POOLS] {
            cluster.server.fail_next("GET", plural, fault);
            let answer = cluster.registry.member(&cluster.member, None).await;
            let (_, effect, text) = failed(answer);
            assert_eq!(effect, Effect::None, "{plural} {fault:?}: {text}");
            assert!(text.contains("read StaticIP"), "{text}");
        }
        cluster.server.fail_next("GET", "pods", fault);
        let (_, effect, text) = failed(cluster.registry.pod(&cluster.member).await);
        assert_eq!(effect, Effect::None, "pod {fault:?}: {text}");
        assert!(text.contains("read pod prod/redis-0"), "{text}");
        assert_eq!(cluster.server.unmet_faults(), 0);
    }
}

#[tokio::test]
async fn without_the_crds_the_error_names_the_manifests_to_apply() {
    let cluster = Cluster::new().await;
    cluster.server.uninstall();
    let read = failed(cluster.registry.static_ip(ADDRESS).await);
    let write = failed(cluster.registry.write(&cluster.attach()).await);
    let list = failed(cluster.registry.member(&member(9).unwrap(), None).await);
    for (kind, effect, text) in [read, write, list] {
        assert_eq!((kind, effect), (RegistryKind::Refused, Effect::None), "{text}");
        assert!(text.contains("apply deploy/crds"), "{text}");
    }
}

#[tokio::test]
async fn a_claim_in_a_missing_namespace_is_rejected_by_name() {
    let cluster = Cluster::new().await;
    cluster.server.without_namespace("prod");
    let write = Write::CreateClaim(claim(&member(7).unwrap(), &cluster.pool));
    let (kind, effect, text) = failed(cluster.registry.write(&write).await);
    assert_eq!((kind, effect), (RegistryKind::Refused, Effect::None), "{text}");
    assert!(text.contains("namespaces \"prod\" not found"), "{text}");
}

/// The port has no listener, so nothing can have been sent.
#[tokio::test]
async fn a_refused_connection_has_no_effect() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let cluster = Cluster::new().await;
    let mut config = kube::Config::new(format!("http://{address}").parse().unwrap());
    config.default_retry = false;
    let registry = KubeRegistry::new(kube::Client::try_from(config).unwrap(), QUICK);
    let (kind, effect, text) = failed(registry.write(&cluster.attach()).await);
    assert_eq!((kind, effect), (RegistryKind::Unavailable, Effect::None), "{text}");
    assert!(text.contains("refused"), "{text}");
}

/// The listener closes the connection as soon as the request arrives: it may have been read.
#[tokio::test]
async fn f052_a_connection_that_breaks_after_the_request_leaves_the_effect_unknown() {
    use tokio::io::AsyncReadExt;
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let hang_up = tokio::spawn(async move {
        let (mut connection, _) = socket.accept().await.unwrap();
        let mut request = [0; 64];
        connection.read_exact(&mut request).await.unwrap();
        socket
    });
    let cluster = Cluster::new().await;
    let mut config = kube::Config::new(format!("http://{address}").parse().unwrap());
    config.default_retry = false;
    let registry = KubeRegistry::new(kube::Client::try_from(config).unwrap(), QUICK);
    let (kind, effect, text) = failed(registry.write(&cluster.attach()).await);
    assert_eq!((kind, effect), (RegistryKind::Unavailable, Effect::Unknown), "{text}");
    let socket = hang_up.await.unwrap();
    let again = tokio::time::timeout(std::time::Duration::from_millis(200), socket.accept()).await;
    assert!(again.is_err(), "the request was sent a second time");
}
