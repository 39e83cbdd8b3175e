//! The stored objects as core records.

use std::net::Ipv4Addr;

use firecamp_core::ids::{Member, Version};
use firecamp_core::record::{Claim, StaticIp, Stored};
use firecamp_registry::api::{InvalidObject, Kind, Object, StaticIPClaimSpec, StaticIPSpec};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::About;
use crate::objects::Key;
use crate::{ApiServer, validate};

impl ApiServer {
    /// A static IP and its version.
    pub fn static_ip(&self, address: Ipv4Addr) -> Option<Stored<StaticIp>> {
        let key = Key::cluster(StaticIPSpec::PLURAL, &address.to_string());
        self.record(&key, |object: &Object<StaticIPSpec>| object.try_into())
    }

    /// A member's claim and its version.
    pub fn claim(&self, member: &Member) -> Option<Stored<Claim>> {
        let key = Key {
            plural: StaticIPClaimSpec::PLURAL,
            namespace: Some(member.namespace().to_owned()),
            name: member.name().to_owned(),
        };
        self.record(&key, |object: &Object<StaticIPClaimSpec>| object.try_into())
    }

    /// Only valid records are stored, so an object that cannot be converted does not exist.
    fn record<S, T>(
        &self,
        key: &Key,
        convert: impl FnOnce(&Object<S>) -> Result<T, InvalidObject>,
    ) -> Option<Stored<T>>
    where
        S: Kind + DeserializeOwned,
    {
        let value = self.state().get(key).cloned()?;
        let about = About { plural: key.plural, name: &key.name };
        let object = convert(&validate::object::<S>(about, &value).ok()?).ok()?;
        let version = value.pointer("/metadata/resourceVersion").and_then(Value::as_str)?;
        Some(Stored { version: Version::new(version).ok()?, object })
    }
}
