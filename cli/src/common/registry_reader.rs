//! Reads the objects of a registry of either kind.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::Member;
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::{Claim, StaticIp};
use firecamp_kube::{Choice, Inventory, KubeRegistry, ObservedNode};
use firecamp_registry::api::{Condition, Kind, NodeAttachments, NodeAttachmentsSpec, Object};
use firecamp_registry::{FileRegistry, Timeouts};
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::command_result::UnreadableObject;
use super::progress;
use super::select_registry::Target;
use crate::failure::Failure;

/// An object; unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Found<S> {
    /// Name and timestamps.
    pub metadata: ObjectMetadata,
    /// The spec.
    pub spec: S,
    /// The status.
    pub status: Option<Reported>,
}

/// The part of the status that all kinds have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(default)]
pub struct Reported {
    /// The conditions.
    pub conditions: Vec<Condition>,
}

/// Name and timestamps of an object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMetadata {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// When it was created.
    pub creation_timestamp: Option<String>,
    /// When its deletion was requested.
    pub deletion_timestamp: Option<String>,
}

/// The objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The objects that could be read.
    pub found: Vec<T>,
    /// The objects that exist but could not be read.
    pub unread: Vec<UnreadableObject>,
}

/// Read access to a registry.
#[derive(Debug, Clone)]
pub enum RegistryReader {
    /// A file registry.
    File(FileRegistry),
    /// A cluster.
    Cluster(Box<Cluster>),
}

/// Read access to a cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Complete objects.
    pub inventory: Inventory,
    /// Records and pods.
    pub registry: KubeRegistry,
    /// The namespace of the context.
    pub namespace: String,
    /// The URL of its API server.
    pub server: String,
}

impl RegistryReader {
    /// Opens the registry. Sends no request to a cluster yet.
    pub async fn open(target: &Target) -> Result<Self, Failure> {
        match target {
            Target::File(directory) => {
                Ok(Self::File(FileRegistry::open(directory, Timeouts::default())?))
            }
            Target::Cluster(choice) => Self::cluster(choice).await,
        }
    }

    async fn cluster(choice: &Choice) -> Result<Self, Failure> {
        let timeouts = firecamp_kube::Timeouts::default();
        let chosen = choice.connect(timeouts).await?;
        Ok(Self::of_client(chosen.client, timeouts, chosen.namespace, chosen.server))
    }

    /// The cluster of a client, which must not retry requests itself.
    pub fn of_client(
        client: Client,
        timeouts: firecamp_kube::Timeouts,
        namespace: String,
        server: String,
    ) -> Self {
        let inventory = Inventory::new(client.clone(), timeouts);
        let registry = KubeRegistry::new(client, timeouts);
        Self::Cluster(Box::new(Cluster { inventory, registry, namespace, server }))
    }

    /// The default namespace, if the registry has one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::File(_) => None,
            Self::Cluster(cluster) => Some(&cluster.namespace),
        }
    }

    /// The name of the registry for messages.
    pub fn label(&self) -> String {
        match self {
            Self::File(files) => format!("file://{}", files.dir().display()),
            Self::Cluster(cluster) => format!("kubernetes: {}", cluster.server),
        }
    }

    /// Lists all objects of a kind. After a failure, no object is known to be absent.
    pub async fn all<S>(&self) -> Result<Listing<Found<S>>, RegistryFailure>
    where
        S: Kind + DeserializeOwned + Send + 'static,
    {
        let what = format!("list the objects of kind {} in {}", S::KIND, self.label());
        progress::during(&what, async {
            match self {
                Self::File(files) => Ok(of_files(files.objects::<S>().await?)),
                Self::Cluster(cluster) => {
                    let objects = cluster.inventory.ours::<S>().await?;
                    Ok(read_all(objects, S::KIND))
                }
            }
        })
        .await
    }

    /// The NodeAttachments that the agents have published; `None` in a file registry.
    pub async fn reports(&self) -> Result<Option<Listing<NodeAttachments>>, RegistryFailure> {
        let Self::Cluster(cluster) = self else { return Ok(None) };
        let listed = cluster.inventory.ours::<NodeAttachmentsSpec>();
        let objects = progress::during("list the objects of kind NodeAttachments", listed).await?;
        Ok(Some(read_all(objects, NodeAttachmentsSpec::KIND)))
    }

    /// The nodes of the cluster; `None` in a file registry.
    pub async fn nodes(&self) -> Result<Option<BTreeMap<String, ObservedNode>>, RegistryFailure> {
        let Self::Cluster(cluster) = self else { return Ok(None) };
        progress::during("list the nodes", cluster.inventory.nodes()).await.map(Some)
    }

    /// Reads a member's claim.
    pub async fn claim(&self, member: &Member) -> Result<Option<Claim>, RegistryFailure> {
        let what = format!("read StaticIPClaim {member}");
        let read = progress::during(&what, async {
            match self {
                Self::File(files) => files.claim(member).await,
                Self::Cluster(cluster) => cluster.registry.claim(member).await,
            }
        });
        Ok(read.await?.map(|stored| stored.object))
    }

    /// The conditions of a member's claim; empty in a file registry.
    pub async fn claim_conditions(
        &self,
        member: &Member,
    ) -> Result<Vec<Condition>, RegistryFailure> {
        let Self::Cluster(cluster) = self else { return Ok(Vec::new()) };
        let what = format!("read the status of StaticIPClaim {member}");
        let read = progress::during(&what, cluster.inventory.claim(member)).await?;
        let status = read.and_then(|mut object| Some(object.get_mut("status")?.take()));
        let Some(status) = status else { return Ok(Vec::new()) };
        let reported: Result<Reported, _> = serde_json::from_value(status);
        reported.map(|reported| reported.conditions).map_err(|why| RegistryFailure {
            kind: RegistryKind::Invalid,
            effect: Effect::None,
            detail: format!("{what}: {why}"),
        })
    }

    /// Reads a StaticIP.
    pub async fn address(&self, address: Ipv4Addr) -> Result<Option<StaticIp>, RegistryFailure> {
        let what = format!("read StaticIP {address}");
        let read = progress::during(&what, async {
            match self {
                Self::File(files) => files.static_ip(address).await,
                Self::Cluster(cluster) => cluster.registry.static_ip(address).await,
            }
        });
        Ok(read.await?.map(|stored| stored.object))
    }

    /// The NodeAttachments of a node; `None` in a file registry.
    pub async fn report(&self, node: &str) -> Result<Option<NodeAttachments>, RegistryFailure> {
        let Self::Cluster(cluster) = self else { return Ok(None) };
        let what = format!("read {} {node}", NodeAttachmentsSpec::KIND);
        let read = cluster.inventory.one::<NodeAttachmentsSpec>(node);
        let Some(object) = progress::during(&what, read).await? else { return Ok(None) };
        serde_json::from_value(object).map(Some).map_err(|why| RegistryFailure {
            kind: RegistryKind::Invalid,
            effect: Effect::None,
            detail: format!("{what}: {why}"),
        })
    }

    /// Reads a member's pod.
    pub async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        let what = format!("read pod {member}");
        progress::during(&what, async {
            match self {
                Self::File(files) => files.pod(member).await,
                Self::Cluster(cluster) => cluster.registry.pod(member).await,
            }
        })
        .await
    }
}

fn of_files<S>(objects: Vec<Result<Object<S>, RegistryFailure>>) -> Listing<Found<S>> {
    let mut listing = Listing { found: Vec::new(), unread: Vec::new() };
    for object in objects {
        match object {
            Ok(Object { metadata, spec, status, .. }) => {
                let metadata = ObjectMetadata {
                    name: metadata.name,
                    namespace: metadata.namespace,
                    creation_timestamp: metadata.creation_timestamp,
                    deletion_timestamp: None,
                };
                let status = status.map(|status| Reported { conditions: status.conditions });
                listing.found.push(Found { metadata, spec, status });
            }
            Err(why) => listing.unread.push(UnreadableObject::new("a file of the registry", &why)),
        }
    }
    listing
}

/// An unreadable object does not hide the others.
fn read_all<T: DeserializeOwned>(objects: Vec<Value>, kind: &str) -> Listing<T> {
    let mut listing = Listing { found: Vec::new(), unread: Vec::new() };
    for object in objects {
        let text = |path| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let label = if namespace.is_empty() {
            format!("{kind} {name}")
        } else {
            format!("{kind} {namespace}/{name}")
        };
        match serde_json::from_value(object) {
            Ok(read) => listing.found.push(read),
            Err(why) => listing.unread.push(UnreadableObject::new(label, &why)),
        }
    }
    listing
}
