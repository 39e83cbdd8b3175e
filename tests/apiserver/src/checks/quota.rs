//! A ResourceQuota of claims, as docs/endpoint.md shows it.

use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::machine;
use firecamp_engine::Ended;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::lifecycle::{Site, attached};
use crate::samples::GROUP;

const CLAIMS: &str = "staticipclaims.firecamp.io";
/// The server reads quotas again within a second.
const PATIENCE: Duration = Duration::from_secs(30);

fn place(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/resourcequotas/{name}")
}

/// Creates or changes a quota, in place of the controller that writes its status.
pub(super) async fn set_quota(
    cluster: &Cluster,
    (namespace, name): (&str, &str),
    hard: &Value,
    used: &Value,
) -> Outcome {
    let quota = json!({ "metadata": { "name": name }, "spec": { "hard": {} } });
    let (path, merge) = (place(namespace, name), "application/merge-patch+json");
    let made = cluster.api.post(path.trim_end_matches(&format!("/{name}")), &quota).await?;
    ensure(matches!(made.code, 201 | 409), || made.text)?;
    let change = json!({ "spec": { "hard": hard }, "status": { "hard": hard, "used": used } });
    for path in [path.clone(), format!("{path}/status")] {
        let changed = cluster.api.patch_as(merge, &path, &change).await?;
        ensure(changed.code == 200, || changed.text)?;
    }
    Ok(())
}

pub(super) async fn delete_quota(cluster: &Cluster, namespace: &str, name: &str) -> Outcome {
    let gone = cluster.api.delete(&place(namespace, name)).await?;
    ensure(gone.code == 200, || gone.text)
}

fn of_claims(count: &str) -> Value {
    json!({ format!("count/{CLAIMS}"): count })
}

/// Creates the quota, all of which is used, and waits until it is in force.
async fn use_up(cluster: &Cluster) -> Outcome {
    set_quota(cluster, ("prod", "addresses"), &of_claims("1"), &of_claims("1")).await?;
    let claims = format!("{GROUP}/namespaces/prod/staticipclaims");
    let probe = json!({
        "apiVersion": "firecamp.io/v1alpha1", "kind": "StaticIPClaim",
        "metadata": { "name": "probe" }, "spec": { "pool": "pool" },
    });
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = cluster.api.post(&claims, &probe).await?;
        if answer.code == 403 {
            return Ok(());
        }
        ensure(Instant::now() < end, || format!("the quota is not in force: {}", answer.text))?;
        cluster.api.delete(&format!("{claims}/probe")).await?;
        sleep(Duration::from_millis(100)).await;
    }
}

pub(super) async fn f137_a_quota_of_claims_limits_how_many_members_get_an_address(
    cluster: &Cluster,
) -> Outcome {
    let site = Site::new(cluster).await?;
    use_up(cluster).await?;
    let pod = site.pod("redis-0", "node-a").await?;
    let ended = site.init(&pod, cluster.registry().await).await;
    let Ended::Outcome(machine::Outcome::Failed(failure)) = ended else {
        return Err(format!("not refused: {ended:?}"));
    };
    let words = ["exceeded quota: addresses", &format!("limited: count/{CLAIMS}=1")];
    let explained = words.iter().all(|word| failure.message.contains(word));
    ensure(failure.exit == Exit::RegistryRefused && explained, || format!("{failure:?}"))?;
    let addresses = cluster.api.get(&format!("{GROUP}/staticips")).await?.json();
    let none = addresses["items"].as_array().is_some_and(Vec::is_empty);
    ensure(none, || format!("allocated without a claim: {addresses}"))?;
    set_quota(cluster, ("prod", "addresses"), &of_claims("2"), &json!({})).await?;
    let end = Instant::now() + PATIENCE;
    let registry = cluster.registry().await;
    while let Err(wrong) = attached(site.init(&pod, &registry).await) {
        ensure(Instant::now() < end, || format!("with a larger quota: {wrong}"))?;
        sleep(Duration::from_millis(100)).await;
    }
    let used = cluster.api.get(&place("prod", "addresses")).await?.json();
    let used: &Value = &used["status"]["used"][format!("count/{CLAIMS}")];
    ensure(used == "2", || format!("{used} claims are counted"))?;
    delete_quota(cluster, "prod", "addresses").await?;
    cluster.empty().await
}
