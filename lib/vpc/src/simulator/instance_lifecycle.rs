//! Lifecycle of instances, and of what is attached to them.

use std::sync::Arc;
use std::time::Duration;

use super::Simulator;
use crate::external_actions::{Act, ActError};
use crate::model::{Id, Instance, Step, VpcState};
use crate::rng::key_of;
use crate::view::NodeState;

impl Simulator {
    /// The instance of a node, by the node's name or the instance's ID.
    pub(super) fn node_id(&self, act: &Act, node: &str) -> Result<Id, ActError> {
        self.topology.node(node).cloned().ok_or_else(|| act.unknown("node", node))
    }

    fn alive<'a>(
        &self,
        act: &Act,
        node: &str,
        next: &'a mut VpcState,
    ) -> Result<&'a mut Instance, ActError> {
        let id = self.node_id(act, node)?;
        let instance = next.instance_mut(&id).ok_or_else(|| act.unknown("node", node))?;
        if instance.state == NodeState::Terminated {
            return Err(act.refused("the instance is terminated"));
        }
        Ok(instance)
    }

    /// M11: EC2 deletes ENIs with delete-on-termination; the others become available and keep their
    /// addresses. It deletes volumes with delete-on-termination; the others are detached.
    pub(super) fn terminate(
        &self,
        act: &Act,
        node: &str,
        delete: Option<bool>,
        next: &mut VpcState,
    ) -> Result<(), ActError> {
        let instance = self.alive(act, node, next)?;
        instance.state = NodeState::Terminated;
        instance.terminated_at = Some(self.now);
        let id = Arc::clone(&instance.id);
        let enis: Vec<Id> = next.enis_of(&id).iter().map(|eni| Arc::clone(&eni.id)).collect();
        for eni in enis {
            let attachment = next.enis.get(&eni).and_then(|eni| eni.attachment.as_ref());
            let gone = attachment.is_some_and(|a| {
                a.delete_when_detached || delete.unwrap_or(a.delete_on_termination)
            });
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

    /// Stops or starts an instance. A start is a boot: it ends the effects of a forced detachment.
    pub(super) fn set_power(
        &self,
        act: &Act,
        node: &str,
        state: NodeState,
        next: &mut VpcState,
    ) -> Result<(), ActError> {
        let instance = self.alive(act, node, next)?;
        let id = Arc::clone(&instance.id);
        if instance.state == NodeState::Stopped && state == NodeState::Running {
            instance.boots += 1;
            instance.unusable_indexes.clear();
            instance.ghosts.clear();
        }
        instance.state = state;
        self.release_stuck_volumes(&id, next);
        Ok(())
    }

    /// Reboots an instance. Its metadata service may list only the primary ENI for a while.
    pub(super) fn reboot(
        &self,
        act: &Act,
        node: &str,
        imds_missing_ms: u64,
        next: &mut VpcState,
    ) -> Result<(), ActError> {
        let instance = self.alive(act, node, next)?;
        if instance.state != NodeState::Running {
            return Err(act.refused("the instance is not running"));
        }
        instance.boots += 1;
        instance.imds_whole_at = self.now + Duration::from_millis(imds_missing_ms);
        let id = Arc::clone(&instance.id);
        self.release_stuck_volumes(&id, next);
        Ok(())
    }

    /// A guest that does not run uses no device, so a delayed detachment continues.
    fn release_stuck_volumes(&self, instance: &Id, next: &mut VpcState) {
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
        self.rng.draw(&self.profile.ebs_detach, "ebs-detach", key, seq)
    }
}
