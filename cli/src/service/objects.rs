//! The objects of a service. Pure.
//!
//! Names, labels and paths are those of the original FireCamp, where it has them.

use firecamp_core::contract::cluster::ZONE_LABEL;
use firecamp_core::contract::endpoint::POOL_LABEL;
use firecamp_core::contract::env;
use firecamp_core::contract::names::{MANAGER_LABEL, SET_LABEL, ZONE_ANNOTATION};
use firecamp_core::contract::path::{CONF_DIR, DATA_DIR};
use firecamp_core::contract::service::{
    BEFORE, DEFINITION, JOURNAL_DIR, NAME_LABEL, PRIMARY_COMMAND, PRIMARY_LABEL, RESTART_ORDER,
    UUID_LABEL,
};
use firecamp_core::ids::SetName;
use firecamp_kube::{ObjectPath, SERVICE_MANAGER};
use serde_json::{Map, Value, json};

use super::cluster::{kind, path};
use super::definition::Definition;

/// Seconds that a member has to stop if the definition does not say it, as in Kubernetes.
const GRACE: u32 = 30;

/// A service with its name and identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: SetName,
    /// The UUID: 32 hex digits.
    pub uuid: String,
    /// What the user says about it. The zones are complete.
    pub definition: Definition,
    /// What the user said before the last update.
    pub before: Option<Definition>,
}

/// The name of the Service that names the members at their static addresses.
pub(super) fn static_name(service: &str) -> String {
    format!("{service}-static")
}

impl Service {
    /// Its objects, in the order in which they are applied. The StatefulSet is the last one.
    ///
    /// # Errors
    ///
    /// What the definition lacks.
    pub fn objects(&self) -> Result<Vec<(ObjectPath, Value)>, String> {
        let name = self.name.as_str();
        let of = |kind| path(kind, &self.namespace, name);
        let mut all = vec![(of(kind::ACCOUNT), json!({ "automountServiceAccountToken": false }))];
        if !self.definition.config.is_empty() {
            let config = path(kind::CONFIG_MAP, &self.namespace, &self.config_map());
            all.push((config, json!({ "immutable": true, "data": self.definition.config })));
        }
        all.push((of(kind::SERVICE), self.headless_service()?));
        all.extend(self.static_service());
        all.push((of(kind::BUDGET), self.budget()));
        all.push((of(kind::STATEFUL_SET), self.stateful_set()?));
        Ok(all
            .into_iter()
            .map(|(path, fields)| (path.clone(), self.named(&path, fields)))
            .collect())
    }

    /// The name of the ConfigMap with the files of configuration: another one for other content,
    /// so that a member gets it only when it restarts, and an undo returns to the old one.
    pub fn config_map(&self) -> String {
        format!("{}-conf-{}", self.name, super::hash(&json!(self.definition.config)))
    }

    /// The object with its kind, name and labels.
    fn named(&self, path: &ObjectPath, mut fields: Value) -> Value {
        let mut metadata = json!({
            "name": path.name,
            "namespace": self.namespace,
            "labels": self.labels(),
        });
        let mut own = |name| fields.as_object_mut().and_then(|all| all.remove(name));
        let (annotations, labels) = (own("annotations"), own("labels"));
        if let (Some(all), Some(annotations)) = (metadata.as_object_mut(), annotations) {
            all.insert("annotations".to_owned(), annotations);
        }
        let all = metadata.pointer_mut("/labels").and_then(Value::as_object_mut);
        if let (Some(all), Some(Value::Object(labels))) = (all, labels) {
            all.extend(labels);
        }
        let kind = path.kind;
        let mut object =
            json!({ "apiVersion": kind.version, "kind": kind.kind, "metadata": metadata });
        if let (Some(all), Value::Object(fields)) = (object.as_object_mut(), fields) {
            all.extend(fields);
        }
        object
    }

    fn labels(&self) -> Map<String, Value> {
        let mut labels = self.selector();
        labels.insert("app.kubernetes.io/name".to_owned(), json!(self.name.as_str()));
        labels.insert(MANAGER_LABEL.to_owned(), json!(SERVICE_MANAGER));
        labels
    }

    /// What selects its pods.
    fn selector(&self) -> Map<String, Value> {
        let pairs = [(NAME_LABEL, self.name.as_str()), (UUID_LABEL, self.uuid.as_str())];
        pairs.map(|(name, value)| (name.to_owned(), json!(value))).into_iter().collect()
    }

    /// Members find each other before they are ready.
    fn headless_service(&self) -> Result<Value, String> {
        if self.definition.ports.is_empty() {
            return Err("a service has at least one port: --port NAME=PORT".to_owned());
        }
        let own = self.definition.container.env.iter().any(|(name, _)| name == env::POD_NAME);
        if own {
            return Err(format!("--env {}: every member has this variable", env::POD_NAME));
        }
        Ok(json!({ "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": self.selector(),
            "ports": self.ports(),
        } }))
    }

    fn ports(&self) -> Vec<Value> {
        let port = |(name, port): &(String, u16)| json!({ "name": name, "port": port });
        self.definition.ports.iter().map(port).collect()
    }

    /// Names each member at its static address, whether it is ready or not (docs/names.md).
    fn static_service(&self) -> Option<(ObjectPath, Value)> {
        let Definition { pool, dns_zone, .. } = &self.definition;
        if pool.is_none() && dns_zone.is_none() {
            return None;
        }
        let mut service = json!({
            "labels": { SET_LABEL: self.name.as_str() },
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": true,
                "ports": self.ports(),
            },
        });
        if let (Some(all), Some(zone)) = (service.as_object_mut(), dns_zone) {
            all.insert("annotations".to_owned(), json!({ ZONE_ANNOTATION: zone }));
        }
        let name = static_name(self.name.as_str());
        Some((path(kind::SERVICE, &self.namespace, &name), service))
    }

    /// Unhealthy members can always be evicted, so that a drain and a restart can repair them.
    fn budget(&self) -> Value {
        json!({ "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": { "matchLabels": self.selector() },
        } })
    }

    fn stateful_set(&self) -> Result<Value, String> {
        let volumes = &self.definition.volumes;
        let claims = [
            ("data", &volumes.data, &volumes.data_class),
            ("journal", &volumes.journal, &volumes.journal_class),
        ];
        let claims = claims.into_iter().filter_map(|(role, size, class)| {
            size.as_ref().map(|size| self.claim_template(role, size, class.as_deref()))
        });
        Ok(json!({
            "annotations": self.annotations()?,
            "spec": {
                "serviceName": self.name.as_str(),
                "replicas": self.definition.replicas.unwrap_or(1),
                "podManagementPolicy": "Parallel",
                "updateStrategy": { "type": "OnDelete" },
                "selector": { "matchLabels": self.selector() },
                "template": self.template()?,
                "volumeClaimTemplates": claims.collect::<Vec<Value>>(),
            },
        }))
    }

    fn annotations(&self) -> Result<Value, String> {
        let restart = &self.definition.restart;
        let order = json!(restart.order.unwrap_or_default());
        let definition = serde_json::to_string(&self.definition).map_err(|why| why.to_string())?;
        let mut all = json!({ RESTART_ORDER: order, DEFINITION: definition });
        let before = self.before.as_ref().map(serde_json::to_string).transpose();
        let before = before.map_err(|why| why.to_string())?;
        let known = [
            (BEFORE, &before),
            (PRIMARY_LABEL, &restart.primary_label),
            (PRIMARY_COMMAND, &restart.primary_command),
        ];
        for (name, value) in known {
            if let (Some(all), Some(value)) = (all.as_object_mut(), value) {
                all.insert(name.to_owned(), json!(value));
            }
        }
        Ok(all)
    }

    fn claim_template(&self, role: &str, size: &str, class: Option<&str>) -> Value {
        let mut spec = json!({
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": size } },
        });
        if let (Some(spec), Some(class)) = (spec.as_object_mut(), class) {
            spec.insert("storageClassName".to_owned(), json!(class));
        }
        let metadata = json!({ "name": self.volume(role), "labels": self.selector() });
        // With the defaults of the API server, so that an apply of the same changes nothing.
        let kind = kind::VOLUME_CLAIM;
        json!({ "apiVersion": kind.version, "kind": kind.kind, "metadata": metadata, "spec": spec })
    }

    fn volume(&self, role: &str) -> String {
        format!("{}-{role}", self.name)
    }

    fn template(&self) -> Result<Value, String> {
        let mut labels = self.labels();
        if let Some(pool) = &self.definition.pool {
            labels.insert(POOL_LABEL.to_owned(), json!(pool));
        }
        let metadata = json!({ "labels": labels });
        Ok(json!({ "metadata": metadata, "spec": self.pod()? }))
    }

    fn pod(&self) -> Result<Value, String> {
        let placement = &self.definition.placement;
        let host = placement.host_network.unwrap_or_default();
        let mut security = json!({ "seccompProfile": { "type": "RuntimeDefault" } });
        if let (Some(all), Some(user)) = (security.as_object_mut(), self.definition.container.user)
        {
            all.insert("fsGroup".to_owned(), json!(user));
            all.insert("fsGroupChangePolicy".to_owned(), json!("OnRootMismatch"));
        }
        let mut pod = json!({
            "serviceAccountName": self.name.as_str(),
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": self.definition.restart.grace.unwrap_or(GRACE),
            "securityContext": security,
            "topologySpreadConstraints": [self.spread()],
            "affinity": self.affinity(),
            "containers": [self.container()?],
        });
        let config = json!([{ "name": "conf", "configMap": { "name": self.config_map() } }]);
        let optional = [
            ("hostNetwork", host.then_some(json!(true))),
            ("dnsPolicy", host.then_some(json!("ClusterFirstWithHostNet"))),
            ("volumes", (!self.definition.config.is_empty()).then_some(config)),
        ];
        if let Some(pod) = pod.as_object_mut() {
            let present = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
            pod.extend(present.map(|(name, value)| (name.to_owned(), value)));
        }
        Ok(pod)
    }

    /// The first start of a member decides the zone of its volume and of its address.
    fn spread(&self) -> Value {
        json!({
            "maxSkew": 1,
            "topologyKey": ZONE_LABEL,
            "whenUnsatisfiable": "DoNotSchedule",
            // A zone whose nodes are down is none over which members can be spread.
            "nodeTaintsPolicy": "Honor",
            "labelSelector": { "matchLabels": self.selector() },
        })
    }

    fn affinity(&self) -> Value {
        let placement = &self.definition.placement;
        let apart = json!({
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": { "matchLabels": self.selector() },
        });
        let apart = if placement.share_nodes.unwrap_or_default() {
            json!({ "preferredDuringSchedulingIgnoredDuringExecution":
                [{ "weight": 100, "podAffinityTerm": apart }] })
        } else {
            json!({ "requiredDuringSchedulingIgnoredDuringExecution": [apart] })
        };
        let mut affinity = json!({ "podAntiAffinity": apart });
        if let (Some(affinity), false) = (affinity.as_object_mut(), placement.zones.is_empty()) {
            let zones = json!({ "key": ZONE_LABEL, "operator": "In", "values": placement.zones });
            let required = json!({ "nodeSelectorTerms": [{ "matchExpressions": [zones] }] });
            affinity.insert(
                "nodeAffinity".to_owned(),
                json!({ "requiredDuringSchedulingIgnoredDuringExecution": required }),
            );
        }
        affinity
    }

    fn container(&self) -> Result<Value, String> {
        let definition = &self.definition;
        let own = &definition.container;
        let image = own.image.as_ref().ok_or("a service has an image: --image IMAGE")?;
        let port = |(name, port): &(String, u16)| json!({ "name": name, "containerPort": port });
        let mut container = json!({
            "name": self.name.as_str(),
            "image": image,
            "env": self.environment(),
            "ports": definition.ports.iter().map(port).collect::<Vec<Value>>(),
            "readinessProbe": self.readiness(),
            "resources": self.resources(),
            "securityContext": self.security(),
            "volumeMounts": self.mounts(),
        });
        if let (Some(container), false) = (container.as_object_mut(), own.command.is_empty()) {
            container.insert("command".to_owned(), json!(own.command));
        }
        Ok(container)
    }

    fn environment(&self) -> Vec<Value> {
        let field = json!({ "fieldRef": { "fieldPath": "metadata.name" } });
        let pod = json!({ "name": env::POD_NAME, "valueFrom": field });
        let own = self.definition.container.env.iter();
        let own = own.map(|(name, value)| json!({ "name": name, "value": value }));
        [pod].into_iter().chain(own).collect()
    }

    fn readiness(&self) -> Value {
        let Some(command) = &self.definition.container.ready_command else {
            let port = self.definition.ports.first().map(|(name, _port)| name.as_str());
            return json!({ "tcpSocket": { "port": port.unwrap_or_default() } });
        };
        json!({ "exec": { "command": ["sh", "-c", command] } })
    }

    fn resources(&self) -> Value {
        let container = &self.definition.container;
        let mut requests = Map::new();
        let wanted = [("cpu", &container.cpu), ("memory", &container.memory)];
        requests.extend(
            wanted
                .iter()
                .filter_map(|(name, value)| Some(((*name).to_owned(), json!(value.as_ref()?)))),
        );
        match &container.memory {
            Some(memory) => json!({ "requests": requests, "limits": { "memory": memory } }),
            None => json!({ "requests": requests }),
        }
    }

    /// What the Pod Security Standard *restricted* requires.
    fn security(&self) -> Value {
        let mut security = json!({
            "runAsNonRoot": true,
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
        });
        if let (Some(all), Some(user)) = (security.as_object_mut(), self.definition.container.user)
        {
            all.insert("runAsUser".to_owned(), json!(user));
            all.insert("runAsGroup".to_owned(), json!(user));
        }
        security
    }

    fn mounts(&self) -> Vec<Value> {
        let volumes = &self.definition.volumes;
        let places =
            [(&volumes.data, "data", DATA_DIR), (&volumes.journal, "journal", JOURNAL_DIR)];
        let mounts = places.into_iter().filter_map(|(size, role, place)| {
            size.as_ref().map(|_size| json!({ "name": self.volume(role), "mountPath": place }))
        });
        // A mounted directory would hide what else is in it.
        let files = self.definition.config.keys().map(|file| {
            let place = format!("{CONF_DIR}/{file}");
            json!({ "name": "conf", "mountPath": place, "subPath": file, "readOnly": true })
        });
        mounts.chain(files).collect()
    }
}
