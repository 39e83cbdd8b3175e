//! What an uninstall changes in the registry. The leader does the rest: it unassigns the addresses
//! of deleted StaticIPs, and detaches and deletes the interfaces that are drained.

use std::fmt;
use std::net::Ipv4Addr;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{InterfaceName, Member, PoolName, Version};
use firecamp_registry::api::{
    Kind as _, NodeInterfaceSpec, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec,
};
use http::Method;
use serde_json::{Value, json};

use crate::http_request::Call;
use crate::object_paths::Place;
use crate::registry::KubeRegistry;
use crate::write;

/// The name of an object of FireCamp.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectName {
    /// A StaticIPPool.
    Pool(PoolName),
    /// A StaticIPClaim.
    Claim(Member),
    /// A StaticIP.
    StaticIp(Ipv4Addr),
    /// A NodeInterface.
    Interface(InterfaceName),
}

impl ObjectName {
    /// The kind, as in `kind:`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pool(_) => StaticIPPoolSpec::KIND,
            Self::Claim(_) => StaticIPClaimSpec::KIND,
            Self::StaticIp(_) => StaticIPSpec::KIND,
            Self::Interface(_) => NodeInterfaceSpec::KIND,
        }
    }

    fn place(&self) -> Place {
        match self {
            Self::Pool(pool) => Place::pool(pool),
            Self::Claim(member) => Place::claim(member),
            Self::StaticIp(address) => Place::static_ip(*address),
            Self::Interface(name) => Place::interface(name),
        }
    }
}

/// NAME, or NAMESPACE/NAME.
impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool(pool) => pool.fmt(formatter),
            Self::Claim(member) => member.fmt(formatter),
            Self::StaticIp(address) => address.fmt(formatter),
            Self::Interface(name) => name.fmt(formatter),
        }
    }
}

/// A version of an object that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadObject {
    /// Its name.
    pub name: ObjectName,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion.
    pub version: Version,
}

impl KubeRegistry {
    /// Deletes exactly this version of the object. A StaticIP remains until its address has left
    /// EC2.
    pub async fn delete(&self, object: &ReadObject) -> Result<(), RegistryFailure> {
        let call = write::deleted(&object.name.place(), (object.uid.as_str(), &object.version))?;
        self.sent(&call).await
    }

    /// Agents make no more interfaces for this version of a pool.
    pub async fn stop_interfaces(&self, pool: &ReadObject) -> Result<(), RegistryFailure> {
        self.set("stop the interfaces of", pool, &json!({ "interfaces": null })).await
    }

    /// The leader removes the interface of this version of a NodeInterface.
    pub async fn drain_interface(&self, interface: &ReadObject) -> Result<(), RegistryFailure> {
        self.set("drain", interface, &json!({ "phase": "Draining" })).await
    }

    async fn set(
        &self,
        verb: &str,
        object: &ReadObject,
        spec: &Value,
    ) -> Result<(), RegistryFailure> {
        let place = object.name.place();
        let mut call = Call::write(Method::PATCH, format!("{verb} {}", place.label), place.path());
        let metadata = json!({ "uid": object.uid, "resourceVersion": object.version.as_str() });
        let patch = json!({ "metadata": metadata, "spec": spec });
        call.body = Some(("application/merge-patch+json", write::bytes(&call, &patch)?));
        self.sent(&write::strict(call)).await
    }
}
