//! Every validation rule: what it rejects and what it accepts.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::samples::{GROUP, claim, node_interface, pool, static_ip, with};

const DRY: &str = "dryRun=All&fieldValidation=Strict";
const IPS: &str = "staticips";
const POOLS: &str = "staticippools";
const INTERFACES: &str = "nodeinterfaces";
const CLAIMS: &str = "namespaces/prod/staticipclaims";

/// The messages of all rejections so far.
static REJECTIONS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

type Changes = Vec<(&'static str, Value)>;
/// The kind, the changes, and a text of the expected rejection.
type Case = (&'static str, Changes, &'static str);

fn base(plural: &str) -> Value {
    match plural {
        POOLS => pool(),
        CLAIMS => claim(),
        INTERFACES => node_interface("i-0000000a"),
        _ => static_ip("10.1.0.20", "n1", "redis-0"),
    }
}

fn address(text: &str, cidr: &str) -> Changes {
    vec![
        ("/metadata/name", json!(text)),
        ("/spec/address", json!(text)),
        ("/spec/cidr", json!(cidr)),
    ]
}

fn refused_addresses() -> Vec<Case> {
    let reserved = "spec.address: is reserved by AWS";
    let cases = [
        ("10.1.0.0", "10.1.0.0/24", reserved),
        ("10.1.0.1", "10.1.0.0/24", reserved),
        ("10.1.0.2", "10.1.0.0/24", reserved),
        ("10.1.0.3", "10.1.0.0/24", reserved),
        ("10.1.0.255", "10.1.0.0/24", reserved),
        ("10.1.0.3", "10.1.0.0/16", reserved),
        ("10.1.255.255", "10.1.0.0/16", reserved),
        ("10.1.0.19", "10.1.0.16/28", reserved),
        ("10.1.0.31", "10.1.0.16/28", reserved),
        ("10.1.1.20", "10.1.0.0/24", "spec.address: is outside"),
        ("10.1.0.20", "10.1.0.16/24", "spec.cidr: the host bits"),
        ("10.1.0.20", "10.1.0.0/29", "spec.cidr"),
        ("10.1.0.20", "10.0.0.0/15", "spec.cidr"),
        ("10.1.0.256", "10.1.0.0/24", "spec.address"),
        ("10.1.0.020", "10.1.0.0/24", "spec.address"),
        ("fd00::1", "fd00::/64", "spec.address"),
    ];
    cases.map(|(text, cidr, named)| (IPS, address(text, cidr), named)).into()
}

fn refused_static_ips() -> Vec<Case> {
    let state = |state: &str| ("/spec/attachment/state", json!(state));
    let no_eni = ("/spec/attachment/eni", Value::Null);
    let eni = "spec.attachment.eni: must be set in the states";
    vec![
        (IPS, vec![("/metadata/name", json!("10.1.0.21"))], "is not the name of the object"),
        (IPS, vec![("/spec/epoch", json!(0))], "spec.epoch: is 0 with an attachment"),
        (IPS, vec![("/spec/epoch", json!(-1))], "spec.epoch"),
        (IPS, vec![no_eni.clone()], eni),
        (IPS, vec![no_eni.clone(), state("Parked")], eni),
        (IPS, vec![state("Released")], eni),
        (IPS, vec![state("Releasing")], eni),
        (IPS, vec![state("Lost"), no_eni], "spec.attachment.state"),
        (IPS, vec![("/spec/claimRef/namespace", json!("a.b"))], "spec.claimRef.namespace"),
        (IPS, vec![("/spec/subnet", json!("subnet-1"))], "spec.subnet"),
        (IPS, vec![("/spec/zone", Value::Null)], "spec.zone"),
    ]
}

fn allowed(namespaces: Value) -> Changes {
    vec![("/spec/allowedNamespaces", namespaces)]
}

fn refused_pools() -> Vec<Case> {
    let range = |start: &str, end: &str| json!([{ "start": start, "end": end }]);
    let ranges = "/spec/subnets/0/ranges";
    let cidr = "/spec/subnets/1/cidr";
    let overlap = "spec.subnets: the CIDR blocks of two subnets overlap";
    let leaves = "spec.subnets[0].ranges: a range is not inside";
    let resource = "spec.resource: is neither firecamp.io/static-ip nor does it begin with";
    let long = format!("firecamp.io/static-ip-{}", "b".repeat(54));
    let selector = "spec.allowedNamespaces.selector: must be set if from is Selector, and only";
    vec![
        (POOLS, vec![(ranges, range("10.1.0.31", "10.1.0.16"))], "start is after end"),
        (POOLS, vec![(ranges, range("10.1.0.250", "10.1.1.2"))], leaves),
        (POOLS, vec![(ranges, range("10.0.255.250", "10.1.0.2"))], leaves),
        (POOLS, vec![(ranges, json!([]))], "spec.subnets[0].ranges"),
        (POOLS, vec![(cidr, json!("10.1.1.4/28"))], "spec.subnets[1].cidr: the host bits"),
        (POOLS, vec![(cidr, json!("10.1.0.0/16"))], overlap),
        (POOLS, vec![(cidr, json!("10.1.0.0/24"))], overlap),
        (POOLS, vec![("/spec/subnets/1/subnet", json!("subnet-00000001"))], "spec.subnets[1]"),
        (POOLS, vec![("/spec/subnets", json!([]))], "spec.subnets"),
        (POOLS, vec![("/spec/reclaimPolicy", json!("Recycle"))], "spec.reclaimPolicy"),
        (POOLS, vec![("/spec/orphanPolicy", json!("Delete"))], "spec.orphanPolicy"),
        (POOLS, vec![("/spec/resource", json!("firecamp.io/static-ips"))], resource),
        (POOLS, vec![("/spec/resource", json!("firecamp.io/slots"))], resource),
        (POOLS, vec![("/spec/resource", json!("firecamp.io/static-ip-"))], "spec.resource"),
        (POOLS, vec![("/spec/resource", json!("firecamp.io/static-ip-A"))], "spec.resource"),
        (POOLS, vec![("/spec/resource", json!("example.com/static-ip-b"))], "spec.resource"),
        (POOLS, vec![("/spec/resource", json!(long))], "spec.resource"),
        (POOLS, allowed(json!({ "from": "Selector" })), selector),
        (POOLS, allowed(json!({ "from": "All", "selector": {} })), selector),
        (POOLS, allowed(json!({ "from": "Same" })), "spec.allowedNamespaces.from"),
        (CLAIMS, vec![("/spec/address", json!("10.1.0"))], "spec.address"),
        (CLAIMS, vec![("/spec/requestedAddress", json!("10.1.0.256"))], "spec.requestedAddress"),
        (CLAIMS, vec![("/spec/requestedAddress", json!("fd00::1"))], "spec.requestedAddress"),
        (CLAIMS, vec![("/spec/pool", json!(""))], "spec.pool"),
    ]
}

fn refused_interfaces() -> Vec<Case> {
    let attached = ("/spec/phase", json!("Attached"));
    let no_eni = ("/spec/eni", Value::Null);
    vec![
        (INTERFACES, vec![attached, no_eni], "spec.eni: must be set in the phase Attached"),
        (INTERFACES, vec![("/spec/phase", json!("Detached"))], "spec.phase"),
        (INTERFACES, vec![("/spec/eni", json!("eni-1"))], "spec.eni"),
        (INTERFACES, vec![("/spec/instance", json!("i-1"))], "spec.instance"),
        (INTERFACES, vec![("/spec/securityGroups", json!([]))], "spec.securityGroups"),
        (INTERFACES, vec![("/spec/securityGroups", json!(["sg-1"]))], "spec.securityGroups"),
    ]
}

fn note(causes: &[String]) {
    REJECTIONS.lock().unwrap_or_else(PoisonError::into_inner).extend(causes.iter().cloned());
}

/// Checks that the schema or a rule rejects the object and names the field.
fn is_refused(
    answer: Result<firecamp_testkit::kubernetes::Answer, String>,
    case: &impl std::fmt::Debug,
    named: &str,
) -> Outcome {
    let answer = answer?;
    let causes = answer.causes();
    note(&causes);
    // The server inserts the value, or that the change is forbidden, between field and message.
    let (field, words) = named.split_once(": ").unwrap_or((named, ""));
    let fits = |cause: &String| cause.contains(field) && cause.contains(words);
    let good = answer.code == 422 && causes.iter().any(fits);
    ensure(good, || format!("{case:?}: {} {causes:?} {}", answer.code, answer.text))
}

pub(super) async fn f073_every_rule_rejects_what_it_forbids(cluster: &Cluster) -> Outcome {
    let cases = [refused_addresses(), refused_static_ips(), refused_pools(), refused_interfaces()];
    for (plural, changes, named) in cases.concat() {
        let object = with(base(plural), &changes);
        let answer = cluster.api.post(&format!("{GROUP}/{plural}?{DRY}"), &object).await;
        is_refused(answer, &changes, named)?;
    }
    let unknown = with(base(IPS), &[("/spec/frozen", json!(true))]);
    let answer = cluster.api.post(&format!("{GROUP}/{IPS}?{DRY}"), &unknown).await?;
    ensure(answer.code == 400, || format!("an unknown field: {}", answer.text))
}

pub(super) async fn f073_every_rule_accepts_what_it_allows(cluster: &Cluster) -> Outcome {
    let released =
        vec![("/spec/attachment/state", json!("Released")), ("/spec/attachment/eni", Value::Null)];
    let new = vec![("/spec/attachment", Value::Null), ("/spec/epoch", json!(0))];
    let touching = vec![("/spec/subnets/1/cidr", json!("10.1.1.0/28"))];
    let cases: Vec<(&str, Changes)> = vec![
        (IPS, Vec::new()),
        (IPS, address("10.1.0.4", "10.1.0.0/24")),
        (IPS, address("10.1.0.254", "10.1.0.0/24")),
        (IPS, address("10.1.0.4", "10.1.0.0/16")),
        (IPS, address("10.1.1.0", "10.1.0.0/16")),
        (IPS, address("10.1.255.254", "10.1.0.0/16")),
        (IPS, address("10.1.0.20", "10.1.0.16/28")),
        (IPS, address("10.1.0.30", "10.1.0.16/28")),
        (IPS, released),
        (IPS, new),
        (IPS, vec![("/spec/epoch", json!(i64::MAX))]),
        (POOLS, Vec::new()),
        (POOLS, touching),
        (POOLS, vec![("/spec/resource", json!("firecamp.io/static-ip"))]),
        (POOLS, vec![("/spec/resource", json!("firecamp.io/static-ip-b"))]),
        (POOLS, allowed(json!({ "from": "All" }))),
        (POOLS, allowed(json!({ "from": "Selector", "selector": {} }))),
        (CLAIMS, Vec::new()),
        (CLAIMS, vec![("/spec/requestedAddress", json!("10.1.0.21"))]),
        (INTERFACES, Vec::new()),
        (INTERFACES, vec![("/spec/phase", json!("Creating")), ("/spec/eni", Value::Null)]),
    ];
    for (plural, changes) in cases {
        let object = with(base(plural), &changes);
        let answer = cluster.api.post(&format!("{GROUP}/{plural}?{DRY}"), &object).await?;
        ensure(answer.code == 201, || format!("{changes:?}: {}", answer.text))?;
    }
    Ok(())
}

pub(super) async fn f073_an_update_of_an_immutable_field_is_rejected(cluster: &Cluster) -> Outcome {
    let fixed = "must not change";
    let cases = [
        (IPS, "/spec/address", json!("10.1.0.21"), fixed),
        (IPS, "/spec/pool", json!("b"), fixed),
        (IPS, "/spec/subnet", json!("subnet-00000002"), fixed),
        (IPS, "/spec/cidr", json!("10.1.0.0/25"), fixed),
        (IPS, "/spec/zone", json!("us-east-1b"), fixed),
        (IPS, "/spec/claimRef/name", json!("redis-1"), fixed),
        (IPS, "/spec/epoch", json!(2), "must not decrease"),
        (CLAIMS, "/spec/pool", json!("b"), fixed),
        (CLAIMS, "/spec/requestedAddress", json!("10.1.0.21"), "cannot change: the claim"),
        (INTERFACES, "/spec/nodeName", json!("n2"), fixed),
        (INTERFACES, "/spec/instance", json!("i-0000000b"), fixed),
        (INTERFACES, "/spec/subnet", json!("subnet-00000002"), fixed),
        (INTERFACES, "/spec/securityGroups", json!(["sg-0000000b"]), fixed),
        (INTERFACES, "/spec/eni", json!("eni-0123456789abcdef1"), "must not change once"),
        (INTERFACES, "/spec/phase", json!("Creating"), "does not come back"),
        (INTERFACES, "/spec/phase", json!("Attached"), "does not come back"),
    ];
    for plural in [IPS, CLAIMS, INTERFACES] {
        let made = cluster.api.post(&format!("{GROUP}/{plural}"), &base(plural)).await?;
        ensure(made.code == 201, || made.text)?;
    }
    let place = |plural: &str| {
        let object = base(plural);
        format!("{GROUP}/{plural}/{}", object["metadata"]["name"].as_str().unwrap_or_default())
    };
    for (plural, path, value, named) in cases {
        let patch = json!([{ "op": "add", "path": path, "value": value }]);
        let answer = cluster.api.patch(&format!("{}?{DRY}", place(plural)), &patch).await;
        let field = path.trim_start_matches('/').replace('/', ".");
        let field = field.strip_suffix(".name").unwrap_or(&field);
        is_refused(answer, &path, &format!("{field}: {named}"))?;
    }
    let set = |path: &str, value: Value| json!([{ "op": "add", "path": path, "value": value }]);
    let unbound = json!([
        { "op": "remove", "path": "/spec/address" },
        { "op": "add", "path": "/spec/requestedAddress", "value": "10.1.0.21" },
    ]);
    let allowed = [
        ("an increasing epoch", IPS, set("/spec/epoch", json!(4))),
        ("requesting the bound address", CLAIMS, set("/spec/requestedAddress", json!("10.1.0.20"))),
        ("requesting another address while unbound", CLAIMS, unbound),
        ("deleting a drained interface", INTERFACES, set("/spec/phase", json!("Deleting"))),
    ];
    for (what, plural, patch) in allowed {
        let answer = cluster.api.patch(&format!("{}?{DRY}", place(plural)), &patch).await?;
        ensure(answer.code == 200, || format!("{what}: {}", answer.text))?;
    }
    for plural in [IPS, CLAIMS, INTERFACES] {
        let gone = cluster.api.delete(&place(plural)).await?;
        ensure(gone.code == 200, || gone.text)?;
    }
    Ok(())
}

/// Fails if no case violates a rule.
pub(super) async fn the_cases_violate_every_rule(_cluster: &Cluster) -> Outcome {
    let rejections = REJECTIONS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for definition in firecamp_registry::crds::all().map_err(|wrong| wrong.to_string())? {
        let mut messages = BTreeSet::new();
        collect(&definition.object, &mut messages);
        for message in messages {
            ensure(rejections.iter().any(|text| text.contains(&message)), || {
                format!("{}: no case was rejected with {message:?}", definition.plural)
            })?;
        }
    }
    Ok(())
}

fn collect(value: &Value, messages: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            let rules = map.get("x-kubernetes-validations").and_then(Value::as_array);
            let texts = rules.into_iter().flatten().filter_map(|rule| rule["message"].as_str());
            messages.extend(texts.map(str::to_owned));
            map.values().for_each(|inner| collect(inner, messages));
        }
        Value::Array(list) => list.iter().for_each(|inner| collect(inner, messages)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
