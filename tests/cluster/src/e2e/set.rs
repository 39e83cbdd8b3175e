//! StatefulSets of members, like deploy/examples.

use firecamp_core::contract::endpoint::DEFAULT;
use serde_json::{Value, json};

use crate::images::{MEMBER, VERSION};
use crate::install::ENDPOINT;
use crate::topology::CLUSTER;

/// The namespace of the members.
pub(super) const NAMESPACE: &str = "prod";
/// The default pool.
const POOL: &str = "main";
/// Where a member reads its address that the agent has attached.
const ADDRESS_FILE: &str = "/run/firecamp.io/address";
/// The name of the API server in cluster DNS.
const API_SERVER: &str = "kubernetes.default.svc";
/// Default terminationGracePeriodSeconds.
const GRACE: u32 = 20;

/// What releases the address of a terminating pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A native sidecar, at its SIGTERM.
    Sidecar,
    /// A container's preStop hook.
    Hook,
    /// There is no stop container.
    None,
}

/// What is mounted at a member's data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// An emptyDir.
    EmptyDir,
    /// Nothing: the directory is in each container's own layer.
    None,
    /// An emptyDir in the wrong place: below the data directory.
    Nested,
    /// The volume of this PersistentVolumeClaim.
    Claim(&'static str),
}

/// The containers besides the service in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirecampContainers {
    /// FireCamp's init and stop containers, which do everything by themselves.
    Real,
    /// None but the stop container that a set may have: the rest is injected because of the label,
    /// without privileges.
    Injected,
    /// The same for pods with a network of their own, which a restricted namespace admits.
    OwnNetwork,
    /// Containers that do nothing; the service listens at its node's address.
    Idle,
    /// None; the service listens at its node's address.
    None,
    /// None, for a pod with a network of its own.
    NoneOwnNetwork,
}

impl FirecampContainers {
    /// Whether the pod has an address of FireCamp.
    pub(super) fn attaches(self) -> bool {
        match self {
            Self::Real | Self::Injected | Self::OwnNetwork => true,
            Self::Idle | Self::None | Self::NoneOwnNetwork => false,
        }
    }
}

/// `make e2e MEMBERS=injected`: the members of all scenarios ask the agents' endpoint.
/// `MEMBERS=own-network`: they have networks of their own.
const MEMBERS: &str = "CLUSTERBOX_MEMBERS";

impl FirecampContainers {
    pub(super) fn of_members() -> Self {
        match std::env::var(MEMBERS).as_deref() {
            Ok("injected") => Self::Injected,
            Ok("own-network") => Self::OwnNetwork,
            Ok(_) | Err(_) => Self::Real,
        }
    }

    /// Whether the pod has a network of its own.
    pub(super) fn has_own_network(self) -> bool {
        matches!(self, Self::OwnNetwork | Self::NoneOwnNetwork)
    }

    /// Whether the label adds them.
    pub(super) fn is_injected(self) -> bool {
        matches!(self, Self::Injected | Self::OwnNetwork)
    }
}

/// Parameters of a StatefulSet.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) replicas: u32,
    /// The ordinal of its first member.
    pub(super) first: u32,
    /// The service ignores SIGTERM.
    pub(super) ignore_sigterm: bool,
    pub(super) stop: Stop,
    pub(super) data: Data,
    /// terminationGracePeriodSeconds.
    pub(super) grace: u32,
    /// Init containers crash after the step with the member's ordinal, if the ConfigMap `crash`
    /// enables it.
    pub(super) crashes: bool,
    /// Additional environment variables of FireCamp's containers. `$(POD_INDEX)` is the member's
    /// ordinal.
    pub(super) settings: &'static [(&'static str, &'static str)],
    /// podManagementPolicy is Parallel.
    pub(super) parallel: bool,
    pub(super) namespace: &'static str,
    /// The pool of its addresses.
    pub(super) pool: &'static str,
    pub(super) firecamp: FirecampContainers,
    /// Version of the init and stop containers.
    pub(super) version: &'static str,
    /// The slots that each member requests from the scheduler, and their resource.
    pub(super) slots: u32,
    pub(super) resource: &'static str,
    /// The port of the readiness probe. With hostNetwork a local one, which the service closes on
    /// SIGTERM.
    pub(super) probed: Option<u16>,
}

impl Set {
    /// In direct mode with a stop container, otherwise with nothing of FireCamp but the label.
    pub(super) fn new(name: &'static str, replicas: u32) -> Self {
        let firecamp = FirecampContainers::of_members();
        Self {
            name,
            replicas,
            first: 0,
            ignore_sigterm: false,
            stop: if firecamp.is_injected() { Stop::None } else { Stop::Sidecar },
            data: Data::EmptyDir,
            grace: GRACE,
            crashes: false,
            settings: &[],
            parallel: false,
            namespace: NAMESPACE,
            pool: POOL,
            firecamp,
            version: VERSION,
            slots: 0,
            resource: "firecamp.io/static-ip",
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
        let mut own = json!({ "app.kubernetes.io/name": self.name });
        if self.firecamp == FirecampContainers::Real || self.firecamp.is_injected() {
            own["firecamp.io/pool"] = json!(self.pool);
        }
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
                "template": { "metadata": { "labels": own }, "spec": self.pod() },
            },
        })
    }

    /// The data volume and its volumeMount.
    fn data(&self) -> (Option<Value>, Option<Value>) {
        let mounted = |at: &str| Some(json!({ "name": "data", "mountPath": at }));
        let own = Some(json!({ "name": "data", "emptyDir": {} }));
        match self.data {
            Data::EmptyDir => (own, mounted("/data")),
            Data::None => (None, None),
            Data::Nested => (own, mounted("/data/other")),
            Data::Claim(name) => {
                let claim = json!({ "claimName": name });
                let volume = json!({ "name": "data", "persistentVolumeClaim": claim });
                (Some(volume), mounted("/data"))
            }
        }
    }

    fn pod(&self) -> Value {
        let (volume, data) = self.data();
        let injected = self.firecamp.is_injected();
        let (own, mut volumes) = if injected {
            // A template may not mount a volume that it does not have.
            (token(), Vec::from_iter((self.stop != Stop::None).then(token_volume)))
        } else {
            let host = json!({ "path": "/run/firecamp", "type": "DirectoryOrCreate" });
            let run = json!({ "name": "firecamp-run", "mountPath": "/run/firecamp" });
            (run, vec![json!({ "name": "firecamp-run", "hostPath": host })])
        };
        volumes.extend(volume);
        let mounts: Vec<&Value> = data.iter().chain([&own]).collect();
        let mut init = vec![self.firecamp_container("init", json!({ "volumeMounts": mounts }))];
        let mut containers = vec![self.service(data.as_ref())];
        match self.firecamp {
            FirecampContainers::None
            | FirecampContainers::NoneOwnNetwork
            | FirecampContainers::Injected
            | FirecampContainers::OwnNetwork => init.clear(),
            FirecampContainers::Idle => init = idle(),
            FirecampContainers::Real => {}
        }
        let own_network = self.firecamp.has_own_network();
        let has_stop = injected || self.firecamp == FirecampContainers::Real;
        match self.stop {
            Stop::Sidecar if has_stop => {
                let sidecar = json!({ "volumeMounts": [own], "restartPolicy": "Always" });
                init.push(self.firecamp_container("stop", sidecar));
            }
            Stop::Hook if has_stop => {
                let words = json!(["/firecamp-stopcontainer", "release"]);
                let hook = json!({ "preStop": { "exec": { "command": words } } });
                let stop = json!({ "volumeMounts": [own], "args": ["wait"], "lifecycle": hook });
                containers.push(self.firecamp_container("stop", stop));
            }
            Stop::Sidecar | Stop::Hook | Stop::None => {}
        }
        json!({
            "hostNetwork": !own_network,
            "dnsPolicy": if own_network { "ClusterFirst" } else { "ClusterFirstWithHostNet" },
            "terminationGracePeriodSeconds": self.grace,
            "initContainers": init,
            "containers": containers,
            "volumes": volumes,
        })
    }

    fn service(&self, data: Option<&Value>) -> Value {
        let own_network = self.firecamp.has_own_network();
        let local = self.probed.filter(|_| !own_network);
        let also = local.map(|port| format!("--also=127.0.0.1:{port}"));
        let mut words = vec!["/clusterbox", "serve"];
        words.extend(self.ignore_sigterm.then_some("--ignore-sigterm"));
        words.extend(also.as_deref());
        words.push(match self.firecamp {
            FirecampContainers::Real => "/data/conf/firecamp-service-staticip",
            FirecampContainers::Injected => ADDRESS_FILE,
            // Like most services in pods, at all addresses.
            FirecampContainers::OwnNetwork | FirecampContainers::NoneOwnNetwork => "0.0.0.0",
            FirecampContainers::Idle | FirecampContainers::None => "$(HOST_IP)",
        });
        let mounts: Vec<&Value> = data.into_iter().collect();
        let mut env = self.env();
        // It asks the API server by its name.
        env.push(json!({ "name": "KUBERNETES_SERVICE_HOST", "value": API_SERVER }));
        let mut service = json!({
            "name": "service",
            "image": MEMBER,
            "command": words,
            "env": env,
            "volumeMounts": mounts,
        });
        if own_network {
            service["securityContext"] = unprivileged();
        }
        if let Some(port) = self.probed {
            let host = if own_network { json!(null) } else { json!("127.0.0.1") };
            let at = json!({ "host": host, "port": port });
            let probe = json!({ "tcpSocket": at, "periodSeconds": 1, "failureThreshold": 1 });
            service["readinessProbe"] = probe;
        }
        if self.slots > 0 {
            let slots = json!({ self.resource: self.slots.to_string() });
            service["resources"] = json!({ "requests": slots, "limits": slots });
        }
        service
    }

    fn firecamp_container(&self, part: &str, mut container: Value) -> Value {
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
        if self.firecamp.is_injected() {
            env.push(json!({ "name": "FIRECAMP_ENDPOINT", "value": DEFAULT }));
            container["env"] = json!(env);
            container["securityContext"] = unprivileged();
            return container;
        }
        container["env"] = json!(env);
        container["securityContext"] = json!({
            "runAsUser": 0,
            "runAsGroup": 0,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": !matches!(self.data, Data::None | Data::Nested),
            "capabilities": { "drop": ["ALL"], "add": ["NET_ADMIN"] },
        });
        container
    }

    fn env(&self) -> Vec<Value> {
        let literal = |name: &str, value: &str| json!({ "name": name, "value": value });
        let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
        vec![
            literal("CLUSTER", CLUSTER),
            literal("SERVICE_NAME", self.name),
            literal("FIRECAMP_POOL", self.pool),
            literal("AWS_ENDPOINT_URL_EC2", ENDPOINT),
            field("POD_NAME", "metadata.name"),
            field("K8S_NAMESPACE", "metadata.namespace"),
            field("POD_UID", "metadata.uid"),
            field("NODE_NAME", "spec.nodeName"),
            field("HOST_IP", "status.hostIP"),
            field("POD_INDEX", "metadata.labels['apps.kubernetes.io/pod-index']"),
        ]
    }
}

/// The token for the endpoint.
fn token() -> Value {
    json!({ "name": "firecamp-token", "mountPath": "/var/run/secrets/firecamp.io",
        "readOnly": true })
}

fn token_volume() -> Value {
    let token = json!({ "path": "token", "audience": "firecamp.io", "expirationSeconds": 3600 });
    json!({ "name": "firecamp-token",
        "projected": { "sources": [{ "serviceAccountToken": token }] } })
}

/// What the Pod Security Standard *restricted* asks of a container.
pub(super) fn unprivileged() -> Value {
    json!({
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "runAsNonRoot": true,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// An init container that exits at once, and a native sidecar that runs until SIGTERM.
fn idle() -> Vec<Value> {
    let container =
        |name: &str, words: &[&str]| json!({ "name": name, "image": MEMBER, "command": words });
    let init = container("init", &["/clusterbox", "nothing"]);
    let mut sidecar = container("stop", &["/clusterbox", "serve", "127.0.0.1", "--port", "0"]);
    sidecar["restartPolicy"] = json!("Always");
    vec![init, sidecar]
}
