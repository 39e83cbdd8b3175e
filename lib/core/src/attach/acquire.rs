//! Second part of attach: checks that this pod is the live one and acquires the next epoch by
//! compare-and-swap. The order is the safety argument: the record was read first, then the pod is
//! checked, then the write names the version that was read. A conflict starts again at the read.

use super::AttachInput;
use super::bind::Bound;
use super::messages::{holder_text, not_of_the_set};
use crate::action::{Action, Reply, Step};
use crate::canonical::Canonical;
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::decide::{self, Claimant, Take};
use crate::failure::{Effect, RegistryFailure, RegistryKind};
use crate::ids::{Epoch, Version};
use crate::machine::{Halt, Next, Span, mismatch, registry_halt};
use crate::node::Eni;
use crate::ports::{Controller, PodLifecycle, PodView};
use crate::record::{StaticIp, Stored, Write};
use crate::time::Moment;

/// An epoch that this run acquired.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Acquired {
    /// The record as we wrote or last read it.
    pub(super) stored: Stored<StaticIp>,
    /// The record as it was before the take.
    pub(super) before: StaticIp,
    pub(super) eni: Eni,
    pub(super) take: Take,
    /// A moment before the request was sent that last confirmed our epoch.
    pub(super) authorised: Moment,
    /// When the answer to the write of the epoch came.
    pub(super) taken: Moment,
    /// IMDS listed the address on this ENI before any call of ours, or may still list it for an
    /// earlier call: a listed address proves nothing.
    pub(super) listed: bool,
    /// This node sent an Assign for it so recently that IMDS may still report its effect.
    pub(super) recently_assigned: bool,
    /// When the owner look-up was started, if it was.
    pub(super) begun: Option<Moment>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum At {
    Pod,
    Write,
    Reread,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Acquire {
    at: At,
    bound: Bound,
    take: Option<Take>,
    /// The epoch of the first read of this process; in file mode it takes over no other.
    first_epoch: Option<Epoch>,
}

impl Acquired {
    pub(super) fn canonical(&mut self, canon: Canonical) {
        canon.age([&mut self.authorised], timing::CALL_BOUND);
        canon.age([&mut self.taken], timing::CALL_BOUND);
        self.begun = None;
        if self.before.pending_mutations.is_empty() {
            Canonical::forget([&mut self.taken]);
        }
    }
}

impl Acquire {
    pub(super) fn canonical(&mut self, canon: Canonical) {
        self.bound.canonical(canon);
    }

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
                *crossed = Some(Step::Attach(2));
                self.take = Some(self.decided(input));
                self.at = At::Write;
                Ok(None)
            }
            (At::Write, Reply::Written(Ok(version))) => {
                *crossed = Some(Step::Attach(7));
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
            begun: self.bound.begun,
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
                *crossed = Some(Step::Attach(7));
                let mut held = self.held(input, stored.version.clone(), span);
                held.stored = stored;
                Ok(Some(held))
            }
            None => Err(Halt::Restart("the write of the epoch did not take effect".to_owned())),
        }
    }
}

/// The fresh record, if this run still holds it.
pub(super) fn still_ours(
    held: &Acquired,
    input: &AttachInput,
    stored: Option<Stored<StaticIp>>,
) -> Result<Stored<StaticIp>, Halt> {
    let address = held.stored.object.address;
    let Some(stored) = stored else {
        let text = format!("StaticIP {address} does not exist any more");
        return Err(Halt::Fail(Exit::RegistryInvalid, text));
    };
    // An agent that found the pod gone may have parked the very epoch of this run.
    let ours = stored.object.held_by(&input.pod, held.stored.object.epoch)
        && stored.object.attachment.as_ref().is_some_and(|a| a.run == input.run);
    if ours {
        return Ok(stored);
    }
    let (epoch, held) = (stored.object.epoch, held.stored.object.epoch);
    if epoch == held {
        let text = format!("epoch {held} of {address} was released for pod {}", input.pod);
        return Err(Halt::Superseded(text));
    }
    let holder = holder_text(&stored.object);
    Err(Halt::Superseded(format!("{holder} took epoch {epoch} of {address}; this run held {held}")))
}
