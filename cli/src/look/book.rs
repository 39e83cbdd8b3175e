//! The objects of a registry, whichever it is, as far as they can be read.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::Member;
use firecamp_core::outside::{PodView, Registry};
use firecamp_core::record::{Claim, StaticIp};
use firecamp_kube::{Choice, Inventory, KubeRegistry, NodeSeen};
use firecamp_registry::api::{Condition, Kind, NodeAttachments, NodeAttachmentsSpec, Object};
use firecamp_registry::{FileRegistry, Timeouts};
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::outcome::Unread;
use super::progress;
use super::target::Target;
use crate::failure::Failure;

/// An object, whatever else the API server has in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Found<S> {
    /// Its name and times.
    pub metadata: About,
    /// What decides.
    pub spec: S,
    /// What only reports.
    pub status: Option<Reported>,
}

/// What is reported about an object, as far as it is the same for all kinds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(default)]
pub struct Reported {
    /// Kubernetes' conditions.
    pub conditions: Vec<Condition>,
}

/// Name and times of an object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct About {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// When it was created.
    pub creation_timestamp: Option<String>,
    /// When its deletion was asked for.
    pub deletion_timestamp: Option<String>,
}

/// The objects of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// Those that could be read.
    pub found: Vec<T>,
    /// Those that are there and could not.
    pub unread: Vec<Unread>,
}

/// A registry that is looked at.
#[derive(Debug, Clone)]
pub enum Book {
    /// A directory.
    File(FileRegistry),
    /// A cluster.
    Cluster(Box<Cluster>),
}

/// A cluster that is looked at.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Whole objects.
    pub inventory: Inventory,
    /// Records, and pods.
    pub registry: KubeRegistry,
    /// The namespace of the context.
    pub namespace: String,
    /// The URL of its API server.
    pub server: String,
}

impl Book {
    /// Opens what is to be looked at. Asks nothing of a cluster yet.
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

    /// The cluster behind a client, which must not repeat requests by itself.
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

    /// The namespace of who names none, if the registry knows one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::File(_) => None,
            Self::Cluster(cluster) => Some(&cluster.namespace),
        }
    }

    /// The registry, as people call it.
    pub fn label(&self) -> String {
        match self {
            Self::File(files) => format!("file://{}", files.dir().display()),
            Self::Cluster(cluster) => format!("kubernetes: {}", cluster.server),
        }
    }

    /// All objects of a kind. A failure says that nobody knows which there are.
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

    /// What the agents have published of their nodes; none where they have nowhere to publish it.
    pub async fn reports(&self) -> Result<Option<Listing<NodeAttachments>>, RegistryFailure> {
        let Self::Cluster(cluster) = self else { return Ok(None) };
        let listed = cluster.inventory.ours::<NodeAttachmentsSpec>();
        let objects = progress::during("list the objects of kind NodeAttachments", listed).await?;
        Ok(Some(read_all(objects, NodeAttachmentsSpec::KIND)))
    }

    /// The nodes of the cluster; none where there is no cluster.
    pub async fn nodes(&self) -> Result<Option<BTreeMap<String, NodeSeen>>, RegistryFailure> {
        let Self::Cluster(cluster) = self else { return Ok(None) };
        progress::during("list the nodes", cluster.inventory.nodes()).await.map(Some)
    }

    /// A member's claim.
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

    /// What is reported about a member's claim; nothing where there is nobody to report it.
    pub async fn said_of(&self, member: &Member) -> Result<Vec<Condition>, RegistryFailure> {
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

    /// An address.
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

    /// What the agent of a node has published; none where agents publish nothing.
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

    /// The live pod of a member.
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
                let metadata = About {
                    name: metadata.name,
                    namespace: metadata.namespace,
                    creation_timestamp: metadata.creation_timestamp,
                    deletion_timestamp: None,
                };
                let status = status.map(|status| Reported { conditions: status.conditions });
                listing.found.push(Found { metadata, spec, status });
            }
            Err(why) => listing.unread.push(Unread::new("a file of the registry", &why)),
        }
    }
    listing
}

/// One object that cannot be read hides no other.
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
            Err(why) => listing.unread.push(Unread::new(label, &why)),
        }
    }
    listing
}
