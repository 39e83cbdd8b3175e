//! Replies to every action, mostly successful, and the checks of each action's preconditions.

use std::collections::BTreeSet;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::contract::timing;
use firecamp_core::failure::{
    Effect, FileFailure, HostFailure, HostKind, RegistryFailure, RegistryKind,
};
use firecamp_core::ids::{Epoch, RunId};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::ports::{Holder, KernelView, Owner, PodView, SocketUse};
use firecamp_core::record::{MemberRecords, State, Stored, Write};
use firecamp_core::time::Moment;

use super::fixture::{ADDRESS, ChaosSystems, eni_id, node, parsed, pool};

impl ChaosSystems {
    pub(crate) fn holds(&self) -> bool {
        let run: RunId = parsed("run-now");
        if self.execution {
            return self.record.as_ref().is_some_and(|r| r.has_pending_by(&run));
        }
        self.record.as_ref().and_then(|r| r.attachment.as_ref()).is_some_and(|a| a.run == run)
    }

    /// Replies to an action, mostly with success, and checks that it may be requested.
    pub(crate) fn answer(&mut self, action: &Action) -> Reply {
        self.meddle();
        let asked = self.now;
        let took = Duration::from_millis(u64::from(self.choices.pick(&[0_u16, 1, 20, 400, 3_500])));
        self.check(action);
        let well = !self.choices.one_in(6);
        let reply = if well { self.well(action, asked) } else { self.ill(action) };
        self.now = self.now.plus(took);
        reply
    }

    pub(crate) fn check(&mut self, action: &Action) {
        if let Action::Assign { eni, force, not_after, .. } = action {
            assert_eq!(*eni, eni_id(1), "assigned to a foreign ENI");
            let authority = self.authority.expect("an Assign without any authority");
            let last = authority.plus(timing::CALL_BOUND);
            assert!(*not_after <= last, "an Assign may land after T");
            assert!(!self.used, "a repeat under an authority that was used");
            self.used = true;
            if *force {
                let seen = self.owner.clone().expect("force without a look-up");
                let Owner::Eni(holder) = seen else { unreachable!("force without an owner") };
                assert!(!holder.primary, "force against a primary address");
                let tagged = holder.cluster.as_deref() == Some("test");
                let recorded = [eni_id(1), eni_id(2), eni_id(7), eni_id(9)].contains(&holder.id);
                assert!(tagged || recorded, "force against {holder:?}");
            }
        }
        if let Action::AddAddress(..) = action {
            assert!(self.authority.is_some(), "a kernel write without an epoch of its own");
        }
        self.writes += u32::from(matches!(action, Action::Write(_)));
        if let Action::StageFile(_) = action {
            assert!(self.observed, "the file before the kernel was read back");
        }
        if let Action::RemoveAddress(..) = action {
            assert!(self.released || self.authority.is_some(), "a removal without a check");
        }
    }

    pub(crate) fn ill(&mut self, action: &Action) -> Reply {
        let host = HostFailure {
            kind: self.choices.pick(&[
                HostKind::Busy,
                HostKind::NoLink,
                HostKind::Superseded,
                HostKind::Refused,
            ]),
            detail: "chaos".to_owned(),
        };
        match action {
            Action::ReadMember => Reply::Member(Err(self.registry_failure())),
            Action::ReadRecord(_) => Reply::Record(Err(self.registry_failure())),
            Action::ReadPod => Reply::Pod(Err(self.registry_failure())),
            Action::ReadAllocated(_) => Reply::Allocated(Err(self.registry_failure())),
            Action::Write(_) => {
                let failure = self.registry_failure();
                Reply::Written(Err(failure))
            }
            Action::ReadIdentity => Reply::Identity(Err(self.cloud_failure())),
            Action::ReadListed(_) => Reply::Listed(Err(self.cloud_failure())),
            Action::AwaitOwner | Action::ReadOwner(..) => Reply::Owner(Err(self.cloud_failure())),
            Action::Assign { .. } => {
                let failure = self.cloud_failure();
                self.here = failure.effect == Effect::Unknown && self.choices.one_in(2);
                Reply::Cloud(Err(failure))
            }
            Action::Unassign { .. } => Reply::Cloud(Err(self.cloud_failure())),
            Action::ProbeFile | Action::StageFile(_) | Action::PublishFile | Action::SyncFile => {
                Reply::File(Err(FileFailure { detail: "chaos".to_owned() }))
            }
            Action::AddAddress(..)
            | Action::AddRouting(..)
            | Action::NoteAssign(_)
            | Action::RemoveAddress(..)
            | Action::RemoveRouting(..) => Reply::Host(Err(host)),
            Action::Observe(_) => Reply::Observed(Err(host)),
            Action::ReadSockets(_) => Reply::Sockets(Err(host)),
            Action::BeginOwner(..) => Reply::Begun,
            Action::Wait(delay) => self.wait(delay.longest()),
            Action::AwaitStop => Reply::Stopping,
            Action::Done => Reply::Waited,
        }
    }

    pub(crate) fn wait(&mut self, length: Duration) -> Reply {
        self.now = self.now.plus(length.max(Duration::from_millis(1)));
        Reply::Waited
    }

    pub(crate) fn well(&mut self, action: &Action, asked: Moment) -> Reply {
        match action {
            Action::ReadMember => Reply::Member(Ok(Box::new(MemberRecords {
                claim: self.claim.clone().map(|object| Stored { version: parsed("1"), object }),
                static_ip: self.stored(),
                pool: Some(pool()),
            }))),
            Action::ReadRecord(_) => {
                if self.holds() {
                    (self.authority, self.used) = (Some(asked), false);
                }
                self.released = true;
                Reply::Record(Ok(self.stored().map(Box::new)))
            }
            Action::ReadPod => Reply::Pod(Ok(PodView::Vouched)),
            Action::ReadAllocated(_) => Reply::Allocated(Ok(BTreeSet::new())),
            Action::Write(write) => self.write(write, asked),
            Action::ReadIdentity => {
                let listed = self.choices.one_in(3);
                Reply::Identity(Ok(node(listed)))
            }
            Action::ReadListed(_) => {
                let listed = self.here && !self.choices.one_in(3);
                Reply::Listed(Ok(listed.then_some(ADDRESS).into_iter().collect()))
            }
            Action::AwaitOwner | Action::ReadOwner(..) => {
                let seen = self.owner();
                self.owner = Some(seen.clone());
                Reply::Owner(Ok(seen))
            }
            Action::Assign { .. } => {
                (self.assigned, self.here) = (true, true);
                Reply::Cloud(Ok(()))
            }
            Action::Unassign { .. } => Reply::Cloud(Ok(())),
            Action::ProbeFile | Action::StageFile(_) | Action::PublishFile | Action::SyncFile => {
                Reply::File(Ok(self.choices.one_in(2)))
            }
            Action::AddAddress(..)
            | Action::AddRouting(..)
            | Action::NoteAssign(_)
            | Action::RemoveAddress(..)
            | Action::RemoveRouting(..) => Reply::Host(Ok(true)),
            Action::Observe(_) => Reply::Observed(Ok(self.view())),
            Action::ReadSockets(_) => {
                let connections = u32::from(self.choices.one_in(3));
                Reply::Sockets(Ok(SocketUse { connections, ..SocketUse::default() }))
            }
            Action::BeginOwner(..) | Action::Wait(_) | Action::AwaitStop | Action::Done => {
                self.ill(action)
            }
        }
    }

    pub(crate) fn view(&mut self) -> KernelView {
        self.observed = !self.choices.one_in(5);
        KernelView {
            link: Some("ens5".to_owned()),
            link_up: true,
            address: self.observed,
            tagged: true,
            routing: true,
            recorded: self.choices.one_in(4).then(|| LockRecord {
                holder: Holder { pod: parsed("mine"), epoch: Epoch(5) },
                hold: Hold::Released,
            }),
            assigned: self.choices.one_in(4).then(|| Duration::from_secs(20)),
        }
    }

    /// A compare-and-swap that fails if the version is old, and may lose its answer.
    pub(crate) fn write(&mut self, write: &Write, asked: Moment) -> Reply {
        let conflict = |kind| {
            let (effect, detail) = (Effect::None, "chaos".to_owned());
            Reply::Written(Err(RegistryFailure { kind, effect, detail }))
        };
        match write {
            Write::CreateClaim(new) => self.claim = Some(new.clone()),
            Write::UpdateClaim(new) => self.claim = Some(new.object.clone()),
            Write::CreateStaticIp(_) if self.record.is_some() => {
                return conflict(RegistryKind::AlreadyExists);
            }
            Write::CreateStaticIp(new) => self.record = Some(new.clone()),
            Write::UpdateStaticIp(new) => {
                if new.version != self.version() {
                    return conflict(RegistryKind::Conflict);
                }
                let before = self.record.as_ref().map_or(Epoch(0), |r| r.epoch);
                assert!(new.object.epoch >= before, "an epoch shrinks");
                self.completed = new.object.attachment.as_ref().is_some_and(|a| {
                    a.state == State::Attached && a.run == parsed::<RunId>("run-now")
                });
                self.record = Some(new.object.clone());
            }
        }
        self.version += 1;
        if self.holds() {
            (self.authority, self.used) = (Some(asked), false);
        }
        if self.choices.one_in(8) {
            let (kind, effect) = (RegistryKind::Unavailable, Effect::Unknown);
            let detail = "the answer is lost".to_owned();
            return Reply::Written(Err(RegistryFailure { kind, effect, detail }));
        }
        Reply::Written(Ok(self.version()))
    }
}
