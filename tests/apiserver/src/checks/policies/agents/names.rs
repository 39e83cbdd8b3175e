//! The names of members.

use http::Method;
use serde_json::{Value, json};

use super::super::Cell;
use super::super::scene::{NAMED_SERVICE, OTHER_SERVICE, Who};
use super::patch;

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/prod/endpointslices";
const RECORDS: &str = "/apis/externaldns.k8s.io/v1alpha1/namespaces/prod/dnsendpoints";
const SERVICES: &str = "/api/v1/namespaces/prod/services";

const OURS: &str = "that FireCamp manages";

/// The Service that owns an object.
fn owners(name: &str) -> Value {
    json!([{ "apiVersion": "v1", "kind": "Service", "name": name, "uid": "s" }])
}

fn slice(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name, "labels": labels, "ownerReferences": owners(NAMED_SERVICE),
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.1.0.20"], "hostname": "redis-0" }],
    })
}

fn records(labels: &Value) -> Value {
    json!({
        "apiVersion": "externaldns.k8s.io/v1alpha1",
        "kind": "DNSEndpoint",
        "metadata": { "name": "asked", "labels": labels, "ownerReferences": owners("asked") },
        "spec": { "endpoints": [
            { "dnsName": "a.example.com", "recordType": "A", "targets": ["10.1.0.20"] },
        ]},
    })
}

fn labels(manager: &str, headless: bool) -> Value {
    let mut labels = json!({
        "kubernetes.io/service-name": NAMED_SERVICE,
        "endpointslice.kubernetes.io/managed-by": manager,
    });
    if headless {
        labels["service.kubernetes.io/headless"] = json!("");
    }
    labels
}

pub(super) fn cells() -> Vec<Cell> {
    [creations(), changes(), of_records(), of_services()].concat()
}

const THEIR_OWN: &str = "belong to their Service alone";

/// New EndpointSlices.
fn creations() -> Vec<Cell> {
    let create = |what, body| Cell::new(Who::Agent, what, (Method::POST, SLICES), body);
    let free = slice("asked", &labels("firecamp.io", true));
    let with = |path: &str, value: Value| {
        let mut object = free.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.insert(path.to_owned(), value);
        }
        object
    };
    vec![
        create("name members", free.clone()),
        Cell::new(Who::AgentWithoutPod, "name members", (Method::POST, SLICES), free.clone())
            .refused("not bound to a pod"),
        create("make a slice that others manage", slice("asked", &labels("me", true)))
            .refused(OURS),
        create("make a slice that kube-proxy reads", slice("asked", &labels("firecamp.io", false)))
            .refused("of headless Services"),
        create("make a slice without a Service", with("ownerReferences", json!([])))
            .refused(THEIR_OWN),
        create("make a slice of another Service", with("ownerReferences", owners("other")))
            .refused(THEIR_OWN),
        create("make a slice that stays", with("finalizers", json!(["example.com/stay"])))
            .refused(THEIR_OWN),
    ]
}

/// Changes and deletions of EndpointSlices.
fn changes() -> Vec<Cell> {
    let agent = |what, path: &str, body| patch(Who::Agent, what, path, body);
    let ours = format!("{SLICES}/{NAMED_SERVICE}-firecamp");
    let theirs = format!("{SLICES}/{OTHER_SERVICE}-x");
    let ready = json!({ "endpoints": [{ "addresses": ["10.1.0.21"] }] });
    let other = json!({ "metadata": { "labels": { "kubernetes.io/service-name": "other" } } });
    let unmanaged =
        json!({ "metadata": { "labels": { "endpointslice.kubernetes.io/managed-by": "me" } } });
    let bare = json!({ "metadata": { "labels": { "service.kubernetes.io/headless": null } } });
    let disowned = json!({ "metadata": { "ownerReferences": null } });
    vec![
        agent("take the label for kube-proxy away", &ours, bare).refused("of headless Services"),
        agent("take a slice from its Service", &ours, disowned).refused("to another Service"),
        agent("change a member's address", &ours, ready.clone()),
        agent("give the names to another Service", &ours, other).refused("to another Service"),
        agent("give a slice away", &ours, unmanaged).refused(OURS),
        agent("change a slice of the control plane", &theirs, ready).refused(OURS),
        Cell::new(Who::Agent, "delete its slice", (Method::DELETE, &ours), Value::Null),
        Cell::new(Who::Agent, "delete another slice", (Method::DELETE, &theirs), Value::Null)
            .refused(OURS),
    ]
}

fn of_records() -> Vec<Cell> {
    let record = |what, body| Cell::new(Who::Agent, what, (Method::POST, RECORDS), body);
    let managed = json!({ "app.kubernetes.io/managed-by": "firecamp.io" });
    let mut alias = records(&managed);
    alias["spec"]["endpoints"][0]["recordType"] = json!("CNAME");
    let mut unowned = records(&managed);
    unowned["metadata"]["ownerReferences"] = owners("another");
    vec![
        record("make records", records(&managed)),
        record("make an alias", alias).refused("of the type A"),
        record("make records of another Service", unowned).refused(THEIR_OWN),
        record("make records that others manage", records(&json!({}))).refused(OURS),
    ]
}

/// The status of Services.
fn of_services() -> Vec<Cell> {
    let agent = |what, name: &str, body| {
        patch(Who::Agent, what, &format!("{SERVICES}/{name}/status"), body)
    };
    let condition = |kind: &str| {
        json!({ "status": { "conditions": [{
            "type": kind, "status": "False", "reason": "Asked", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}})
    };
    let ready = condition("firecamp.io/NamesReady");
    let mut relabelled = ready.clone();
    relabelled["metadata"] = json!({ "labels": { "app": "other" } });
    let only = "only set the condition firecamp.io/NamesReady";
    vec![
        agent("report on names", NAMED_SERVICE, ready.clone()),
        agent("report on another Service", OTHER_SERVICE, ready).refused(only),
        agent("set another condition", NAMED_SERVICE, condition("Ready")).refused(only),
        agent("label the Service", NAMED_SERVICE, relabelled).refused(only),
    ]
}
