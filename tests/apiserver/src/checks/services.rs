//! `firecamp service` against the API server's validation, server-side apply and evictions. No
//! controller runs here: tests/cluster has pods.

use firecamp_cli::failure::Failure;
use firecamp_cli::service::apply::{DryRun, apply};
use firecamp_cli::service::cluster::{KubeServices, ServiceCluster, kind, path};
use firecamp_cli::service::definition::Definition;
use firecamp_cli::service::members::Members;
use firecamp_cli::service::{create, list, scale, update};
use firecamp_cli::{info, task};
use firecamp_core::ids::SetName;
use firecamp_kube::{Choice, Evicted, ObjectPath, Timeouts};
use http::Method;
use serde_json::{Value, json};

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::samples::{GROUP, pool, with};

const NAMESPACE: &str = "services";
const POOL: &str = "services";
const DEFINITION: &str = "
replicas: 3
pool: services
ports: {redis: 6379}
container: {image: redis:8, command: [redis-server], user: 999, cpu: 100m, memory: 256Mi}
volumes: {data: 10Gi, dataClass: gp3, journal: 1Gi}
restart: {order: primary-last, primaryLabel: role=master}
config: {redis.conf: 'appendonly yes'}
";

/// The name of the service.
fn redis() -> SetName {
    SetName::new("redis").expect("a name")
}

fn defined(text: &str) -> Definition {
    serde_saphyr::from_str(text).expect("a definition")
}

async fn services(cluster: &Cluster) -> Result<KubeServices, String> {
    let choice = Choice { kubeconfig: Some(cluster.kubeconfig()?), context: None };
    let timeouts = Timeouts::default();
    let chosen = choice.connect(timeouts).await.map_err(|wrong| wrong.to_string())?;
    Ok(KubeServices::new(chosen.client, timeouts))
}

fn set() -> ObjectPath {
    path(kind::STATEFUL_SET, NAMESPACE, "redis")
}

fn failed(failure: impl Into<Failure>) -> String {
    failure.into().chain()
}

/// A ready node in this zone.
async fn add_node(cluster: &Cluster, zone: &str) -> Outcome {
    let name = format!("services-{zone}");
    let labels = json!({ "topology.kubernetes.io/zone": zone });
    let node = json!({ "metadata": { "name": name, "labels": labels } });
    let made = cluster.api.post("/api/v1/nodes", &node).await?;
    ensure(made.code == 201, || made.text)?;
    let now = "2026-01-01T00:00:00Z";
    let ready = json!({ "type": "Ready", "status": "True", "reason": "Test", "message": "",
        "lastHeartbeatTime": now, "lastTransitionTime": now });
    let status = json!({ "status": { "conditions": [ready] } });
    let path = format!("/api/v1/nodes/{name}/status");
    let answer = cluster.api.ask(Method::PATCH, &path, Some(&status)).await?;
    ensure(answer.code == 200, || answer.text)
}

/// The namespace and the pool of the service.
async fn prepare(cluster: &Cluster) -> Outcome {
    let namespace = json!({ "metadata": { "name": NAMESPACE } });
    let made = cluster.api.post("/api/v1/namespaces", &namespace).await?;
    ensure(made.code == 201, || made.text)?;
    let own = with(
        pool(),
        &[
            ("/metadata/name", json!(POOL)),
            ("/spec/subnets/0/subnet", json!("subnet-0000000a")),
            ("/spec/subnets/0/cidr", json!("10.9.0.0/24")),
            ("/spec/subnets/0/ranges", json!([{ "start": "10.9.0.16", "end": "10.9.0.31" }])),
            ("/spec/subnets/1/subnet", json!("subnet-0000000b")),
            ("/spec/subnets/1/cidr", json!("10.9.1.0/24")),
            ("/spec/subnets/1/ranges", json!([{ "start": "10.9.1.16", "end": "10.9.1.31" }])),
        ],
    );
    let made = cluster.api.post(&format!("{GROUP}/staticippools"), &own).await?;
    ensure(made.code == 201, || made.text)
}

/// Removes what other checks would see.
async fn clean_up(cluster: &Cluster) -> Outcome {
    cluster.api.delete(&format!("{GROUP}/staticippools/{POOL}")).await?;
    for zone in ["us-east-1a", "us-east-1b"] {
        cluster.api.delete(&format!("/api/v1/nodes/services-{zone}")).await?;
    }
    Ok(())
}

pub(super) async fn a_service_is_created_changed_and_stopped_by_its_command(
    cluster: &Cluster,
) -> Outcome {
    prepare(cluster).await?;
    let checked = Box::pin(check(cluster)).await;
    clean_up(cluster).await?;
    checked
}

async fn check(cluster: &Cluster) -> Outcome {
    let services = services(cluster).await?;
    let members = Members { cluster: &services, set: set() };
    add_node(cluster, "us-east-1a").await?;
    let refused = create::planned(&members, &redis(), defined(DEFINITION)).await;
    let why = refused.map_or_else(failed, |_service| String::new());
    ensure(why.contains("zone us-east-1b has no ready node"), || format!("refused by {why:?}"))?;
    add_node(cluster, "us-east-1b").await?;

    let service = create::planned(&members, &redis(), defined(DEFINITION)).await.map_err(failed)?;
    apply(&services, &service, DryRun::Server, false).await.map_err(failed)?;
    let made = services.get(&set()).await.map_err(failed)?;
    ensure(made.is_none(), || "a dry run created the StatefulSet".to_owned())?;
    apply(&services, &service, DryRun::None, false).await.map_err(failed)?;
    let first = stored(&services).await?;
    apply(&services, &service, DryRun::None, false).await.map_err(failed)?;
    let again = stored(&services).await?;
    ensure(first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"], || {
        format!("applied again, the StatefulSet changed: {first} {again}")
    })?;
    let twice = create::planned(&members, &redis(), defined(DEFINITION)).await;
    let why = twice.map_or_else(failed, |_service| String::new());
    ensure(why.contains("exists: change it with `firecamp service update`"), || why)?;
    conflicts_are_reported(cluster, &members).await?;
    is_stopped_and_started(&members).await?;
    tasks_are_jobs(&members).await?;
    evictions_name_their_pod(cluster, &services).await
}

async fn stored(services: &KubeServices) -> Result<Value, String> {
    let found = services.get(&set()).await.map_err(failed)?;
    found.ok_or_else(|| "there is no StatefulSet".to_owned())
}

/// Somebody else's change of the image is reported, and taken over only by force.
async fn conflicts_are_reported(cluster: &Cluster, members: &Members<'_, KubeServices>) -> Outcome {
    let image = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image",
        "value": "redis:broken" }]);
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets/redis");
    let edited = cluster.api.patch(&path, &image).await?;
    ensure(edited.code == 200, || edited.text)?;
    let change = defined("{container: {image: 'redis:9'}}");
    let service = update::planned(members, &redis(), change).await.map_err(failed)?;
    let refused = apply(members.cluster, &service, DryRun::None, false).await;
    let why = refused.map_or_else(failed, |_applied| String::new());
    ensure(why.contains("image") && why.contains("--force-conflicts"), || why.clone())?;
    apply(members.cluster, &service, DryRun::None, true).await.map_err(failed)?;
    let now = stored(members.cluster).await?;
    let container = &now["spec"]["template"]["spec"]["containers"][0];
    ensure(container["image"] == "redis:9" && container["resources"]["limits"].is_object(), || {
        format!("the update kept nothing else: {container}")
    })
}

async fn is_stopped_and_started(members: &Members<'_, KubeServices>) -> Outcome {
    let before = stored(members.cluster).await?;
    let stop = scale::stopped(&before).ok_or("a service that runs cannot be stopped")?;
    let stopped = members.cluster.patch(&set(), &stop).await.map_err(failed)?;
    ensure(stopped["spec"]["replicas"] == 0, || stopped.to_string())?;
    ensure(scale::stopped(&stopped).is_none(), || "a stopped service is stopped again".to_owned())?;
    let start = scale::started(&stopped)?.ok_or("a stopped service cannot be started")?;
    let started = members.cluster.patch(&set(), &start).await.map_err(failed)?;
    ensure(started["spec"]["replicas"] == 3, || started.to_string())?;
    let change = defined("{replicas: 4}");
    let service = update::planned(members, &redis(), change).await.map_err(failed)?;
    apply(members.cluster, &service, DryRun::None, false).await.map_err(failed)?;
    let start = json!({ "spec": { "replicas": 3 } });
    members.cluster.patch(&set(), &start).await.map_err(failed)?;
    let all = list::services(members.cluster, Some(NAMESPACE)).await.map_err(failed)?;
    let [one] = all.as_slice() else { return Err(format!("{all:?}")) };
    ensure(one.replicas == 3 && one.pool.as_deref() == Some(POOL), || format!("{one:?}"))?;
    let status = list::of(members, None).await.map_err(failed)?;
    ensure(status.members.len() == 3, || format!("{status:?}"))
}

/// The server accepts what a task copies of the template; a task runs once.
async fn tasks_are_jobs(members: &Members<'_, KubeServices>) -> Outcome {
    let job = path(kind::JOB, NAMESPACE, "redis-init");
    let command = ["redis-cli".to_owned(), "ping".to_owned()];
    task::run_job(members, &job, (&command, &[])).await.map_err(failed)?;
    let again = task::run_job(members, &job, (&command, &[])).await;
    let why = again.map_or_else(failed, |()| String::new());
    ensure(why.contains("firecamp task delete"), || why)?;
    let status = task::status(members.cluster, &job).await.map_err(failed)?;
    ensure(status.state == "Running", || format!("{status:?}"))?;
    let info = info::of(members.cluster, Some("services-us-east-1a")).await.map_err(failed)?;
    let zone = info.zone.as_deref();
    ensure(zone == Some("us-east-1a") && !info.cluster_id.is_empty(), || format!("{info:?}"))
}

/// An eviction names the UID of its pod.
async fn evictions_name_their_pod(cluster: &Cluster, services: &KubeServices) -> Outcome {
    let selector = stored(services).await?["spec"]["selector"]["matchLabels"].clone();
    let pod = json!({
        "metadata": { "name": "redis-0", "labels": selector },
        "spec": { "containers": [{ "name": "redis", "image": "redis" }] },
    });
    let made = cluster.api.post(&format!("/api/v1/namespaces/{NAMESPACE}/pods"), &pod).await?;
    ensure(made.code == 201, || made.text.clone())?;
    let uid = made.json()["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let redis = path(kind::POD, NAMESPACE, "redis-0");
    let other = services.evict(&redis, "00000000-0000-0000-0000-000000000000").await;
    ensure(other.is_err(), || "a pod with another UID was evicted".to_owned())?;
    // A pod that never ran needs no budget.
    let evicted = services.evict(&redis, &uid).await.map_err(failed)?;
    ensure(evicted == Evicted::Deleted, || format!("{evicted:?}"))?;
    let gone = services.evict(&redis, &uid).await.map_err(failed)?;
    ensure(gone == Evicted::Deleted, || "a pod that is gone cannot be evicted".to_owned())
}
