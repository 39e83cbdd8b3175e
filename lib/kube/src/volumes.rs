//! Reads Kubernetes' objects about a node's volumes, at a cost that does not grow with the cluster.
//!
//! A query is one list of the pods of this node and one read of its Node. Claims, volumes and
//! `VolumeAttachment`s are read one by one, by name, and only once while nothing changes:
//!
//! * a bound claim stays bound, and a volume's source and affinity do not change;
//! * the EBS CSI driver counts what it offers when it starts, which changes the pods of the node;
//! * no field selector finds the `VolumeAttachment`s of a node, and a list of all of them grows
//!   with the cluster; but the name of one follows from driver, handle and node, and
//!   `volumesAttached` of the Node says which are attached. So one is read again only while it is
//!   not attached, or fails, or is no longer in that list.

mod offered_volumes;
pub(crate) mod parse;

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{NodeName, PodUid};
use firecamp_node::volumes::observation::{
    Claim, ClaimName, ClusterView, PersistentVolume, Pod, VolumeAttachment,
};
use kube::Client;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::classify;
use crate::http_request::{self, Call, Timeouts};
use crate::list::{self, escaped};
use offered_volumes::Offered;
use parse::{Csi, PodObject, attachment_name};

/// Pods for each page. One page holds the pods of a usual node: the API server answers the first
/// page from its cache, and without its snapshots a later one from etcd, where it decodes the pods
/// of other nodes, too.
const PAGE: usize = 500;
/// The same where one page is too large: some pods have tens of kilobytes.
const SMALL_PAGE: usize = 50;
/// A kubelet runs fewer pods than these pages hold, also if they are small.
const MAX_PAGES: usize = 40;

/// Reads the volumes of one node.
pub struct VolumeReader {
    client: Client,
    timeouts: Timeouts,
    node: NodeName,
    known: Mutex<Known>,
}

impl std::fmt::Debug for VolumeReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VolumeReader").field("node", &self.node).finish_non_exhaustive()
    }
}

/// The cache: objects that do not change while they are used.
#[derive(Debug, Clone, Default)]
struct Known {
    /// The pods of the last query. A claim stays bound while one of them uses it: another pod may
    /// use another claim of the same name.
    pods: BTreeSet<PodUid>,
    claims: BTreeMap<ClaimName, Claim>,
    /// The volumes that are a directory of this node: they are neither attached nor mounted.
    directories: BTreeSet<String>,
    volumes: BTreeMap<String, (PersistentVolume, Option<Csi>)>,
    attachments: BTreeMap<String, VolumeAttachment>,
    offered: Offered,
}

impl Known {
    fn is_directory(&self, namespace: &str, claim: &str) -> bool {
        let name = ClaimName { namespace: namespace.to_owned(), name: claim.to_owned() };
        let volume = self.claims.get(&name).and_then(|claim| claim.volume.as_ref());
        volume.is_some_and(|volume| self.directories.contains(volume))
    }
}

/// The path of an object.
struct At {
    plural: &'static str,
    path: String,
    name: String,
}

impl At {
    fn claim(claim: &ClaimName) -> Self {
        let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims", claim.namespace);
        Self { plural: "persistentvolumeclaims", path, name: claim.name.clone() }
    }

    fn volume(name: &str) -> Self {
        let path = "/api/v1/persistentvolumes".to_owned();
        Self { plural: "persistentvolumes", path, name: name.to_owned() }
    }

    fn attachment(name: &str) -> Self {
        let path = "/apis/storage.k8s.io/v1/volumeattachments".to_owned();
        Self { plural: "volumeattachments", path, name: name.to_owned() }
    }

    fn csi_node(node: &NodeName) -> Self {
        let path = "/apis/storage.k8s.io/v1/csinodes".to_owned();
        Self { plural: "csinodes", path, name: node.to_string() }
    }

    fn node(node: &NodeName) -> Self {
        Self { plural: "nodes", path: "/api/v1/nodes".to_owned(), name: node.to_string() }
    }
}

impl VolumeReader {
    /// Uses a client that must not retry requests.
    pub fn new(client: Client, timeouts: Timeouts, node: NodeName) -> Self {
        Self { client, timeouts, node, known: Mutex::new(Known::default()) }
    }

    /// The current view of Kubernetes. Fails if any part cannot be read.
    pub async fn read(&self) -> Result<ClusterView, RegistryFailure> {
        let mut known = self.known.lock().await;
        let mut pods = self.pods().await?;
        let node = self.get(&At::node(&self.node)).await?;
        let attached = node.as_ref().map(parse::attached).unwrap_or_default();
        self.offered(&pods, &mut known).await?;
        self.claims(&pods, &mut known).await?;
        self.attachments(&attached, &mut known).await?;
        for pod in &mut pods {
            let Pod { namespace, claims, .. } = pod;
            claims.retain(|used| !known.is_directory(namespace, &used.claim));
        }
        Ok(ClusterView {
            pods,
            claims: known.claims.values().cloned().collect(),
            persistent_volumes: known.volumes.values().map(|(volume, _)| volume.clone()).collect(),
            attachments: known.attachments.values().cloned().collect(),
            offered: known.offered.count,
        })
    }

    /// The pods of this node, in small pages if one page is too large.
    async fn pods(&self) -> Result<Vec<Pod>, RegistryFailure> {
        if let Some(pods) = self.listed(PAGE).await? {
            return Ok(pods);
        }
        let pods = self.listed(SMALL_PAGE).await?;
        pods.ok_or_else(|| http_request::too_large(&self.list(SMALL_PAGE, "")))
    }

    /// A list of the pods of this node, from a continue token on.
    fn list(&self, size: usize, from: &str) -> Call {
        let what = format!("list the pods of node {}", self.node);
        let mut call = Call::get(what, "/api/v1/pods".to_owned());
        call.query =
            vec![format!("fieldSelector=spec.nodeName%3D{}", self.node), format!("limit={size}")];
        if !from.is_empty() {
            call.query.push(format!("continue={}", escaped(from)));
        }
        call
    }

    /// The pods in pages of this size; none if a page is too large.
    async fn listed(&self, size: usize) -> Result<Option<Vec<Pod>>, RegistryFailure> {
        let (mut pods, mut from) = (Vec::new(), String::new());
        for _ in 0..MAX_PAGES {
            let call = self.list(size, &from);
            let within = self.timeouts.call;
            let answer = http_request::send_bounded(&self.client, &call, within).await?;
            let Some(answer) = answer else { return Ok(None) };
            let page: list::Page<PodObject> = list::page(&call, &answer)?;
            pods.extend(page.items.into_iter().flatten().filter_map(PodObject::into_pod));
            from = page.metadata.r#continue;
            if from.is_empty() {
                break;
            }
        }
        Ok(Some(pods))
    }

    /// How many volumes the EBS CSI driver offers.
    async fn offered(&self, pods: &[Pod], known: &mut Known) -> Result<(), RegistryFailure> {
        let moved =
            pods.len() != known.pods.len() || pods.iter().any(|pod| !known.pods.contains(&pod.uid));
        if known.offered.is_due(moved) {
            let object = self.get(&At::csi_node(&self.node)).await?;
            known.offered.count = object.as_ref().and_then(parse::offered);
        }
        known.offered.read_ended(moved);
        Ok(())
    }

    /// The claims of these pods and the volumes that they are bound to.
    async fn claims(&self, pods: &[Pod], known: &mut Known) -> Result<(), RegistryFailure> {
        let of = |pod: &Pod| {
            let namespace = pod.namespace.clone();
            let name = move |claim: &str| ClaimName {
                namespace: namespace.clone(),
                name: claim.to_owned(),
            };
            pod.claims.iter().map(|used| name(&used.claim)).collect::<Vec<_>>()
        };
        let new = pods.iter().filter(|pod| !known.pods.contains(&pod.uid));
        for name in new.flat_map(of) {
            known.claims.remove(&name);
        }
        known.pods = pods.iter().map(|pod| pod.uid.clone()).collect();
        let wanted: BTreeSet<ClaimName> = pods.iter().flat_map(of).collect();
        known.claims.retain(|name, claim| wanted.contains(name) && claim.volume.is_some());
        for name in wanted {
            if known.claims.contains_key(&name) {
                continue;
            }
            if let Some(object) = self.get(&At::claim(&name)).await? {
                known.claims.insert(name.clone(), parse::claim(name, &object));
            }
        }
        let bound: BTreeSet<String> =
            known.claims.values().filter_map(|claim| claim.volume.clone()).collect();
        known.directories.retain(|name| bound.contains(name));
        for name in bound {
            self.volume(&name, known).await?;
        }
        Ok(())
    }

    async fn volume(&self, name: &str, known: &mut Known) -> Result<(), RegistryFailure> {
        if known.volumes.contains_key(name) || known.directories.contains(name) {
            return Ok(());
        }
        match self.get(&At::volume(name)).await? {
            Some(object) if parse::is_directory(&object) => {
                known.directories.insert(name.to_owned());
            }
            Some(object) => {
                known.volumes.insert(name.to_owned(), parse::volume(name, &object));
            }
            None => {}
        }
        Ok(())
    }

    /// The attachments of the known volumes, and of those in the Node's `volumesAttached`.
    async fn attachments(
        &self,
        attached: &BTreeSet<Csi>,
        known: &mut Known,
    ) -> Result<(), RegistryFailure> {
        let used = known.volumes.values().filter_map(|(_, csi)| csi.clone());
        let wanted: BTreeSet<Csi> = used.chain(attached.iter().cloned()).collect();
        let names: BTreeMap<String, &Csi> =
            wanted.iter().map(|csi| (attachment_name(csi, &self.node), csi)).collect();
        known.attachments.retain(|name, _| names.contains_key(name));
        for (name, csi) in names {
            let settled = |one: &VolumeAttachment| one.attached && !one.failing;
            if known.attachments.get(&name).is_some_and(settled) && attached.contains(csi) {
                continue;
            }
            match self.get(&At::attachment(&name)).await? {
                None => drop(known.attachments.remove(&name)),
                Some(object) => {
                    let one = parse::attachment(&name, &object);
                    self.volume(&one.volume, known).await?;
                    known.attachments.insert(name, one);
                }
            }
        }
        // Drops the objects that no pod uses and that are no longer attached.
        let (claims, attachments) = (&known.claims, &known.attachments);
        known.volumes.retain(|name, _| {
            let bound = claims.values().any(|claim| claim.volume.as_ref() == Some(name));
            bound || attachments.values().any(|one| one.volume == *name)
        });
        Ok(())
    }

    /// One object, or none if the API server reports that it does not exist.
    async fn get(&self, at: &At) -> Result<Option<Value>, RegistryFailure> {
        let what = format!("read {}/{}", at.plural, at.name);
        let call = Call::get(what, format!("{}/{}", at.path, at.name));
        let answer = http_request::send(&self.client, &call, self.timeouts.call).await?;
        if classify::is_absent(&answer, at.plural, &at.name) {
            return Ok(None);
        }
        parse::answer(&call, &answer).map(Some)
    }
}
