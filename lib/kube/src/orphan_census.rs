//! The cluster state that must be known before an address counts as orphaned.
//!
//! Guarantees: quorum reads of complete lists; if one of them fails, or an object cannot be
//! parsed, the census fails. Caveats: three consecutive lists, which are not one snapshot.
//! Creating the StaticIP of the address afterwards is the atomic allocation.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, NodeName, PodUid};
use firecamp_core::record::Pool;
use firecamp_registry::api::{StaticIPClaimSpec, StaticIPPoolSpec};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::http_request::Call;
use crate::registry::KubeRegistry;
use crate::{list, object_paths};

/// Objects for each page: a pod may have tens of kilobytes.
const PAGE: usize = 50;

/// The objects that can prove that an address is not orphaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// All pools.
    pub pools: Vec<Pool>,
    /// A member whose claim is bound to the address or requests it.
    pub claimed: Option<Member>,
    /// The pods of the node that are not terminated.
    pub pods: BTreeSet<PodUid>,
}

#[derive(Deserialize)]
struct ClaimItem {
    metadata: ClaimName,
    spec: StaticIPClaimSpec,
}

#[derive(Deserialize)]
struct ClaimName {
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct PodItem {
    metadata: PodMetadata,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize)]
struct PodMetadata {
    uid: String,
}

#[derive(Deserialize, Default)]
struct PodStatus {
    #[serde(default)]
    phase: String,
}

impl KubeRegistry {
    /// Reads all pools and claims, and the pods of this node.
    pub async fn census(
        &self,
        address: Ipv4Addr,
        node: &NodeName,
    ) -> Result<Census, RegistryFailure> {
        let path = object_paths::collection::<StaticIPPoolSpec>();
        let pools = self.list("list the pools", path, None, pool).await?;
        let (path, text) = (object_paths::collection::<StaticIPClaimSpec>(), address.to_string());
        let naming = |item: &str| claim(item, &text);
        let claims = self.list("list the claims", path, None, naming).await?;
        let selector = format!("fieldSelector={}", list::escaped(&format!("spec.nodeName={node}")));
        let what = format!("list the pods of node {node}");
        let pods = self.list(&what, "/api/v1/pods".to_owned(), Some(selector), pod).await?;
        let claimed = claims.into_iter().flatten().next();
        Ok(Census { pools, claimed, pods: pods.into_iter().flatten().collect() })
    }

    /// Every object of a list, parsed.
    async fn list<T>(
        &self,
        what: &str,
        path: String,
        query: Option<String>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, RegistryFailure> {
        let (client, timeouts) = self.connection();
        let mut call = Call::get(what, path);
        call.query.extend(query);
        let mut all = Vec::new();
        let add = |item: Box<RawValue>| {
            all.push(read(item.get())?);
            Ok(())
        };
        list::each(&client, timeouts, (&call, PAGE), add).await?;
        Ok(all)
    }
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|wrong| wrong.to_string())
}

fn pool(text: &str) -> Result<Pool, String> {
    object_paths::decided::<StaticIPPoolSpec, Pool>(text)
}

/// The member of the claim, if the claim is bound to the address or requests it.
fn claim(text: &str, address: &str) -> Result<Option<Member>, String> {
    let ClaimItem { metadata, spec } = parsed(text)?;
    let named = [spec.requested_address, spec.address];
    if !named.iter().any(|one| one.as_deref() == Some(address)) {
        return Ok(None);
    }
    let member = Member::new(&metadata.namespace, &metadata.name);
    member.map(Some).map_err(|wrong| wrong.to_string())
}

/// The UID of the pod, unless all of its containers have terminated.
fn pod(text: &str) -> Result<Option<PodUid>, String> {
    let pod: PodItem = parsed(text)?;
    let ended = matches!(pod.status.phase.as_str(), "Succeeded" | "Failed");
    let uid = PodUid::new(&pod.metadata.uid).map_err(|wrong| wrong.to_string())?;
    Ok((!ended).then_some(uid))
}
