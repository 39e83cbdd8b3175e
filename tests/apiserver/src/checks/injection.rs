//! The policies of `deploy/injection`: what they add to pods, and which pods they refuse.

mod cases;

use std::time::Duration;

use clap::Parser;
use firecamp_checks::deploy::{collection, objects};
use firecamp_cli::args::{Cli, Command};
use firecamp_cli::inject::{InjectArguments, injected};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::quota::{delete_quota, set_quota};
use super::{NO_MUTATION, Outcome, ensure};
use crate::cluster::Cluster;
use crate::deploy::{apply, as_served, is_mutating, mutates};
use crate::samples::{GROUP, pool, runtime_class, with};
use crate::say;
use cases::{accepted, other_containers, pods, refused};

const PODS: &str = "/api/v1/namespaces/injected/pods";
const FILES: [&str; 2] = ["deploy/injection/mutation.yaml", "deploy/injection/guard.yaml"];
const IMAGE: &str = "firecamp-initcontainer:0.1.0";
const LABEL: &str = "firecamp.io/pool";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// The server reads its policies again within a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// The policies that the server can have, in its version of them.
async fn policies(cluster: &Cluster) -> Result<Vec<Value>, String> {
    let mutates = mutates(cluster).await?;
    let mut all = Vec::new();
    for policy in [objects(FILES[0])?, objects(FILES[1])?].concat() {
        if mutates || !is_mutating(&policy) {
            all.push(as_served(cluster, &policy).await?);
        }
    }
    Ok(all)
}

/// Installs the policies and two pools, and waits until pods are injected, or refused by a server
/// that cannot inject, and until the server has the last of the policies: it may learn of them at
/// different times. Pods that a failed check left are deleted.
async fn install(cluster: &Cluster) -> Outcome {
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "injected" } });
    apply(cluster, &namespace).await?;
    apply(cluster, &runtime_class("kata")).await?;
    for (name, resource) in POOLS {
        let pool =
            with(pool(), &[("/metadata/name", json!(name)), ("/spec/resource", json!(resource))]);
        apply(cluster, &pool).await?;
    }
    let all = format!("{PODS}?gracePeriodSeconds=0");
    let gone = cluster.api.ask(Method::DELETE, &all, None).await?;
    ensure(gone.code == 200, || gone.text)?;
    let labelled = json!({ "metadata": { "labels": { LABEL: "injected" } } });
    let made = cluster.api.post(PODS, &plain("labelled-later")).await?;
    ensure(made.code == 201, || made.text)?;
    for policy in policies(cluster).await? {
        apply(cluster, &policy).await?;
    }
    let injected = if mutates(cluster).await? { 201 } else { 422 };
    let expected = [injected, 422, 422];
    let end = Instant::now() + PATIENCE;
    loop {
        let path = format!("{PODS}/labelled-later?dryRun=All");
        let answers = [
            created(cluster, &member()).await?,
            created(cluster, &nobody()).await?,
            cluster.api.patch_as(STRATEGIC, &path, &labelled).await?,
        ];
        if answers.each_ref().map(|answer| answer.code) == expected {
            return Ok(());
        }
        ensure(Instant::now() < end, || {
            format!("the policies: {:?}", answers.each_ref().map(|answer| &answer.text))
        })?;
        sleep(Duration::from_millis(100)).await;
    }
}

/// As on a server without MutatingAdmissionPolicy.
async fn inject_nothing(cluster: &Cluster) -> Outcome {
    if !mutates(cluster).await? {
        return Ok(());
    }
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

/// A pod without the label.
fn plain(name: &str) -> Value {
    with(member(), &[("/metadata/name", json!(name)), ("/metadata/labels", json!({}))])
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

/// The pod, if the server injects it; else what `firecamp inject` makes of it.
async fn injectable(cluster: &Cluster, pod: &Value) -> Result<Value, String> {
    if mutates(cluster).await? { Ok(pod.clone()) } else { prepared(pod) }
}

/// The parts of a pod to which something is added.
fn added(pod: &Value) -> Value {
    json!([pod["metadata"]["annotations"], pod["spec"]])
}

pub(super) async fn the_policy_and_firecamp_inject_make_the_same_pod(cluster: &Cluster) -> Outcome {
    install(cluster).await?;
    let mut by_policy = Vec::new();
    if !mutates(cluster).await? {
        say(&format!("        {NO_MUTATION}: the command alone"));
    }
    for (pod, class) in pods() {
        let answer = created(cluster, &injectable(cluster, &pod).await?).await?;
        ensure(answer.code == 201, || answer.text.clone())?;
        let answer = answer.json();
        ensure(answer["spec"]["initContainers"][0]["name"] == "firecamp-init", || {
            format!("{pod} became {answer}")
        })?;
        let shown = &answer["status"]["qosClass"];
        ensure(*shown == class, || format!("{shown} instead of {class}: {pod}"))?;
        by_policy.push(added(&answer));
    }
    // Otherwise the policy would add what the command forgets.
    inject_nothing(cluster).await?;
    for ((pod, _class), by_policy) in pods().into_iter().zip(by_policy) {
        let answer = created(cluster, &prepared(&pod)?).await?;
        ensure(answer.code == 201, || answer.text.clone())?;
        let by_command = added(&answer.json());
        ensure(by_policy == by_command, || {
            format!("the policy: {by_policy}\nthe command: {by_command}")
        })?;
    }
    remove(cluster).await
}

/// Of each rule for new pods, the longest fixed part of its refusal.
fn rules() -> Result<Vec<String>, String> {
    let fixed = |rule: &Value| {
        let parts = rule["messageExpression"].as_str()?.split('\'').skip(1).step_by(2);
        parts.max_by_key(|part| part.len()).map(str::to_owned)
    };
    let (guard, names) = (objects(FILES[1])?, ["firecamp-injected", "firecamp-injected-resource"]);
    let of_new = |one: &&Value| names.iter().any(|name| one["metadata"]["name"] == **name);
    let rules = guard.iter().filter(of_new).filter_map(|one| one["spec"]["validations"].as_array());
    rules.flatten().map(|rule| fixed(rule).ok_or_else(|| rule.to_string())).collect()
}

pub(super) async fn f125_a_labelled_pod_without_what_is_injected_is_refused(
    cluster: &Cluster,
) -> Outcome {
    install(cluster).await?;
    inject_nothing(cluster).await?;
    let whole = prepared(&member())?;
    let mut cases: Vec<(Value, &str)> = Vec::new();
    cases.extend(
        refused().into_iter().map(|(changes, words)| (with(whole.clone(), &changes), words)),
    );
    for (field, value, words) in other_containers() {
        let mut pod = whole.clone();
        pod["spec"]["initContainers"][0][field] = value;
        cases.push((pod, words));
    }
    let mut refusals = String::new();
    for (pod, words) in cases {
        let answer = created(cluster, &pod).await?;
        ensure(answer.code == 422 && answer.text.contains(words), || {
            format!("{pod}: {} {}, not {words:?}", answer.code, answer.text)
        })?;
        refusals.push_str(answer.json()["message"].as_str().unwrap_or_default());
    }
    for rule in rules()? {
        ensure(refusals.contains(&rule), || format!("no pod was refused because {rule:?}"))?;
    }
    for pod in accepted(&whole) {
        let answer = created(cluster, &pod).await?;
        ensure(answer.code == 201, || format!("{pod}: {}", answer.text))?;
    }
    remove(cluster).await
}

pub(super) async fn what_was_injected_into_a_pod_cannot_be_changed(cluster: &Cluster) -> Outcome {
    install(cluster).await?;
    let made = cluster.api.post(PODS, &injectable(cluster, &member()).await?).await?;
    ensure(made.code == 201, || made.text)?;
    let made = cluster.api.post(PODS, &plain("web")).await?;
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
        let answer = cluster.api.patch_as(STRATEGIC, &path, &change).await?;
        ensure(answer.code == code, || format!("{pod} {change}: {}", answer.text))?;
    }
    // Who may write the status of a pod writes its labels as well.
    let other =
        json!([{ "op": "replace", "path": "/metadata/labels/firecamp.io~1pool", "value": "b" }]);
    let answer = cluster.api.patch(&format!("{PODS}/redis-0/status"), &other).await?;
    ensure(answer.code == 422, || format!("status: {}", answer.text))?;
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
    let sized = injectable(cluster, &sized).await?;
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
    let mounts = json!([{ "name": "run", "mountPath": "/run/firecamp" }]);
    let init = json!([{ "name": "init", "image": "a", "volumeMounts": mounts }]);
    let left_alone = [
        with(member(), &[("/metadata/labels", labels)]),
        with(member(), &[("/spec/volumes", directory), ("/spec/initContainers", init)]),
    ];
    for pod in left_alone {
        let answer = created(cluster, &pod).await?;
        ensure(answer.code == 201, || answer.text.clone())?;
        ensure(!answer.text.contains("firecamp-init"), || format!("{} of {pod}", answer.text))?;
    }
    remove(cluster).await
}

/// The server rejects the pod with these words, once it knows the quota of now.
async fn refused_by_quota(cluster: &Cluster, pod: &Value, words: &str) -> Outcome {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = created(cluster, pod).await?;
        if answer.code == 403 && answer.text.contains(words) {
            return Ok(());
        }
        ensure(Instant::now() < end, || format!("not {words:?}: {}", answer.text))?;
        sleep(Duration::from_millis(100)).await;
    }
}

/// Of init and other containers a quota counts the larger request, so the injected one costs
/// nothing but the slot.
pub(super) async fn a_quota_counts_a_pod_with_what_was_injected(cluster: &Cluster) -> Outcome {
    install(cluster).await?;
    let slots = "requests.firecamp.io/static-ip";
    let amounts = |memory: &str, count: &str| json!({ "requests.memory": memory, slots: count });
    let (name, hard) = (("injected", "members"), amounts("1Gi", "1"));
    set_quota(cluster, name, &hard, &amounts("0", "0")).await?;
    let sized = |memory: &str| {
        let amounts = json!({ "requests": { "memory": memory } });
        let container = json!({ "name": "a", "image": "a", "resources": amounts });
        with(member(), &[("/spec/containers/0", container)])
    };
    let large = injectable(cluster, &sized("2Gi")).await?;
    let words = "exceeded quota: members, requested: requests.memory=2Gi";
    refused_by_quota(cluster, &large, words).await?;
    let pod = injectable(cluster, &sized("1Gi")).await?;
    let answer = created(cluster, &pod).await?;
    ensure(answer.code == 201, || answer.text)?;
    set_quota(cluster, name, &hard, &amounts("0", "1")).await?;
    let words = format!("requested: {slots}=1, used: {slots}=1, limited: {slots}=1");
    refused_by_quota(cluster, &pod, &words).await?;
    delete_quota(cluster, name.0, name.1).await?;
    remove(cluster).await
}

pub(super) async fn policies_that_are_installed_again_know_the_pools_of_now(
    cluster: &Cluster,
) -> Outcome {
    if !mutates(cluster).await? {
        say(&format!("        {NO_MUTATION}: nothing to check"));
        return Ok(());
    }
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
        if answer.code == 201 && answer.text.contains("firecamp.io/static-ip-c") {
            return remove(cluster).await;
        }
        ensure(Instant::now() < end, || format!("the pool of before: {}", answer.text))?;
        sleep(Duration::from_millis(100)).await;
    }
}
