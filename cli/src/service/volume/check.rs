//! Whether a volume can be imported, and as what. Pure.

use std::collections::BTreeSet;

use firecamp_cloud::DescribedVolume;
use firecamp_core::contract::cluster::ZONE_LABEL;
use firecamp_core::contract::service::UUID_LABEL;
use firecamp_core::ids::VolumeId;
use serde_json::Value;

use super::filesystem::Filesystem;
use super::objects::{Claim, DRIVER, Import, verify_path, volume_path};
use super::quantity::bytes;
use crate::common::json::{at, text};

/// What the user wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The claim.
    pub claim: Claim,
    /// The volume.
    pub volume: VolumeId,
    /// The filesystem.
    pub filesystem: Filesystem,
    /// The size that the claim requests, if the user says it.
    pub size: Option<String>,
    /// The StorageClass, if the user says it.
    pub class: Option<String>,
    /// Whether the filesystem is verified first, which removes what an earlier verification left.
    pub verify: bool,
}

/// Why a volume is not imported, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub why: String,
    /// What to do.
    pub next: &'static str,
}

/// Where the member can run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places {
    /// The zones with a ready node that takes pods.
    pub nodes: BTreeSet<String>,
    /// The pool of the service, and the zones of its subnets.
    pub pool: Option<(String, BTreeSet<String>)>,
    /// The static address of the member, and its zone.
    pub address: Option<(String, String)>,
}

fn refused<T>(why: String, next: &'static str) -> Result<T, Refusal> {
    Err(Refusal { why, next })
}

/// The import, with the size and the class of the claim. `set` is the StatefulSet, if it exists.
///
/// # Errors
///
/// If the StatefulSet has no such claim template, the flags contradict it, or the volume is smaller
/// than the request.
pub fn import(
    wanted: &Wanted,
    set: Option<&Value>,
    volume: &DescribedVolume,
) -> Result<Import, Refusal> {
    let template = set.map(|set| template(set, wanted)).transpose()?;
    let field = |pointer| template.map(|one| text(one, pointer)).filter(|text| !text.is_empty());
    let size = field("/spec/resources/requests/storage");
    let class = field("/spec/storageClassName");
    if let (Some(flag), Some(size)) = (&wanted.size, size)
        && bytes(flag) != bytes(size)
    {
        return refused(
            format!("claim template {} requests {size}, not {flag}", wanted.claim.template),
            "omit --size",
        );
    }
    if let (Some(flag), Some(class)) = (&wanted.class, class)
        && flag != class
    {
        return refused(
            format!("claim template {} has StorageClass {class}", wanted.claim.template),
            "omit --class",
        );
    }
    let whole = format!("{}Gi", volume.gib);
    let size = size.or(wanted.size.as_deref()).unwrap_or(&whole);
    fits(size, volume)?;
    let uuid = set.and_then(|set| at(set, "/metadata/labels").get(UUID_LABEL)?.as_str());
    Ok(Import {
        claim: wanted.claim.clone(),
        uuid: uuid.map(str::to_owned),
        volume: wanted.volume.clone(),
        zone: volume.zone.as_str().to_owned(),
        gib: volume.gib,
        filesystem: wanted.filesystem,
        size: size.to_owned(),
        class: class.or(wanted.class.as_deref()).unwrap_or_default().to_owned(),
    })
}

fn template<'a>(set: &'a Value, wanted: &Wanted) -> Result<&'a Value, Refusal> {
    let templates = at(set, "/spec/volumeClaimTemplates").as_array().into_iter().flatten();
    let name = wanted.claim.template.as_str();
    let mut others = Vec::new();
    for template in templates {
        match text(template, "/metadata/name") {
            own if own == name => return Ok(template),
            other => others.push(other),
        }
    }
    let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
    refused(
        format!("the StatefulSet has no claim template {name}, but {others}"),
        "a StatefulSet keeps its claim templates: choose another --role, or delete the service \
         with `firecamp service delete`, which keeps its volumes, and create it again with --data \
         or --journal",
    )
}

/// Whether the volume is as large as the claim requests.
fn fits(size: &str, volume: &DescribedVolume) -> Result<(), Refusal> {
    let Some(request) = bytes(size) else {
        return refused(format!("{size:?} is no size"), "use a quantity like 100Gi");
    };
    if request <= f64::from(volume.gib) * 2_f64.powi(30) {
        return Ok(());
    }
    refused(
        format!("the volume has {} GiB, and the claim requests {size}", volume.gib),
        "enlarge the volume with `aws ec2 modify-volume`, or let the service request less",
    )
}

/// Refuses a volume that is attached, or not there to be attached. `nodes` are the Nodes of the
/// cluster, if they are known.
pub fn available(volume: &DescribedVolume, nodes: &[Value]) -> Result<(), Refusal> {
    if volume.state == "available" && volume.instances.is_empty() {
        return Ok(());
    }
    let Some(instance) = volume.instances.first() else {
        return refused(
            format!("EC2 reports the volume as {}", volume.state),
            "import a volume in the state `available`",
        );
    };
    let is_of = |node: &&Value| text(node, "/spec/providerID").rsplit('/').next() == Some(instance);
    match nodes.iter().find(is_of) {
        Some(node) => refused(
            format!("it is attached to {instance} (Node {})", text(node, "/metadata/name")),
            "stop the pod that uses it; then wait until EC2 reports it as available",
        ),
        None => refused(
            format!("it is attached to {instance}, which is no Node of this cluster"),
            "stop what uses it there, unmount it and detach it with `aws ec2 detach-volume`",
        ),
    }
}

/// Refuses a zone in which the member cannot run.
pub fn zone(zone: &str, set: Option<&Value>, places: &Places) -> Result<(), Refusal> {
    let move_it = "copy the volume to the other zone through a snapshot, or import another volume";
    if let Some((address, other)) = &places.address
        && other != zone
    {
        return refused(
            format!("it is in zone {zone}, and the member's address {address} in zone {other}"),
            move_it,
        );
    }
    if let Some((pool, zones)) = &places.pool
        && !zones.contains(zone)
    {
        return refused(
            format!("it is in zone {zone}, in which pool {pool} has no subnet"),
            move_it,
        );
    }
    if let Some(set) = set
        && !permits(set, zone)
    {
        return refused(
            format!("it is in zone {zone}, in which the node affinity permits no member"),
            move_it,
        );
    }
    if !places.nodes.contains(zone) {
        return refused(
            format!("it is in zone {zone}, which has no ready node that takes pods"),
            "add a node in this zone",
        );
    }
    Ok(())
}

/// Whether the required node affinity and the node selector of the template permit the zone.
fn permits(set: &Value, zone: &str) -> bool {
    let selected = at(set, "/spec/template/spec/nodeSelector").get(ZONE_LABEL);
    let terms = "/spec/template/spec/affinity/nodeAffinity\
                 /requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms = at(set, terms).as_array();
    let has_zone = |one: &Value| {
        let values = at(one, "/values").as_array().into_iter().flatten();
        let is_other = text(one, "/key") != ZONE_LABEL || text(one, "/operator") != "In";
        is_other || values.into_iter().any(|value| value == zone)
    };
    let permits = |term: &Value| {
        let all = at(term, "/matchExpressions").as_array().into_iter().flatten();
        all.into_iter().all(has_zone)
    };
    selected.is_none_or(|one| one == zone) && terms.is_none_or(|terms| terms.iter().any(permits))
}

/// Whether the volume is already imported. `volumes` are all PersistentVolumes.
///
/// # Errors
///
/// If the claim or a PersistentVolume of this volume exists for something else.
pub fn imported<'a>(
    wanted: &Wanted,
    claim: Option<&Value>,
    volumes: &'a [Value],
) -> Result<Option<&'a Value>, Refusal> {
    let own_name = volume_path(&wanted.volume).name;
    let temporary = verify_path(&wanted.volume).name;
    let is_named = |one: &&Value| text(one, "/metadata/name") == own_name;
    let counts = |one: &&Value| !wanted.verify || text(one, "/metadata/name") != temporary;
    let volume = volumes.iter().filter(counts).find(|one| is_of(one, &wanted.volume));
    let volume = volume.or_else(|| volumes.iter().find(is_named));
    match (volume, claim) {
        (None, None) => Ok(None),
        (Some(volume), Some(claim)) if is_bound(volume, claim, wanted) => {
            has_filesystem(volume, wanted)?;
            Ok(Some(volume))
        }
        // What an interrupted command left.
        (Some(volume), None) if is_named(&volume) && is_unused(volume, wanted) => {
            has_filesystem(volume, wanted).map(|()| None)
        }
        (_, Some(claim)) => refused(
            format!("{} exists: {}", wanted.claim.path(), used_volume(claim)),
            "stop the member; if its present volume is to be kept, set the reclaim policy of its \
             PersistentVolume to Retain; then delete the claim with kubectl",
        ),
        (Some(volume), None) => refused(
            format!("PersistentVolume {} exists: {}", text(volume, "/metadata/name"), user(volume)),
            "if nothing uses it any more, set its reclaim policy to Retain, which keeps the EBS \
             volume, and delete it with kubectl",
        ),
    }
}

/// Whether a PersistentVolume is this EBS volume, by the CSI driver or by the former in-tree type.
fn is_of(object: &Value, volume: &VolumeId) -> bool {
    let csi = text(object, "/spec/csi/driver") == DRIVER
        && text(object, "/spec/csi/volumeHandle") == volume.as_str();
    let in_tree = text(object, "/spec/awsElasticBlockStore/volumeID");
    csi || in_tree.rsplit('/').next() == Some(volume.as_str())
}

fn is_for(volume: &Value, claim: &Claim) -> bool {
    text(volume, "/spec/claimRef/namespace") == claim.namespace
        && text(volume, "/spec/claimRef/name") == claim.name()
}

fn is_kept(object: &Value) -> bool {
    at(object, "/metadata/deletionTimestamp").is_null()
}

fn is_bound(volume: &Value, claim: &Value, wanted: &Wanted) -> bool {
    let uid = at(volume, "/spec/claimRef/uid");
    is_of(volume, &wanted.volume)
        && is_for(volume, &wanted.claim)
        && text(claim, "/spec/volumeName") == text(volume, "/metadata/name")
        && (uid.is_null() || uid == at(claim, "/metadata/uid"))
        && is_kept(volume)
        && is_kept(claim)
}

/// Whether no claim was ever bound to the volume.
fn is_unused(volume: &Value, wanted: &Wanted) -> bool {
    is_of(volume, &wanted.volume)
        && is_for(volume, &wanted.claim)
        && at(volume, "/spec/claimRef/uid").is_null()
        && is_kept(volume)
}

fn has_filesystem(volume: &Value, wanted: &Wanted) -> Result<(), Refusal> {
    // The CSI driver's default.
    let other = at(volume, "/spec/csi/fsType").as_str().unwrap_or("ext4");
    if other == wanted.filesystem.as_str() {
        return Ok(());
    }
    refused(
        format!("PersistentVolume {} exists with {other}", text(volume, "/metadata/name")),
        "if its filesystem is wrong, stop the member, delete its claim and this PersistentVolume, \
         and import the volume again",
    )
}

fn used_volume(claim: &Value) -> String {
    match text(claim, "/spec/volumeName") {
        "" => "it has no volume yet".to_owned(),
        volume => format!("it has the PersistentVolume {volume}"),
    }
}

fn user(volume: &Value) -> String {
    let phase = match text(volume, "/status/phase") {
        "" => "unknown phase",
        phase => phase,
    };
    let claim = at(volume, "/spec/claimRef");
    match (text(claim, "/namespace"), text(claim, "/name")) {
        (_, "") => format!("it is {phase}"),
        (namespace, name) => format!("it is {phase}, for claim {namespace}/{name}"),
    }
}
