//! Volume actions of other parties: the CSI driver, people. ec2-semantics.md sections 2.10 and 7.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Simulator;
use crate::external_actions::{Act, ActError};
use crate::model::{Id, Instance, Step, Volume, VolumeAttachment, VpcState};
use crate::rng::key_of;
use crate::view::NodeState;

/// The largest volume, in GiB.
const MAX_GIB: u32 = 65_536;

impl Simulator {
    /// A volume by ID or name.
    fn volume_named(&self, act: &Act, name: &str, vpc: &VpcState) -> Result<Id, ActError> {
        let named = self.topology.volumes.iter().find(|(own, _)| own == name).map(|(_, id)| id);
        let id = named.map_or(name, |id| id);
        let found = vpc.volumes.get(id).map(|volume| Arc::clone(&volume.id));
        found.ok_or_else(|| act.unknown("volume", name))
    }

    /// Performs an action on volumes.
    pub(super) fn perform_on_volume(&self, act: &Act, next: &mut VpcState) -> Result<(), ActError> {
        if let Act::CreateVolume { id, zone, size_gib } = act {
            return self.create_volume(act, id, (zone, *size_gib), next);
        }
        let (Act::DeleteVolume { volume }
        | Act::AttachVolume { volume, .. }
        | Act::DetachVolume { volume, .. }
        | Act::FailVolume { volume, .. }
        | Act::ResizeVolume { volume, .. }) = act
        else {
            return Err(act.refused("not a volume action"));
        };
        let id = self.volume_named(act, volume, next)?;
        if let Act::AttachVolume { node, device, .. } = act {
            return self.attach_volume(act, &id, (node, device.as_deref()), next);
        }
        let takes = self.volume_time(&id);
        let from = if let Act::DetachVolume { node: Some(node), .. } = act {
            Some(self.node_id(act, node)?)
        } else {
            None
        };
        let unknown = || act.unknown("volume", volume);
        let own = next.volume_mut(&id).ok_or_else(unknown)?;
        if let Act::DetachVolume { force, .. } = act {
            return detach_volume(act, own, from.as_ref(), (self.now, takes, *force));
        }
        if let Act::FailVolume { failed, .. } = act {
            own.failed = *failed;
        } else if let Act::ResizeVolume { size_gib, .. } = act {
            if !(own.size_gib..=MAX_GIB).contains(size_gib) {
                return Err(
                    act.refused(format!("the size must be {} to {MAX_GIB} GiB", own.size_gib))
                );
            }
            own.size_gib = *size_gib;
        } else if own.attachments.is_empty() {
            Arc::make_mut(&mut next.volumes).remove(&id);
        } else {
            return Err(act.refused(format!("Volume {id} is currently attached")));
        }
        Ok(())
    }

    fn create_volume(
        &self,
        act: &Act,
        id: &str,
        (zone, size_gib): (&str, u32),
        next: &mut VpcState,
    ) -> Result<(), ActError> {
        if !crate::ec2::is_id("vol", id) || next.volumes.contains_key(id) {
            return Err(act.refused(format!("{id} is not an unused volume ID")));
        }
        if !self.topology.subnets.iter().any(|subnet| subnet.zone == *zone) {
            return Err(act.unknown("zone", zone));
        }
        if !(1..=MAX_GIB).contains(&size_gib) {
            return Err(act.refused(format!("the size must be 1 to {MAX_GIB} GiB")));
        }
        let id = Id::from(id);
        let volume = Volume::empty(Arc::clone(&id), zone, size_gib);
        Arc::make_mut(&mut next.volumes).insert(id, Arc::new(volume));
        Ok(())
    }

    fn attach_volume(
        &self,
        act: &Act,
        id: &Id,
        (node, device): (&str, Option<&str>),
        next: &mut VpcState,
    ) -> Result<(), ActError> {
        let instance = self.node_id(act, node)?;
        let instance = next.instances.get(&instance).cloned();
        let instance = instance.ok_or_else(|| act.unknown("node", node))?;
        let volume = next.volumes.get(id).cloned();
        let volume = volume.ok_or_else(|| act.unknown("volume", id))?;
        attachable(act, &volume, &instance, next)?;
        let device = free_device(act, &instance.id, device, next)?;
        let (key, seq) = (key_of(id), self.timeline.last_seq());
        let takes = self.rng.draw(&self.profile.ebs_attach, "ebs-attach", key, seq);
        let attachment = VolumeAttachment {
            instance: Arc::clone(&instance.id),
            device,
            step: Step::Reserved,
            done_at: self.now + takes / 8,
            takes,
            since: Some(self.now),
            forced: false,
            delete_on_termination: false,
        };
        let own = next.volume_mut(id).ok_or_else(|| act.unknown("volume", id))?;
        own.attachments.push(attachment);
        Ok(())
    }
}

/// The errors of AttachVolume, with its texts.
fn attachable(
    act: &Act,
    volume: &Volume,
    instance: &Instance,
    vpc: &VpcState,
) -> Result<(), ActError> {
    let (id, own) = (&volume.id, &instance.id);
    let here = volume.attachments.iter().any(|a| a.instance == instance.id);
    if here || !(volume.attachments.is_empty() || volume.multi_attach) {
        return Err(act.refused(format!("{id} is already attached to an instance")));
    }
    if volume.failed {
        return Err(act.refused(format!("{id} is not 'available'.")));
    }
    if volume.zone != instance.zone {
        let text = "is not in the same availability zone as instance";
        return Err(act.refused(format!("The volume '{id}' {text} '{own}'")));
    }
    if instance.state == NodeState::Terminated {
        return Err(act.refused(format!("Instance '{own}' is not 'running'.")));
    }
    let kind = instance.size;
    let volumes = vpc.volume_count(own);
    let full = match kind.shared_slots() {
        Some(slots) => volumes + vpc.eni_count(own) >= slots,
        None => volumes >= kind.volumes,
    };
    if full {
        let text = "devices for this instance type. Please use a larger instance size";
        return Err(act.refused(format!("You may attach up to {} {text}", kind.volumes)));
    }
    Ok(())
}

/// The explicit device name, or else the first free one.
fn free_device(
    act: &Act,
    instance: &str,
    given: Option<&str>,
    vpc: &VpcState,
) -> Result<String, ActError> {
    let volumes = vpc.volumes_of(instance);
    let attachments = volumes.iter().flat_map(|volume| &volume.attachments);
    let here = attachments.filter(|a| &*a.instance == instance);
    let taken: BTreeSet<&str> = here.map(|a| a.device.as_str()).collect();
    match given {
        Some(device) if taken.contains(device) => Err(act.refused(format!(
            "Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
        ))),
        Some(device) if !is_device(device) => {
            Err(act.refused(format!("Value ({device}) for parameter device is invalid")))
        }
        Some(device) => Ok(device.to_owned()),
        None => {
            let mut free = device_names().filter(|name| !taken.contains(name.as_str()));
            free.next().ok_or_else(|| act.refused("no free device name"))
        }
    }
}

/// `/dev/xvdba` to `/dev/xvddz`.
pub(crate) fn device_names() -> impl Iterator<Item = String> {
    let second = |first: char| ('a'..='z').map(move |last| format!("/dev/xvd{first}{last}"));
    ('b'..='d').flat_map(second)
}

/// Whether a device name is allowed: `/dev/sda1`, `/dev/xvda`, `/dev/sd[f-p]` and the names of
/// [`device_names`].
pub(crate) fn is_device(name: &str) -> bool {
    let plain = ('f'..='p').map(|last| format!("/dev/sd{last}"));
    let root = matches!(name, "/dev/sda1" | "/dev/xvda");
    root || plain.chain(device_names()).any(|own| own == name)
}

fn detach_volume(
    act: &Act,
    volume: &mut Volume,
    from: Option<&Id>,
    (now, takes, force): (Duration, Duration, bool),
) -> Result<(), ActError> {
    let id = Arc::clone(&volume.id);
    let mut attached = volume.attachments.iter_mut();
    let found = attached.find(|a| from.is_none_or(|instance| a.instance == *instance));
    let Some(attachment) = found else {
        return Err(act.refused(format!("Volume '{id}'is in the 'available' state.")));
    };
    if attachment.leaves() && !force {
        return Err(act.refused(format!("Volume '{id}' is already detaching")));
    }
    attachment.detach(now, takes, force);
    Ok(())
}
