//! The definitions of the kinds: names, printer columns, selectable fields and schemas.

use crate::api::{
    Kind, NodeAttachmentsSpec, NodeAttachmentsStatus, NodeInterfaceSpec, StaticIPClaimSpec,
    StaticIPPoolSpec, StaticIPPoolStatus, StaticIPSpec, StaticIPStatus, Status,
};
use firecamp_core::contract::api;
use firecamp_core::contract::cluster::condition;
use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::crds::bounds::{self, Bounds};
use crate::crds::rules::{self, Rule};
use crate::crds::{Broken, Definition, structural};

const API_VERSION: &str = "The version of this representation of the object. Servers convert \
                           recognized representations to the latest one, and may reject others.";
const KIND: &str = "The kind of the object, as clients name it in requests. Immutable.";

/// Name, type, path and priority: 0 is always shown, 1 with `-o wide`.
type Column = (&'static str, &'static str, &'static str, u8);

const READY: Column = ("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status", 0);
/// The reason of the condition `Ready`.
const REASON: Column = ("Reason", "string", ".status.conditions[?(@.type==\"Ready\")].reason", 0);
const VOLUME_READY: &str = ".status.conditions[?(@.type==\"VolumeReady\")].status";
const AGE: Column = ("Age", "date", ".metadata.creationTimestamp", 0);

struct Plan {
    singular: &'static str,
    short: &'static str,
    about: &'static str,
    columns: Vec<Column>,
    selectable: Vec<&'static str>,
    bounds: Bounds,
    rules: Vec<Rule>,
    spec_required: bool,
}

pub(crate) fn static_ips() -> Result<Definition, Broken> {
    definition::<StaticIPSpec, StaticIPStatus>(&Plan {
        singular: "staticip",
        short: "sip",
        about: "A private IPv4 address of the VPC and the StatefulSet member that owns it. The \
                address is also the object's name. Creating the object allocates the address.",
        columns: vec![
            ("Namespace", "string", ".spec.claimRef.namespace", 0),
            ("Member", "string", ".spec.claimRef.name", 0),
            ("State", "string", ".spec.attachment.state", 0),
            ("Node", "string", ".spec.attachment.nodeName", 0),
            READY,
            REASON,
            AGE,
            ("Phase", "string", ".status.phase", 1),
            ("Pool", "string", ".spec.pool", 1),
            ("Zone", "string", ".spec.zone", 1),
            ("ENI", "string", ".spec.attachment.eni", 1),
            ("Epoch", "integer", ".spec.epoch", 1),
            ("Pod-UID", "string", ".spec.attachment.podUID", 1),
        ],
        selectable: vec![
            ".spec.attachment.nodeName",
            ".spec.claimRef.name",
            ".spec.claimRef.namespace",
            ".spec.pool",
        ],
        bounds: bounds::static_ip(),
        rules: rules::static_ip(),
        spec_required: true,
    })
}

pub(crate) fn static_ip_pools() -> Result<Definition, Broken> {
    definition::<StaticIPPoolSpec, StaticIPPoolStatus>(&Plan {
        singular: "staticippool",
        short: "sippool",
        about: "The address ranges, for each subnet, that FireCamp allocates static addresses \
                from, and the policies for these addresses. Users create pools.",
        columns: vec![
            ("Release", "string", ".spec.releasePolicy", 0),
            ("Reclaim", "string", ".spec.reclaimPolicy", 0),
            ("Free", "integer", ".status.free", 0),
            ("Total", "integer", ".status.total", 0),
            READY,
            REASON,
            AGE,
        ],
        selectable: Vec::new(),
        bounds: bounds::static_ip_pool(),
        rules: rules::static_ip_pool(),
        spec_required: true,
    })
}

pub(crate) fn static_ip_claims() -> Result<Definition, Broken> {
    definition::<StaticIPClaimSpec, Status>(&Plan {
        singular: "staticipclaim",
        short: "sipc",
        about: "A StatefulSet member's request for a static address. The claim has the namespace \
                and name of the member's pod. The init container creates it if it does not exist.",
        columns: vec![
            ("Address", "string", ".spec.address", 0),
            ("Pool", "string", ".spec.pool", 0),
            (condition::BOUND, "string", ".status.conditions[?(@.type==\"Bound\")].status", 0),
            ("Reason", "string", ".status.conditions[?(@.type==\"Bound\")].reason", 0),
            AGE,
            ("Requested", "string", ".spec.requestedAddress", 1),
            ("Volume-Ready", "string", VOLUME_READY, 1),
        ],
        selectable: vec![".spec.address", ".spec.pool"],
        bounds: bounds::static_ip_claim(),
        rules: rules::static_ip_claim(),
        spec_required: true,
    })
}

pub(crate) fn node_attachments() -> Result<Definition, Broken> {
    definition::<NodeAttachmentsSpec, NodeAttachmentsStatus>(&Plan {
        singular: "nodeattachment",
        short: "natt",
        about: "The network interfaces, static addresses and volumes of the node of this name, as \
                reported by its agent.",
        columns: vec![
            READY,
            REASON,
            ("Free", "integer", ".status.slots.free", 0),
            ("Addresses-Failing", "integer", ".status.addressesFailing", 0),
            ("Volumes-Failing", "integer", ".status.volumesFailing", 0),
            AGE,
            ("Instance", "string", ".status.instance", 1),
            ("Zone", "string", ".status.zone", 1),
        ],
        selectable: Vec::new(),
        bounds: bounds::node_attachments(),
        rules: Vec::new(),
        spec_required: false,
    })
}

pub(crate) fn node_interfaces() -> Result<Definition, Broken> {
    definition::<NodeInterfaceSpec, Status>(&Plan {
        singular: "nodeinterface",
        short: "nif",
        about: "A network interface (ENI) that FireCamp makes for a node. To remove one, set its \
                phase to Draining; FireCamp deletes the object when EC2 has deleted the interface.",
        columns: vec![
            ("Node", "string", ".spec.nodeName", 0),
            ("Phase", "string", ".spec.phase", 0),
            ("ENI", "string", ".spec.eni", 0),
            ("Subnet", "string", ".spec.subnet", 0),
            AGE,
            ("Instance", "string", ".spec.instance", 1),
        ],
        selectable: vec![".spec.nodeName"],
        bounds: bounds::node_interface(),
        rules: rules::node_interface(),
        spec_required: true,
    })
}

fn definition<S, T>(plan: &Plan) -> Result<Definition, Broken>
where
    S: Kind + JsonSchema,
    T: JsonSchema,
{
    let (group, version) = api::VERSION.split_once('/').unwrap_or((api::VERSION, ""));
    let version = json!({
        "name": version,
        "served": true,
        "storage": true,
        "schema": { "openAPIV3Schema": schema::<S, T>(plan)? },
        "subresources": { "status": {} },
        "additionalPrinterColumns": plan.columns.iter().map(column).collect::<Vec<_>>(),
        "selectableFields":
            plan.selectable.iter().map(|path| json!({ "jsonPath": path })).collect::<Vec<_>>(),
    });
    let object = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{}.{group}", S::PLURAL) },
        "spec": {
            "group": group,
            "scope": if S::NAMESPACED { "Namespaced" } else { "Cluster" },
            "names": {
                "kind": S::KIND,
                "listKind": format!("{}List", S::KIND),
                "plural": S::PLURAL,
                "singular": plan.singular,
                "shortNames": [plan.short],
                "categories": ["firecamp"],
            },
            "versions": [without_empty_lists(version)],
        },
    });
    Ok(Definition { plural: S::PLURAL, object })
}

fn without_empty_lists(mut version: Value) -> Value {
    if let Value::Object(map) = &mut version {
        map.retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
    }
    version
}

fn column(&(name, kind, path, priority): &Column) -> Value {
    json!({ "name": name, "type": kind, "jsonPath": path, "priority": priority })
}

fn schema<S, T>(plan: &Plan) -> Result<Value, Broken>
where
    S: Kind + JsonSchema,
    T: JsonSchema,
{
    let mut root = json!({
        "type": "object",
        "description": plan.about,
        "properties": {
            "apiVersion": { "type": "string", "description": API_VERSION },
            "kind": { "type": "string", "description": KIND },
            "metadata": { "type": "object" },
            "spec": structural::of::<S>(),
            "status": structural::of::<T>(),
        },
    });
    let mut found = |path: &str, change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let absent =
            || Broken { kind: S::KIND, path: path.to_owned(), problem: "no such field".to_owned() };
        structural::at(&mut root, path).map(change).ok_or_else(absent)
    };
    for (path, more) in bounds::conditions().into_iter().chain(plan.bounds.clone()) {
        let more = more.as_object().cloned().unwrap_or_default();
        found(path, &|field| field.extend(more.clone()))?;
    }
    for rule in &plan.rules {
        found(rule.at, &|field| {
            let rules = field.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
            if let Value::Array(rules) = rules {
                rules.push(rule.value());
            }
        })?;
    }
    if plan.spec_required {
        found("", &|field| drop(field.insert("required".to_owned(), json!(["spec"]))))?;
    }
    Ok(root)
}
