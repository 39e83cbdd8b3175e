//! What happens to whole instances, and to what is attached to them.

use std::sync::Arc;
use std::time::Duration;

use super::World;
use crate::act::{Act, ActError};
use crate::chance::key_of;
use crate::model::{Id, Instance, Ledger, Step};
use crate::view::NodeState;

impl World {
    /// The instance of a node, by the node's name or the instance's id.
    pub(super) fn node_id(&self, act: &Act, node: &str) -> Result<Id, ActError> {
        self.ground.node(node).cloned().ok_or_else(|| act.unknown("node", node))
    }

    fn alive<'a>(
        &self,
        act: &Act,
        node: &str,
        next: &'a mut Ledger,
    ) -> Result<&'a mut Instance, ActError> {
        let id = self.node_id(act, node)?;
        let instance = next.instance_mut(&id).ok_or_else(|| act.unknown("node", node))?;
        if instance.state == NodeState::Terminated {
            return Err(act.refused("it is terminated"));
        }
        Ok(instance)
    }

    /// M11: ENIs with delete-on-termination vanish, the others become available and keep their
    /// addresses. Volumes with delete-on-termination vanish, the others detach by themselves.
    pub(super) fn terminate(
        &self,
        act: &Act,
        node: &str,
        delete: Option<bool>,
        next: &mut Ledger,
    ) -> Result<(), ActError> {
        let instance = self.alive(act, node, next)?;
        instance.state = NodeState::Terminated;
        instance.terminated_at = Some(self.now);
        let id = Arc::clone(&instance.id);
        let enis: Vec<Id> = next.enis_of(&id).iter().map(|eni| Arc::clone(&eni.id)).collect();
        for eni in enis {
            let attachment = next.enis.get(&eni).and_then(|eni| eni.attachment.as_ref());
            let gone =
                attachment.is_some_and(|a| a.doomed || delete.unwrap_or(a.delete_on_termination));
            if gone {
                next.enis.remove(&eni);
            } else if let Some(eni) = next.eni_mut(&eni) {
                eni.attachment = None;
            }
        }
        let volumes: Vec<Id> = next.volumes_of(&id).iter().map(|v| Arc::clone(&v.id)).collect();
        for volume in volumes {
            let takes = self.volume_time(&volume);
            let attachment = next.volume_mut(&volume).and_then(|volume| volume.on(&id));
            let Some(attachment) = attachment else { continue };
            if attachment.delete_on_termination {
                Arc::make_mut(&mut next.volumes).remove(&volume);
            } else {
                attachment.detach(self.now, takes, true);
            }
        }
        Ok(())
    }

    /// Stops or starts. A start is a boot: it ends what a forced detachment left behind.
    pub(super) fn turn(
        &self,
        act: &Act,
        node: &str,
        state: NodeState,
        next: &mut Ledger,
    ) -> Result<(), ActError> {
        let instance = self.alive(act, node, next)?;
        let id = Arc::clone(&instance.id);
        if instance.state == NodeState::Stopped && state == NodeState::Running {
            instance.boots += 1;
            instance.burnt.clear();
            instance.ghosts.clear();
        }
        instance.state = state;
        self.let_go(&id, next);
        Ok(())
    }

    /// Boots an instance again. Its metadata service may list only the primary ENI for a while.
    pub(super) fn reboot(
        &self,
        act: &Act,
        node: &str,
        imds_missing_ms: u64,
        next: &mut Ledger,
    ) -> Result<(), ActError> {
        let instance = self.alive(act, node, next)?;
        if instance.state != NodeState::Running {
            return Err(act.refused("it does not run"));
        }
        instance.boots += 1;
        instance.imds_whole_at = self.now + Duration::from_millis(imds_missing_ms);
        let id = Arc::clone(&instance.id);
        self.let_go(&id, next);
        Ok(())
    }

    /// A guest that is not there uses no device: what was held up while detaching goes on.
    fn let_go(&self, instance: &Id, next: &mut Ledger) {
        let volumes: Vec<Id> =
            next.volumes_of(instance).iter().map(|v| Arc::clone(&v.id)).collect();
        for volume in volumes {
            let held = |step| matches!(step, Step::Detaching | Step::Busy);
            let takes = self.volume_time(&volume);
            let attachment = next.volume_mut(&volume).and_then(|volume| volume.on(instance));
            if let Some(attachment) = attachment.filter(|a| held(a.step)) {
                attachment.detach(self.now, takes, true);
            }
        }
    }

    /// How long the detachment of a volume takes.
    pub(super) fn volume_time(&self, volume: &str) -> Duration {
        let (key, seq) = (key_of(volume), self.timeline.last_seq());
        self.chance.draw(&self.profile.ebs_detach, "ebs-detach", key, seq)
    }
}
