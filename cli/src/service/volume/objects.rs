//! The objects of an imported volume, and those of the pod that reads its superblock. Pure.

use firecamp_core::contract::cluster::ZONE_LABEL;
use firecamp_core::contract::names::MANAGER_LABEL;
use firecamp_core::contract::service::{NAME_LABEL, UUID_LABEL};
use firecamp_core::ids::VolumeId;
use firecamp_kube::{ObjectPath, SERVICE_MANAGER};
use serde_json::{Map, Value, json};

use super::super::cluster::{kind, path};
use super::filesystem::{DEVICE, Filesystem, SCRIPT};

/// The CSI driver of EBS.
pub const DRIVER: &str = "ebs.csi.aws.com";

/// The claim that is to have a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its namespace.
    pub namespace: String,
    /// The service.
    pub service: String,
    /// The claim template: SERVICE-data or SERVICE-journal.
    pub template: String,
    /// The name of the member's pod.
    pub member: String,
}

/// A volume that is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The claim.
    pub claim: Claim,
    /// The UUID of the service, if it exists.
    pub uuid: Option<String>,
    /// The volume.
    pub volume: VolumeId,
    /// Its zone.
    pub zone: String,
    /// Its size in GiB.
    pub gib: u32,
    /// Its filesystem.
    pub filesystem: Filesystem,
    /// The size that the claim requests.
    pub size: String,
    /// The StorageClass of both objects; empty for none.
    pub class: String,
}

impl Claim {
    /// The name, which Kubernetes makes of those of the template and the pod.
    pub fn name(&self) -> String {
        format!("{}-{}", self.template, self.member)
    }

    /// The object.
    pub fn path(&self) -> ObjectPath {
        path(kind::VOLUME_CLAIM, &self.namespace, &self.name())
    }
}

/// The PersistentVolume of an EBS volume has its ID as name, so that two of them conflict.
pub fn volume_path(volume: &VolumeId) -> ObjectPath {
    ObjectPath { kind: kind::VOLUME, namespace: None, name: volume.as_str().to_owned() }
}

/// The PersistentVolume through which the superblock is read, for as long as this takes.
pub fn verify_path(volume: &VolumeId) -> ObjectPath {
    ObjectPath { kind: kind::VOLUME, namespace: None, name: format!("firecamp-verify-{volume}") }
}

impl Import {
    /// The PersistentVolume and the claim, in the order in which they are applied: a claim without
    /// its volume could never get another one.
    pub fn objects(&self) -> Vec<(ObjectPath, Value)> {
        let volume = volume_path(&self.volume);
        let claim = self.claim.path();
        let labels = self.labels();
        let spec = self.volume_spec(&claim, &self.class, "Filesystem");
        let request = claim_spec(&volume.name, (&self.class, &self.size), "Filesystem");
        vec![
            (volume.clone(), object(&volume, &labels, &spec)),
            (claim.clone(), object(&claim, &labels, &request)),
        ]
    }

    /// The objects that read the superblock, in the order in which they are applied.
    pub fn verify_objects(&self, namespace: &str, image: &str) -> Vec<(ObjectPath, Value)> {
        let volume = verify_path(&self.volume);
        let claim = path(kind::VOLUME_CLAIM, namespace, &volume.name);
        let pod = path(kind::POD, namespace, &volume.name);
        // Without the name of the service, which would make it one of the service's claims.
        let mut labels = Map::new();
        labels.insert(MANAGER_LABEL.to_owned(), json!(SERVICE_MANAGER));
        let spec = self.volume_spec(&claim, "", "Block");
        let request = claim_spec(&volume.name, ("", &format!("{}Gi", self.gib)), "Block");
        vec![
            (volume.clone(), object(&volume, &labels, &spec)),
            (claim.clone(), object(&claim, &labels, &request)),
            (pod.clone(), object(&pod, &labels, &reader(&claim.name, image))),
        ]
    }

    fn labels(&self) -> Map<String, Value> {
        let mut labels = Map::new();
        labels.insert(NAME_LABEL.to_owned(), json!(self.claim.service));
        labels.insert("app.kubernetes.io/name".to_owned(), json!(self.claim.service));
        labels.insert(MANAGER_LABEL.to_owned(), json!(SERVICE_MANAGER));
        labels.extend(self.uuid.iter().map(|uuid| (UUID_LABEL.to_owned(), json!(uuid))));
        labels
    }

    fn volume_spec(&self, claim: &ObjectPath, class: &str, mode: &str) -> Value {
        let mut source = json!({ "driver": DRIVER, "volumeHandle": self.volume.as_str() });
        if let (Some(source), "Filesystem") = (source.as_object_mut(), mode) {
            source.insert("fsType".to_owned(), json!(self.filesystem.as_str()));
        }
        let zone = json!({ "key": ZONE_LABEL, "operator": "In", "values": [self.zone] });
        json!({
            "capacity": { "storage": format!("{}Gi", self.gib) },
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": mode,
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": class,
            "csi": source,
            "nodeAffinity": { "required": {
                "nodeSelectorTerms": [{ "matchExpressions": [zone] }],
            } },
            "claimRef": {
                "apiVersion": claim.kind.version,
                "kind": claim.kind.kind,
                "namespace": claim.namespace,
                "name": claim.name,
            },
        })
    }
}

/// An empty class is stated as well: otherwise the API server fills in the default class.
fn claim_spec(volume: &str, (class, size): (&str, &str), mode: &str) -> Value {
    json!({
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": mode,
        "volumeName": volume,
        "storageClassName": class,
        "resources": { "requests": { "storage": size } },
    })
}

fn object(path: &ObjectPath, labels: &Map<String, Value>, spec: &Value) -> Value {
    let mut metadata = json!({ "name": path.name, "labels": labels });
    if let (Some(all), Some(namespace)) = (metadata.as_object_mut(), &path.namespace) {
        all.insert("namespace".to_owned(), json!(namespace));
    }
    let kind = path.kind;
    json!({ "apiVersion": kind.version, "kind": kind.kind, "metadata": metadata, "spec": spec })
}

/// The pod that reads the superblock. A claim that is used read-only becomes a device that the
/// container can open for reading only. Only root may open it, but without any capability.
fn reader(claim: &str, image: &str) -> Value {
    json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [{
            "name": "read",
            "image": image,
            "command": ["sh", "-c", SCRIPT],
            "volumeDevices": [{ "name": "volume", "devicePath": DEVICE }],
            "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
        }],
        "volumes": [{
            "name": "volume",
            "persistentVolumeClaim": { "claimName": claim, "readOnly": true },
        }],
    })
}
