//! Second part of attach: is this pod the live one, and the compare-and-swap that takes the next
//! epoch. Order is the safety argument: the record was read first, then the pod is checked, then
//! the write names the version that was read. A conflict starts again at the read.

use super::AttachInput;
use super::bind::Bound;
use super::texts::{holder_text, not_of_the_set};
use crate::action::{Action, Reply, Step};
use crate::bug::{Bug, planted};
use crate::canonical::Canonical;
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::decide::{self, Take, Taker};
use crate::failure::{Effect, RegistryFailure, RegistryKind};
use crate::ids::{Epoch, Version};
use crate::machine::{Halt, Span, Turn, mismatch, registry_halt};
use crate::node::Eni;
use crate::outside::{Controller, Life, PodView};
use crate::record::{StaticIp, Stored, Write};
use crate::time::Moment;

/// An epoch of our own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Held {
    /// The record as we wrote or last read it.
    pub(super) stored: Stored<StaticIp>,
    /// The record as it was before the take.
    pub(super) before: StaticIp,
    pub(super) eni: Eni,
    pub(super) take: Take,
    /// Just before the request that last confirmed our epoch was sent.
    pub(super) authorised: Moment,
    /// When the answer to the take came.
    pub(super) taken: Moment,
    /// IMDS listed the address on this ENI before any call of ours, or may yet list it for an
    /// earlier one: presence proves nothing.
    pub(super) listed: bool,
    /// An Assign for it was sent from this node so lately that IMDS may yet tell of that one.
    pub(super) lately: bool,
    /// When the owner look-up was begun, if it was.
    pub(super) begun: Option<Moment>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum At {
    Pod,
    Write,
    Reread,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Hold {
    at: At,
    bound: Bound,
    take: Option<Take>,
    /// The epoch of the record that this process read first; file mode takes over no other.
    first_epoch: Option<Epoch>,
}

impl Held {
    pub(super) fn canonical(&mut self, canon: Canonical) {
        canon.age([&mut self.authorised], timing::CALL_BOUND);
        canon.age([&mut self.taken], timing::CALL_BOUND);
        self.begun = None;
        if self.before.unsettled.is_empty() {
            Canonical::forget([&mut self.taken]);
        }
    }
}

impl Hold {
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
    ) -> Turn<Held> {
        match (&self.at, reply) {
            (At::Pod, Reply::Pod(read)) => {
                let pod = read.map_err(|f| registry_halt(&f))?;
                self.check(input, &pod)?;
                *crossed = Some(Step::Attach(2));
                if planted(Bug::PodCheckFirst) {
                    self.at = At::Reread;
                    return Ok(None);
                }
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

    fn taker(&self, input: &AttachInput) -> Taker {
        Taker {
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
        decide::take(&self.bound.stored.object, &self.taker(input), self.listed())
    }

    fn held(&self, input: &AttachInput, version: Version, span: Span) -> Held {
        let take = self.take.clone().unwrap_or_else(|| self.decided(input));
        Held {
            stored: Stored { version, object: take.record.clone() },
            before: self.bound.stored.object.clone(),
            eni: self.bound.eni.clone(),
            take,
            authorised: span.asked,
            taken: span.now,
            listed: self.listed() || self.bound.lately,
            lately: self.bound.lately,
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
            PodView::Present { life: Life::Terminating(_) | Life::Terminal, .. } => {
                Err(Halt::Superseded(format!("pod {} is ending", input.pod)))
            }
            PodView::Present { controller, .. } => self.check_set(input, controller.as_ref()),
        }
    }

    /// Whoever has the member's name in its namespace is not the member yet.
    fn check_set(&self, input: &AttachInput, controller: Option<&Controller>) -> Result<(), Halt> {
        let Some(set) = &self.bound.set else { return Ok(()) };
        if decide::is_bound_to(set, &self.bound.stored.object, &input.pod, controller) {
            return Ok(());
        }
        let text = not_of_the_set(&input.member, set, &input.pod, controller);
        Err(Halt::Fail(Exit::ControllerMismatch, text))
    }

    /// File mode: who starts a member vouches for it, once, over the record read at the start.
    fn check_vouched(&self, input: &AttachInput) -> Result<(), Halt> {
        let epoch = self.bound.stored.object.epoch;
        let ours = self.bound.stored.object.attachment.as_ref();
        let ours = ours.is_some_and(|a| a.run == input.run);
        if !ours && self.first_epoch.is_some_and(|first| epoch > first) {
            return Err(Halt::Superseded(format!(
                "{} took epoch {epoch} of {} after this process began",
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
        // Any other failure decides anew from a fresh read, pod check included.
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
    ) -> Turn<Held> {
        if let (true, None, Some(stored)) = (planted(Bug::PodCheckFirst), &self.take, &stored) {
            self.bound.stored = stored.clone();
            self.take = Some(self.decided(input));
            self.at = At::Write;
            return Ok(None);
        }
        // All of it: an earlier take of this run may have landed late, without this one's mark.
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
            None => Err(Halt::Restart("the take did not stand".to_owned())),
        }
    }
}

/// The fresh record, if this run still holds it.
pub(super) fn still_ours(
    held: &Held,
    input: &AttachInput,
    stored: Option<Stored<StaticIp>>,
) -> Result<Stored<StaticIp>, Halt> {
    let address = held.stored.object.address;
    let Some(stored) = stored else {
        let text = format!("StaticIP {address} is gone from the registry");
        return Err(Halt::Fail(Exit::RegistryInvalid, text));
    };
    // An agent that found the pod gone may have parked the very epoch of this run.
    let ours = stored.object.held_by(&input.pod, held.stored.object.epoch)
        && stored.object.attachment.as_ref().is_some_and(|a| {
            a.run == input.run || (planted(Bug::UidForEpoch) && a.pod == input.pod)
        });
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
