//! The agent reads the volumes of its node's pods.

use firecamp_kube::{Source, Timeouts, VolumeReader};
use serde_json::{Value, json};

use super::super::wrong;
use super::{NODE, Outcome, ensure};
use crate::lifecycle::Site;

const CLAIM: &str = "data-redis-9";
const VOLUME: &str = "pv-redis-9";

pub(super) async fn of_its_pods(site: &Site<'_>, source: &Source) -> Outcome {
    let storage = json!({ "storage": "1Gi" });
    let volume = json!({ "metadata": { "name": VOLUME }, "spec": {
        "capacity": storage,
        "accessModes": ["ReadWriteOnce"],
        "csi": { "driver": "ebs.csi.aws.com", "volumeHandle": "vol-0123456789abcdef0" },
    }});
    let claim = json!({ "metadata": { "name": CLAIM }, "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": storage },
        "volumeName": VOLUME,
    }});
    let pod = json!({ "metadata": { "name": "redis-9" }, "spec": {
        "nodeName": NODE,
        "containers": [{ "name": "c", "image": "none" }],
        "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": CLAIM } }],
    }});
    for (path, object) in [
        ("/api/v1/persistentvolumes", volume),
        ("/api/v1/namespaces/prod/persistentvolumeclaims", claim),
        ("/api/v1/namespaces/prod/pods", pod),
    ] {
        ensure_exists(site, path, &object).await?;
    }
    let node = NODE.parse().map_err(|wrong| format!("{wrong}"))?;
    let client = source.client(Timeouts::default()).await.map_err(wrong)?;
    let reader = VolumeReader::new(client, Timeouts::default(), node);
    let view = reader.read().await.map_err(wrong)?;
    let complete = !view.pods.is_empty()
        && view.claims.iter().any(|claim| claim.volume.as_deref() == Some(VOLUME))
        && view.persistent_volumes.iter().any(|volume| volume.name == VOLUME);
    ensure(complete, || format!("{view:?}"))?;
    offered(site, &reader).await
}

/// What the EBS CSI driver offers on the node.
async fn offered(site: &Site<'_>, reader: &VolumeReader) -> Outcome {
    let driver = json!({ "name": "ebs.csi.aws.com", "nodeID": "i-a", "topologyKeys": [],
        "allocatable": { "count": 25 } });
    let node = json!({ "metadata": { "name": NODE }, "spec": { "drivers": [driver] } });
    let all = "/apis/storage.k8s.io/v1/csinodes";
    ensure_exists(site, all, &node).await?;
    let offered = reader.read().await.map_err(wrong)?.offered;
    ensure(offered == Some(25), || format!("{offered:?} are offered"))?;
    let gone = site.cluster.api.delete(&format!("{all}/{NODE}")).await?;
    ensure(gone.code == 200, || gone.text)
}

/// Creates an object. It may exist already from an earlier run, because no controller removes the
/// finalizer of a claim in use.
async fn ensure_exists(site: &Site<'_>, path: &str, object: &Value) -> Outcome {
    let made = site.cluster.api.post(path, object).await?;
    ensure(matches!(made.code, 201 | 409), || made.text)
}
