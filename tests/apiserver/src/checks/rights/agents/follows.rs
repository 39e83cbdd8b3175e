//! The agent watches the objects of its node.

use std::fmt::Debug;
use std::time::Duration;

use firecamp_core::ids::NodeName;
use firecamp_kube::{KubeRegistry, Watched};
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

/// Lists, watches from that version on, and requires an event after the change.
pub(super) async fn reports<T: Debug>(
    watched: &Watched<T>,
    cause: impl Future<Output = Outcome>,
) -> Outcome {
    let what = watched.what();
    let (_items, version) = watched.list().await.map_err(|wrong| format!("{wrong:?}"))?;
    let opened = watched.watch(&version, PATIENCE).await;
    let mut events = opened.map_err(|wrong| format!("{wrong:?}"))?;
    cause.await?;
    let event =
        timeout(PATIENCE, events.next()).await.map_err(|_late| format!("{what}: no event"))?;
    ensure(matches!(event, Ok(Some(_))), || format!("{what}: {event:?}"))
}
