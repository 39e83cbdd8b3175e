//! It reports: NodeAttachments, conditions, the node's capacity, Events.

use std::net::Ipv4Addr;

use firecamp_controllers::publish::{About, Board, Done, Saying, Step, Subject, carry_out};
use firecamp_core::contract::api;
use firecamp_core::ids::{Member, NodeName};
use firecamp_kube::{KubeBoard, Source, Timeouts};
use firecamp_node::volumes::Reason;
use firecamp_registry::api::{Condition, NodeAttachments, NodeAttachmentsStatus, VOLUME_READY};
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
    let server = &site.cluster.api;
    server.delete(&format!("{NODES}/{NODE}")).await?;
    let node = json!({ "metadata": { "name": NODE }, "status": { "capacity": { "cpu": "2" } } });
    let made = server.post(NODES, &node).await?;
    ensure(made.code == 201, || made.text)?;
    let made =
        server.post(&format!("{GROUP}/staticips"), &static_ip("10.1.0.20", NODE, "r-0")).await?;
    ensure(made.code == 201, || made.text)?;
    let node: NodeName = NODE.parse().map_err(|wrong| format!("{wrong}"))?;
    let client = source.client(Timeouts::default()).await.map_err(wrong)?;
    let board = KubeBoard::new(client, Timeouts::default(), node.clone());
    attachments(&board, &node).await?;
    board.set_capacity(&node, 9).await.map_err(wrong)?;
    let learned = board.learn(&node).await.map_err(wrong)?;
    ensure(learned.capacity.as_deref() == Some("9"), || format!("{learned:?}"))?;
    conditions(&board, &Subject::StaticIp(ADDRESS)).await?;
    volumes(site, &board).await?;
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

async fn conditions(board: &KubeBoard, subject: &Subject) -> Outcome {
    let read = board.reported(subject).await.map_err(wrong)?.ok_or("no such object")?;
    board.replace_conditions(subject, &read.version, &[ready()]).await.map_err(wrong)?;
    let late = board.replace_conditions(subject, &read.version, &[]).await;
    ensure(late.is_err(), || "an old version was taken".to_owned())?;
    let read = board.reported(subject).await.map_err(wrong)?.ok_or("no such object")?;
    ensure(read.conditions == [ready()], || format!("{read:?}"))
}

/// A member's pod waits for a volume: the very step by which an agent says so, and takes it back.
async fn volumes(site: &Site<'_>, board: &KubeBoard) -> Outcome {
    let member: Member = "prod/waiting-0".parse().map_err(|wrong| format!("{wrong}"))?;
    let node: NodeName = NODE.parse().map_err(|wrong| format!("{wrong}"))?;
    let claim = json!({
        "apiVersion": api::VERSION, "kind": api::CLAIM,
        "metadata": { "name": member.name() }, "spec": { "pool": "pool" },
    });
    let claims = format!("{GROUP}/namespaces/{}/staticipclaims", member.namespace());
    let made = site.cluster.api.post(&claims, &claim).await?;
    ensure(made.code == 201, || made.text)?;
    let subject = Subject::Claim(member.clone());
    let lacks = Saying::Lacks {
        reason: Reason::StuckAttaching,
        about: format!("{NODE} (i-a): volume v does not come."),
        since: "2026-11-20T15:00:00Z".to_owned(),
    };
    for (saying, status) in [(lacks, "False"), (Saying::Has, "True")] {
        let wall = "2026-11-20T15:00:00Z".to_owned();
        let step = Step::SayOfClaim { member: member.clone(), saying, wall };
        let done = carry_out(board, &node, &step).await.map_err(wrong)?;
        let read = board.reported(&subject).await.map_err(wrong)?.ok_or("no claim")?;
        let said = read.conditions.iter().find(|one| one.kind == VOLUME_READY);
        let right = said
            .is_some_and(|one| one.status == status && one.observed_generation == read.generation);
        ensure(done == Done::Well && right, || format!("{done:?} {read:?}"))?;
    }
    let gone = site.cluster.api.delete(&format!("{claims}/{}", member.name())).await?;
    ensure(gone.code == 200, || gone.text)
}
