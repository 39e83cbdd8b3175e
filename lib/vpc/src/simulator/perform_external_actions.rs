//! Actions of other parties. They bypass permissions, but not EC2's own rules.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::Simulator;
use crate::ec2::Knobs;
use crate::external_actions::{Act, ActError};
use crate::model::{Eni, EniKind, Id, VpcState};
use crate::timeline::Author;
use crate::view::{HeldAs, NodeState};

impl Act {
    /// Its name in JSON.
    const fn name(&self) -> &'static str {
        match self {
            Self::Reassign { .. } => "reassign",
            Self::Unassign { .. } => "unassign",
            Self::StripEni { .. } => "strip_eni",
            Self::Terminate { .. } => "terminate",
            Self::Stop { .. } => "stop",
            Self::Start { .. } => "start",
            Self::AttachEni { .. } => "attach_eni",
            Self::Detach { .. } => "detach",
            Self::DeleteEni { .. } => "delete_eni",
            Self::HideEni { .. } => "hide_eni",
            Self::AddPrefixes { .. } => "add_prefixes",
            Self::DropPrefixes { .. } => "drop_prefixes",
            Self::CreateEni { .. } => "create_eni",
            Self::TagEni { .. } => "tag_eni",
            Self::Reboot { .. } => "reboot",
            Self::CreateVolume { .. } => "create_volume",
            Self::DeleteVolume { .. } => "delete_volume",
            Self::AttachVolume { .. } => "attach_volume",
            Self::DetachVolume { .. } => "detach_volume",
            Self::FailVolume { .. } => "fail_volume",
            Self::ResizeVolume { .. } => "resize_volume",
        }
    }

    pub(super) fn unknown(&self, what: &'static str, name: &str) -> ActError {
        ActError::Unknown { act: self.name(), what, name: name.to_owned() }
    }

    pub(super) fn refused(&self, problem: impl Into<String>) -> ActError {
        ActError::Refused { act: self.name(), problem: problem.into() }
    }
}

impl Simulator {
    /// An ENI by ID, by the name of a foreign one, or as `NODE/INDEX`.
    pub(super) fn eni_named(&self, name: &str) -> Option<Id> {
        let vpc = self.timeline.latest();
        if let Some(eni) = vpc.enis.get(name) {
            return Some(Arc::clone(&eni.id));
        }
        if let Some((_, id)) = self.topology.foreign.iter().find(|(own, _)| own == name) {
            return vpc.enis.contains_key(id).then(|| Arc::clone(id));
        }
        let (node, index) = name.split_once('/')?;
        let index: u32 = index.parse().ok()?;
        let enis = vpc.enis_of(self.topology.node(node)?);
        let is =
            |eni: &&&Arc<Eni>| eni.attachment.as_ref().is_some_and(|a| a.device_index == index);
        enis.iter().find(is).map(|eni| Arc::clone(&eni.id))
    }

    /// Performs an action now, completely or not at all.
    pub(super) fn perform(&mut self, act: &Act, by: &str) -> Result<(), ActError> {
        let before = self.timeline.latest();
        let mut next = (*before).clone();
        match act {
            Act::Reassign { address, to } => {
                self.reassign(act, *address, to.as_deref(), &mut next)?;
            }
            Act::Unassign { address } => unassign(act, *address, &mut next)?,
            Act::StripEni { eni } => self.change(act, eni, &mut next)?.secondary.clear(),
            Act::Terminate { node, delete_on_termination } => {
                self.terminate(act, node, *delete_on_termination, &mut next)?;
            }
            Act::Stop { node } => self.set_power(act, node, NodeState::Stopped, &mut next)?,
            Act::Start { node } => self.set_power(act, node, NodeState::Running, &mut next)?,
            Act::Reboot { node, imds_missing_ms } => {
                self.reboot(act, node, *imds_missing_ms, &mut next)?;
            }
            Act::AttachEni { eni, node, device_index } => {
                next = self.attach(act, eni, node, *device_index)?;
            }
            Act::Detach { eni } => self.detach(act, eni, false, &mut next)?,
            Act::DeleteEni { eni } => self.detach(act, eni, true, &mut next)?,
            Act::HideEni { eni, hidden } => {
                let eni = self.change(act, eni, &mut next)?;
                let operator = hidden.then(|| crate::spec::Operator {
                    principal: "operator.amazonaws.com".to_owned(),
                    hidden: true,
                });
                eni.kind = EniKind::of(operator.as_ref());
            }
            Act::AddPrefixes { eni, count } => self.add_prefixes(act, eni, *count, &mut next)?,
            Act::DropPrefixes { eni } => self.change(act, eni, &mut next)?.prefixes.clear(),
            Act::CreateEni { id, address } => self.create(act, id, *address, &mut next)?,
            Act::TagEni { eni, key, value } => {
                let tags = &mut self.change(act, eni, &mut next)?.tags;
                match value {
                    Some(value) => tags.insert(key.clone(), value.clone()),
                    None => tags.remove(key),
                };
            }
            Act::CreateVolume { .. }
            | Act::DeleteVolume { .. }
            | Act::AttachVolume { .. }
            | Act::DetachVolume { .. }
            | Act::FailVolume { .. }
            | Act::ResizeVolume { .. } => self.perform_on_volume(act, &mut next)?,
        }
        if next.enis != before.enis
            || next.instances != before.instances
            || next.volumes != before.volumes
        {
            let author = Author { by: by.to_owned(), call: None, what: act.name().to_owned() };
            self.commit(author, next, &Knobs::default());
        }
        Ok(())
    }

    pub(super) fn change<'a>(
        &self,
        act: &Act,
        name: &str,
        next: &'a mut VpcState,
    ) -> Result<&'a mut Eni, ActError> {
        let id = self.eni_named(name).ok_or_else(|| act.unknown("ENI", name))?;
        next.eni_mut(&id).ok_or_else(|| act.unknown("ENI", name))
    }

    /// The named ENI, or else a foreign ENI of the subnet with a free slot.
    fn reassignment_target(
        &self,
        act: &Act,
        address: Ipv4Addr,
        to: Option<&str>,
    ) -> Result<Id, ActError> {
        let vpc = self.timeline.latest();
        if let Some(name) = to {
            return self.eni_named(name).ok_or_else(|| act.unknown("ENI", name));
        }
        let fits = |id: &&Id| {
            vpc.enis.get(*id).is_some_and(|eni| {
                let subnet = self.topology.subnet(&eni.subnet);
                let here = subnet.is_some_and(|subnet| subnet.cidr.contains(&address));
                let room = eni.slots() < vpc.slot_limit(eni, &std::collections::BTreeMap::new());
                here && (room || eni.secondary.contains(&address))
            })
        };
        let found = self.topology.foreign.iter().map(|(_, id)| id).find(fits).cloned();
        found.ok_or_else(|| act.refused("no foreign ENI of that subnet has a free slot"))
    }

    fn reassign(
        &self,
        act: &Act,
        address: Ipv4Addr,
        to: Option<&str>,
        next: &mut VpcState,
    ) -> Result<(), ActError> {
        let to = self.reassignment_target(act, address, to)?;
        let subnet = next.enis.get(&to).and_then(|eni| self.topology.subnet(&eni.subnet));
        if !subnet.is_some_and(|s| s.cidr.contains(&address) && !s.is_reserved(address)) {
            return Err(act.refused(format!("{address} is not in the subnet of {to}")));
        }
        let holder = next.holder(address).map(|(eni, held)| (Arc::clone(&eni.id), held));
        match holder {
            Some((holder, HeldAs::Secondary)) if holder == to => return Ok(()),
            Some((holder, HeldAs::Secondary)) => {
                if let Some(eni) = next.eni_mut(&holder) {
                    eni.secondary.retain(|held| *held != address);
                }
            }
            Some((holder, HeldAs::Primary | HeldAs::Prefix)) => {
                return Err(
                    act.refused(format!("{address} is not a secondary address of {holder}"))
                );
            }
            None => {}
        }
        let limit = next
            .enis
            .get(&to)
            .map_or(0, |eni| next.slot_limit(eni, &std::collections::BTreeMap::new()));
        let eni = next.eni_mut(&to).ok_or_else(|| act.unknown("ENI", &to))?;
        if eni.slots() >= limit {
            return Err(act.refused(format!("{to} has no free slot")));
        }
        eni.secondary.push(address);
        Ok(())
    }

    fn add_prefixes(
        &self,
        act: &Act,
        name: &str,
        count: u32,
        next: &mut VpcState,
    ) -> Result<(), ActError> {
        let id = self.eni_named(name).ok_or_else(|| act.unknown("ENI", name))?;
        let eni = next.enis.get(&id).ok_or_else(|| act.unknown("ENI", name))?;
        let limit = next.slot_limit(eni, &std::collections::BTreeMap::new());
        let subnet = self.topology.subnet(&eni.subnet);
        let subnet = subnet.ok_or_else(|| act.unknown("subnet", &eni.subnet))?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if eni.slots().saturating_add(count) > limit {
            return Err(act.refused("Number of private addresses will exceed limit."));
        }
        let free: Vec<_> = next.free_prefixes_in(subnet).into_iter().take(count).collect();
        if free.len() < count {
            return Err(act.refused("the subnet does not have enough free /28 blocks"));
        }
        if let Some(eni) = next.eni_mut(&id) {
            eni.prefixes.extend(free);
        }
        Ok(())
    }
}

impl Simulator {
    fn create(
        &self,
        act: &Act,
        id: &str,
        address: Ipv4Addr,
        next: &mut VpcState,
    ) -> Result<(), ActError> {
        let subnet = self.topology.subnet_with(address).filter(|s| !s.is_reserved(address));
        let subnet =
            subnet.ok_or_else(|| act.refused(format!("{address} is not in any subnet")))?;
        if !crate::ec2::is_id("eni", id) || next.enis.contains_key(id) {
            return Err(act.refused(format!("{id} is not an unused ENI ID")));
        }
        if let Some((holder, _)) = next.holder(address) {
            return Err(act.refused(format!("{address} is held by {}", holder.id)));
        }
        let eni = self.foreign_eni(Id::from(id), subnet.id.clone(), address, "foreign");
        next.enis.insert(Id::from(id), Arc::new(eni));
        Ok(())
    }

    /// An unattached ENI outside the cluster.
    pub(super) fn foreign_eni(
        &self,
        id: Id,
        subnet: Id,
        primary: Ipv4Addr,
        description: &str,
    ) -> Eni {
        let key = crate::rng::key_of(&id);
        Eni {
            mac: crate::spec::mac_of("0e", self.rng.bits("stranger-mac", key, 0)),
            id,
            subnet,
            description: description.to_owned(),
            source_dest_check: true,
            tags: std::collections::BTreeMap::new(),
            primary,
            secondary: Vec::new(),
            prefixes: Vec::new(),
            attachment: None,
            kind: EniKind::Ordinary,
            known_at: Duration::ZERO,
        }
    }
}

fn unassign(act: &Act, address: Ipv4Addr, next: &mut VpcState) -> Result<(), ActError> {
    let holder = next.holder(address).map(|(eni, held)| (Arc::clone(&eni.id), held));
    match holder {
        Some((id, HeldAs::Secondary)) => {
            if let Some(eni) = next.eni_mut(&id) {
                eni.secondary.retain(|held| *held != address);
            }
            Ok(())
        }
        Some((id, HeldAs::Primary | HeldAs::Prefix)) => {
            Err(act.refused(format!("{address} is not a secondary address of {id}")))
        }
        None => Err(act.refused(format!("no ENI holds {address}"))),
    }
}
