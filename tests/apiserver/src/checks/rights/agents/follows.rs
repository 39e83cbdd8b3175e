//! The agent watches the objects of its node.

use std::pin::pin;
use std::time::Duration;

use firecamp_core::ids::NodeName;
use firecamp_kube::watcher::Event;
use firecamp_kube::{KubeRegistry, Watchable, Watched};
use futures_util::StreamExt;
use serde_json::json;
use tokio::time::timeout;

use super::{NODE, Outcome, ensure};
use crate::lifecycle::{Site, attached};
use crate::samples::GROUP;

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn its_node(site: &Site<'_>, registry: &KubeRegistry) -> Outcome {
    let node: NodeName = NODE.parse().map_err(|wrong| format!("{wrong}"))?;
    let pool = async {
        let path = format!("{GROUP}/staticippools/pool");
        let label = json!([{ "op": "add", "path": "/metadata/labels", "value": { "team": "db" } }]);
        let answer = site.cluster.api.patch(&path, &label).await?;
        ensure(answer.code == 200, || answer.text)
    };
    reports(&registry.pools(), pool).await?;
    let pod = async { site.pod("redis-0", NODE).await.map(drop) };
    reports(&registry.pods_of(&node), pod).await?;
    let address = async {
        let pod = site.pod("redis-0", NODE).await?;
        attached(site.init(&pod, site.cluster.registry().await).await).map(drop)
    };
    reports(&registry.static_ips_of(&node), Box::pin(address)).await
}

/// Lists, watches, and requires an event after the change.
pub(super) async fn reports<T: Watchable>(
    watched: &Watched<T>,
    cause: impl Future<Output = Outcome>,
) -> Outcome {
    let what = watched.what();
    let mut events = pin!(watched.events());
    let mut next = async || match timeout(PATIENCE, events.next()).await {
        Ok(Some(event)) => event.map_err(|wrong| wrong.to_string()),
        Ok(None) | Err(_) => Err(format!("{what}: no event")),
    };
    while !matches!(next().await?, Event::InitDone) {}
    cause.await?;
    let event = next().await?;
    ensure(matches!(event, Event::Apply(_)), || format!("{what}: {event:?}"))
}
