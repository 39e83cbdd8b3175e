//! The volumes of a spec, and the root volume that every instance has.

use std::sync::Arc;

use super::{Builder, checked};
use crate::model::{Id, Instance, Volume, VolumeAttachment};
use crate::rng::key_of;
use crate::simulator::{device_names, is_device};
use crate::spec::check::{field, tags};
use crate::spec::{SpecError, VolumeSpec};

/// The volume types.
const KINDS: [&str; 7] = ["gp2", "gp3", "io1", "io2", "sc1", "st1", "standard"];
/// The size of a root volume, in GiB.
const ROOT_GIB: u32 = 20;

impl<'a> Builder<'a> {
    /// Every instance boots from a volume that EC2 deletes with it.
    pub(super) fn root_volume(&mut self, instance: &Instance) {
        let name = format!("{}/root", instance.name);
        let id = Id::from(format!("vol-{}", self.rng.hex17("volume", key_of(&name))));
        let mut volume = Volume::empty(Arc::clone(&id), &instance.zone, ROOT_GIB);
        let device = "/dev/xvda".to_owned();
        let attachment = VolumeAttachment::old(Arc::clone(&instance.id), device, true);
        volume.attachments.push(attachment);
        self.topology.volumes.push((name, Arc::clone(&id)));
        Arc::make_mut(&mut self.vpc.volumes).insert(id, Arc::new(volume));
    }

    /// Adds a volume of the spec.
    pub(super) fn volume(&mut self, at: &str, spec: &'a VolumeSpec) -> Result<(), SpecError> {
        if !KINDS.contains(&spec.volume_type.as_str()) {
            return Err(field(format!("{at}.volume_type"), format!("must be one of {KINDS:?}")));
        }
        if !(1..=65_536).contains(&spec.size_gib) {
            return Err(field(format!("{at}.size_gib"), "must be from 1 to 65536"));
        }
        tags(&format!("{at}.tags"), &spec.tags)?;
        let id = match &spec.id {
            Some(id) => checked("vol", id)?,
            None => format!("vol-{}", self.rng.hex17("volume", key_of(&spec.name))),
        };
        let id = Id::from(id);
        let instance = self.host(at, spec)?;
        let home = instance.as_ref().map(|instance| instance.zone.clone());
        let zone = spec.zone.clone().or_else(|| home.clone());
        let zone = zone.filter(|zone| self.topology.subnets.iter().any(|s| s.zone == *zone));
        let zone = zone.ok_or_else(|| field(format!("{at}.zone"), "no subnet is in this zone"))?;
        if home.is_some_and(|home| home != zone) {
            return Err(field(format!("{at}.zone"), "the node is in another zone"));
        }
        let mut volume = Volume::empty(Arc::clone(&id), &zone, spec.size_gib);
        volume.kind.clone_from(&spec.volume_type);
        (volume.encrypted, volume.multi_attach) = (spec.encrypted, spec.multi_attach);
        volume.tags.clone_from(&spec.tags);
        if let Some(instance) = instance {
            volume.attachments.push(self.attach(at, spec, &instance)?);
        }
        self.topology.volumes.push((spec.name.clone(), Arc::clone(&id)));
        let all = Arc::make_mut(&mut self.vpc.volumes);
        if all.insert(Arc::clone(&id), Arc::new(volume)).is_some() {
            return Err(field(format!("{at}.id"), format!("duplicate ID {id}")));
        }
        Ok(())
    }

    /// The instance that a volume is attached to.
    fn host(&self, at: &str, spec: &VolumeSpec) -> Result<Option<Arc<Instance>>, SpecError> {
        let Some(node) = &spec.node else { return Ok(None) };
        let entry = self.topology.nodes.iter().find(|(name, _)| name == node);
        let instance = entry.and_then(|(_, id)| self.vpc.instances.get(id));
        let problem = || field(format!("{at}.node"), format!("there is no node {node:?}"));
        instance.cloned().map(Some).ok_or_else(problem)
    }

    fn attach(
        &self,
        at: &str,
        spec: &VolumeSpec,
        instance: &Instance,
    ) -> Result<VolumeAttachment, SpecError> {
        let volumes = self.vpc.volumes_of(&instance.id);
        let count = u32::try_from(volumes.len()).unwrap_or(u32::MAX);
        let full = match instance.size.shared_slots() {
            Some(slots) => count + self.vpc.eni_count(&instance.id) >= slots,
            None => count >= instance.size.volumes,
        };
        if full {
            let problem = format!("{} has no slot left on {}", instance.size.name, instance.name);
            return Err(field(format!("{at}.node"), problem));
        }
        let taken = |device: &str| {
            volumes.iter().flat_map(|volume| &volume.attachments).any(|a| a.device == device)
        };
        let device = match &spec.device {
            Some(device) => Some(device.clone()).filter(|name| is_device(name) && !taken(name)),
            None => device_names().find(|name| !taken(name)),
        };
        let problem = || field(format!("{at}.device"), "already in use, or not a device name");
        let device = device.ok_or_else(problem)?;
        let id = Arc::clone(&instance.id);
        Ok(VolumeAttachment::old(id, device, spec.delete_on_termination))
    }
}
