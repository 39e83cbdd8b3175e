//! The policies of `deploy/injection`: what they add to pods, and which pods they refuse.

use std::time::Duration;

use clap::Parser;
use firecamp_checks::deploy::{collection, objects};
use firecamp_cli::args::{Cli, Command};
use firecamp_cli::inject::{InjectArguments, injected};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::deploy::apply;
use crate::samples::{GROUP, pool, with};

const PODS: &str = "/api/v1/namespaces/injected/pods";
const FILE: &str = "deploy/injection/policies.yaml";
const IMAGE: &str = "firecamp-initcontainer:0.1.0";
const LABEL: &str = "firecamp.io/pool";
/// The server reads its policies again within a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// The policies in the version that the server has.
async fn policies(cluster: &Cluster) -> Result<Vec<Value>, String> {
    let served = cluster.api.get("/apis/admissionregistration.k8s.io/v1").await?;
    let old = !served.text.contains("\"mutatingadmissionpolicies\"");
    let mut all = objects(FILE)?;
    for one in &mut all {
        if old && one["kind"].as_str().is_some_and(|kind| kind.starts_with("Mutating")) {
            one["apiVersion"] = json!("admissionregistration.k8s.io/v1beta1");
        }
    }
    Ok(all)
}

/// Installs the policies and two pools, and waits until pods are injected.
async fn install(cluster: &Cluster) -> Outcome {
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "injected" } });
    apply(cluster, &namespace).await?;
    for (name, resource) in POOLS {
        let pool =
            with(pool(), &[("/metadata/name", json!(name)), ("/spec/resource", json!(resource))]);
        apply(cluster, &pool).await?;
    }
    for policy in policies(cluster).await? {
        apply(cluster, &policy).await?;
    }
    let end = Instant::now() + PATIENCE;
    loop {
        let answers = [created(cluster, &member()).await?, created(cluster, &nobody()).await?];
        let codes = answers.each_ref().map(|answer| answer.code);
        if codes == [201, 422] {
            return Ok(());
        }
        ensure(Instant::now() < end, || format!("the policies: {}", answers[0].text))?;
        sleep(Duration::from_millis(100)).await;
    }
}

/// As on a server without MutatingAdmissionPolicy.
async fn inject_nothing(cluster: &Cluster) -> Outcome {
    let all = policies(cluster).await?;
    let binding = all.iter().find(|one| one["kind"] == "MutatingAdmissionPolicyBinding");
    let place = collection(binding.ok_or("no binding")?)?;
    let gone = cluster.api.delete(&format!("{place}/firecamp-injection")).await?;
    ensure(gone.code == 200, || gone.text)?;
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = created(cluster, &member()).await?;
        if answer.text.contains("firecamp-init is missing") {
            return Ok(());
        }
        ensure(Instant::now() < end, || format!("injected all the same: {}", answer.text))?;
        sleep(Duration::from_millis(100)).await;
    }
}

async fn remove(cluster: &Cluster) -> Outcome {
    let mut places = Vec::new();
    for policy in policies(cluster).await? {
        let name = policy["metadata"]["name"].as_str().unwrap_or_default();
        places.push(format!("{}/{name}", collection(&policy)?));
    }
    places.extend(POOLS.map(|(name, _)| format!("{GROUP}/staticippools/{name}")));
    for place in places {
        let gone = cluster.api.delete(&place).await?;
        ensure(matches!(gone.code, 200 | 404), || format!("{place}: {}", gone.text))?;
    }
    Ok(())
}

/// Two pools, and their extended resources.
const POOLS: [(&str, &str); 2] =
    [("injected", "firecamp.io/static-ip"), ("other", "firecamp.io/static-ip-b")];

/// A pod with the label alone. No controller creates its account here.
fn member() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "redis-0", "labels": { LABEL: "injected" } },
        "spec": {
            "serviceAccountName": "default",
            "hostNetwork": true,
            "containers": [{ "name": "redis", "image": "redis:8" }],
        },
    })
}

/// A member of a pool that does not exist.
fn nobody() -> Value {
    with(member(), &[("/metadata/labels", json!({ LABEL: "missing" }))])
}

async fn created(
    cluster: &Cluster,
    pod: &Value,
) -> Result<firecamp_testkit::kubernetes::Answer, String> {
    cluster.api.post(&format!("{PODS}?dryRun=All&fieldValidation=Strict"), pod).await
}

/// What `firecamp inject` makes of a pod.
fn prepared(pod: &Value) -> Result<Value, String> {
    let pools = tempfile::NamedTempFile::new().map_err(|wrong| wrong.to_string())?;
    let text = POOLS.map(|(name, resource)| {
        format!("kind: StaticIPPool\nmetadata: {{name: {name}}}\nspec: {{resource: {resource}}}\n")
    });
    std::fs::write(&pools, text.join("---\n")).map_err(|wrong| wrong.to_string())?;
    let file = pools.path().to_string_lossy();
    let words = ["firecamp", "inject", "--image", IMAGE, "--pool-file", &file];
    let cli = Cli::try_parse_from(words).map_err(|wrong| wrong.to_string())?;
    let Command::Inject(arguments) = cli.command else { return Err("not inject".to_owned()) };
    let arguments: InjectArguments = arguments;
    let text = injected(&pod.to_string(), &arguments).map_err(|failure| failure.chain())?;
    serde_saphyr::from_str(&text).map_err(|wrong| wrong.to_string())
}

/// Pods, and the QoS class that they have without FireCamp.
fn pods() -> Vec<(Value, &'static str)> {
    let amounts = json!({ "cpu": "1", "memory": "1Gi" });
    let requests = json!([{ "name": "a", "image": "a", "resources": { "requests": amounts } }]);
    let all = json!({ "requests": amounts, "limits": amounts });
    let guaranteed = json!([{ "name": "a", "image": "a", "resources": all }]);
    let empty = json!([{ "name": "data", "emptyDir": {} }]);
    let mounts = json!([{ "name": "data", "mountPath": "/data" }]);
    let before = json!([{ "name": "prepare", "image": "b", "volumeMounts": mounts }]);
    let two = json!([{ "name": "a", "image": "a", "volumeMounts": mounts }, { "name": "b", "image": "b" }]);
    vec![
        (member(), "BestEffort"),
        (with(member(), &[("/spec/containers", requests)]), "Burstable"),
        (with(member(), &[("/spec/containers", guaranteed)]), "Guaranteed"),
        (with(member(), &[("/metadata/labels", json!({ LABEL: "other" }))]), "BestEffort"),
        (
            with(
                member(),
                &[
                    ("/spec/volumes", empty),
                    ("/spec/initContainers", before),
                    ("/spec/containers", two),
                ],
            ),
            "BestEffort",
        ),
    ]
}

pub(super) async fn the_policy_and_firecamp_inject_make_the_same_pod(cluster: &Cluster) -> Outcome {
    install(cluster).await?;
    for (pod, class) in pods() {
        let by_policy = created(cluster, &pod).await?;
        ensure(by_policy.code == 201 && by_policy.warnings.is_empty(), || by_policy.text.clone())?;
        let by_command = created(cluster, &prepared(&pod)?).await?;
        ensure(by_command.code == 201, || by_command.text.clone())?;
        let (by_policy, by_command) = (by_policy.json(), by_command.json());
        let names = by_policy["spec"]["initContainers"][0]["name"].clone();
        ensure(names == "firecamp-init", || format!("{pod} became {by_policy}"))?;
        ensure(by_policy["spec"] == by_command["spec"], || {
            format!("the policy: {}\nthe command: {}", by_policy["spec"], by_command["spec"])
        })?;
        let shown = &by_policy["status"]["qosClass"];
        ensure(*shown == class, || format!("{shown} instead of {class}: {pod}"))?;
    }
    remove(cluster).await
}

/// Changes of an injected pod, and a text of the refusal.
fn refused() -> Vec<(Vec<(&'static str, Value)>, &'static str)> {
    let init = "/spec/initContainers/0";
    let at = |field: &str| -> &'static str {
        match field {
            "image" => "/spec/initContainers/0/image",
            "command" => "/spec/initContainers/0/command",
            "args" => "/spec/initContainers/0/args",
            "env" => "/spec/initContainers/0/env",
            "resources" => "/spec/initContainers/0/resources",
            _ => "/spec/initContainers/0/volumeMounts",
        }
    };
    let own = json!([{ "name": "firecamp-init", "image": "busybox:1", "command": ["true"] }]);
    let mirror = json!({ "kubernetes.io/config.mirror": "x" });
    let elsewhere = json!([{ "name": "FIRECAMP_ENDPOINT", "value": "10.0.0.1:9814" }]);
    let token = json!({ "name": "firecamp-token", "projected": { "sources": [
        { "serviceAccountToken": { "path": "token", "audience": "other" } },
    ]}});
    vec![
        (
            vec![
                ("/metadata/labels", json!({ LABEL: "missing" })),
                ("/spec/initContainers", Value::Null),
            ],
            "firecamp-init is missing",
        ),
        (
            vec![("/metadata/annotations", mirror), ("/spec/nodeName", json!("n1"))],
            "a static pod has no token",
        ),
        (vec![("/spec/hostNetwork", json!(false))], "set hostNetwork: true"),
        (vec![("/spec/initContainers", own)], "does not run firecamp-initcontainer"),
        (vec![(at("image"), json!("firecamp-initcontainer-2:1"))], "does not run"),
        (vec![(at("command"), json!(["true"]))], "no command and no args"),
        (vec![(at("args"), json!(["--help"]))], "no command and no args"),
        (vec![(at("env"), elsewhere)], "FIRECAMP_ENDPOINT must be"),
        (vec![(at("env"), json!([]))], "FIRECAMP_ENDPOINT must be"),
        (vec![(at("mounts"), json!([]))], "must mount firecamp-token"),
        (vec![(at("resources"), json!({}))], "must request the extended resource"),
        (vec![("/spec/volumes/0", token)], "the audience"),
        (
            vec![(
                "/spec/volumes/1",
                json!({ "name": "firecamp-address", "hostPath": { "path": "/tmp" } }),
            )],
            "must be an emptyDir",
        ),
        (vec![(init, json!({ "name": "firecamp-init", "image": IMAGE }))], "FIRECAMP_ENDPOINT"),
    ]
}

pub(super) async fn f125_a_labelled_pod_without_what_is_injected_is_refused(
    cluster: &Cluster,
) -> Outcome {
    install(cluster).await?;
    inject_nothing(cluster).await?;
    let whole = prepared(&member())?;
    for (changes, words) in refused() {
        let answer = created(cluster, &with(whole.clone(), &changes)).await?;
        ensure(answer.code == 422 && answer.text.contains(words), || {
            format!("{changes:?}: {} {}, not {words:?}", answer.code, answer.text)
        })?;
    }
    // Manifests that `firecamp inject` prepared for an earlier version stay valid.
    for image in ["firecamp-initcontainer:0.0.9", "firecamp-initcontainer@sha256:0"] {
        let older = with(whole.clone(), &[("/spec/initContainers/0/image", json!(image))]);
        let answer = created(cluster, &older).await?;
        ensure(answer.code == 201, || format!("{image}: {}", answer.text))?;
    }
    remove(cluster).await
}

pub(super) async fn what_was_injected_into_a_pod_cannot_be_changed(cluster: &Cluster) -> Outcome {
    install(cluster).await?;
    let made = cluster.api.post(PODS, &member()).await?;
    ensure(made.code == 201, || made.text)?;
    let plain =
        with(member(), &[("/metadata/name", json!("web")), ("/metadata/labels", json!({}))]);
    let made = cluster.api.post(PODS, &plain).await?;
    ensure(made.code == 201, || made.text)?;
    let label = |name: &str, value: Value| json!({ "metadata": { "labels": { name: value } } });
    let image = |name: &str, image: &str| json!({ "spec": { "initContainers": [{ "name": name, "image": image }] } });
    let cases = [
        ("redis-0", label(LABEL, json!("other")), 422),
        ("redis-0", label(LABEL, Value::Null), 422),
        ("redis-0", label("firecamp.io/inject", json!("false")), 422),
        ("redis-0", label("app", json!("redis")), 200),
        ("redis-0", image("firecamp-init", "busybox:1"), 422),
        ("web", label(LABEL, json!("injected")), 422),
        ("web", label("app", json!("web")), 200),
    ];
    for (pod, change, code) in cases {
        let path = format!("{PODS}/{pod}");
        let strategic = "application/strategic-merge-patch+json";
        let answer = cluster.api.patch_as(strategic, &path, &change).await?;
        ensure(answer.code == code, || format!("{pod} {change}: {}", answer.text))?;
    }
    for pod in ["redis-0", "web"] {
        let path = format!("{PODS}/{pod}?gracePeriodSeconds=0");
        let gone = cluster.api.ask(Method::DELETE, &path, None).await?;
        ensure(gone.code == 200, || gone.text)?;
    }
    remove(cluster).await
}

pub(super) async fn a_limit_range_and_an_opt_out_are_respected(cluster: &Cluster) -> Outcome {
    install(cluster).await?;
    let limits = json!({
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": { "name": "limits" },
        "spec": { "limits": [{ "type": "Container", "min": { "memory": "64Mi" } }] },
    });
    let ranges = "/api/v1/namespaces/injected/limitranges";
    let made = cluster.api.post(ranges, &limits).await?;
    ensure(made.code == 201, || made.text)?;
    let amounts = json!({ "requests": { "memory": "1Gi" } });
    let sized = with(
        member(),
        &[("/spec/containers/0", json!({ "name": "a", "image": "a", "resources": amounts }))],
    );
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = created(cluster, &sized).await?;
        if answer.code == 403 {
            let words = "minimum memory usage per Container is 64Mi, but request is 32Mi";
            ensure(answer.text.contains(words), || answer.text)?;
            break;
        }
        ensure(Instant::now() < end, || format!("the LimitRange: {}", answer.text))?;
        sleep(Duration::from_millis(100)).await;
    }
    let gone = cluster.api.delete(&format!("{ranges}/limits")).await?;
    ensure(gone.code == 200, || gone.text)?;
    let labels = json!({ LABEL: "injected", "firecamp.io/inject": "false" });
    let directory = json!([{ "name": "run", "hostPath": { "path": "/run/firecamp" } }]);
    let left_alone = [
        with(member(), &[("/metadata/labels", labels)]),
        with(member(), &[("/spec/volumes", directory)]),
    ];
    for pod in left_alone {
        let answer = created(cluster, &pod).await?;
        ensure(answer.code == 201, || answer.text.clone())?;
        let added = answer.json()["spec"]["initContainers"].clone();
        ensure(added.is_null(), || format!("{added} was added to {pod}"))?;
    }
    remove(cluster).await
}

pub(super) async fn policies_that_are_installed_again_know_the_pools_of_now(
    cluster: &Cluster,
) -> Outcome {
    install(cluster).await?;
    remove(cluster).await?;
    install(cluster).await?;
    let resource =
        json!([{ "op": "add", "path": "/spec/resource", "value": "firecamp.io/static-ip-c" }]);
    let changed = cluster.api.patch(&format!("{GROUP}/staticippools/injected"), &resource).await?;
    ensure(changed.code == 200, || changed.text)?;
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = created(cluster, &member()).await?;
        if answer.text.contains("firecamp.io/static-ip-c") {
            return remove(cluster).await;
        }
        ensure(Instant::now() < end, || format!("the pool of before: {}", answer.text))?;
        sleep(Duration::from_millis(100)).await;
    }
}
