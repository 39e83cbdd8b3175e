//! Last part of attach: the kernel, the file, a terminating predecessor, and the compare-and-swap
//! that completes the attach.

use super::held::{Assigned, still_ours};
use super::input::AttachInput;
use super::undo::Undo;
use crate::action::{Action, Reply};
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::decide;
use crate::failure::{Effect, HostFailure, RegistryFailure, RegistryKind};
use crate::machine::{Attached, Failure, Span};
use crate::ports::{Holder, KernelTarget, KernelView, SocketScope, SocketUse};
use crate::record::{State, StaticIp, Stored, Write};
use crate::retry_or_fail::{Halt, Next, link_halt, mismatch, registry_halt};
use crate::step::{AttachStep, Step};
use crate::time::Moment;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum At {
    Fresh,
    Address,
    Routing,
    Verify,
    Stage,
    Publish,
    Sync,
    Predecessor,
    Complete,
    Reread,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Complete {
    at: At,
    moved: Assigned,
    in_kernel: bool,
    begun: Moment,
    overlapped: bool,
}

impl Complete {
    pub(super) fn new(moved: Assigned, now: Moment) -> Self {
        // The kernel write, too, requires a registry check that is less than T old.
        let recent = now.since(moved.held.authorised) < timing::CALL_BOUND;
        let at = if recent { At::Address } else { At::Fresh };
        Self { at, moved, in_kernel: false, begun: now, overlapped: false }
    }

    fn record(&self) -> &StaticIp {
        &self.moved.held.stored.object
    }

    fn holder(&self, input: &AttachInput) -> Holder {
        Holder { pod: input.pod.clone(), epoch: self.record().epoch }
    }

    pub(super) fn action(&self, input: &AttachInput) -> Action {
        let address = self.record().address;
        let target = KernelTarget::on(address, &self.moved.held.eni);
        match self.at {
            At::Fresh | At::Reread => Action::ReadRecord(address),
            At::Address => Action::AddAddress(target, self.holder(input)),
            At::Routing => Action::AddRouting(target, self.holder(input)),
            At::Verify => Action::Observe(target),
            At::Stage => Action::StageFile(address),
            At::Publish => Action::PublishFile,
            At::Sync => Action::SyncFile,
            At::Predecessor => Action::ReadSockets(address),
            At::Complete => Action::Write(Box::new(Write::UpdateStaticIp(Stored {
                version: self.moved.held.stored.version.clone(),
                object: self.completed(input),
            }))),
        }
    }

    pub(super) fn reply(
        &mut self,
        input: &AttachInput,
        reply: Reply,
        span: Span,
        crossed: &mut Option<Step>,
    ) -> Next<Attached> {
        match (self.at, reply) {
            (At::Fresh, Reply::Record(read)) => {
                let stored = read.map_err(|f| registry_halt(&f))?.map(|s| *s);
                self.moved.held.stored = still_ours(&self.moved.held, input, stored)?;
                self.at = At::Address;
                Ok(None)
            }
            (At::Address | At::Routing, Reply::Host(done)) => {
                // An add that failed may still have taken effect.
                self.in_kernel = true;
                done.map_err(|f| self.again(f))?;
                self.after_kernel(crossed);
                Ok(None)
            }
            (At::Verify, Reply::Observed(observed)) => {
                let view = observed.map_err(|f| self.again(f))?;
                self.after_verify(&view, crossed)
            }
            (At::Stage | At::Publish | At::Sync, Reply::File(done)) => {
                let changed = done.map_err(|f| Halt::Fail(Exit::DiskRefused, f.detail))?;
                self.after_file(changed, crossed, span.now)
            }
            (At::Predecessor, Reply::Sockets(observed)) => {
                let used = observed.map_err(|f| link_halt(f.kind, f.detail))?;
                self.after_sockets(input, used, span.now)
            }
            (At::Complete, Reply::Written(Ok(_version))) => {
                *crossed = Some(Step::Attach(AttachStep::AttachRecorded));
                Ok(Some(self.attached()))
            }
            (At::Complete, Reply::Written(Err(failure))) => Err(self.write_failed(&failure)),
            (At::Reread, Reply::Record(read)) => {
                let stored = read.map_err(|f| registry_halt(&f))?.map(|s| *s);
                self.after_reread(input, stored, crossed)
            }
            (at, _) => mismatch(&format!("{at:?}")),
        }
    }

    /// Before the kernel operation is retried, the record is read again.
    fn again(&mut self, failure: HostFailure) -> Halt {
        self.at = At::Fresh;
        link_halt(failure.kind, failure.detail)
    }

    fn after_kernel(&mut self, crossed: &mut Option<Step>) {
        if self.at == At::Address {
            *crossed = Some(Step::Attach(AttachStep::AddressAdded));
            self.at = At::Routing;
        } else {
            *crossed = Some(Step::Attach(AttachStep::RoutingAdded));
            self.at = At::Verify;
        }
    }

    fn after_verify(&mut self, view: &KernelView, crossed: &mut Option<Step>) -> Next<Attached> {
        if view.link_up && view.address && view.routing {
            *crossed = Some(Step::Attach(AttachStep::KernelVerified));
            self.at = At::Stage;
            return Ok(None);
        }
        self.at = At::Fresh;
        let text = format!(
            "the kernel is missing what was just added for {} (link up: {}, address: {}, routing: \
             {}): another program on this node removes it",
            self.record().address,
            view.link_up,
            view.address,
            view.routing
        );
        Err(Halt::Retry(timing::BACKOFF_BASE, Exit::KernelRefused, text))
    }

    fn after_file(
        &mut self,
        changed: bool,
        crossed: &mut Option<Step>,
        now: Moment,
    ) -> Next<Attached> {
        match self.at {
            At::Stage => {
                *crossed = Some(Step::Attach(AttachStep::FileStaged));
                self.at = if changed { At::Publish } else { At::Sync };
                Ok(None)
            }
            At::Publish => {
                *crossed = Some(Step::Attach(AttachStep::FilePublished));
                self.at = At::Sync;
                Ok(None)
            }
            At::Sync => {
                *crossed = Some(Step::Attach(AttachStep::FileDurable));
                self.begun = now;
                if self.moved.held.take.await_predecessor {
                    self.at = At::Predecessor;
                    return Ok(None);
                }
                self.approach_completion(now)
            }
            At::Fresh
            | At::Address
            | At::Routing
            | At::Verify
            | At::Predecessor
            | At::Complete
            | At::Reread => mismatch("file"),
        }
    }

    fn after_sockets(
        &mut self,
        input: &AttachInput,
        used: SocketUse,
        now: Moment,
    ) -> Next<Attached> {
        let spent = now.since(self.begun);
        if used.idle(SocketScope::All) {
            return self.approach_completion(now);
        }
        if spent >= input.predecessor_grace {
            self.overlapped = true;
            return self.approach_completion(now);
        }
        Err(Halt::Pause(
            timing::SOCKET_POLL.min(input.predecessor_grace.saturating_sub(spent)),
            format!("a predecessor on this node to stop using {} ({used})", self.record().address),
        ))
    }

    /// Completion clears our pending mutation and those that we found, so none of their calls may
    /// still take effect after it. It waits only after a crash or a lost answer.
    fn approach_completion(&mut self, now: Moment) -> Next<Attached> {
        self.at = At::Complete;
        let held = &self.moved.held;
        let pending = !held.before.pending_mutations.is_empty();
        let found = pending.then(|| held.taken.plus(timing::CALL_BOUND));
        match self.moved.unanswered.max(found) {
            Some(bound) if bound > now => {
                let text = "unanswered EC2 calls to expire".to_owned();
                Err(Halt::Pause(bound.since(now), text))
            }
            Some(_) | None => Ok(None),
        }
    }

    fn completed(&self, input: &AttachInput) -> StaticIp {
        let held = &self.moved.held;
        decide::completed(&held.stored.object, &held.before, &held.eni.id, &input.run)
    }

    fn write_failed(&mut self, failure: &RegistryFailure) -> Halt {
        match failure.kind {
            RegistryKind::Conflict => {}
            RegistryKind::Unavailable if failure.effect == Effect::Unknown => {}
            RegistryKind::Unavailable
            | RegistryKind::AlreadyExists
            | RegistryKind::NotFound
            | RegistryKind::Invalid
            | RegistryKind::Refused => return registry_halt(failure),
        }
        self.at = At::Reread;
        Halt::Retry(timing::BACKOFF_BASE, Exit::RegistryUnavailable, failure.detail.clone())
    }

    fn after_reread(
        &mut self,
        input: &AttachInput,
        stored: Option<Stored<StaticIp>>,
        crossed: &mut Option<Step>,
    ) -> Next<Attached> {
        let stored = still_ours(&self.moved.held, input, stored)?;
        if stored.object.attachment.as_ref().is_some_and(|a| a.state == State::Attached) {
            *crossed = Some(Step::Attach(AttachStep::AttachRecorded));
            return Ok(Some(self.attached()));
        }
        self.moved.held.stored = stored;
        self.at = At::Complete;
        Ok(None)
    }

    fn attached(&self) -> Attached {
        Attached {
            address: self.record().address,
            epoch: self.record().epoch,
            eni: self.moved.held.eni.id.clone(),
            path: self.moved.path,
            barrier: self.moved.held.take.barrier,
            overlapped: self.overlapped,
        }
    }

    /// Removes what a superseded process added to the kernel for its own epoch.
    pub(super) fn cleanup(&self, input: &AttachInput, failure: Failure) -> Option<Undo> {
        self.in_kernel.then(|| Undo::kernel(self.record().address, self.holder(input), failure))
    }
}
