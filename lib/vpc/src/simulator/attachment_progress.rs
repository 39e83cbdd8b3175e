//! Progress of attachments and detachments.

use std::sync::Arc;
use std::time::Duration;

use super::Simulator;
use super::scheduled_events::Event;
use crate::ec2::{Action, ActionContext, Knobs, VERSION, execute, parse, read_form};
use crate::external_actions::{Act, ActError};
use crate::faults::{Fault, FaultContext, Stage as FaultStage, StuckIn};
use crate::model::{Attachment, Id, Stage, Step, VolumeAttachment, VpcState};
use crate::rng::key_of;
use crate::timeline::{Author, View};

/// How often a stage that a fault holds is checked again.
const RETRY: Duration = Duration::from_secs(1);

impl Simulator {
    /// Schedules the end of every stage that a commit starts.
    pub(super) fn schedule_stages(&mut self, before: &VpcState, next: &VpcState) {
        for eni in next.enis.values() {
            let old = before.enis.get(&eni.id);
            let Some(attachment) = &eni.attachment else { continue };
            let same = old.is_some_and(|old| {
                Arc::ptr_eq(old, eni) || old.attachment.as_ref() == Some(attachment)
            });
            if same {
                continue;
            }
            // The link appears and disappears at times of its own, which drivers observe.
            let moments = [Some(attachment.plugged_at), attachment.unplugged_at];
            let now = self.now;
            for at in moments.into_iter().flatten().filter(|at| *at > now) {
                self.schedule(at, Event::Switch);
            }
            if attachment.stage != Stage::Attached {
                self.schedule(attachment.done_at, Event::Attachment(Arc::clone(&eni.id)));
            }
        }
        if Arc::ptr_eq(&before.volumes, &next.volumes) {
            return;
        }
        for volume in next.volumes.values() {
            let old = before.volumes.get(&volume.id);
            for attachment in volume.attachments.iter().filter(|a| a.step != Step::Attached) {
                if !old.is_some_and(|old| old.attachments.contains(attachment)) {
                    let event =
                        Event::Volume(Arc::clone(&volume.id), Arc::clone(&attachment.instance));
                    self.schedule(attachment.done_at, event);
                }
            }
        }
    }

    /// Whether a fault holds an object with one of these names.
    fn is_stuck(&mut self, names: &[&str], is: impl Fn(&Fault) -> bool) -> Option<StuckIn> {
        let goes_by = |name: &str| names.contains(&name);
        let context = FaultContext { now: self.now, op: "", caller: "", names: &goes_by };
        let found = self
            .faults
            .matching(&context, |fault| fault.stage() == FaultStage::Background && is(fault));
        let (id, _, fault) = found.into_iter().next()?;
        self.faults.fired(id);
        let (Fault::EniStuck { stage } | Fault::VolumeStuck { stage }) = fault else { return None };
        Some(stage)
    }

    /// Ends a stage of an ENI's attachment, unless it is obsolete or a fault holds it.
    pub(super) fn end_stage(&mut self, id: &Id) {
        let vpc = self.timeline.latest();
        let Some(eni) = vpc.enis.get(id) else { return };
        let Some(attachment) = eni.attachment.clone() else { return };
        if attachment.stage == Stage::Attached || attachment.done_at > self.now {
            return;
        }
        let stage = match attachment.stage {
            Stage::Attaching | Stage::Attached => StuckIn::Attaching,
            Stage::Detaching => StuckIn::Detaching,
        };
        let names = [&**id, &*attachment.id, &*attachment.instance];
        let is = |fault: &Fault| matches!(fault, Fault::EniStuck { stage: s } if *s == stage);
        if !attachment.forced && self.is_stuck(&names, is).is_some() {
            self.schedule(self.now + RETRY, Event::Attachment(Arc::clone(id)));
            return;
        }
        let mut next = (*vpc).clone();
        match attachment.stage {
            Stage::Attaching | Stage::Attached => {
                if let Some(own) = next.eni_mut(id).and_then(|eni| eni.attachment.as_mut()) {
                    own.stage = Stage::Attached;
                }
                self.commit(later("AttachNetworkInterface"), next, &Knobs::default());
            }
            Stage::Detaching => self.detached(id, &attachment, next),
        }
    }

    fn detached(&mut self, id: &Id, attachment: &Attachment, mut next: VpcState) {
        let torn = next.enis.get(id).cloned().filter(|_| attachment.forced);
        if let (Some(eni), Some(instance)) = (torn, next.instance_mut(&attachment.instance)) {
            instance.unusable_indexes.insert(attachment.device_index);
            instance.ghosts.push(eni);
        }
        if attachment.delete_when_detached {
            next.enis.remove(id);
        } else if let Some(eni) = next.eni_mut(id) {
            eni.attachment = None;
        }
        let what = if attachment.delete_when_detached {
            "DeleteNetworkInterface"
        } else {
            "DetachNetworkInterface"
        };
        self.commit(later(what), next, &Knobs::default());
    }

    /// The state after an AttachNetworkInterface.
    pub(super) fn attach(
        &self,
        act: &Act,
        name: &str,
        node: &str,
        index: u32,
    ) -> Result<VpcState, ActError> {
        let eni = self.eni_named(name).ok_or_else(|| act.unknown("ENI", name))?;
        let instance = self.node_id(act, node)?;
        let knobs = Knobs::default();
        let on = ActionContext {
            topology: &self.topology,
            vpc: self.timeline.latest(),
            counts: self.timeline.visible(View::FreeCount, "act", self.now),
            rng: self.rng,
            profile: &self.profile,
            knobs: &knobs,
            request_id: "",
            // No call of the API has this number.
            call: u64::MAX.saturating_sub(self.timeline.last_seq()),
            now: self.now,
            epoch: self.epoch,
        };
        let body = format!(
            "Version={VERSION}&NetworkInterfaceId={eni}&InstanceId={instance}&DeviceIndex={index}"
        );
        let request = read_form(body.as_bytes()).and_then(|form| parse(Action::Attach, &form));
        let effect = request.and_then(|request| execute(&request, &on));
        let next = effect.map_err(|error| act.refused(error.message))?.next;
        next.ok_or_else(|| act.refused("nothing changed"))
    }

    /// Asynchronous, as in EC2: detaching now, detached later.
    pub(super) fn detach(
        &mut self,
        act: &Act,
        name: &str,
        delete: bool,
        next: &mut VpcState,
    ) -> Result<(), ActError> {
        let (now, seq) = (self.now, self.timeline.last_seq());
        let takes = |id: &str| self.rng.draw(&self.profile.eni_detach, "detach", key_of(id), seq);
        let eni = self.change(act, name, next)?;
        let id = Arc::clone(&eni.id);
        match &mut eni.attachment {
            Some(attachment) if attachment.device_index == 0 => {
                return Err(act.refused("the primary ENI cannot be detached"));
            }
            Some(attachment) => {
                attachment.detach(now, takes(&id), false);
                attachment.delete_when_detached |= delete;
            }
            None if delete => {
                next.enis.remove(&id);
            }
            None => return Err(act.refused("the ENI is not attached")),
        }
        Ok(())
    }

    /// Ends a step of a volume's attachment, unless it is obsolete or a fault holds it.
    pub(super) fn end_step(&mut self, id: &Id, instance: &Id) {
        let vpc = self.timeline.latest();
        let mut next = (*vpc).clone();
        let Some(attachment) = next.volume_mut(id).and_then(|volume| volume.on(instance)) else {
            return;
        };
        if attachment.step == Step::Attached || attachment.done_at > self.now {
            return;
        }
        let stuck = self.volume_stuck(id, attachment);
        if let Some(stage) = stuck {
            if stage == StuckIn::Busy && attachment.step != Step::Busy {
                attachment.step = Step::Busy;
                attachment.done_at = self.now + RETRY;
                self.commit(later("DetachVolume"), next, &Knobs::default());
            } else {
                let event = Event::Volume(Arc::clone(id), Arc::clone(instance));
                self.schedule(self.now + RETRY, event);
            }
            return;
        }
        let what = if attachment.leaves() { "DetachVolume" } else { "AttachVolume" };
        let gone = attachment.step == Step::Released;
        advance(attachment, self.now);
        if let (true, Some(volume)) = (gone, next.volume_mut(id)) {
            volume.attachments.retain(|attachment| attachment.instance != *instance);
        }
        self.commit(later(what), next, &Knobs::default());
    }

    fn volume_stuck(&mut self, id: &Id, attachment: &VolumeAttachment) -> Option<StuckIn> {
        if attachment.forced {
            return None;
        }
        let name = self.topology.volumes.iter().find(|(_, own)| own == id);
        let name = name.map(|(name, _)| name.clone()).unwrap_or_default();
        let names = [&**id, name.as_str(), &*attachment.instance];
        let step = attachment.step;
        self.is_stuck(&names, |fault| {
            let Fault::VolumeStuck { stage } = fault else { return false };
            match stage {
                StuckIn::Attaching => step == Step::Attaching,
                StuckIn::Detaching => step == Step::Detaching,
                StuckIn::Busy => matches!(step, Step::Detaching | Step::Busy),
            }
        })
    }
}

/// The next step: in use, attaching, attached; detaching, gone, available.
fn advance(attachment: &mut VolumeAttachment, now: Duration) {
    match attachment.step {
        Step::Reserved => {
            attachment.step = Step::Attaching;
            attachment.done_at = now + attachment.takes;
        }
        Step::Attaching | Step::Attached => attachment.step = Step::Attached,
        Step::Detaching | Step::Busy => {
            attachment.step = Step::Released;
            attachment.done_at = now + attachment.takes / 8;
        }
        Step::Released => {}
    }
}

fn later(what: &str) -> Author {
    Author { by: "ec2".to_owned(), call: None, what: what.to_owned() }
}
