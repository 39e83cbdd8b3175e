//! The conformance suite of all registries.

use std::sync::Arc;

use firecamp_apiserver::ApiServer;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::{MemberRecords, Pool, StaticIp, Stored, Write};
use firecamp_kube::{KubeRegistry, Timeouts};
use firecamp_registry::conformance::Fixture;

/// A registry and its own server.
struct OnServer {
    server: ApiServer,
    registry: KubeRegistry,
}

impl Registry for OnServer {
    async fn member(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        self.registry.member(member, pool).await
    }

    async fn static_ip(
        &self,
        address: std::net::Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        self.registry.static_ip(address).await
    }

    async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        self.registry.pod(member).await
    }

    async fn allocated(
        &self,
        pool: &PoolName,
    ) -> Result<std::collections::BTreeSet<std::net::Ipv4Addr>, RegistryFailure> {
        self.registry.allocated(pool).await
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        self.registry.write(write).await
    }
}

struct Simulated;

impl Fixture for Simulated {
    type Registry = OnServer;

    async fn with(&self, pools: &[Pool]) -> Arc<OnServer> {
        let server = ApiServer::default();
        for pool in pools {
            server.create_pool(pool);
        }
        let registry = KubeRegistry::new(server.client(), Timeouts::default());
        Arc::new(OnServer { server, registry })
    }

    async fn remove_pool(&self, registry: &OnServer, pool: &Pool) {
        assert!(registry.server.delete_pool(pool), "the pool exists");
    }
}

macro_rules! for_the_simulated_server {
    ($($check:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let outcome = firecamp_registry::conformance::$check(&Simulated).await;
                assert_eq!(outcome, Ok(()));
            }
        )*
    };
}

firecamp_registry::for_each_check!(for_the_simulated_server);
