//! Second part of attach: checks that this pod is the live one and acquires the next epoch by
//! compare-and-swap. The order is the safety argument: the record was read first, then the pod is
//! checked, then the write names the version that was read. A conflict starts again at the read.

use super::held::{Acquired, Bound};
use super::input::AttachInput;
use super::messages::{holder_text, not_of_the_set};
use crate::action::{Action, Reply};
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::decide::{self, Claimant, Take};
use crate::failure::{Effect, RegistryFailure, RegistryKind};
use crate::ids::{Epoch, Version};
use crate::machine::Span;
use crate::ports::{Controller, PodLifecycle, PodView};
use crate::record::{StaticIp, Stored, Write};
use crate::retry_or_fail::{Halt, Next, mismatch, registry_halt};
use crate::step::{AttachStep, Step};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum At {
    Pod,
    Write,
    Reread,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Acquire {
    at: At,
    bound: Bound,
    take: Option<Take>,
    /// The epoch of the first read of this process; in file mode it takes over no other.
    first_epoch: Option<Epoch>,
}

impl Acquire {
    pub(super) fn new(bound: Bound, first_epoch: Option<Epoch>) -> Self {
        Self { at: At::Pod, bound, take: None, first_epoch }
    }

    pub(super) fn action(&self, input: &AttachInput) -> Action {
        match self.at {
            At::Pod => Action::ReadPod,
            At::Write => Action::Write(Box::new(Write::UpdateStaticIp(Stored {
                version: self.bound.stored.version.clone(),
                object: self.decided(input).record,
            }))),
            At::Reread => Action::ReadRecord(self.bound.stored.object.address),
        }
    }

    pub(super) fn reply(
        &mut self,
        input: &AttachInput,
        reply: Reply,
        span: Span,
        crossed: &mut Option<Step>,
    ) -> Next<Acquired> {
        match (&self.at, reply) {
            (At::Pod, Reply::Pod(read)) => {
                let pod = read.map_err(|f| registry_halt(&f))?;
                self.check(input, &pod)?;
                *crossed = Some(Step::Attach(AttachStep::PodConfirmed));
                self.take = Some(self.decided(input));
                self.at = At::Write;
                Ok(None)
            }
            (At::Write, Reply::Written(Ok(version))) => {
                *crossed = Some(Step::Attach(AttachStep::EpochAcquired));
                Ok(Some(self.held(input, version, span)))
            }
            (At::Write, Reply::Written(Err(failure))) => Err(self.write_failed(&failure)),
            (At::Reread, Reply::Record(read)) => {
                let stored = read.map_err(|f| registry_halt(&f))?;
                self.after_reread(input, stored.map(|s| *s), span, crossed)
            }
            (at, _) => mismatch(&format!("{at:?}")),
        }
    }

    fn claimant(&self, input: &AttachInput) -> Claimant {
        Claimant {
            pod: input.pod.clone(),
            node: input.node.clone(),
            eni: self.bound.eni.id.clone(),
            run: input.run.clone(),
            floor: self.bound.floor,
        }
    }

    fn listed(&self) -> bool {
        self.bound.eni.listed.contains(&self.bound.stored.object.address)
    }

    fn decided(&self, input: &AttachInput) -> Take {
        decide::take(&self.bound.stored.object, &self.claimant(input), self.listed())
    }

    fn held(&self, input: &AttachInput, version: Version, span: Span) -> Acquired {
        let take = self.take.clone().unwrap_or_else(|| self.decided(input));
        Acquired {
            stored: Stored { version, object: take.record.clone() },
            before: self.bound.stored.object.clone(),
            eni: self.bound.eni.clone(),
            take,
            authorised: span.requested,
            taken: span.now,
            listed: self.listed() || self.bound.recently_assigned,
            recently_assigned: self.bound.recently_assigned,
            look_up: self.bound.look_up,
        }
    }

    fn check(&self, input: &AttachInput, pod: &PodView) -> Result<(), Halt> {
        match pod {
            PodView::Vouched => self.check_vouched(input),
            PodView::Absent => {
                Err(Halt::Superseded(format!("{} has no pod any more", input.member)))
            }
            PodView::Present { pod, .. } if *pod != input.pod => Err(Halt::Superseded(format!(
                "the live pod of {} is {pod}, not {}",
                input.member, input.pod
            ))),
            PodView::Present { node: Some(node), .. } if *node != input.node => {
                Err(Halt::Superseded(format!(
                    "pod {} runs on node {node}, not on {}",
                    input.pod, input.node
                )))
            }
            PodView::Present {
                lifecycle: PodLifecycle::Terminating(_) | PodLifecycle::Terminal,
                ..
            } => Err(Halt::Superseded(format!("pod {} is terminating", input.pod))),
            PodView::Present { controller, .. } => self.check_set(input, controller.as_ref()),
        }
    }

    /// A pod that only has the member's name is not the member.
    fn check_set(&self, input: &AttachInput, controller: Option<&Controller>) -> Result<(), Halt> {
        let Some(set) = &self.bound.set else { return Ok(()) };
        if decide::is_bound_to(set, &self.bound.stored.object, &input.pod, controller) {
            return Ok(());
        }
        let text = not_of_the_set(&input.member, set, &input.pod, controller);
        Err(Halt::Fail(Exit::ControllerMismatch, text))
    }

    /// File mode: the process that starts a member vouches for it, once, for the record that it
    /// read.
    fn check_vouched(&self, input: &AttachInput) -> Result<(), Halt> {
        let epoch = self.bound.stored.object.epoch;
        let ours = self.bound.stored.object.attachment.as_ref();
        let ours = ours.is_some_and(|a| a.run == input.run);
        if !ours && self.first_epoch.is_some_and(|first| epoch > first) {
            return Err(Halt::Superseded(format!(
                "{} took epoch {epoch} of {} after this process started",
                holder_text(&self.bound.stored.object),
                input.member
            )));
        }
        Ok(())
    }

    fn write_failed(&mut self, failure: &RegistryFailure) -> Halt {
        let unknown =
            failure.effect == Effect::Unknown && matches!(failure.kind, RegistryKind::Unavailable);
        if unknown {
            self.at = At::Reread;
            let text = failure.detail.clone();
            return Halt::Retry(timing::BACKOFF_BASE, Exit::RegistryUnavailable, text);
        }
        // After any other failure the machine decides again from a fresh read and pod check.
        match failure.kind {
            RegistryKind::Unavailable => Halt::Restart(failure.detail.clone()),
            RegistryKind::Conflict
            | RegistryKind::AlreadyExists
            | RegistryKind::NotFound
            | RegistryKind::Invalid
            | RegistryKind::Refused => registry_halt(failure),
        }
    }

    /// After a write whose answer was lost: the record says whether it was ours.
    fn after_reread(
        &mut self,
        input: &AttachInput,
        stored: Option<Stored<StaticIp>>,
        span: Span,
        crossed: &mut Option<Step>,
    ) -> Next<Acquired> {
        // Compare all of it: an earlier write of this run may have landed late, without the pending
        // mutation of this one.
        let taken =
            self.take.as_ref().map_or_else(|| self.decided(input).record, |t| t.record.clone());
        let ours = stored.filter(|stored| stored.object == taken);
        match ours {
            Some(stored) => {
                *crossed = Some(Step::Attach(AttachStep::EpochAcquired));
                let mut held = self.held(input, stored.version.clone(), span);
                held.stored = stored;
                Ok(Some(held))
            }
            None => Err(Halt::Restart("the write of the epoch did not take effect".to_owned())),
        }
    }
}
