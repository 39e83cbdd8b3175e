//! DescribeVolumes: ec2-semantics.md sections 2.9 and 7.

use std::sync::Arc;

use super::actions::{Action, ActionContext, Effect};
use super::describe::{Describe, DescribeRequest};
use super::filters::{boolean, pass};
use super::interface_xml::{formatted_time, long_ago};
use super::xml::Xml;
use super::{ApiError, is_id};
use crate::model::{Volume, VolumeAttachment};

/// The action.
pub(super) const DESCRIBE: Describe = Describe {
    action: Action::Volumes,
    ids: Some("VolumeId"),
    ids_without_pages: Some("volumeSet"),
    filters: &[
        "attachment.delete-on-termination",
        "attachment.device",
        "attachment.instance-id",
        "attachment.status",
        "availability-zone",
        "availability-zone-id",
        "encrypted",
        "multi-attach-enabled",
        "operator.managed",
        "size",
        "status",
        "tag-key",
        "volume-id",
        "volume-type",
    ],
    tags: true,
    most: 1_000,
    // The simulator has no managed volumes, so the flag has no effect.
    managed: true,
    set: "volumeSet",
    empty_set: None,
};

/// Executes a request on the caller's view.
pub(crate) fn execute(
    request: &DescribeRequest,
    on: &ActionContext<'_>,
) -> Result<Effect, ApiError> {
    if let Some(bad) = request.ids.iter().find(|id| !is_id("vol", id)) {
        return Err(ApiError::malformed_id("InvalidVolumeID.Malformed", bad, "vol"));
    }
    let there = |id: &String| on.vpc.volumes.contains_key(id.as_str());
    if let Some(unknown) = request.ids.iter().find(|id| !there(id)) {
        return Err(ApiError::no_volume(unknown));
    }
    let wanted = |volume: &&Arc<Volume>| {
        let named = request.names(&volume.id);
        named && pass(&request.filters, &volume.tags, |name| values(name, volume, on))
    };
    let not_omitted = |volume: &&Arc<Volume>| !on.knobs.omitted(|name| is_about(volume, name));
    let found: Vec<&Arc<Volume>> =
        on.vpc.volumes.values().filter(wanted).filter(not_omitted).collect();
    let page = DESCRIBE.page(request, on, found, |volume| volume.id.to_string())?;
    Ok(DESCRIBE.answer(on, page, |xml, volume| item(xml, volume, on)))
}

/// Whether the resource of a fault names this volume.
fn is_about(volume: &Volume, name: &str) -> bool {
    &*volume.id == name || volume.attachments.iter().any(|a| &*a.instance == name)
}

fn item(xml: &mut Xml, volume: &Volume, on: &ActionContext<'_>) {
    xml.leaf("volumeId", &volume.id)
        .leaf("size", volume.size_gib)
        .leaf("snapshotId", "")
        .leaf("availabilityZone", &volume.zone)
        .leaf("status", volume.status())
        .leaf("createTime", long_ago(on))
        .set("attachmentSet", volume.shown(), |xml, (attachment, status)| {
            attached(xml, volume, (attachment, status), on);
        })
        .leaf("volumeType", &volume.kind)
        .leaf("encrypted", volume.encrypted)
        .leaf("multiAttachEnabled", volume.multi_attach);
    if volume.kind == "gp3" {
        xml.leaf("iops", 3_000).leaf("throughput", 125);
    }
    xml.node("operator", |xml| {
        xml.leaf("managed", false);
    });
    xml.tags(&volume.tags);
}

fn attached(
    xml: &mut Xml,
    volume: &Volume,
    (attachment, status): (&VolumeAttachment, &str),
    on: &ActionContext<'_>,
) {
    xml.leaf("volumeId", &volume.id)
        .leaf("instanceId", &attachment.instance)
        .leaf("device", &attachment.device)
        .leaf("status", status)
        .leaf("attachTime", formatted_time(attachment.since, on))
        .leaf("deleteOnTermination", attachment.delete_on_termination);
}

/// The `blockDeviceMapping` of an instance in DescribeInstances.
pub(super) fn of_instance(xml: &mut Xml, instance: &str, on: &ActionContext<'_>) {
    let volumes = on.vpc.volumes_of(instance);
    let here = volumes.iter().flat_map(|volume| volume.shown().map(move |shown| (volume, shown)));
    let here = here.filter(|(_, (attachment, _))| &*attachment.instance == instance);
    xml.set("blockDeviceMapping", here, |xml, (volume, (attachment, status))| {
        // DescribeInstances has no state `busy` (AttachmentStatus of the API's model).
        let status = if status == "busy" { "detaching" } else { status };
        xml.leaf("deviceName", &attachment.device).node("ebs", |xml| {
            xml.leaf("volumeId", &volume.id)
                .leaf("status", status)
                .leaf("attachTime", formatted_time(attachment.since, on))
                .leaf("deleteOnTermination", attachment.delete_on_termination);
        });
    });
}

/// The values of a volume for a filter.
fn values(name: &str, volume: &Volume, on: &ActionContext<'_>) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    let of = |value: fn(&VolumeAttachment, &str) -> String| {
        volume.shown().map(|(attachment, status)| value(attachment, status)).collect()
    };
    match name {
        "attachment.delete-on-termination" => {
            of(|attachment, _| attachment.delete_on_termination.to_string())
        }
        "attachment.device" => of(|attachment, _| attachment.device.clone()),
        "attachment.instance-id" => of(|attachment, _| attachment.instance.to_string()),
        "attachment.status" => of(|_, status| status.to_owned()),
        "availability-zone" => one(&volume.zone),
        "availability-zone-id" => {
            let subnet = on.topology.subnets.iter().find(|subnet| subnet.zone == volume.zone);
            subnet.map(|subnet| subnet.zone_id.clone()).into_iter().collect()
        }
        "encrypted" => boolean(volume.encrypted),
        "multi-attach-enabled" => boolean(volume.multi_attach),
        "operator.managed" => boolean(false),
        "size" => one(&volume.size_gib.to_string()),
        "status" => one(volume.status()),
        "volume-id" => one(&volume.id),
        "volume-type" => one(&volume.kind),
        _ => Vec::new(),
    }
}
