//! Lists are read in pages and are complete or an error.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_core::failure::{Effect, RegistryKind};
use firecamp_core::ports::Registry;
use firecamp_core::record::{StaticIp, Write};
use firecamp_kube::KubeRegistry;
use firecamp_registry::conformance::{member, pool, static_ip};

use super::support::{Cluster, IPS, POOLS, QUICK, failed};

/// Adds addresses outside the pool's ranges; .20 of the same subnet already exists.
async fn filled(count: u16) -> Cluster {
    let cluster = Cluster::new().await;
    for index in 0..count {
        let [high, low] = index.to_be_bytes();
        let address = Ipv4Addr::new(10, 9, 16 + high, low);
        let ip = static_ip(address, &member(u32::from(index)).unwrap(), &cluster.pool).unwrap();
        let ip = StaticIp { cidr: "10.9.0.0/16".parse().unwrap(), ..ip };
        cluster.registry.write(&Write::CreateStaticIp(ip)).await.unwrap();
    }
    cluster
}

fn lists(cluster: &Cluster) -> usize {
    cluster.server.requests().iter().filter(|request| *request == "GET staticips/*").count()
}

#[tokio::test]
async fn all_pages_of_a_long_list_are_read() {
    let cluster = filled(1200).await;
    let allocated = cluster.registry.allocated(&cluster.pool.name).await.unwrap();
    assert_eq!(allocated.into_iter().collect::<Vec<_>>(), [Ipv4Addr::new(10, 1, 0, 20)]);
    assert_eq!(lists(&cluster), 3);
}

/// A partial list would allocate addresses that are in use.
#[tokio::test]
async fn a_list_with_an_expired_snapshot_is_an_error() {
    let cluster = filled(600).await;
    cluster.server.keep_no_snapshots();
    let (kind, effect, text) = failed(cluster.registry.allocated(&cluster.pool.name).await);
    assert_eq!((kind, effect), (RegistryKind::Unavailable, Effect::None), "{text}");
    assert!(text.contains("410 Expired"), "{text}");
    assert_eq!(lists(&cluster), 2);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_list_is_an_error() {
    let faults =
        [Fault::Cut, Fault::Flood, Fault::Silence, Fault::Proxy(200), Fault::Code(500, "")];
    for fault in faults {
        let cluster = Cluster::new().await;
        cluster.server.fail_next("GET", IPS, fault);
        let (_, effect, text) = failed(cluster.registry.allocated(&cluster.pool.name).await);
        assert_eq!(effect, Effect::None, "{fault:?}: {text}");
        assert!(text.contains("list the objects of kind StaticIP"), "{text}");
        assert_eq!(cluster.server.unmet_faults(), 0);
    }
}

#[tokio::test]
async fn a_new_member_finds_the_only_pool_by_listing_names() {
    let cluster = Cluster::new().await;
    let read = cluster.registry.member(&member(5).unwrap(), None).await.unwrap();
    assert_eq!(read.pool, Some(cluster.pool.clone()));
    cluster.server.fail_next("GET", POOLS, Fault::Code(403, "Forbidden"));
    let (kind, _, text) = failed(cluster.registry.member(&member(5).unwrap(), None).await);
    assert_eq!(kind, RegistryKind::Refused, "{text}");
}

#[tokio::test]
async fn a_list_without_an_item_is_empty() {
    let pool = pool("b", &[2]).unwrap();
    let server = ApiServer::default();
    server.create_pool(&pool);
    let registry = KubeRegistry::new(server.client(), QUICK);
    assert_eq!(registry.allocated(&pool.name).await, Ok(BTreeSet::new()));
}
