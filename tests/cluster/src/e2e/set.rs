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
pub(super) const GRACE: u32 = 20;

/// A StatefulSet.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) replicas: u32,
    /// Its service ignores SIGTERM.
    pub(super) deaf: bool,
    /// Its release is a preStop hook, and no native sidecar.
    pub(super) hook: bool,
    /// All of its members start at once.
    pub(super) parallel: bool,
    pub(super) namespace: &'static str,
    /// Where its addresses come from.
    pub(super) pool: &'static str,
    /// It has nothing of ours, and serves at its node's address.
    pub(super) plain: bool,
    /// The slots that each member asks the scheduler for.
    pub(super) slots: u32,
}

impl Set {
    pub(super) fn new(name: &'static str, replicas: u32) -> Self {
        Self {
            name,
            replicas,
            deaf: false,
            hook: false,
            parallel: false,
            namespace: NAMESPACE,
            pool: POOL,
            plain: false,
            slots: 0,
        }
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
                "podManagementPolicy": if self.parallel { "Parallel" } else { "OrderedReady" },
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": self.pod() },
            },
        })
    }

    fn pod(&self) -> Value {
        let data = json!({ "name": "data", "mountPath": "/data" });
        let run = json!({ "name": "firecamp-run", "mountPath": "/run/firecamp" });
        let mut service = json!({
            "name": "service",
            "image": MEMBER,
            "command": ["/clusterbox", "serve", "/data/conf/firecamp-service-staticip"],
            "env": self.env(),
            "volumeMounts": [data],
        });
        if self.deaf {
            service["command"] =
                json!(["/clusterbox", "serve", "--deaf", "/data/conf/firecamp-service-staticip"]);
        }
        if self.slots > 0 {
            let slots = json!({ "firecamp.io/static-ip": self.slots.to_string() });
            service["resources"] = json!({ "requests": slots, "limits": slots });
        }
        if self.plain {
            service["command"] = json!(["/clusterbox", "serve", "$(HOST_IP)"]);
            return pod(&[], &[service]);
        }
        let mut init = vec![self.ours("init", json!({ "volumeMounts": [data, run] }))];
        let mut containers = vec![service];
        if self.hook {
            let release = json!({ "exec": { "command": ["/firecamp-stopcontainer", "release"] } });
            containers.push(self.ours(
                "stop",
                json!({
                    "volumeMounts": [run],
                    "args": ["wait"],
                    "lifecycle": { "preStop": release },
                }),
            ));
        } else {
            init.push(
                self.ours("stop", json!({ "volumeMounts": [run], "restartPolicy": "Always" })),
            );
        }
        pod(&init, &containers)
    }

    fn ours(&self, part: &str, mut container: Value) -> Value {
        container["name"] = json!(format!("member{part}"));
        container["image"] = json!(format!("firecamp-{part}container:{VERSION}"));
        container["env"] = self.env();
        container["securityContext"] = json!({
            "runAsUser": 0,
            "runAsGroup": 0,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"], "add": ["NET_ADMIN"] },
        });
        container
    }

    fn env(&self) -> Value {
        let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
        json!([
            { "name": "CLUSTER", "value": CLUSTER },
            { "name": "SERVICE_NAME", "value": self.name },
            { "name": "FIRECAMP_POOL", "value": self.pool },
            { "name": "AWS_ENDPOINT_URL_EC2", "value": ENDPOINT },
            field("POD_NAME", "metadata.name"),
            field("K8S_NAMESPACE", "metadata.namespace"),
            field("POD_UID", "metadata.uid"),
            field("NODE_NAME", "spec.nodeName"),
            field("HOST_IP", "status.hostIP"),
        ])
    }
}

/// A pod in the node's network.
fn pod(init: &[Value], containers: &[Value]) -> Value {
    json!({
        "hostNetwork": true,
        "dnsPolicy": "Default",
        "terminationGracePeriodSeconds": GRACE,
        "initContainers": init,
        "containers": containers,
        "volumes": [
            { "name": "data", "emptyDir": {} },
            { "name": "firecamp-run",
              "hostPath": { "path": "/run/firecamp", "type": "DirectoryOrCreate" } },
        ],
    })
}
