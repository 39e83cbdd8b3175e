//! The agent reports NodeAttachments, conditions, the node's capacity and Events.

use std::net::Ipv4Addr;

use firecamp_controllers::publish::{
    About, Done, StatusWriter, Step, Subject, VolumeReport, carry_out,
};
use firecamp_core::agent::ResourceList;
use firecamp_core::contract::api;
use firecamp_core::ids::{Member, NodeName, ResourceName};
use firecamp_kube::{KubeStatusWriter, Source, Timeouts};
use firecamp_node::volumes::Reason;
use firecamp_registry::api::{Condition, NodeAttachments, NodeAttachmentsStatus, VOLUME_READY};
use serde_json::json;

use super::super::{events, wrong};
use super::{NODE, Outcome, ensure};
use crate::lifecycle::Site;
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

/// Of the default resource and of one that a pool names.
async fn capacity(status_writer: &KubeStatusWriter, node: &NodeName) -> Outcome {
    let own = ResourceName::new("firecamp.io/static-ip-b").map_err(|wrong| wrong.to_string())?;
    let amounts = ResourceList::from([(ResourceName::default(), 9), (own, 4)]);
    status_writer.set_capacity(node, &amounts).await.map_err(wrong)?;
    let fetched = status_writer.get_node(node).await.map_err(wrong)?;
    let set: Vec<&str> = fetched.capacity.values().map(String::as_str).collect();
    ensure(set == ["9", "4"], || format!("{fetched:?}"))
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
    let status_writer = KubeStatusWriter::new(client, Timeouts::default(), node.clone());
    attachments(&status_writer, &node).await?;
    capacity(&status_writer, &node).await?;
    conditions(&status_writer, &Subject::StaticIp(ADDRESS)).await?;
    volumes(site, &status_writer).await?;
    for about in [About::StaticIp(ADDRESS), About::Node, events::of_a_pod()] {
        events::reported(site, &status_writer, about).await?;
    }
    let gone = site.cluster.api.delete(&format!("{NODES}/{NODE}")).await?;
    ensure(gone.code == 200, || gone.text)
}

async fn attachments(status_writer: &KubeStatusWriter, node: &NodeName) -> Outcome {
    let fetched = status_writer.get_node(node).await.map_err(wrong)?;
    let status = NodeAttachmentsStatus::default();
    let mut object = NodeAttachments::new(NODE, fetched.node.as_deref(), status);
    let version = status_writer.create_attachments(&object).await.map_err(wrong)?;
    object.metadata.resource_version = Some(version.to_string());
    object.status.conditions = vec![ready()];
    status_writer.replace_attachments(&object).await.map_err(wrong)?;
    let stored = status_writer.get_node(node).await.map_err(wrong)?.attachments;
    let kept = stored.as_ref().is_some_and(|stored| {
        stored.status == object.status && stored.metadata.owner_references.len() == 1
    });
    ensure(kept, || format!("{stored:?}"))
}

async fn conditions(status_writer: &KubeStatusWriter, subject: &Subject) -> Outcome {
    let read =
        status_writer.observed_status(subject).await.map_err(wrong)?.ok_or("no such object")?;
    status_writer.replace_conditions(subject, &read.version, &[ready()]).await.map_err(wrong)?;
    let late = status_writer.replace_conditions(subject, &read.version, &[]).await;
    ensure(late.is_err(), || "a write at an old version was accepted".to_owned())?;
    let read =
        status_writer.observed_status(subject).await.map_err(wrong)?.ok_or("no such object")?;
    ensure(read.conditions == [ready()], || format!("{read:?}"))
}

/// A member's pod waits for a volume: the agent reports this in a condition and removes it.
async fn volumes(site: &Site<'_>, status_writer: &KubeStatusWriter) -> Outcome {
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
    let missing = VolumeReport::Missing {
        reason: Reason::StuckAttaching,
        about: format!("{NODE} (i-a): volume v is not attached."),
        since: "2026-11-20T15:00:00Z".to_owned(),
    };
    for (report, status) in [(missing, "False"), (VolumeReport::Ready, "True")] {
        let timestamp = "2026-11-20T15:00:00Z".to_owned();
        let step = Step::UpdateClaimStatus { member: member.clone(), report, timestamp };
        let done = carry_out(status_writer, &node, &step).await.map_err(wrong)?;
        let read =
            status_writer.observed_status(&subject).await.map_err(wrong)?.ok_or("no claim")?;
        let condition = read.conditions.iter().find(|one| one.kind == VOLUME_READY);
        let right = condition
            .is_some_and(|one| one.status == status && one.observed_generation == read.generation);
        ensure(done == Done::Success && right, || format!("{done:?} {read:?}"))?;
    }
    let gone = site.cluster.api.delete(&format!("{claims}/{}", member.name())).await?;
    ensure(gone.code == 200, || gone.text)
}
