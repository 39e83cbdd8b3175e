//! Stateless services: a Deployment, which replaces its pods by itself.

use std::time::Duration;

use clap::Parser;
use firecamp_cli::args::{Cli, Command};
use firecamp_cli::failure::Failure;
use firecamp_cli::service::apply::{DryRun, apply};
use firecamp_cli::service::cluster::{ServiceCluster, kind};
use firecamp_cli::service::members::Members;
use firecamp_cli::service::objects::Service;
use firecamp_cli::service::restart::{Report, RestartArguments};
use firecamp_cli::service::{ServiceCommand, create, delete, list, scale, stateless, update};
use firecamp_core::contract::exit::{CheckExit, Restarted, Waited};
use firecamp_core::ids::SetName;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::objects::{defined, service};
use super::store::{Store, path_of};

const WEB: &str = "
stateless: true
replicas: 2
ports: {http: 8080}
container: {image: 'web:1', cpu: 100m, env: {MODE: fast}}
placement: {zones: [a, b]}
config: {web.conf: 'workers 2'}
";
const SERVICE_LABELS: [&str; 2] = ["firecamp-servicename", "firecamp-serviceuuid"];

fn web() -> Service {
    Service { name: SetName::new("web").unwrap(), ..service(defined(WEB)) }
}

/// A Deployment with two ready pods.
async fn running() -> Store {
    let store = Store::default();
    apply(&store, &web(), DryRun::None, false).await.unwrap();
    for node in ["node-a", "node-b"] {
        store.put(kind::NODE, node, json!({}));
    }
    store.roll_out(1);
    store.add_pod(1, "x", true);
    store.add_pod(1, "y", true);
    store
}

impl Store {
    fn deployment(&self) -> Members<'_, Self> {
        self.members(kind::DEPLOYMENT, "web")
    }

    fn labels(&self, revision: u32) -> Value {
        let mut labels = self.object(kind::DEPLOYMENT, "web")["metadata"]["labels"].clone();
        labels["pod-template-hash"] = json!(format!("hash{revision}"));
        labels
    }

    /// The controller has processed the last change, which is this revision.
    fn roll_out(&self, revision: u32) {
        let number = json!({ "deployment.kubernetes.io/revision": revision.to_string() });
        let status = json!({ "observedGeneration": revision, "readyReplicas": 2 });
        let fields = json!({
            "metadata": { "annotations": number, "generation": revision },
            "status": status,
        });
        self.change(kind::DEPLOYMENT, "web", &fields);
        let uid = self.object(kind::DEPLOYMENT, "web")["metadata"]["uid"].clone();
        let owners = json!([{ "uid": uid, "controller": true }]);
        let metadata = json!({
            "annotations": number, "labels": self.labels(revision), "ownerReferences": owners,
        });
        self.put(
            kind::REPLICA_SET,
            &format!("web-hash{revision}"),
            json!({ "metadata": metadata }),
        );
    }

    fn add_pod(&self, revision: u32, name: &str, ready: bool) {
        let waits =
            json!([{ "name": "web", "state": { "waiting": { "reason": "ErrImagePull" } } }]);
        let ready = if ready { "True" } else { "False" };
        let pod = json!({
            "metadata": { "uid": name, "labels": self.labels(revision) },
            "spec": { "nodeName": "node-a" },
            "status": {
                "conditions": [{ "type": "Ready", "status": ready }],
                "containerStatuses": if ready == "True" { json!([]) } else { waits },
            },
        });
        self.put(kind::POD, &format!("web-hash{revision}-{name}"), pod);
    }

    fn end_pod(&self, revision: u32, name: &str) {
        let pod = path_of(kind::POD, &format!("web-hash{revision}-{name}"));
        self.state().objects.remove(&pod).unwrap();
    }
}

fn restart_arguments(flags: &[&str]) -> RestartArguments {
    let words = [&["firecamp", "service", "restart", "prod/web"], flags].concat();
    let Command::Service(service) = Cli::parse_from(words).command else { panic!("{flags:?}") };
    let ServiceCommand::Restart(arguments) = service.command else { panic!("{flags:?}") };
    arguments
}

async fn restart(store: &Store, flags: &[&str]) -> Result<(Report, Vec<String>), Failure> {
    let mut lines = Vec::new();
    let mut report = |line: &str| lines.push(line.to_owned());
    let done =
        stateless::restart(&store.deployment(), &restart_arguments(flags), &mut report).await?;
    Ok((done, lines))
}

#[test]
fn a_stateless_service_is_a_deployment_behind_a_cluster_ip() {
    let objects = web().objects().unwrap();
    let kinds: Vec<&str> = objects.iter().map(|(path, _)| path.kind.kind).collect();
    let expected = ["ServiceAccount", "ConfigMap", "Service", "PodDisruptionBudget", "Deployment"];
    assert_eq!(kinds, expected);
    let of = |kind| &objects.iter().find(|(path, _)| path.kind == kind).unwrap().1;
    let service = &of(kind::SERVICE)["spec"];
    assert_eq!((&service["clusterIP"], &service["ports"][0]["port"]), (&Value::Null, &json!(8080)));
    let spec = &of(kind::DEPLOYMENT)["spec"];
    let pod = &spec["template"]["spec"];
    assert_eq!((&spec["replicas"], &pod["containers"][0]["image"]), (&json!(2), &json!("web:1")));
    let mount = &pod["containers"][0]["volumeMounts"][0]["mountPath"];
    assert_eq!(*mount, "/data/conf/web.conf");
    for label in SERVICE_LABELS {
        let labels = &spec["template"]["metadata"]["labels"];
        assert_eq!(labels[label], spec["selector"]["matchLabels"][label]);
    }
    assert_eq!(of(kind::BUDGET)["spec"]["maxUnavailable"], 1);
}

/// Otherwise the pods that are replaced count, and a rollout waits for room that never comes.
#[test]
fn a_rollout_has_room_where_the_old_pods_run() {
    let rules = |service: &Service| {
        let (_path, deployment) = service.objects().unwrap().pop().unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        let apart = &pod["affinity"]["podAntiAffinity"];
        let apart = &apart["requiredDuringSchedulingIgnoredDuringExecution"][0];
        let spread = &pod["topologySpreadConstraints"][0];
        let keys = [spread, apart].map(|rule| rule["matchLabelKeys"].clone());
        (keys, deployment["spec"]["strategy"]["rollingUpdate"].clone())
    };
    let mut web = web();
    let same_revision = json!(["pod-template-hash"]);
    let (keys, pace) = rules(&web);
    assert_eq!(keys, [same_revision.clone(), same_revision]);
    assert_eq!(pace, json!({ "maxSurge": 1, "maxUnavailable": 0 }));
    web.definition.placement.host_network = Some(true);
    let (_keys, pace) = rules(&web);
    assert_eq!(pace, json!({ "maxSurge": 0, "maxUnavailable": 1 }), "the node's port is taken");
    web.definition.stateless = false;
    let (keys, _pace) = rules(&web);
    assert_eq!(keys, [Value::Null, Value::Null], "members of a StatefulSet have no such label");
}

#[test]
fn what_needs_members_with_an_identity_is_refused_with_the_reason() {
    for (fields, flag, reason) in [
        ("pool: main", "--pool", "static addresses"),
        ("container: {initImage: i}", "--init-image", "static addresses"),
        ("dnsZone: default", "--dns-zone", "static addresses"),
        ("volumes: {data: 1Gi}", "--data", "volumes of their own"),
        ("volumes: {journal: 1Gi}", "--journal", "volumes of their own"),
        ("restart: {order: reverse}", "--order", "no order"),
        ("restart: {primaryCommand: p}", "--primary-command", "no order"),
    ] {
        let mut web = web();
        web.definition = web.definition.overlaid(defined(fields));
        let why = web.objects().unwrap_err();
        assert!(why.starts_with(&format!("{flag} with --stateless: ")), "{why}");
        assert!(why.contains(reason), "{why}");
    }
    let mut web = web();
    web.definition.restart.grace = Some(5);
    assert!(web.objects().is_ok(), "pods of a Deployment stop as well");
}

#[tokio::test]
async fn a_service_exists_once_stateless_or_not() {
    let store = running().await;
    for stateless in [true, false] {
        let mut definition = defined(WEB);
        definition.stateless = stateless;
        definition.placement.zones.clear();
        let members = store.members(kind::STATEFUL_SET, "web");
        let refused = create::planned(&members, &web().name, definition).await.unwrap_err();
        let why = refused.chain();
        assert!(why.contains("Deployment prod/web exists: change it with"), "{why}");
    }
    let foreign = json!({ "metadata": { "labels": null } });
    store.change(kind::DEPLOYMENT, "web", &foreign);
    let found = Members::of(&store, "prod", "web").await.unwrap();
    assert!(!found.is_stateless(), "a Deployment of somebody else is no service");
}

#[tokio::test(start_paused = true)]
async fn a_restart_waits_until_the_deployment_has_replaced_every_pod() {
    let store = running().await;
    let controller = async {
        sleep(Duration::from_secs(3)).await;
        let template = &store.object(kind::DEPLOYMENT, "web")["spec"]["template"];
        let restarted = &template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"];
        assert!(restarted.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{restarted}");
        store.change(kind::DEPLOYMENT, "web", &json!({ "metadata": { "generation": 2 } }));
        sleep(Duration::from_secs(3)).await;
        store.roll_out(2);
        for pod in ["x", "y"] {
            sleep(Duration::from_secs(3)).await;
            store.add_pod(2, pod, false);
            sleep(Duration::from_secs(3)).await;
            store.add_pod(2, pod, true);
            store.end_pod(1, pod);
        }
    };
    // Its first poll is before the API server has counted the change.
    store.change(kind::DEPLOYMENT, "web", &json!({ "metadata": { "generation": 2 } }));
    let (restarted, ()) = tokio::join!(restart(&store, &[]), controller);
    let (report, lines) = restarted.unwrap();
    assert_eq!((report.result, report.end()), ("Restarted", Restarted::All));
    let all = lines.join("\n");
    for reason in ["DeploymentNotObserved", "PodNotReady", "PodOutdated"] {
        assert!(all.contains(reason), "{reason}: {all}");
    }
    assert_eq!(report.people(), "all members of prod/web are restarted\n");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_does_not_end_stops_the_command_with_the_pods_reason() {
    let store = running().await;
    store.roll_out(2);
    store.add_pod(2, "z", false);
    let (report, _lines) = restart(&store, &["--member-timeout", "20s"]).await.unwrap();
    assert_eq!(report.end(), Restarted::Stopped);
    let text = report.people();
    assert!(text.contains("web-hash2-z: PodNotReady: its pod on node-a is not ready"), "{text}");
    assert!(text.contains("ErrImagePull") && text.contains("kubectl rollout undo"), "{text}");
    assert!(!text.contains("--resume"), "there is nothing to resume: {text}");
    let status = list::of(&store.deployment(), None).await.unwrap();
    assert_eq!(status.end(), CheckExit::Problems);
    let current: Vec<bool> = status.members.iter().map(|one| one.current).collect();
    assert_eq!(current, [true, false, false]);
}

#[tokio::test]
async fn flags_of_a_restart_that_need_a_statefulset_are_refused() {
    let store = running().await;
    let flags: [&[&str]; 5] = [
        &["--undo"],
        &["--resume"],
        &["--delete"],
        &["--order", "reverse"],
        &["--primary-label", "role=master"],
    ];
    for flags in flags {
        let why = restart(&store, flags).await.unwrap_err().chain();
        assert!(why.starts_with(&format!("{}: prod/web is stateless", flags[0])), "{why}");
        assert!(why.contains("kubectl -n prod rollout undo deployment web"), "{why}");
    }
    let template = &store.object(kind::DEPLOYMENT, "web")["spec"]["template"]["metadata"];
    assert_eq!(template["annotations"], Value::Null, "nothing was restarted");
}

#[tokio::test]
async fn a_missing_pod_and_a_failed_one_are_no_ready_members() {
    let store = running().await;
    let healthy = list::of(&store.deployment(), None).await.unwrap();
    assert_eq!((healthy.end(), healthy.members.len()), (CheckExit::Fine, 2));
    // An evicted pod stays until somebody deletes it.
    let failed = json!({ "status": { "phase": "Failed" } });
    store.change(kind::POD, "web-hash1-x", &failed);
    let status = list::of(&store.deployment(), None).await.unwrap();
    let names: Vec<&str> = status.members.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["web-hash1-y", "web-?"]);
    assert_eq!(status.end(), CheckExit::Problems);
}

#[tokio::test]
async fn services_of_both_kinds_are_listed() {
    let store = running().await;
    apply(&store, &service(defined("{ports: {a: 1}, container: {image: i}}")), DryRun::None, false)
        .await
        .unwrap();
    let others = json!({ "metadata": { "namespace": "prod", "labels": { "app": "other" } } });
    store.put(kind::DEPLOYMENT, "other", others);
    let all = list::services(&store, None).await.unwrap();
    let listed: Vec<(&str, &str)> = all.iter().map(|one| (one.kind, one.name.as_str())).collect();
    assert_eq!(listed, [("StatefulSet", "kafka"), ("Deployment", "web")]);
}

#[tokio::test]
async fn an_update_changes_the_deployment_and_never_the_kind_of_the_service() {
    let store = running().await;
    let scaled = json!({ "spec": { "replicas": 5 } });
    store.change(kind::DEPLOYMENT, "web", &scaled);
    let change = defined("{container: {image: 'web:2'}}");
    let members = store.deployment();
    let planned = update::planned(&members, &web().name, change).await.unwrap();
    apply(&store, &planned, DryRun::None, false).await.unwrap();
    let spec = &store.object(kind::DEPLOYMENT, "web")["spec"];
    let image = &spec["template"]["spec"]["containers"][0]["image"];
    assert_eq!((image, &spec["replicas"]), (&json!("web:2"), &json!(5)));
    let stateful = defined("{stateless: false, pool: main}");
    let planned = update::planned(&members, &web().name, stateful).await.unwrap();
    let why = apply(&store, &planned, DryRun::None, false).await.unwrap_err().chain();
    assert!(why.contains("--pool with --stateless"), "{why}");

    let redis = service(defined("{ports: {a: 1}, container: {image: i}}"));
    apply(&store, &redis, DryRun::None, false).await.unwrap();
    let members = store.members(kind::STATEFUL_SET, "kafka");
    let why = update::planned(&members, &redis.name, defined("{stateless: true}")).await;
    let why = why.unwrap_err().chain();
    assert!(why.contains("--stateless: StatefulSet prod/kafka is not"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_until_no_pod_is_left_and_a_start_returns_to_the_number_before() {
    let store = running().await;
    let members = store.deployment();
    let before = members.workload().await.unwrap();
    let stop = scale::stopped(&before).unwrap();
    store.patch(&members.set, &stop).await.unwrap();
    let failed = json!({ "status": { "phase": "Failed" } });
    store.change(kind::POD, "web-hash1-y", &failed);
    let left = async |seconds| {
        let (within, registry) = (Duration::from_secs(seconds), "cluster".to_owned());
        stateless::released(&members, registry, within, &mut |_line: &str| {}).await.unwrap()
    };
    let report = left(5).await;
    assert_eq!((report.end(), report.missing.len()), (Waited::TimedOut, 1));
    assert_eq!(report.missing[0].name, "prod/web-hash1-x");
    let ends = async {
        sleep(Duration::from_secs(7)).await;
        store.end_pod(1, "x");
    };
    let (report, ()) = tokio::join!(left(60), ends);
    assert_eq!(report.end(), Waited::Reached);
    assert!((7..10).contains(&report.waited_seconds), "{report:?}");
    let stopped = members.workload().await.unwrap();
    let start = scale::started(&stopped).unwrap().unwrap();
    assert_eq!(start["spec"]["replicas"], 2);
}

#[tokio::test]
async fn a_deletion_begins_with_the_deployment() {
    let store = running().await;
    let (owned, uuid) = delete::owned(&store.deployment()).await.unwrap();
    let paths: Vec<String> = owned.iter().map(|one| one.path.to_string()).collect();
    assert_eq!(paths[0], "Deployment prod/web");
    assert_eq!((paths.len(), uuid.as_deref()), (5, Some(web().uuid.as_str())), "{paths:?}");
}
