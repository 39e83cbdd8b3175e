//! What the commands about services read and change in a cluster.

use std::time::Duration;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_kube::{Apply, Evicted, ObjectKind, ObjectPath, Objects, Selector};
use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use kube::{Api, Client};
use serde_json::Value;

/// How long a command in a member may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(10);

/// The kinds of objects that make up a service.
pub mod kind {
    use firecamp_core::contract::api;
    use firecamp_kube::ObjectKind;
    use firecamp_registry::api::{Kind as _, StaticIPPoolSpec, StaticIPSpec};

    /// A StatefulSet.
    pub const STATEFUL_SET: ObjectKind =
        ObjectKind { version: "apps/v1", kind: "StatefulSet", plural: "statefulsets" };
    /// A Deployment.
    pub const DEPLOYMENT: ObjectKind =
        ObjectKind { version: "apps/v1", kind: "Deployment", plural: "deployments" };
    /// The revisions of a Deployment's template, with their pods.
    pub const REPLICA_SET: ObjectKind =
        ObjectKind { version: "apps/v1", kind: "ReplicaSet", plural: "replicasets" };
    /// The revisions of a StatefulSet's template.
    pub const REVISION: ObjectKind = ObjectKind {
        version: "apps/v1",
        kind: "ControllerRevision",
        plural: "controllerrevisions",
    };
    /// A Pod.
    pub const POD: ObjectKind = ObjectKind { version: "v1", kind: "Pod", plural: "pods" };
    /// A Node.
    pub const NODE: ObjectKind = ObjectKind { version: "v1", kind: "Node", plural: "nodes" };
    /// A Service.
    pub const SERVICE: ObjectKind =
        ObjectKind { version: "v1", kind: "Service", plural: "services" };
    /// A Job.
    pub const JOB: ObjectKind = ObjectKind { version: "batch/v1", kind: "Job", plural: "jobs" };
    /// A ServiceAccount.
    pub const ACCOUNT: ObjectKind =
        ObjectKind { version: "v1", kind: "ServiceAccount", plural: "serviceaccounts" };
    /// A ConfigMap.
    pub const CONFIG_MAP: ObjectKind =
        ObjectKind { version: "v1", kind: "ConfigMap", plural: "configmaps" };
    /// A PersistentVolumeClaim.
    pub const VOLUME_CLAIM: ObjectKind = ObjectKind {
        version: "v1",
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
    };
    /// A PersistentVolume.
    pub const VOLUME: ObjectKind =
        ObjectKind { version: "v1", kind: "PersistentVolume", plural: "persistentvolumes" };
    /// A StaticIPPool.
    pub const POOL: ObjectKind = ObjectKind {
        version: api::VERSION,
        kind: StaticIPPoolSpec::KIND,
        plural: StaticIPPoolSpec::PLURAL,
    };
    /// A StaticIP.
    pub const STATIC_IP: ObjectKind = ObjectKind {
        version: api::VERSION,
        kind: StaticIPSpec::KIND,
        plural: StaticIPSpec::PLURAL,
    };
    /// A PodDisruptionBudget.
    pub const BUDGET: ObjectKind = ObjectKind {
        version: "policy/v1",
        kind: "PodDisruptionBudget",
        plural: "poddisruptionbudgets",
    };
}

/// An object of a namespace.
pub fn path(kind: ObjectKind, namespace: &str, name: &str) -> ObjectPath {
    ObjectPath { kind, namespace: Some(namespace.to_owned()), name: name.to_owned() }
}

/// What the commands about services need of a cluster. Each call is one attempt.
pub trait ServiceCluster {
    /// An object; none if it does not exist.
    fn get(
        &self,
        object: &ObjectPath,
    ) -> impl Future<Output = Result<Option<Value>, RegistryFailure>>;

    /// The objects of a kind in a namespace, or in all, that the selectors select.
    fn list(
        &self,
        kind: ObjectKind,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> impl Future<Output = Result<Vec<Value>, RegistryFailure>>;

    /// Server-side apply. Returns the object as it is afterwards.
    fn apply(
        &self,
        object: &ObjectPath,
        fields: &Value,
        how: Apply,
    ) -> impl Future<Output = Result<Value, RegistryFailure>>;

    /// A JSON patch or a merge patch; with a resource version, it must be the current one.
    fn patch(
        &self,
        object: &ObjectPath,
        fields: &Value,
    ) -> impl Future<Output = Result<Value, RegistryFailure>>;

    /// Deletes the object with this UID.
    fn delete(
        &self,
        object: &ObjectPath,
        uid: &str,
    ) -> impl Future<Output = Result<(), RegistryFailure>>;

    /// Evicts the pod with this UID.
    fn evict(
        &self,
        pod: &ObjectPath,
        uid: &str,
    ) -> impl Future<Output = Result<Evicted, RegistryFailure>>;

    /// Runs a command in the first container of a pod. Returns whether it succeeded.
    fn succeeds(
        &self,
        pod: &ObjectPath,
        command: &[String],
    ) -> impl Future<Output = Result<bool, RegistryFailure>>;
}

/// A cluster behind its API server.
#[derive(Clone)]
pub struct KubeServices {
    objects: Objects,
    client: Client,
}

impl KubeServices {
    /// Uses a client that must not retry requests.
    pub fn new(client: Client, timeouts: firecamp_kube::Timeouts) -> Self {
        Self { objects: Objects::new(client.clone(), timeouts), client }
    }
}

impl KubeServices {
    /// What the containers of a pod have written.
    pub async fn log(&self, pod: &ObjectPath) -> Result<String, RegistryFailure> {
        self.objects.log(pod).await
    }
}

impl ServiceCluster for KubeServices {
    async fn get(&self, object: &ObjectPath) -> Result<Option<Value>, RegistryFailure> {
        self.objects.get(object).await
    }

    async fn list(
        &self,
        kind: ObjectKind,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> Result<Vec<Value>, RegistryFailure> {
        self.objects.list(kind, namespace, selector).await
    }

    async fn apply(
        &self,
        object: &ObjectPath,
        fields: &Value,
        how: Apply,
    ) -> Result<Value, RegistryFailure> {
        self.objects.apply(object, fields, how).await
    }

    async fn patch(&self, object: &ObjectPath, fields: &Value) -> Result<Value, RegistryFailure> {
        self.objects.patch(object, fields).await
    }

    async fn delete(&self, object: &ObjectPath, uid: &str) -> Result<(), RegistryFailure> {
        self.objects.delete(object, uid).await
    }

    async fn evict(&self, pod: &ObjectPath, uid: &str) -> Result<Evicted, RegistryFailure> {
        self.objects.evict(pod, uid).await
    }

    async fn succeeds(
        &self,
        pod: &ObjectPath,
        command: &[String],
    ) -> Result<bool, RegistryFailure> {
        let what = format!("run {command:?} in {pod}");
        let failed = |problem: String| RegistryFailure {
            kind: RegistryKind::Unavailable,
            effect: Effect::Unknown,
            detail: format!("{what}: {problem}"),
        };
        let namespace = pod.namespace.as_deref().unwrap_or_default();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        // The API server runs no command without a stream. A full output would block the command.
        let attach = AttachParams::default().stdin(false).stdout(true).stderr(false);
        let run = async {
            let mut process = pods
                .exec(&pod.name, command, &attach)
                .await
                .map_err(|wrong| failed(wrong.to_string()))?;
            let status = process.take_status().ok_or_else(|| failed("no status".to_owned()))?;
            let mut output = process.stdout().ok_or_else(|| failed("no output".to_owned()))?;
            let unread = async { tokio::io::copy(&mut output, &mut tokio::io::sink()).await };
            let (status, _bytes) = tokio::join!(status, unread);
            let status = status.ok_or_else(|| failed("it was interrupted".to_owned()))?;
            Ok(status.status.as_deref() == Some("Success"))
        };
        tokio::time::timeout(COMMAND_WITHIN, run).await.unwrap_or_else(|_elapsed| {
            Err(failed(format!("no result within {} s", COMMAND_WITHIN.as_secs())))
        })
    }
}
