//! The objects of names: what the leader reads, and what it writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use firecamp_core::ids::Uid;
use firecamp_registry::api::Condition;

use crate::leader::view::Identity;

/// Namespace and name of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NamespacedName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl NamespacedName {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ServicePort {
    /// Its name; none for an only port.
    pub name: Option<String>,
    /// Its number.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Its application protocol.
    pub app_protocol: Option<String>,
}

/// A Service that a user has labelled with the name of a StatefulSet: it names the set's members.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NamedService {
    /// Which object.
    pub id: Identity,
    /// The StatefulSet, in the same namespace.
    pub set: String,
    /// It is headless and has no selector, so that nothing else writes its endpoints.
    pub is_suitable: bool,
    /// Its `publishNotReadyAddresses`.
    pub publishes_unready: bool,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// The DNS zone that a user wants the members' names in, or `default`.
    pub zone: Option<String>,
    /// Its conditions.
    pub conditions: Vec<Condition>,
}

/// A member in an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Endpoint {
    /// The member, which is the name of its pod.
    pub member: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether DNS may answer with it.
    pub ready: bool,
    /// Whether its pod passes its probes.
    pub serving: bool,
    /// Whether its pod terminates.
    pub terminating: bool,
}

/// An EndpointSlice of a headless Service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ObservedSlice {
    /// Which object.
    pub id: Identity,
    /// Its Service.
    pub service: String,
    /// Whether FireCamp made it, and not the control plane.
    pub is_ours: bool,
    /// The UID of the Service that owns it.
    pub owner: Option<Uid>,
    /// Whether it has something that FireCamp never writes.
    pub is_altered: bool,
    /// Its endpoints that are pods with an IPv4 address.
    pub endpoints: Vec<Endpoint>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// A DNSEndpoint that FireCamp made for a Service, and that has the Service's name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ObservedRecords {
    /// Which object.
    pub id: Identity,
    /// Its generation.
    pub generation: u64,
    /// The generation that ExternalDNS has read.
    pub processed: u64,
    /// The UID of the Service that owns it.
    pub owner: Option<Uid>,
    /// Whether it has something that FireCamp never writes.
    pub is_altered: bool,
    /// The address of each name.
    pub records: BTreeMap<String, Ipv4Addr>,
}

/// The Service that owns an object, so that both are deleted together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OwningService {
    /// Its name, in the namespace of the object.
    pub name: String,
    /// Its UID.
    pub uid: Uid,
}

/// The content of an object that names members.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum NamesObject {
    /// An EndpointSlice of this Service.
    Slice(OwningService, Vec<Endpoint>, Vec<ServicePort>),
    /// No EndpointSlice.
    NoSlice,
    /// A DNSEndpoint of this Service: the address of each name.
    Records(OwningService, BTreeMap<String, Ipv4Addr>),
    /// No DNSEndpoint.
    NoRecords,
    /// All conditions of a Service; a missing time is set when they are written.
    Conditions(Vec<Condition>),
}

/// A change of an object that names members.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NamesChange {
    /// The object.
    pub name: NamespacedName,
    /// As it was read; none if it is to be created.
    pub id: Option<Identity>,
    /// What it becomes.
    pub object: NamesObject,
}

impl fmt::Display for NamesChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.id.is_some() { "update" } else { "create" };
        match &self.object {
            NamesObject::Slice(..) => write!(f, "{verb} EndpointSlice {}", self.name),
            NamesObject::NoSlice => write!(f, "delete EndpointSlice {}", self.name),
            NamesObject::Records(..) => write!(f, "{verb} DNSEndpoint {}", self.name),
            NamesObject::NoRecords => write!(f, "delete DNSEndpoint {}", self.name),
            NamesObject::Conditions(_) => write!(f, "write the status of Service {}", self.name),
        }
    }
}

/// What DNS answered to a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupAnswer {
    /// These IPv4 addresses, at least one.
    Addresses(BTreeSet<Ipv4Addr>),
    /// The name does not exist, or has no IPv4 address.
    NotFound,
    /// No answer, and why.
    Failed(String),
}

impl fmt::Display for LookupAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses(all) => {
                let all: Vec<String> = all.iter().map(Ipv4Addr::to_string).collect();
                write!(f, "has {}", all.join(", "))
            }
            Self::NotFound => write!(f, "does not exist"),
            Self::Failed(why) => write!(f, "could not be looked up: {why}"),
        }
    }
}
