//! Parses volume attachments from DescribeVolumes.

use std::time::{Duration, SystemTime};

use aws_sdk_ec2::types::{Volume, VolumeAttachment};
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{InstanceId, VolumeId, Zone};
use firecamp_node::volumes::observation::{Attachment, AttachmentState, Elsewhere};

use crate::sdk_error;

const GIB: u64 = 1 << 30;

/// A volume as DescribeVolumes reports it. The report may be stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedVolume {
    /// Its zone.
    pub zone: Zone,
    /// Its size in GiB.
    pub gib: u32,
    /// Its state: `available`, `in-use`, `creating`, `deleting`, `deleted` or `error`.
    pub state: String,
    /// The instances to which it is attached, or from which it is being detached.
    pub instances: Vec<String>,
}

/// The volume among these, if it is one of them.
pub(crate) fn described(
    what: &str,
    wanted: &VolumeId,
    listing: &[Volume],
) -> Result<Option<DescribedVolume>, CloudFailure> {
    let named = |one: &&Volume| one.volume_id() == Some(wanted.as_str());
    let Some(volume) = listing.iter().find(named) else { return Ok(None) };
    let parse_error =
        |problem: &dyn std::fmt::Display| parse_failure(what, wanted.as_str(), problem);
    let zone = Zone::new(volume.availability_zone().unwrap_or_default());
    let size = volume.size().and_then(|gib| u32::try_from(gib).ok());
    let instances = volume.attachments().iter();
    let instances = instances.filter(|one| one.state().is_none_or(|it| it.as_str() != "detached"));
    let instance = |one: &VolumeAttachment| sdk_error::clean(one.instance_id().unwrap_or_default());
    Ok(Some(DescribedVolume {
        zone: zone.map_err(|why| parse_error(&why))?,
        gib: size.ok_or_else(|| parse_error(&"it has no size"))?,
        state: sdk_error::clean(volume.state().map_or("", |state| state.as_str())),
        instances: instances.map(instance).collect(),
    }))
}

/// All attachments to the instance, or a failure: a listing without one of them would prove that
/// its volume is gone.
pub(crate) fn all(
    what: &str,
    instance: &InstanceId,
    listing: &[Volume],
    now: Option<SystemTime>,
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

/// All attachments to other instances, or a failure.
pub(crate) fn elsewhere(
    what: &str,
    instance: &InstanceId,
    listing: &[Volume],
) -> Result<Vec<Elsewhere>, CloudFailure> {
    let mut found = Vec::new();
    for volume in listing {
        let named = volume.volume_id().unwrap_or_default();
        let parse_error = |problem: &dyn std::fmt::Display| parse_failure(what, named, problem);
        for attached in volume.attachments() {
            let holder = attached.instance_id().unwrap_or_default();
            let state = attached.state().map_or("", |state| state.as_str());
            if holder == instance.as_str() || state == "detached" {
                continue;
            }
            let unknown = || parse_error(&format!("unknown state {:?}", sdk_error::clean(state)));
            found.push(Elsewhere {
                volume: VolumeId::new(named).map_err(|why| parse_error(&why))?,
                instance: InstanceId::new(holder).map_err(|why| parse_error(&why))?,
                state: state_of(state).ok_or_else(unknown)?,
            });
        }
    }
    Ok(found)
}

fn parse_failure(what: &str, named: &str, problem: &dyn std::fmt::Display) -> CloudFailure {
    let detail = format!("{what}: failed to parse {:?}: {problem}", sdk_error::clean(named));
    sdk_error::read_failure(CloudKind::Transient, detail)
}

fn attachment(
    what: &str,
    volume: &Volume,
    (attached, state): (&VolumeAttachment, &str),
    now: Option<SystemTime>,
) -> Result<Attachment, CloudFailure> {
    let named = volume.volume_id().unwrap_or_default();
    let parse_error = |problem: &dyn std::fmt::Display| parse_failure(what, named, problem);
    let unknown = || parse_error(&format!("unknown state {:?}", sdk_error::clean(state)));
    let zone = volume.availability_zone().unwrap_or_default();
    let size = volume.size().and_then(|gib| u64::try_from(gib).ok()).unwrap_or_default();
    Ok(Attachment {
        volume: VolumeId::new(named).map_err(|why| parse_error(&why))?,
        state: state_of(state).ok_or_else(unknown)?,
        age: age(attached, now),
        label: sdk_error::clean(attached.device().unwrap_or_default()),
        delete_on_termination: attached.delete_on_termination().unwrap_or_default(),
        zone: Zone::new(zone).map_err(|why| parse_error(&why))?,
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

/// By EC2's own clock, if it is known, because this node's clock may be wrong. An attach time in
/// the future means that it has just started.
fn age(attached: &VolumeAttachment, now: Option<SystemTime>) -> Option<Duration> {
    let began = SystemTime::try_from(*attached.attach_time()?).ok()?;
    Some(now?.duration_since(began).unwrap_or_default())
}
