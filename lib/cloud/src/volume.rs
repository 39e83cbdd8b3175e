//! Attachments of volumes, read from what DescribeVolumes answers.

use std::time::{Duration, SystemTime};

use aws_sdk_ec2::types::{Volume, VolumeAttachment};
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{InstanceId, VolumeId, Zone};
use firecamp_volumes::seen::{Attachment, AttachmentState};

use crate::failed;

const GIB: u64 = 1 << 30;

/// All attachments to the instance, or a failure: a listing without one of them would tell that
/// its volume is gone.
pub(crate) fn all(
    what: &str,
    instance: &InstanceId,
    listing: &[Volume],
    now: SystemTime,
) -> Result<Vec<Attachment>, CloudFailure> {
    let mut found = Vec::new();
    for volume in listing {
        let own = |one: &&VolumeAttachment| one.instance_id() == Some(instance.as_str());
        let Some(attached) = volume.attachments().iter().find(own) else { continue };
        let text = attached.state().map_or("", |state| state.as_str());
        if text != "detached" {
            found.push(attachment(what, volume, (attached, text), now)?);
        }
    }
    Ok(found)
}

fn attachment(
    what: &str,
    volume: &Volume,
    (attached, state): (&VolumeAttachment, &str),
    now: SystemTime,
) -> Result<Attachment, CloudFailure> {
    let named = volume.volume_id().unwrap_or_default();
    let wrong = |problem: &dyn std::fmt::Display| {
        let detail = format!("{what}: {:?} cannot be read: {problem}", failed::clean(named));
        failed::unread(CloudKind::Transient, detail)
    };
    let unknown = || wrong(&format!("unknown state {:?}", failed::clean(state)));
    let zone = volume.availability_zone().unwrap_or_default();
    let size = volume.size().and_then(|gib| u64::try_from(gib).ok()).unwrap_or_default();
    Ok(Attachment {
        volume: VolumeId::new(named).map_err(|why| wrong(&why))?,
        state: state_of(state).ok_or_else(unknown)?,
        age: age(attached, now),
        label: failed::clean(attached.device().unwrap_or_default()),
        delete_on_termination: attached.delete_on_termination().unwrap_or_default(),
        zone: Zone::new(zone).map_err(|why| wrong(&why))?,
        bytes: size.saturating_mul(GIB),
    })
}

fn state_of(text: &str) -> Option<AttachmentState> {
    match text {
        "attaching" => Some(AttachmentState::Attaching),
        "attached" => Some(AttachmentState::Attached),
        "detaching" => Some(AttachmentState::Detaching),
        "busy" => Some(AttachmentState::Busy),
        _ => None,
    }
}

/// By this node's clock. What EC2 dates in the future has just begun.
fn age(attached: &VolumeAttachment, now: SystemTime) -> Option<Duration> {
    let began = SystemTime::try_from(*attached.attach_time()?).ok()?;
    Some(now.duration_since(began).unwrap_or_default())
}
