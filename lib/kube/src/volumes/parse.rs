//! Parses Kubernetes' objects about volumes; only the fields that are used.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use firecamp_core::contract::cluster::ZONE_LABEL;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{NodeName, PodUid, Zone};
use firecamp_node::volumes::observation::{
    Claim, ClaimName, PersistentVolume, Pod, PodClaim, VolumeAttachment, ebs_volume,
};
use http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::classify;
use crate::http_request::{Answer, Call};

/// The name of the EBS CSI driver.
const EBS: &str = "ebs.csi.aws.com";
/// The prefix of CSI volumes in a Node's `volumesAttached`.
const ATTACHED: &str = "kubernetes.io/csi/";
/// The topology labels of a volume's zone.
const ZONES: [&str; 2] = [ZONE_LABEL, "topology.ebs.csi.aws.com/zone"];

/// A volume of a CSI driver.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Csi {
    pub(super) driver: String,
    pub(super) handle: String,
}

pub(super) fn answer(call: &Call, answer: &Answer) -> Result<Value, RegistryFailure> {
    if answer.status != StatusCode::OK {
        return Err(classify::refused(call, answer));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|wrong| call.failed(RegistryKind::Invalid, Effect::None, wrong))
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path)?.as_str()
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn flag(value: &Value, path: &str) -> bool {
    value.pointer(path).and_then(Value::as_bool).unwrap_or_default()
}

/// A pod, with the fields that are used. A node has a hundred, of many kilobytes each, and all of
/// them arrive at once, so they are parsed without the rest.
#[derive(Debug, Deserialize)]
pub(crate) struct PodObject {
    metadata: PodMetadata,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodMetadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    deletion_timestamp: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
struct PodSpec {
    volumes: Option<Vec<PodVolume>>,
}

#[derive(Debug, Default, Deserialize)]
struct PodStatus {
    #[serde(default)]
    phase: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodVolume {
    #[serde(default)]
    name: String,
    persistent_volume_claim: Option<ClaimSource>,
    ephemeral: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSource {
    claim_name: String,
    #[serde(default)]
    read_only: bool,
}

impl PodObject {
    /// None without what every pod has.
    pub(super) fn into_pod(self) -> Option<Pod> {
        let claims = self.used_claims();
        let PodMetadata { name, namespace, uid, deletion_timestamp } = self.metadata;
        if name.is_empty() || namespace.is_empty() {
            return None;
        }
        let ended = matches!(self.status.phase.as_str(), "Succeeded" | "Failed");
        let ending = ended || deletion_timestamp.is_some();
        Some(Pod { uid: PodUid::new(&uid).ok()?, namespace, name, ending, claims })
    }

    /// The claims that it uses.
    pub(crate) fn used_claims(&self) -> Vec<PodClaim> {
        let claim = |volume: &PodVolume| {
            if let Some(source) = &volume.persistent_volume_claim {
                let claim = source.claim_name.clone();
                return Some(PodClaim { claim, read_only: source.read_only });
            }
            // The claim of a generic ephemeral volume is named after the pod and the volume.
            volume.ephemeral.as_ref()?;
            let claim = format!("{}-{}", self.metadata.name, volume.name);
            Some(PodClaim { claim, read_only: false })
        };
        self.spec.volumes.iter().flatten().filter_map(claim).collect()
    }
}

/// The volume that a claim is bound to.
pub(crate) fn bound_volume(claim: &Value) -> Option<String> {
    text(claim, "/spec/volumeName").filter(|volume| !volume.is_empty()).map(str::to_owned)
}

pub(super) fn claim(name: ClaimName, object: &Value) -> Claim {
    Claim { name, volume: bound_volume(object) }
}

pub(super) fn volume(name: &str, object: &Value) -> (PersistentVolume, Option<Csi>) {
    let driver = text(object, "/spec/csi/driver").zip(text(object, "/spec/csi/volumeHandle"));
    let csi =
        driver.map(|(driver, handle)| Csi { driver: driver.to_owned(), handle: handle.to_owned() });
    let ebs = csi.as_ref().filter(|csi| csi.driver == EBS).map(|csi| csi.handle.as_str());
    let in_tree = text(object, "/spec/awsElasticBlockStore/volumeID");
    let claim = text(object, "/spec/claimRef/namespace").zip(text(object, "/spec/claimRef/name"));
    let modes = list(object, "/spec/accessModes");
    let read_only = !modes.is_empty() && modes.iter().all(|mode| mode == "ReadOnlyMany");
    let volume = PersistentVolume {
        name: name.to_owned(),
        claim: claim.map(|(namespace, name)| ClaimName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }),
        ebs: ebs.or(in_tree).and_then(ebs_volume),
        read_only: read_only || flag(object, "/spec/csi/readOnly"),
        zones: zones(object),
    };
    (volume, csi)
}

/// Whether the volume is a path of the node's own filesystem: kubelet neither mounts it nor waits
/// for it (`hostPath`, which k3s, kind and minikube provision).
pub(super) fn is_directory(object: &Value) -> bool {
    object.pointer("/spec/hostPath").is_some_and(Value::is_object)
}

/// The zones that a volume's node affinity allows; empty if it names none.
pub(crate) fn zones(object: &Value) -> Vec<Zone> {
    let terms = list(object, "/spec/nodeAffinity/required/nodeSelectorTerms");
    let all = terms.iter().flat_map(|term| list(term, "/matchExpressions"));
    let of_zones = all.filter(|one| {
        let key = text(one, "/key").unwrap_or_default();
        ZONES.contains(&key) && text(one, "/operator") == Some("In")
    });
    let values = of_zones.flat_map(|one| list(one, "/values"));
    let zones: BTreeSet<Zone> =
        values.filter_map(|value| Zone::new(value.as_str()?).ok()).collect();
    zones.into_iter().collect()
}

/// How many volumes the EBS CSI driver offers, by a CSINode; none if it reports no number.
pub(crate) fn offered(csi_node: &Value) -> Option<u32> {
    let mut drivers = list(csi_node, "/spec/drivers").iter();
    let driver = drivers.find(|one| text(one, "/name") == Some(EBS))?;
    u32::try_from(driver.pointer("/allocatable/count")?.as_u64()?).ok()
}

pub(super) fn attachment(name: &str, object: &Value) -> VolumeAttachment {
    let failing = |path| object.pointer(path).is_some_and(Value::is_object);
    VolumeAttachment {
        name: name.to_owned(),
        volume: text(object, "/spec/source/persistentVolumeName").unwrap_or_default().to_owned(),
        attached: flag(object, "/status/attached"),
        failing: failing("/status/attachError") || failing("/status/detachError"),
    }
}

/// The CSI volumes in a Node's `volumesAttached`.
pub(super) fn attached(node: &Value) -> BTreeSet<Csi> {
    let csi = |one: &Value| {
        let (driver, handle) = text(one, "/name")?.strip_prefix(ATTACHED)?.split_once('^')?;
        Some(Csi { driver: driver.to_owned(), handle: handle.to_owned() })
    };
    list(node, "/status/volumesAttached").iter().filter_map(csi).collect()
}

/// Kubernetes' name for the `VolumeAttachment` of a CSI volume on a node.
pub(super) fn attachment_name(csi: &Csi, node: &NodeName) -> String {
    let text = format!("{}{}{node}", csi.handle, csi.driver);
    let digits = digest(&SHA256, text.as_bytes());
    let hex: Vec<String> = digits.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("csi-{}", hex.concat())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_name_of_an_attachment_is_the_one_that_kubernetes_computes() {
        let csi = Csi { driver: "d".to_owned(), handle: "v".to_owned() };
        // printf vdn | sha256sum
        let digits = "f6543f8bea2891cc00a459964655191915ab214b9a56d0f1d7bd1a2d56de77d7";
        let name = attachment_name(&csi, &"n".parse().unwrap());
        assert_eq!(name, format!("csi-{digits}"));
    }

    #[test]
    fn a_pod_names_its_claims_and_its_ephemeral_ones() {
        let object = json!({
            "metadata": { "name": "redis-0", "namespace": "prod", "uid": "u-1" },
            "spec": { "volumes": [
                { "name": "data", "persistentVolumeClaim": { "claimName": "data-redis-0" } },
                { "name": "ro",
                  "persistentVolumeClaim": { "claimName": "shared", "readOnly": true } },
                { "name": "scratch", "ephemeral": { "volumeClaimTemplate": {} } },
                { "name": "token", "projected": {} },
            ] },
            "status": { "phase": "Running" },
        });
        let pod = |object| serde_json::from_value::<PodObject>(object).unwrap().into_pod();
        let found = pod(object).unwrap();
        let claims: Vec<_> =
            found.claims.iter().map(|one| (one.claim.as_str(), one.read_only)).collect();
        let wanted = [("data-redis-0", false), ("shared", true), ("redis-0-scratch", false)];
        assert_eq!((claims, found.ending), (wanted.to_vec(), false));
        assert_eq!(pod(json!({ "metadata": { "name": "x" } })), None);
    }

    #[test]
    fn a_volume_names_its_ebs_volume_its_claim_and_its_zones() {
        let object = json!({ "spec": {
            "csi": { "driver": "ebs.csi.aws.com", "volumeHandle": "vol-0123456789abcdef0" },
            "claimRef": { "namespace": "prod", "name": "data-redis-0" },
            "accessModes": ["ReadWriteOnce"],
            "nodeAffinity": { "required": { "nodeSelectorTerms": [ { "matchExpressions": [
                { "key": "topology.kubernetes.io/zone", "operator": "In",
                  "values": ["us-east-1a"] },
                { "key": "other", "operator": "In", "values": ["x"] } ] } ] } },
        } });
        let (found, csi) = volume("pv-1", &object);
        assert_eq!(found.ebs.unwrap().as_str(), "vol-0123456789abcdef0");
        assert_eq!(found.claim.unwrap().to_string(), "prod/data-redis-0");
        assert_eq!(found.zones, ["us-east-1a".parse::<Zone>().unwrap()]);
        assert_eq!((found.read_only, csi.unwrap().driver.as_str()), (false, "ebs.csi.aws.com"));
        let (other, csi) = volume(
            "pv-2",
            &json!({ "spec": {
            "nfs": {}, "accessModes": ["ReadOnlyMany"] } }),
        );
        assert_eq!((other.ebs, other.read_only, csi), (None, true, None));
    }

    #[test]
    fn a_node_lists_its_attached_volumes() {
        let node = json!({ "status": { "volumesAttached": [
            { "name": "kubernetes.io/csi/ebs.csi.aws.com^vol-1", "devicePath": "" },
            { "name": "kubernetes.io/iscsi/other", "devicePath": "" } ] } });
        let csi = Csi { driver: "ebs.csi.aws.com".to_owned(), handle: "vol-1".to_owned() };
        assert_eq!(attached(&node), [csi].into());
        assert!(attached(&json!({})).is_empty());
    }
}
