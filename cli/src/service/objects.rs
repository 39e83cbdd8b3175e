//! The objects of a service. Pure.
//!
//! Names, labels and paths are those of the original FireCamp, where it has them.

mod member_conf;
mod pod;

use firecamp_core::contract::names::{MANAGER_LABEL, SET_LABEL, ZONE_ANNOTATION};
use firecamp_core::contract::service::{
    BEFORE, DEFINITION, NAME_LABEL, PRIMARY_COMMAND, PRIMARY_LABEL, RESTART_ORDER, UUID_LABEL,
};
use firecamp_core::ids::SetName;
use firecamp_kube::{ObjectPath, SERVICE_MANAGER};
use serde_json::{Map, Value, json};

use super::cluster::{kind, path};
use super::definition::Definition;

pub(super) use member_conf::MEMBER_CONF;

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
    /// The StatefulSet, or the Deployment of a stateless service.
    pub fn workload(&self) -> ObjectPath {
        let stateless = self.definition.stateless;
        let kind = if stateless { kind::DEPLOYMENT } else { kind::STATEFUL_SET };
        path(kind, &self.namespace, self.name.as_str())
    }

    /// Its objects, in the order in which they are applied. The workload is the last one.
    ///
    /// # Errors
    ///
    /// What the definition lacks, or what it says that a stateless service cannot have.
    pub fn objects(&self) -> Result<Vec<(ObjectPath, Value)>, String> {
        self.definition.check()?;
        let name = self.name.as_str();
        let of = |kind| path(kind, &self.namespace, name);
        let mut all = vec![(of(kind::ACCOUNT), json!({ "automountServiceAccountToken": false }))];
        let files = self.files();
        if !files.is_empty() {
            let config = path(kind::CONFIG_MAP, &self.namespace, &self.config_map());
            all.push((config, json!({ "immutable": true, "data": files })));
        }
        all.push((of(kind::SERVICE), self.service()));
        all.extend(self.static_service());
        all.push((of(kind::BUDGET), self.budget()));
        let is_stateless = self.definition.stateless;
        let workload = if is_stateless { self.deployment()? } else { self.stateful_set()? };
        all.push((self.workload(), workload));
        Ok(all
            .into_iter()
            .map(|(path, fields)| (path.clone(), self.named(&path, fields)))
            .collect())
    }

    /// The name of the ConfigMap with the files of configuration: another one for other content,
    /// so that a member gets it only when it restarts, and an undo returns to the old one.
    pub fn config_map(&self) -> String {
        format!("{}-conf-{}", self.name, super::hash(&json!(self.files())))
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

    fn service(&self) -> Value {
        let mut spec = json!({ "selector": self.selector(), "ports": self.ports() });
        if let (Some(spec), false) = (spec.as_object_mut(), self.definition.stateless) {
            spec.insert("clusterIP".to_owned(), json!("None"));
            // Members find each other before they are ready.
            spec.insert("publishNotReadyAddresses".to_owned(), json!(true));
        }
        json!({ "spec": spec })
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

    fn deployment(&self) -> Result<Value, String> {
        // On the network of its node, a pod and its successor cannot have the same ports.
        let is_host = self.definition.placement.host_network.unwrap_or_default();
        let (surge, unavailable) = if is_host { (0, 1) } else { (1, 0) };
        let pace = json!({ "maxSurge": surge, "maxUnavailable": unavailable });
        let definition = serde_json::to_string(&self.definition).map_err(|why| why.to_string())?;
        Ok(json!({
            "annotations": { DEFINITION: definition },
            "spec": {
                "replicas": self.definition.replicas.unwrap_or(1),
                "strategy": { "type": "RollingUpdate", "rollingUpdate": pace },
                "selector": { "matchLabels": self.selector() },
                "template": self.template()?,
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
}
