//! StatefulSets of members, as deploy/examples/redis.yaml has them.

use serde_json::{Value, json};

use crate::images::{MEMBER, VERSION};
use crate::install::ENDPOINT;
use crate::topology::CLUSTER;

/// The namespace of the members.
pub(super) const NAMESPACE: &str = "prod";
/// Where their addresses come from.
const POOL: &str = "main";
/// How long a pod has to end.
const GRACE: u32 = 20;

/// Who releases for a pod that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A native sidecar, at its SIGTERM.
    Sidecar,
    /// A container's preStop hook.
    Hook,
    /// Nobody: there is no stop container.
    Unassigned,
}

/// What is mounted at a member's data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// A directory of the pod's.
    Own,
    /// Nothing: it is in each container's layer.
    Nothing,
    /// A directory of the pod's in the wrong place: below the data directory, where no file goes.
    Below,
    /// The volume of this PersistentVolumeClaim.
    Claim(&'static str),
}

/// What stands beside the service in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// FireCamp's containers.
    Ours,
    /// Such containers that do nothing: the service is at its node's address.
    Idle,
    /// Nothing: the service is at its node's address.
    Nothing,
}

/// A StatefulSet.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) replicas: u32,
    /// The number of its first member.
    pub(super) first: u32,
    /// Its service ignores SIGTERM.
    pub(super) deaf: bool,
    pub(super) stop: Stop,
    pub(super) data: Data,
    /// How long its pods have to end.
    pub(super) grace: u32,
    /// Its init containers kill themselves after the step that has the member's number, as long as
    /// the ConfigMap `crash` says so.
    pub(super) crashes: bool,
    /// What our containers are told beside what they have to know. `$(POD_INDEX)` is the member's
    /// number.
    pub(super) settings: &'static [(&'static str, &'static str)],
    /// All of its members start at once.
    pub(super) parallel: bool,
    pub(super) namespace: &'static str,
    /// Where its addresses come from.
    pub(super) pool: &'static str,
    pub(super) beside: Beside,
    /// Of its init and stop containers.
    pub(super) version: &'static str,
    /// The slots that each member asks the scheduler for.
    pub(super) slots: u32,
    /// A port of its node at which the kubelet asks whether it is ready, and is answered until
    /// its SIGTERM.
    pub(super) probed: Option<u16>,
}

impl Set {
    pub(super) fn new(name: &'static str, replicas: u32) -> Self {
        Self {
            name,
            replicas,
            first: 0,
            deaf: false,
            stop: Stop::Sidecar,
            data: Data::Own,
            grace: GRACE,
            crashes: false,
            settings: &[],
            parallel: false,
            namespace: NAMESPACE,
            pool: POOL,
            beside: Beside::Ours,
            version: VERSION,
            slots: 0,
            probed: None,
        }
    }

    /// The names of its members.
    pub(super) fn members(&self) -> impl Iterator<Item = String> {
        (self.first..self.first + self.replicas).map(|number| format!("{}-{number}", self.name))
    }

    /// The object.
    pub(super) fn object(&self) -> Value {
        let labels = json!({ "app.kubernetes.io/name": self.name });
        json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": { "name": self.name, "namespace": self.namespace },
            "spec": {
                "serviceName": self.name,
                "replicas": self.replicas,
                "ordinals": { "start": self.first },
                "podManagementPolicy": if self.parallel { "Parallel" } else { "OrderedReady" },
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": self.pod() },
            },
        })
    }

    /// The data volume, and how a container mounts it.
    fn data(&self) -> (Option<Value>, Option<Value>) {
        let mounted = |at: &str| Some(json!({ "name": "data", "mountPath": at }));
        let own = Some(json!({ "name": "data", "emptyDir": {} }));
        match self.data {
            Data::Own => (own, mounted("/data")),
            Data::Nothing => (None, None),
            Data::Below => (own, mounted("/data/other")),
            Data::Claim(name) => {
                let claim = json!({ "claimName": name });
                let volume = json!({ "name": "data", "persistentVolumeClaim": claim });
                (Some(volume), mounted("/data"))
            }
        }
    }

    fn pod(&self) -> Value {
        let (volume, data) = self.data();
        let run = json!({ "name": "firecamp-run", "mountPath": "/run/firecamp" });
        let host = json!({ "path": "/run/firecamp", "type": "DirectoryOrCreate" });
        let mut volumes = vec![json!({ "name": "firecamp-run", "hostPath": host })];
        volumes.extend(volume);
        let mounts: Vec<&Value> = data.iter().chain([&run]).collect();
        let mut init = vec![self.ours("init", json!({ "volumeMounts": mounts }))];
        let mut containers = vec![self.service(data.as_ref())];
        match (self.beside, self.stop) {
            (Beside::Nothing, _any) => init.clear(),
            (Beside::Idle, _any) => init = idle(),
            (Beside::Ours, Stop::Sidecar) => {
                let sidecar = json!({ "volumeMounts": [run], "restartPolicy": "Always" });
                init.push(self.ours("stop", sidecar));
            }
            (Beside::Ours, Stop::Hook) => {
                let words = json!(["/firecamp-stopcontainer", "release"]);
                let hook = json!({ "preStop": { "exec": { "command": words } } });
                let stop = json!({ "volumeMounts": [run], "args": ["wait"], "lifecycle": hook });
                containers.push(self.ours("stop", stop));
            }
            (Beside::Ours, Stop::Unassigned) => {}
        }
        json!({
            "hostNetwork": true,
            "dnsPolicy": "Default",
            "terminationGracePeriodSeconds": self.grace,
            "initContainers": init,
            "containers": containers,
            "volumes": volumes,
        })
    }

    fn service(&self, data: Option<&Value>) -> Value {
        let also = self.probed.map(|port| format!("--also=127.0.0.1:{port}"));
        let mut words = vec!["/clusterbox", "serve"];
        words.extend(self.deaf.then_some("--deaf"));
        words.extend(also.as_deref());
        let file = "/data/conf/firecamp-service-staticip";
        words.push(if self.beside == Beside::Ours { file } else { "$(HOST_IP)" });
        let mut service = json!({
            "name": "service",
            "image": MEMBER,
            "command": words,
            "env": self.env(),
            "volumeMounts": data.into_iter().collect::<Vec<_>>(),
        });
        if let Some(port) = self.probed {
            let at = json!({ "host": "127.0.0.1", "port": port });
            let probe = json!({ "tcpSocket": at, "periodSeconds": 1, "failureThreshold": 1 });
            service["readinessProbe"] = probe;
        }
        if self.slots > 0 {
            let slots = json!({ "firecamp.io/static-ip": self.slots.to_string() });
            service["resources"] = json!({ "requests": slots, "limits": slots });
        }
        service
    }

    fn ours(&self, part: &str, mut container: Value) -> Value {
        container["name"] = json!(format!("member{part}"));
        container["image"] = json!(format!("firecamp-{part}container:{}", self.version));
        let settings =
            self.settings.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        let mut env = self.env();
        env.extend(settings);
        if self.crashes {
            let word = json!({ "configMapKeyRef": { "name": "crash", "key": "word" } });
            env.push(json!({ "name": "CRASH_WORD", "valueFrom": word }));
            let at = "$(CRASH_WORD).$(POD_INDEX)";
            env.push(json!({ "name": "FIRECAMP_CRASH_AT", "value": at }));
        }
        container["env"] = json!(env);
        container["securityContext"] = json!({
            "runAsUser": 0,
            "runAsGroup": 0,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": !matches!(self.data, Data::Nothing | Data::Below),
            "capabilities": { "drop": ["ALL"], "add": ["NET_ADMIN"] },
        });
        container
    }

    fn env(&self) -> Vec<Value> {
        let said = |name: &str, value: &str| json!({ "name": name, "value": value });
        let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
        vec![
            said("CLUSTER", CLUSTER),
            said("SERVICE_NAME", self.name),
            said("FIRECAMP_POOL", self.pool),
            said("AWS_ENDPOINT_URL_EC2", ENDPOINT),
            field("POD_NAME", "metadata.name"),
            field("K8S_NAMESPACE", "metadata.namespace"),
            field("POD_UID", "metadata.uid"),
            field("NODE_NAME", "spec.nodeName"),
            field("HOST_IP", "status.hostIP"),
            field("POD_INDEX", "metadata.labels['apps.kubernetes.io/pod-index']"),
        ]
    }
}

/// An init container that ends at once, and a native sidecar that ends when it is told to.
fn idle() -> Vec<Value> {
    let container =
        |name: &str, words: &[&str]| json!({ "name": name, "image": MEMBER, "command": words });
    let init = container("init", &["/clusterbox", "nothing"]);
    let mut sidecar = container("stop", &["/clusterbox", "serve", "127.0.0.1", "--port", "0"]);
    sidecar["restartPolicy"] = json!("Always");
    vec![init, sidecar]
}
