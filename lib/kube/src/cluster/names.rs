//! Services, EndpointSlices and DNSEndpoints: what the leader reads of them, and its changes.
//!
//! EndpointSlices: `discovery.k8s.io/v1` of Kubernetes. DNSEndpoints:
//! `externaldns.k8s.io/v1alpha1`, `apis/v1alpha1/dnsendpoint.go` of ExternalDNS.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    Endpoint, NamedService, NamesChange, NamesObject, NamespacedName, ObservedRecords,
    ObservedSlice, OwningService, ServicePort,
};
use firecamp_core::contract::names::{
    DNS_ENDPOINT, EXTERNAL_DNS, HEADLESS_LABEL, MANAGER, MANAGER_LABEL, RECORD_TTL, SERVICE_LABEL,
    SET_LABEL, SLICE_MANAGER_LABEL, ZONE_ANNOTATION,
};
use firecamp_core::failure::RegistryFailure;
use firecamp_registry::api::Condition;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::change::{dated, patched};
use super::parse::{Meta, parsed};
use crate::http_request::Call;
use crate::object_paths::Place;
use crate::watch::{Collection, Watchable};
use crate::write;

const IPV4: &str = "IPv4";

impl Watchable for NamedService {
    const COLLECTION: Collection = Collection { api_version: "v1", plural: "services" };

    fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Service {
            metadata: Meta,
            #[serde(default)]
            spec: Spec,
            #[serde(default)]
            status: Status,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Spec {
            #[serde(rename = "clusterIP")]
            cluster_ip: String,
            selector: Option<BTreeMap<String, String>>,
            publish_not_ready_addresses: bool,
            ports: Vec<Port>,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Status {
            conditions: Vec<Condition>,
        }
        let Service { metadata, spec, status } = parsed(text)?;
        let set = metadata.labels.get(SET_LABEL).filter(|set| !set.is_empty());
        let has_selector = spec.selector.is_some_and(|selector| !selector.is_empty());
        Ok(Self {
            id: metadata.identity()?,
            set: set.ok_or_else(|| format!("metadata.labels: {SET_LABEL} is empty"))?.clone(),
            is_suitable: spec.cluster_ip == "None" && !has_selector,
            publishes_unready: spec.publish_not_ready_addresses,
            ports: spec.ports.into_iter().filter_map(Port::known).collect(),
            zone: metadata.annotations.get(ZONE_ANNOTATION).cloned(),
            conditions: status.conditions,
        })
    }
}

/// A port of a Service or of an EndpointSlice, where the number may be missing.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    name: Option<String>,
    #[serde(rename = "port")]
    number: Option<u16>,
    protocol: Option<String>,
    app_protocol: Option<String>,
}

impl Port {
    fn known(self) -> Option<ServicePort> {
        Some(ServicePort {
            name: self.name.filter(|name| !name.is_empty()),
            port: self.number?,
            protocol: self.protocol.unwrap_or_else(|| "TCP".to_owned()),
            app_protocol: self.app_protocol,
        })
    }
}

impl Watchable for ObservedSlice {
    const COLLECTION: Collection =
        Collection { api_version: "discovery.k8s.io/v1", plural: "endpointslices" };

    fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Slice {
            metadata: Meta,
            address_type: String,
            endpoints: Option<Vec<Wire>>,
            ports: Option<Vec<Port>>,
        }
        let Slice { metadata, address_type, endpoints, ports } = parsed(text)?;
        let service = metadata.labels.get(SERVICE_LABEL).cloned().unwrap_or_default();
        let manager = metadata.labels.get(SLICE_MANAGER_LABEL);
        let is_ours = manager.is_some_and(|manager| manager == MANAGER);
        // Without IPv4 addresses it says nothing about the members of any Service.
        let is_readable = address_type == IPV4;
        let endpoints = endpoints.filter(|_| is_readable).unwrap_or_default();
        Ok(Self {
            id: metadata.identity()?,
            service: if is_readable { service } else { String::new() },
            is_ours,
            owner: metadata.service(),
            is_altered: !endpoints.iter().all(Wire::is_ours),
            endpoints: endpoints.into_iter().filter_map(Wire::known).collect(),
            ports: ports.unwrap_or_default().into_iter().filter_map(Port::known).collect(),
        })
    }
}

/// An endpoint; conditions that are missing have the meaning of the API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Conditions,
    hostname: Option<String>,
    target_ref: Option<Target>,
}

#[derive(Deserialize, Default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Deserialize)]
struct Target {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

impl Wire {
    /// Whether it has the form that FireCamp writes.
    fn is_ours(&self) -> bool {
        let pod = self.target_ref.as_ref().filter(|target| target.kind == "Pod");
        let names_pod = pod.is_some_and(|pod| self.hostname.as_ref() == Some(&pod.name));
        matches!(self.addresses.as_slice(), [only] if only.parse::<Ipv4Addr>().is_ok()) && names_pod
    }

    fn known(self) -> Option<Endpoint> {
        let pod = self.target_ref.filter(|target| target.kind == "Pod").map(|target| target.name);
        let Conditions { ready, serving, terminating } = self.conditions;
        let ready = ready.unwrap_or(true);
        Some(Endpoint {
            member: pod.or(self.hostname)?,
            address: self.addresses.first()?.parse().ok()?,
            ready,
            serving: serving.unwrap_or(ready),
            terminating: terminating.unwrap_or_default(),
        })
    }
}

impl Watchable for ObservedRecords {
    const COLLECTION: Collection = Collection { api_version: EXTERNAL_DNS, plural: "dnsendpoints" };

    fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Records {
            metadata: Meta,
            #[serde(default)]
            spec: Spec,
            #[serde(default)]
            status: Status,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Spec {
            endpoints: Vec<Record>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Record {
            dns_name: String,
            #[serde(default)]
            targets: Vec<String>,
            #[serde(rename = "recordType")]
            kind: Option<String>,
            #[serde(rename = "recordTTL")]
            ttl: Option<u32>,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Status {
            observed_generation: u64,
        }
        let Records { metadata, spec, status } = parsed(text)?;
        let number = spec.endpoints.len();
        let record = |record: Record| {
            let [target] = record.targets.as_slice() else { return None };
            let is_ours = record.kind.as_deref() == Some("A") && record.ttl == Some(RECORD_TTL);
            Some((record.dns_name, target.parse().ok().filter(|_| is_ours)?))
        };
        let records: BTreeMap<String, Ipv4Addr> =
            spec.endpoints.into_iter().filter_map(record).collect();
        Ok(Self {
            id: metadata.identity()?,
            generation: metadata.generation,
            processed: status.observed_generation,
            owner: metadata.service(),
            is_altered: records.len() != number,
            records,
        })
    }
}

/// The request for a change.
pub(super) fn request(change: &NamesChange) -> Result<Call, RegistryFailure> {
    let NamesChange { name, id, object } = change;
    let place = place(name, object);
    let body = match object {
        NamesObject::Slice(owner, endpoints, ports) => slice(name, owner, (endpoints, ports)),
        NamesObject::Records(owner, records) => dns_endpoint(name, owner, records),
        NamesObject::Conditions(conditions) => json!({
            "metadata": {},
            "status": { "conditions": dated(conditions) },
        }),
        NamesObject::NoSlice | NamesObject::NoRecords => Value::Null,
    };
    let Some(id) = id else {
        let what = format!("create {}", place.label);
        let mut call = Call::write(Method::POST, what, place.collection);
        call.body = Some(("application/json", write::bytes(&call, &body)?));
        return Ok(write::strict(call));
    };
    let mut patch = body;
    let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) else {
        return write::deleted(&place, (id.uid.as_str(), &id.version));
    };
    metadata.insert("resourceVersion".to_owned(), json!(id.version.as_str()));
    let is_status = matches!(object, NamesObject::Conditions(_));
    let (verb, sub) = if is_status { ("write the status of", "/status") } else { ("update", "") };
    // The address type of an EndpointSlice cannot be changed.
    patched(&place, verb, sub, &patch)
}

fn place(name: &NamespacedName, object: &NamesObject) -> Place {
    let (plural, kind, api) = match object {
        NamesObject::Slice(..) | NamesObject::NoSlice => {
            ("endpointslices", "EndpointSlice", "/apis/discovery.k8s.io/v1".to_owned())
        }
        NamesObject::Records(..) | NamesObject::NoRecords => {
            ("dnsendpoints", DNS_ENDPOINT, format!("/apis/{EXTERNAL_DNS}"))
        }
        NamesObject::Conditions(_) => ("services", "Service", "/api/v1".to_owned()),
    };
    let NamespacedName { namespace, name } = name;
    Place {
        plural,
        namespace: Some(namespace.clone()),
        name: name.clone(),
        label: format!("{kind} {namespace}/{name}"),
        collection: format!("{api}/namespaces/{namespace}/{plural}"),
    }
}

fn metadata(name: &NamespacedName, owner: &OwningService, labels: &Value) -> Value {
    json!({
        "name": name.name,
        "namespace": name.namespace,
        "labels": labels,
        "ownerReferences": [{
            "apiVersion": "v1",
            "kind": "Service",
            "name": owner.name,
            "uid": owner.uid.as_str(),
        }],
    })
}

fn slice(
    name: &NamespacedName,
    owner: &OwningService,
    (endpoints, ports): (&[Endpoint], &[ServicePort]),
) -> Value {
    let endpoint = |it: &Endpoint| {
        json!({
            "addresses": [it.address.to_string()],
            "hostname": it.member,
            "conditions": {
                "ready": it.ready,
                "serving": it.serving,
                "terminating": it.terminating,
            },
            "targetRef": { "kind": "Pod", "namespace": name.namespace, "name": it.member },
        })
    };
    let port = |it: &ServicePort| {
        let mut port = json!({
            "name": it.name.as_deref().unwrap_or_default(),
            "port": it.port,
            "protocol": it.protocol,
        });
        if let (Some(all), Some(protocol)) = (port.as_object_mut(), &it.app_protocol) {
            all.insert("appProtocol".to_owned(), json!(protocol));
        }
        port
    };
    let labels = json!({
        (SERVICE_LABEL): owner.name,
        (SLICE_MANAGER_LABEL): MANAGER,
        (HEADLESS_LABEL): "",
    });
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata(name, owner, &labels),
        "addressType": IPV4,
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "ports": ports.iter().map(port).collect::<Vec<_>>(),
    })
}

fn dns_endpoint(
    name: &NamespacedName,
    owner: &OwningService,
    records: &BTreeMap<String, Ipv4Addr>,
) -> Value {
    let record = |(name, address): (&String, &Ipv4Addr)| {
        json!({
            "dnsName": name,
            "recordType": "A",
            "recordTTL": RECORD_TTL,
            "targets": [address.to_string()],
        })
    };
    json!({
        "apiVersion": EXTERNAL_DNS,
        "kind": DNS_ENDPOINT,
        "metadata": metadata(name, owner, &json!({ (MANAGER_LABEL): MANAGER })),
        "spec": { "endpoints": records.iter().map(record).collect::<Vec<_>>() },
    })
}

/// The selectors of the leader's watches.
pub(super) mod selector {
    use super::{HEADLESS_LABEL, MANAGER, MANAGER_LABEL, SET_LABEL};

    /// Services that name members.
    pub(in crate::cluster) const SERVICES: &str = SET_LABEL;
    /// EndpointSlices of headless Services.
    pub(in crate::cluster) const SLICES: &str = HEADLESS_LABEL;

    /// DNSEndpoints that FireCamp made.
    pub(in crate::cluster) fn records() -> String {
        format!("{MANAGER_LABEL}={MANAGER}")
    }
}
