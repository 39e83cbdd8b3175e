//! [`Registry`] for the Kubernetes API.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, NodeName, PoolName, Version};
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::{Claim, MemberRecords, Pool, StaticIp, Stored, Write};
use firecamp_registry::api::{
    InvalidObject, Kind, Object, StaticIP, StaticIPClaim, StaticIPClaimSpec, StaticIPPool,
    StaticIPPoolSpec, StaticIPSpec,
};
use firecamp_registry::choose_pool;
use firecamp_registry::rules;
use http::StatusCode;
use kube::Client;
use serde::de::DeserializeOwned;

use crate::http_request::{self, Answer, Call, Timeouts};
use crate::object_paths::{self, Place};
use crate::pod::{self, NodePod};
use crate::status_writer::KubeStatusWriter;
use crate::volumes::VolumeReader;
use crate::{classify, list, write};

/// The registry of a Kubernetes cluster.
#[derive(Clone)]
pub struct KubeRegistry {
    client: Client,
    timeouts: Timeouts,
}

impl std::fmt::Debug for KubeRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeRegistry").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

impl KubeRegistry {
    /// Uses a client that must not retry requests; [`crate::Source::connect`] creates such a
    /// client.
    pub fn new(client: Client, timeouts: Timeouts) -> Self {
        Self { client, timeouts }
    }

    /// The connection, for lists and watches.
    pub(crate) fn connection(&self) -> (Client, Timeouts) {
        (self.client.clone(), self.timeouts)
    }

    /// A status writer with the same connection, for this node.
    pub fn status_writer(&self, node: NodeName, timeouts: Timeouts) -> KubeStatusWriter {
        KubeStatusWriter::new(self.client.clone(), timeouts, node)
    }

    /// A reader of this node's volumes with the same connection.
    pub fn volume_reader(&self, node: NodeName) -> VolumeReader {
        VolumeReader::new(self.client.clone(), self.timeouts, node)
    }

    pub(crate) async fn get(&self, place: &Place) -> Result<(Call, Answer), RegistryFailure> {
        let call = Call::get(format!("read {}", place.label), place.path());
        let answer = http_request::send(&self.client, &call, self.timeouts.call).await?;
        Ok((call, answer))
    }

    /// One object, or none if the API server reports that it does not exist.
    async fn record<S, T>(
        &self,
        place: &Place,
        convert: impl FnOnce(&Object<S>) -> Result<T, InvalidObject>,
    ) -> Result<Option<Stored<T>>, RegistryFailure>
    where
        S: Kind + DeserializeOwned,
    {
        let (call, answer) = self.get(place).await?;
        if classify::is_absent(&answer, place.plural, &place.name) {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(classify::refused(&call, &answer));
        }
        let (object, version) = object_paths::read::<S>(&call, place, &answer)?;
        let object = convert(&object)
            .map_err(|wrong| call.failed(RegistryKind::Invalid, Effect::None, wrong))?;
        Ok(Some(Stored { version, object }))
    }

    /// The claim of the member. Unlike [`Registry::member`], this needs no pool.
    pub async fn claim(&self, member: &Member) -> Result<Option<Stored<Claim>>, RegistryFailure> {
        self.record(&Place::claim(member), |object: &StaticIPClaim| object.try_into()).await
    }

    async fn pool(&self, name: &PoolName) -> Result<Option<Pool>, RegistryFailure> {
        let place = Place::pool(name);
        let stored = self.record(&place, |object: &StaticIPPool| object.try_into()).await?;
        Ok(stored.map(|stored| stored.object))
    }

    async fn existing_pool(&self, name: &PoolName) -> Result<Pool, RegistryFailure> {
        self.pool(name).await?.ok_or_else(|| choose_pool::no_such_pool(name, "in the cluster"))
    }

    pub(crate) async fn pool_of_new_member(
        &self,
        member: &Member,
        wanted: Option<&PoolName>,
    ) -> Result<Pool, RegistryFailure> {
        if let Some(name) = wanted {
            return self.existing_pool(name).await;
        }
        let parse = |name: &str| PoolName::new(name).ok();
        let names = list::names::<StaticIPPoolSpec, _>(&self.client, self.timeouts, parse).await?;
        self.existing_pool(&choose_pool::only_pool(member, &names)?).await
    }

    /// Reads the address and the pool of a bound claim concurrently.
    async fn bound(
        &self,
        claim: &Claim,
    ) -> Result<(Option<Stored<StaticIp>>, Option<Pool>), RegistryFailure> {
        let static_ip = async {
            match claim.address {
                Some(address) => self.static_ip(address).await,
                None => Ok(None),
            }
        };
        tokio::try_join!(static_ip, self.pool(&claim.pool))
    }

    /// The version that a write created.
    fn written(call: &Call, place: &Place, answer: &Answer) -> Result<Version, RegistryFailure> {
        if !answer.status.is_success() {
            return Err(classify::refused(call, answer));
        }
        let version = if place.plural == StaticIPClaimSpec::PLURAL {
            object_paths::read::<StaticIPClaimSpec>(call, place, answer)?.1
        } else {
            object_paths::read::<StaticIPSpec>(call, place, answer)?.1
        };
        Ok(version)
    }
}

impl KubeRegistry {
    /// The pod of this name, read from the API server; none if there is none. Only lists and
    /// watches count what a pod requests.
    pub async fn node_pod(&self, member: &Member) -> Result<Option<NodePod>, RegistryFailure> {
        let place = Place::pod(member);
        let (call, answer) = self.get(&place).await?;
        if classify::is_absent(&answer, place.plural, &place.name) {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(classify::refused(&call, &answer));
        }
        let names = (member.namespace(), member.name());
        let pod = pod::fresh(&answer.body, names, answer.date.as_deref())
            .map_err(|wrong| call.failed(RegistryKind::Invalid, Effect::None, wrong))?;
        Ok(Some(pod))
    }
}

impl Registry for KubeRegistry {
    async fn member(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        let claim = self.claim(member).await?;
        let (static_ip, pool) = match &claim {
            Some(claim) => self.bound(&claim.object).await?,
            None => (None, Some(self.pool_of_new_member(member, pool).await?)),
        };
        Ok(MemberRecords { claim, static_ip, pool })
    }

    async fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        let place = Place::static_ip(address);
        self.record(&place, |object: &StaticIP| object.try_into()).await
    }

    async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        Ok(self.node_pod(member).await?.map_or(PodView::Absent, |pod| pod.view))
    }

    /// Reads only the names of all StaticIPs: an address with a StaticIP counts as allocated,
    /// whichever pool the object names.
    async fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        let pool = self.existing_pool(pool).await?;
        let parse = |name: &str| name.parse::<Ipv4Addr>().ok();
        let mut taken = list::names::<StaticIPSpec, _>(&self.client, self.timeouts, parse).await?;
        taken.retain(|address| rules::in_ranges(&pool, *address));
        Ok(taken)
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        let (call, place) = write::request(write)?;
        let answer = http_request::send(&self.client, &call, self.timeouts.call).await?;
        Self::written(&call, &place, &answer)
    }
}
