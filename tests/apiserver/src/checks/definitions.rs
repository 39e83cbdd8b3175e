//! The CustomResourceDefinitions on the server.

use std::time::Duration;

use firecamp_checks::deploy::parsed;
use firecamp_registry::crds::Definition;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::deploy::apply;
use crate::samples::{GROUP, pool, static_ip, with};

pub(super) const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const STRICT: &str = "fieldValidation=Strict";
const PATIENCE: Duration = Duration::from_mins(1);

fn definitions() -> Vec<Definition> {
    firecamp_registry::crds::all().expect("the tables fit the types")
}

fn name(definition: &Definition) -> &str {
    definition.object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The variable with the directory of ExternalDNS's source.
const EXTERNAL_DNS: &str = "EXTERNAL_DNS_SOURCE";

/// The definition of DNSEndpoints, as ExternalDNS ships it.
async fn install_dns_endpoints(cluster: &Cluster) -> Outcome {
    let dir = std::env::var(EXTERNAL_DNS)
        .map_err(|_unset| format!("{EXTERNAL_DNS} is not set: run `make test-apiserver`"))?;
    let file = format!("{dir}/config/crd/standard/dnsendpoints.externaldns.k8s.io.yaml");
    let text = std::fs::read_to_string(&file).map_err(|wrong| format!("{file}: {wrong}"))?;
    for definition in parsed(&text)? {
        apply(cluster, &definition).await?;
    }
    let place = "/apis/externaldns.k8s.io/v1alpha1/dnsendpoints";
    let end = Instant::now() + PATIENCE;
    while cluster.api.get(place).await?.code != 200 {
        ensure(Instant::now() < end, || format!("{place} is not served"))?;
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Installs the definitions strictly, without warnings, and waits until the server serves them.
pub(super) async fn install(cluster: &Cluster) -> Outcome {
    install_dns_endpoints(cluster).await?;
    for definition in definitions() {
        let path = format!("{CRDS}?{STRICT}");
        let answer = cluster.api.post(&path, &definition.object).await?;
        ensure(answer.code == 201, || format!("{}: {}", name(&definition), answer.text))?;
        ensure(answer.warnings.is_empty(), || {
            format!("{}: {:?}", name(&definition), answer.warnings)
        })?;
    }
    for definition in definitions() {
        served(cluster, &definition).await?;
    }
    for namespace in ["prod", "test"] {
        let object = json!({ "metadata": { "name": namespace } });
        let answer = cluster.api.post("/api/v1/namespaces", &object).await?;
        ensure(answer.code == 201, || answer.text)?;
    }
    Ok(())
}

async fn served(cluster: &Cluster, definition: &Definition) -> Outcome {
    let end = Instant::now() + PATIENCE;
    let mut last = String::new();
    while Instant::now() < end {
        let answer = cluster.api.get(&format!("{CRDS}/{}", name(definition))).await?;
        let object = answer.json();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let is = |kind: &str, status: &str| {
            conditions.iter().any(|c| c["type"] == kind && c["status"] == status)
        };
        if is("NonStructuralSchema", "True") || is("NamesAccepted", "False") {
            return Err(format!("{}: {conditions:?}", name(definition)));
        }
        if is("Established", "True") {
            let answer = cluster.api.get(&format!("{GROUP}/{}", definition.plural)).await?;
            if answer.code == 200 {
                return Ok(());
            }
        }
        last = answer.text;
        sleep(Duration::from_millis(50)).await;
    }
    Err(format!("{} is not served: {last}", name(definition)))
}

pub(super) async fn a_second_installation_of_the_crds_changes_nothing(
    cluster: &Cluster,
) -> Outcome {
    for definition in definitions() {
        let path = format!("{CRDS}/{}", name(&definition));
        let stored = cluster.api.get(&path).await?.json();
        let mut again = definition.object.clone();
        again["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
        let answer = cluster.api.put(&format!("{path}?{STRICT}"), &again).await?;
        ensure(answer.code == 200, || answer.text.clone())?;
        let (before, after) = (&stored["metadata"], &answer.json()["metadata"]);
        ensure(before["generation"] == after["generation"], || {
            format!("{}: the stored object differs from the file", name(&definition))
        })?;
    }
    Ok(())
}

pub(super) async fn the_server_sets_defaults(cluster: &Cluster) -> Outcome {
    let path = format!("{GROUP}/staticippools?dryRun=All&{STRICT}");
    let some = with(pool(), &[("/spec/claimRetentionPolicy", json!({ "whenScaled": "Delete" }))]);
    let cases = [
        (pool(), json!({ "whenDeleted": "Retain", "whenScaled": "Retain" })),
        (some, json!({ "whenDeleted": "Retain", "whenScaled": "Delete" })),
    ];
    for (object, retention) in cases {
        let answer = cluster.api.post(&path, &object).await?;
        ensure(answer.code == 201, || answer.text.clone())?;
        let spec = &answer.json()["spec"];
        let good = spec["releasePolicy"] == "Keep"
            && spec["reclaimPolicy"] == "Retain"
            && spec["claimRetentionPolicy"] == retention;
        ensure(good, || format!("wrong defaults: {spec}"))?;
    }
    Ok(())
}

/// Checks the OpenAPI document that `kubectl explain` reads.
pub(super) async fn kubectl_explain_describes_fields(cluster: &Cluster) -> Outcome {
    let end = Instant::now() + PATIENCE;
    let mut last = String::new();
    while Instant::now() < end {
        let answer = cluster.api.get("/openapi/v3/apis/firecamp.io/v1alpha1").await?;
        let schema = &answer.json()["components"]["schemas"]["io.firecamp.v1alpha1.StaticIP"];
        let place = "/properties/spec/properties/attachment/properties/podUID/description";
        let text = schema.pointer(place).and_then(Value::as_str).unwrap_or_default();
        if text == "The UID of the pod." {
            return Ok(());
        }
        last = answer.text.chars().take(300).collect();
        sleep(Duration::from_millis(200)).await;
    }
    Err(format!("the OpenAPI document does not describe podUID: {last}"))
}

pub(super) async fn status_is_a_subresource(cluster: &Cluster) -> Outcome {
    let object = static_ip("10.1.0.99", "n1", "redis-9");
    let path = format!("{GROUP}/staticips");
    let created = cluster.api.post(&path, &object).await?;
    ensure(created.code == 201, || created.text.clone())?;
    let ready = json!([{ "type": "Ready", "status": "True", "reason": "Attached", "message": "",
        "lastTransitionTime": "2026-11-20T15:00:00Z", "observedGeneration": 1 }]);
    let both = with(
        created.json(),
        &[("/status", json!({ "conditions": ready })), ("/spec/epoch", json!(9))],
    );
    let answer = cluster.api.put(&format!("{path}/10.1.0.99/status"), &both).await?;
    ensure(answer.code == 200, || answer.text.clone())?;
    let stored = answer.json();
    ensure(stored["spec"]["epoch"] == 3, || "a status changed the spec".to_owned())?;
    ensure(stored["status"]["conditions"] == ready, || format!("{}", stored["status"]))?;
    ensure(stored["metadata"]["generation"] == 1, || {
        "a status update increased the generation".to_owned()
    })?;
    let gone = cluster.api.delete(&format!("{path}/10.1.0.99")).await?;
    ensure(gone.code == 200, || gone.text)
}
