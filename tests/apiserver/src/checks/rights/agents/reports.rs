//! It reports: NodeAttachments, conditions, the node's capacity, Events.

use std::net::Ipv4Addr;

use firecamp_core::ids::NodeName;
use firecamp_kube::{KubeBoard, Source, Timeouts};
use firecamp_publish::{About, Board};
use firecamp_registry::api::{Condition, NodeAttachments, NodeAttachmentsStatus};
use serde_json::json;

use super::super::{events, wrong};
use super::{NODE, Outcome, ensure};
use crate::life::Site;
use crate::samples::{GROUP, static_ip};

const NODES: &str = "/api/v1/nodes";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 20);

fn ready() -> Condition {
    Condition {
        kind: "Ready".to_owned(),
        status: "True".to_owned(),
        reason: "Attached".to_owned(),
        message: String::new(),
        last_transition_time: Some("2026-11-20T15:00:00Z".to_owned()),
        observed_generation: Some(1),
    }
}

pub(super) async fn its_node(site: &Site<'_>, source: &Source) -> Outcome {
    let api = &site.cluster.api;
    api.delete(&format!("{NODES}/{NODE}")).await?;
    let node = json!({ "metadata": { "name": NODE }, "status": { "capacity": { "cpu": "2" } } });
    let made = api.post(NODES, &node).await?;
    ensure(made.code == 201, || made.text)?;
    let made =
        api.post(&format!("{GROUP}/staticips"), &static_ip("10.1.0.20", NODE, "r-0")).await?;
    ensure(made.code == 201, || made.text)?;
    let node: NodeName = NODE.parse().map_err(|wrong| format!("{wrong}"))?;
    let client = source.client(Timeouts::default()).await.map_err(wrong)?;
    let board = KubeBoard::new(client, Timeouts::default(), node.clone());
    attachments(&board, &node).await?;
    board.set_capacity(&node, 9).await.map_err(wrong)?;
    let learned = board.learn(&node).await.map_err(wrong)?;
    ensure(learned.capacity.as_deref() == Some("9"), || format!("{learned:?}"))?;
    conditions(&board).await?;
    for about in [About::StaticIp(ADDRESS), About::Node, events::of_a_pod()] {
        events::told(site, &board, about).await?;
    }
    let gone = site.cluster.api.delete(&format!("{NODES}/{NODE}")).await?;
    ensure(gone.code == 200, || gone.text)
}

async fn attachments(board: &KubeBoard, node: &NodeName) -> Outcome {
    let learned = board.learn(node).await.map_err(wrong)?;
    let status = NodeAttachmentsStatus::default();
    let mut object = NodeAttachments::new(NODE, learned.node.as_deref(), status);
    let version = board.create_attachments(&object).await.map_err(wrong)?;
    object.metadata.resource_version = Some(version.to_string());
    object.status.conditions = vec![ready()];
    board.replace_attachments(&object).await.map_err(wrong)?;
    let stored = board.learn(node).await.map_err(wrong)?.attachments;
    let kept = stored.as_ref().is_some_and(|stored| {
        stored.status == object.status && stored.metadata.owner_references.len() == 1
    });
    ensure(kept, || format!("{stored:?}"))
}

async fn conditions(board: &KubeBoard) -> Outcome {
    let read = board.static_ip(ADDRESS).await.map_err(wrong)?.ok_or("no address")?;
    board.replace_conditions(ADDRESS, &read.version, &[ready()]).await.map_err(wrong)?;
    let late = board.replace_conditions(ADDRESS, &read.version, &[]).await;
    ensure(late.is_err(), || "an old version was taken".to_owned())?;
    let read = board.static_ip(ADDRESS).await.map_err(wrong)?.ok_or("no address")?;
    ensure(read.conditions == [ready()], || format!("{read:?}"))
}
