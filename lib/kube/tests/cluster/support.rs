//! A server with one pool, and a registry on it.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_apiserver::ApiServer;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::Member;
use firecamp_core::ports::Registry;
use firecamp_core::record::{Claim, Pool, StaticIp, Stored, Write};
use firecamp_kube::{KubeRegistry, Timeouts};
use firecamp_registry::conformance::{claim, member, pool, static_ip};

pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 20);
pub(crate) const IPS: &str = "staticips";
pub(crate) const CLAIMS: &str = "staticipclaims";
pub(crate) const POOLS: &str = "staticippools";

pub(crate) const QUICK: Timeouts =
    Timeouts { call: Duration::from_secs(1), list: Duration::from_secs(3) };

/// A cluster with one pool, a bound claim of one member, and its address.
pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    pub(crate) registry: KubeRegistry,
    pub(crate) pool: Pool,
    pub(crate) member: Member,
    pub(crate) claim: Stored<Claim>,
    pub(crate) ip: Stored<StaticIp>,
}

impl Cluster {
    pub(crate) async fn new() -> Self {
        let server = ApiServer::default();
        let pool = pool("a", &[1]).unwrap();
        server.create_pool(&pool);
        let registry = KubeRegistry::new(server.client(), QUICK);
        let member = member(0).unwrap();
        let object = Claim { address: Some(ADDRESS), ..claim(&member, &pool) };
        let version = registry.write(&Write::CreateClaim(object.clone())).await.unwrap();
        let claim = Stored { version, object };
        let object = static_ip(ADDRESS, &member, &pool).unwrap();
        let version = registry.write(&Write::CreateStaticIp(object.clone())).await.unwrap();
        let ip = Stored { version, object };
        Self { server, registry, pool, member, claim, ip }
    }

    /// The write that attaches the address, at the version that was read.
    pub(crate) fn attach(&self) -> Write {
        let object = firecamp_registry::conformance::attached(&self.ip.object, 1).unwrap();
        Write::UpdateStaticIp(Stored { version: self.ip.version.clone(), object })
    }

    /// The stored StaticIP.
    pub(crate) fn stored(&self) -> serde_json::Value {
        self.server.object(IPS, None, "10.1.0.20").unwrap()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.stored()["spec"]["epoch"].as_u64().unwrap()
    }
}

/// The kind, effect and text of a failure.
pub(crate) fn failed<T: std::fmt::Debug>(
    result: Result<T, RegistryFailure>,
) -> (RegistryKind, Effect, String) {
    let failure = result.unwrap_err();
    (failure.kind, failure.effect, failure.detail)
}
