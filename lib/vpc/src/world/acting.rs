//! Things that others do: directly, past all permissions, but never past what EC2 makes of them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::World;
use crate::act::{Act, ActError};
use crate::ec2::Knobs;
use crate::model::{Eni, Id, Ledger};
use crate::timeline::Author;
use crate::view::{HeldAs, NodeState};

impl Act {
    /// Its name, as in JSON.
    const fn name(&self) -> &'static str {
        match self {
            Self::Steal { .. } => "steal",
            Self::Unassign { .. } => "unassign",
            Self::StripEni { .. } => "strip_eni",
            Self::Terminate { .. } => "terminate",
            Self::Stop { .. } => "stop",
            Self::Start { .. } => "start",
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

impl World {
    /// An ENI by its id, by the name of a foreign one, or as `NODE/INDEX`.
    pub(super) fn eni_named(&self, name: &str) -> Option<Id> {
        let ledger = self.timeline.latest();
        if let Some(eni) = ledger.enis.get(name) {
            return Some(Arc::clone(&eni.id));
        }
        if let Some((_, id)) = self.ground.foreign.iter().find(|(own, _)| own == name) {
            return ledger.enis.contains_key(id).then(|| Arc::clone(id));
        }
        let (node, index) = name.split_once('/')?;
        let index: u32 = index.parse().ok()?;
        let enis = ledger.enis_of(self.ground.node(node)?);
        let is =
            |eni: &&&Arc<Eni>| eni.attachment.as_ref().is_some_and(|a| a.device_index == index);
        enis.iter().find(is).map(|eni| Arc::clone(&eni.id))
    }

    /// Performs an act now, all of it or nothing.
    pub(super) fn perform(&mut self, act: &Act, by: &str) -> Result<(), ActError> {
        let before = self.timeline.latest();
        let mut next = (*before).clone();
        match act {
            Act::Steal { address, to } => self.steal(act, *address, to.as_deref(), &mut next)?,
            Act::Unassign { address } => unassign(act, *address, &mut next)?,
            Act::StripEni { eni } => self.change(act, eni, &mut next)?.secondary.clear(),
            Act::Terminate { node, delete_on_termination } => {
                self.terminate(act, node, *delete_on_termination, &mut next)?;
            }
            Act::Stop { node } => self.turn(act, node, NodeState::Stopped, &mut next)?,
            Act::Start { node } => self.turn(act, node, NodeState::Running, &mut next)?,
            Act::Reboot { node, imds_missing_ms } => {
                self.reboot(act, node, *imds_missing_ms, &mut next)?;
            }
            Act::Detach { eni } => self.detach(act, eni, false, &mut next)?,
            Act::DeleteEni { eni } => self.detach(act, eni, true, &mut next)?,
            Act::HideEni { eni, hidden } => {
                let eni = self.change(act, eni, &mut next)?;
                eni.operator = hidden.then(|| crate::spec::Operator {
                    principal: "operator.amazonaws.com".to_owned(),
                    hidden: true,
                });
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
            | Act::ResizeVolume { .. } => self.store(act, &mut next)?,
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
        next: &'a mut Ledger,
    ) -> Result<&'a mut Eni, ActError> {
        let id = self.eni_named(name).ok_or_else(|| act.unknown("ENI", name))?;
        next.eni_mut(&id).ok_or_else(|| act.unknown("ENI", name))
    }

    /// A foreign ENI of the subnet with a free slot, or the one that is named.
    fn receiver_of_loot(
        &self,
        act: &Act,
        address: Ipv4Addr,
        to: Option<&str>,
    ) -> Result<Id, ActError> {
        let ledger = self.timeline.latest();
        if let Some(name) = to {
            return self.eni_named(name).ok_or_else(|| act.unknown("ENI", name));
        }
        let fits = |id: &&Id| {
            ledger.enis.get(*id).is_some_and(|eni| {
                let subnet = self.ground.subnet(&eni.subnet);
                let here = subnet.is_some_and(|subnet| subnet.cidr.contains(&address));
                let room = eni.slots() < ledger.slot_limit(eni, &std::collections::BTreeMap::new());
                here && (room || eni.secondary.contains(&address))
            })
        };
        let found = self.ground.foreign.iter().map(|(_, id)| id).find(fits).cloned();
        found.ok_or_else(|| act.refused("no foreign ENI of that subnet has a free slot"))
    }

    fn steal(
        &self,
        act: &Act,
        address: Ipv4Addr,
        to: Option<&str>,
        next: &mut Ledger,
    ) -> Result<(), ActError> {
        let to = self.receiver_of_loot(act, address, to)?;
        let subnet = next.enis.get(&to).and_then(|eni| self.ground.subnet(&eni.subnet));
        if !subnet.is_some_and(|s| s.cidr.contains(&address) && !s.is_reserved(address)) {
            return Err(act.refused(format!("{address} is no address of the subnet of {to}")));
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
                return Err(act.refused(format!("{address} is not a secondary of {holder}")));
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
        next: &mut Ledger,
    ) -> Result<(), ActError> {
        let id = self.eni_named(name).ok_or_else(|| act.unknown("ENI", name))?;
        let eni = next.enis.get(&id).ok_or_else(|| act.unknown("ENI", name))?;
        let limit = next.slot_limit(eni, &std::collections::BTreeMap::new());
        let subnet = self.ground.subnet(&eni.subnet);
        let subnet = subnet.ok_or_else(|| act.unknown("subnet", &eni.subnet))?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if eni.slots().saturating_add(count) > limit {
            return Err(act.refused("Number of private addresses will exceed limit."));
        }
        let free: Vec<_> = next.free_prefixes_in(subnet).into_iter().take(count).collect();
        if free.len() < count {
            return Err(act.refused("the subnet has not enough free /28 blocks"));
        }
        if let Some(eni) = next.eni_mut(&id) {
            eni.prefixes.extend(free);
        }
        Ok(())
    }
}

impl World {
    fn create(
        &self,
        act: &Act,
        id: &str,
        address: Ipv4Addr,
        next: &mut Ledger,
    ) -> Result<(), ActError> {
        let subnet = self.ground.subnet_with(address).filter(|s| !s.is_reserved(address));
        let subnet = subnet.ok_or_else(|| act.refused(format!("{address} is in no subnet")))?;
        if !crate::ec2::is_id("eni", id) || next.enis.contains_key(id) {
            return Err(act.refused(format!("{id} is not the id of a new ENI")));
        }
        if let Some((holder, _)) = next.holder(address) {
            return Err(act.refused(format!("{address} is held by {}", holder.id)));
        }
        let eni = self.stranger(Id::from(id), subnet.id.clone(), address, "somebody's");
        next.enis.insert(Id::from(id), Arc::new(eni));
        Ok(())
    }

    /// An ENI that is not the cluster's and not attached.
    pub(super) fn stranger(&self, id: Id, subnet: Id, primary: Ipv4Addr, description: &str) -> Eni {
        let key = crate::chance::key_of(&id);
        Eni {
            mac: crate::spec::mac_of("0e", self.chance.bits("stranger-mac", key, 0)),
            id,
            subnet,
            description: description.to_owned(),
            tags: std::collections::BTreeMap::new(),
            primary,
            secondary: Vec::new(),
            prefixes: Vec::new(),
            attachment: None,
            operator: None,
            known_at: Duration::ZERO,
        }
    }
}

fn unassign(act: &Act, address: Ipv4Addr, next: &mut Ledger) -> Result<(), ActError> {
    let holder = next.holder(address).map(|(eni, held)| (Arc::clone(&eni.id), held));
    match holder {
        Some((id, HeldAs::Secondary)) => {
            if let Some(eni) = next.eni_mut(&id) {
                eni.secondary.retain(|held| *held != address);
            }
            Ok(())
        }
        Some((id, HeldAs::Primary | HeldAs::Prefix)) => {
            Err(act.refused(format!("{address} is not a secondary of {id}")))
        }
        None => Err(act.refused(format!("nobody holds {address}"))),
    }
}
