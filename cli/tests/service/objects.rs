//! The objects of a service.

use firecamp_cli::inject::pod::{Settings, inject_object};
use firecamp_cli::service::cluster::{kind, path};
use firecamp_cli::service::definition::Definition;
use firecamp_cli::service::objects::Service;
use firecamp_cli::task;
use firecamp_core::ids::SetName;
use serde_json::{Value, json};

use super::store::Store;

const DEFINITION: &str = "
replicas: 3
pool: main
ports: {client: 9092}
container:
  image: kafka:4
  command: [kafka, --fast]
  env: {HEAP: 1g}
  cpu: 500m
  memory: 2Gi
  user: 1000
volumes: {data: 100Gi, dataClass: gp3, journal: 10Gi}
placement: {zones: [a, b]}
restart: {order: primary-last, primaryLabel: role=controller, grace: 120}
config: {server.properties: 'a=b'}
";

pub(crate) fn service(definition: Definition) -> Service {
    let uuid = "0123456789abcdef0123456789abcdef".to_owned();
    let name = SetName::new("kafka").unwrap();
    Service { namespace: "prod".to_owned(), name, uuid, definition, before: None }
}

pub(crate) fn defined(text: &str) -> Definition {
    serde_saphyr::from_str(text).unwrap()
}

fn object(service: &Service, kind: &str) -> Value {
    let all = service.objects().unwrap();
    all.into_iter().find(|(path, _)| path.kind.kind == kind).unwrap().1
}

#[test]
fn a_service_has_the_names_and_labels_of_the_original() {
    let service = service(defined(DEFINITION));
    let names: Vec<String> =
        service.objects().unwrap().iter().map(|(path, _)| path.to_string()).collect();
    let config = format!("ConfigMap prod/{}", service.config_map());
    let expected = [
        "ServiceAccount prod/kafka",
        config.as_str(),
        "Service prod/kafka",
        "Service prod/kafka-static",
        "PodDisruptionBudget prod/kafka",
        "StatefulSet prod/kafka",
    ];
    assert_eq!(names, expected, "the StatefulSet is the last one");
    let set = object(&service, "StatefulSet");
    let template = &set["spec"]["template"];
    for labels in [&set["metadata"]["labels"], &template["metadata"]["labels"]] {
        assert_eq!(labels["firecamp-servicename"], "kafka");
        assert_eq!(labels["firecamp-serviceuuid"], "0123456789abcdef0123456789abcdef");
    }
    assert_eq!(template["metadata"]["labels"]["firecamp.io/pool"], "main");
    let container = &template["spec"]["containers"][0];
    assert_eq!(container["name"], "kafka");
    let mounts = container["volumeMounts"].as_array().unwrap();
    let mounts: Vec<&str> = mounts.iter().map(|one| one["mountPath"].as_str().unwrap()).collect();
    assert_eq!(mounts, ["/data", "/journal", "/data/conf/server.properties"]);
    let claims = set["spec"]["volumeClaimTemplates"].as_array().unwrap();
    let claims: Vec<&Value> = claims.iter().map(|one| &one["metadata"]["name"]).collect();
    assert_eq!(claims, ["kafka-data", "kafka-journal"]);
}

#[test]
fn a_service_starts_in_parallel_restarts_on_delete_and_lets_unhealthy_pods_go() {
    let service = service(defined(DEFINITION));
    let spec = &object(&service, "StatefulSet")["spec"];
    assert_eq!(spec["podManagementPolicy"], "Parallel");
    assert_eq!(spec["updateStrategy"]["type"], "OnDelete");
    let budget = &object(&service, "PodDisruptionBudget")["spec"];
    assert_eq!(budget["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    assert_eq!(budget["maxUnavailable"], 1);
}

#[test]
fn what_the_definition_says_is_stored_with_the_service() {
    let definition = defined(DEFINITION);
    let set = object(&service(definition.clone()), "StatefulSet");
    let annotations = &set["metadata"]["annotations"];
    let stored = annotations["firecamp.io/service"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Definition>(stored).unwrap(), definition);
    assert_eq!(annotations["firecamp.io/restart-order"], "primary-last");
    assert_eq!(annotations["firecamp.io/primary-label"], "role=controller");
}

/// The first port is the one that the readiness probe tries.
#[test]
fn ports_and_variables_keep_their_order_when_they_are_stored_and_changed() {
    let stored = serde_json::to_string(&defined("{ports: {redis: 6379, bus: 16379}}")).unwrap();
    let read: Definition = serde_json::from_str(&stored).unwrap();
    let changed = read.overlaid(defined("{ports: {redis: 6380, admin: 1}}"));
    let expected = [("redis", 6380), ("bus", 16379), ("admin", 1)];
    assert_eq!(changed.ports, expected.map(|(name, port)| (name.to_owned(), port)));
}

#[test]
fn a_change_of_a_configuration_file_changes_the_template() {
    let before = service(defined(DEFINITION));
    let mut after = before.clone();
    after.definition.config.insert("server.properties".to_owned(), "a=c".to_owned());
    let template = |service| object(service, "StatefulSet")["spec"]["template"].clone();
    assert_ne!(template(&before), template(&after));
}

#[test]
fn flags_replace_what_the_file_says_and_keep_the_rest() {
    let change = defined(
        "{container: {image: 'kafka:5', env: {HEAP: 2g, GC: g1}}, restart: {primaryCommand: p}}",
    );
    let after = defined(DEFINITION).overlaid(change);
    assert_eq!(after.container.image.as_deref(), Some("kafka:5"));
    let env =
        [("HEAP", "2g"), ("GC", "g1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(after.container.env.len(), 2);
    assert!(env.iter().all(|one| after.container.env.contains(one)), "{:?}", after.container.env);
    assert_eq!((after.replicas, after.container.user), (Some(3), Some(1000)));
    assert_eq!(after.restart.primary_label, None, "one way to know the primary replaces the other");
}

#[test]
fn a_definition_without_an_image_or_a_port_is_refused() {
    let without_image = service(defined("{ports: {client: 1}}")).objects().unwrap_err();
    assert!(without_image.contains("--image"), "{without_image}");
    let without_port = service(defined("{container: {image: i}}")).objects().unwrap_err();
    assert!(without_port.contains("--port"), "{without_port}");
    assert!(serde_saphyr::from_str::<Definition>("{imagee: i}").is_err(), "a misspelt field");
}

/// A task runs what the members run, beside them: it has neither their volumes nor their labels.
#[test]
fn a_task_has_the_image_and_configuration_of_the_service_and_none_of_its_volumes() {
    let kafka = service(defined(DEFINITION));
    let set = object(&kafka, "StatefulSet");
    let job = path(kind::JOB, "prod", "kafka-topics");
    let command = ["kafka-topics.sh", "--list"].map(str::to_owned);
    let env = [("ZONE".to_owned(), "a".to_owned())];
    let task = task::object(&set, &job, (&command, &env));
    let pod = &task["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "kafka:4");
    assert_eq!(container["command"], serde_json::json!(command));
    let variables = container["env"].as_array().unwrap();
    assert!(variables.iter().any(|one| one["name"] == "HEAP" && one["value"] == "1g"));
    assert!(variables.iter().any(|one| one["name"] == "ZONE" && one["value"] == "a"));
    let mounts = container["volumeMounts"].as_array().unwrap();
    let mounts: Vec<&Value> = mounts.iter().map(|one| &one["mountPath"]).collect();
    assert_eq!(mounts, ["/data/conf/server.properties"]);
    assert_eq!(pod["volumes"][0]["configMap"]["name"], kafka.config_map());
    assert_eq!(pod["restartPolicy"], "Never");
    let labels = &task["spec"]["template"]["metadata"]["labels"];
    assert!(labels["firecamp-servicename"].is_null(), "the Service must not select it: {labels}");
}

/// Before Kubernetes 1.36 nothing else adds it.
#[test]
fn with_an_init_image_the_template_has_what_firecamp_inject_adds() {
    let image = "registry.example.com/firecamp-initcontainer:1";
    let mut definition = defined(DEFINITION);
    let plain = object(&service(definition.clone()), "StatefulSet");
    definition.container.init_image = Some(image.to_owned());
    let own = object(&service(definition.clone()), "StatefulSet");
    let mut injected = plain.clone();
    assert!(inject_object(&mut injected, &Settings::of_image(image)).unwrap());
    let template = |set: &Value| set["spec"]["template"].clone();
    assert_eq!(template(&own), template(&injected));
    assert_eq!(template(&own)["spec"]["initContainers"][0]["image"], image);
    definition.pool = None;
    let why = service(definition).objects().unwrap_err();
    assert_eq!(why, "--init-image: only members of a pool have it: --pool NAME");
}

#[tokio::test]
async fn a_task_is_deleted_once_and_the_job_of_another_maker_stays() {
    let (store, job) = (Store::default(), path(kind::JOB, "prod", "kafka-topics"));
    task::delete_job(&store, &job).await.unwrap();
    store.put(kind::JOB, "kafka-topics", json!({ "metadata": { "uid": "theirs" } }));
    let why = task::delete_job(&store, &job).await.unwrap_err().chain();
    assert!(why.contains("is no task"), "{why}");
    let labels = json!({ "metadata": { "labels": { "firecamp.io/task-of": "kafka" } } });
    store.change(kind::JOB, "kafka-topics", &labels);
    task::delete_job(&store, &job).await.unwrap();
    assert!(store.state().objects.is_empty());
}

#[test]
fn members_with_a_pool_or_a_zone_have_a_service_that_names_them() {
    let named = |text: &str| {
        let objects = service(defined(text)).objects().unwrap();
        objects.into_iter().find(|(path, _)| path.name == "kafka-static").map(|(_, object)| object)
    };
    let plain = "ports: {redis: 6379}\ncontainer: {image: redis}\n";
    assert_eq!(named(plain), None);
    let with_pool = named(&format!("{plain}pool: main\n")).unwrap();
    assert_eq!(with_pool["metadata"]["labels"]["firecamp.io/statefulset"], "kafka");
    assert_eq!(with_pool["metadata"]["annotations"], Value::Null);
    let spec = json!({
        "clusterIP": "None",
        "publishNotReadyAddresses": true,
        "ports": [{ "name": "redis", "port": 6379 }],
    });
    assert_eq!(with_pool["spec"], spec, "without selector");
    let with_zone = named(&format!("{plain}dnsZone: default\n")).unwrap();
    assert_eq!(with_zone["metadata"]["annotations"]["firecamp.io/dns-zone"], "default");
}
