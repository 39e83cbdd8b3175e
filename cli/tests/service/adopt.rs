//! `firecamp service adopt`.

use clap::Parser;
use firecamp_cli::args::{Cli, Command};
use firecamp_cli::service::adopt::adopt;
use firecamp_cli::service::cluster::kind;
use firecamp_cli::service::{ServiceCommand, list};
use serde_json::{Value, json};

use super::store::Store;

/// Adopts StatefulSet `redis` with these flags. Returns it before and after.
async fn adopted(flags: &[&str]) -> (Store, [Value; 2]) {
    let store = Store::default();
    let strategy = json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } });
    let template = json!({ "metadata": { "labels": { "app": "redis" } } });
    let spec = json!({ "replicas": 3, "updateStrategy": strategy, "template": template });
    store.put(kind::STATEFUL_SET, "redis", json!({ "metadata": {}, "spec": spec }));
    let before = store.object(kind::STATEFUL_SET, "redis");
    let words = [&["firecamp", "service", "adopt", "prod/redis"], flags].concat();
    let Command::Service(service) = Cli::parse_from(words).command else { panic!("{flags:?}") };
    let ServiceCommand::Adopt(arguments) = service.command else { panic!("{flags:?}") };
    adopt(&store.members(kind::STATEFUL_SET, "redis"), &arguments).await.unwrap();
    let after = store.object(kind::STATEFUL_SET, "redis");
    (store, [before, after])
}

#[tokio::test]
async fn an_adopted_stateful_set_is_listed_and_keeps_its_spec() {
    let flags = ["--order", "primary-last", "--primary-label", "role=primary"];
    let (store, [before, after]) = adopted(&flags).await;
    assert_eq!(after["spec"], before["spec"], "no pod restarts");
    let annotations = &after["metadata"]["annotations"];
    assert_eq!(annotations["firecamp.io/restart-order"], "primary-last");
    assert_eq!(annotations["firecamp.io/primary-label"], "role=primary");
    let all = list::services(&store, Some("prod")).await.unwrap();
    assert_eq!(all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["redis"]);
}

#[tokio::test]
async fn adoption_with_on_delete_changes_the_update_strategy_and_nothing_else() {
    let (_store, [mut before, after]) = adopted(&["--on-delete"]).await;
    before["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
    assert_eq!(after["spec"], before["spec"]);
}
