//! The pods of a service. Pure.

use firecamp_core::contract::cluster::ZONE_LABEL;
use firecamp_core::contract::endpoint::POOL_LABEL;
use firecamp_core::contract::env;
use firecamp_core::contract::path::{CONF_DIR, DATA_DIR};
use firecamp_core::contract::service::JOURNAL_DIR;
use serde_json::{Map, Value, json};

use super::Service;
use crate::inject::pod::{Settings, inject_pod};

/// Seconds that a member has to stop if the definition does not say it, as in Kubernetes.
const GRACE: u32 = 30;
/// Label of a pod with the revision of its Deployment's template. With it, the pods that a rollout
/// replaces do not count where their successors run.
const REVISION: &str = "pod-template-hash";

impl Service {
    pub(super) fn template(&self) -> Result<Value, String> {
        let mut labels = self.labels();
        if let Some(pool) = &self.definition.pool {
            labels.insert(POOL_LABEL.to_owned(), json!(pool));
        }
        let metadata = json!({ "labels": labels });
        let mut template = json!({ "metadata": metadata, "spec": self.pod()? });
        if let Some(image) = &self.definition.container.init_image {
            inject_pod(&mut template, &Settings::of_image(image))?;
        }
        Ok(template)
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
            ("volumes", (!self.files().is_empty()).then_some(config)),
        ];
        if let Some(pod) = pod.as_object_mut() {
            let present = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
            pod.extend(present.map(|(name, value)| (name.to_owned(), value)));
        }
        Ok(pod)
    }

    /// The first start of a member decides the zone of its volume and of its address.
    fn spread(&self) -> Value {
        self.among_members(json!({
            "maxSkew": 1,
            "topologyKey": ZONE_LABEL,
            "whenUnsatisfiable": "DoNotSchedule",
            // A zone whose nodes are down is none over which members can be spread.
            "nodeTaintsPolicy": "Honor",
        }))
    }

    /// The rule for all members, or for those of the same revision.
    fn among_members(&self, mut rule: Value) -> Value {
        if let Some(rule) = rule.as_object_mut() {
            rule.insert("labelSelector".to_owned(), json!({ "matchLabels": self.selector() }));
            let revision = self.definition.stateless.then(|| json!([REVISION]));
            rule.extend(revision.map(|keys| ("matchLabelKeys".to_owned(), keys)));
        }
        rule
    }

    fn affinity(&self) -> Value {
        let placement = &self.definition.placement;
        let apart = self.among_members(json!({ "topologyKey": "kubernetes.io/hostname" }));
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
        [pod].into_iter().chain(self.zone_of_member()).chain(own).collect()
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
        let files = self.files().into_keys().map(|file| {
            let place = format!("{CONF_DIR}/{file}");
            json!({ "name": "conf", "mountPath": place, "subPath": file, "readOnly": true })
        });
        mounts.chain(files).collect()
    }
}
