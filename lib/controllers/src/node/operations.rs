//! The running operations, and why the last ones failed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::agent::Operation;
use firecamp_core::contract::exit::Exit;
use firecamp_core::ids::{Member, PodUid};
use firecamp_core::machine::{Maintenance, Outcome, Release};
use firecamp_core::time::Moment;

use super::EndedOperation;
use super::backoff::Backoff;
use crate::publish::Notice;

/// The kind of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationKind {
    /// Removes a superseded holder from the kernel.
    Withdraw,
    /// Releases the address of a pod that is gone.
    Release,
    /// Assigns the address again in EC2.
    Reassert,
    /// Restores the address in the kernel.
    Restore,
    /// Removes an address without a record from the kernel.
    Collect,
    /// Unassigns a parked address.
    Evict,
}

impl OperationKind {
    /// All kinds, ordered by reporting priority.
    pub const ALL: [Self; 6] =
        [Self::Withdraw, Self::Release, Self::Reassert, Self::Restore, Self::Collect, Self::Evict];

    /// The kind of this operation.
    pub fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Withdraw { .. } => Self::Withdraw,
            Operation::Release { .. } => Self::Release,
            Operation::Reassert { .. } => Self::Reassert,
            Operation::Restore { .. } => Self::Restore,
            Operation::Collect { .. } => Self::Collect,
            Operation::Evict { .. } => Self::Evict,
        }
    }

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Withdraw => "Withdraw",
            Self::Release => "Release",
            Self::Reassert => "Reassert",
            Self::Restore => "Restore",
            Self::Collect => "Collect",
            Self::Evict => "Evict",
        }
    }
}

/// One operation runs per address and kind.
pub(super) type ExecutionKey = (Ipv4Addr, OperationKind);

/// Why the last operation of each kind of an address failed.
pub(super) type Failing = BTreeMap<ExecutionKey, (Exit, String)>;

/// A running operation.
#[derive(Debug)]
struct Running {
    operation: Operation,
    member: Member,
    begun: Moment,
}

impl Running {
    /// Whether `operation` must wait until this one ends. Withdraw and restore change only the
    /// kernel and do not wait for a re-assert, which waits for EC2. The re-assert is not cancelled
    /// for them: it would leave its pending mutation in the record and an EC2 call in flight.
    fn excludes(&self, operation: &Operation) -> bool {
        let local = |operation: &Operation| {
            matches!(operation, Operation::Withdraw { .. } | Operation::Restore { .. })
        };
        let reassert = |operation: &Operation| matches!(operation, Operation::Reassert { .. });
        let beside = |one: &Operation, other: &Operation| reassert(one) && local(other);
        !beside(&self.operation, operation) && !beside(operation, &self.operation)
    }
}

/// The operations of a node.
#[derive(Debug, Default)]
pub(super) struct Operations {
    running: BTreeMap<ExecutionKey, Running>,
    /// Operations that did not succeed, and the pod that each was about.
    backoffs: BTreeMap<ExecutionKey, (Option<PodUid>, Backoff)>,
    failing: Failing,
}

impl Operations {
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    pub(super) fn failing(&self) -> &Failing {
        &self.failing
    }

    /// Whether an operation of this kind runs or backs off.
    pub(super) fn is_unfinished(&self, execution: ExecutionKey, now: Moment) -> bool {
        let last = self.backoffs.get(&execution);
        self.running.contains_key(&execution)
            || last.is_some_and(|(_, backoff)| !backoff.is_over(now))
    }

    /// A release does not wait for what a release of an earlier pod met.
    fn is_backing_off(&self, operation: &Operation, address: Ipv4Addr, now: Moment) -> bool {
        let last = self.backoffs.get(&(address, OperationKind::of(operation)));
        last.is_some_and(|(of, backoff)| of.as_ref() == pod(operation) && !backoff.is_over(now))
    }

    /// Whether the operation must wait. One runs per address at a time, except that a re-assert may
    /// run beside an operation on the kernel.
    pub(super) fn must_wait(&self, operation: &Operation, address: Ipv4Addr, now: Moment) -> bool {
        let kinds = OperationKind::ALL.iter();
        let mut running = kinds.filter_map(|kind| self.running.get(&(address, *kind)));
        self.is_backing_off(operation, address, now)
            || running.any(|running| running.excludes(operation))
    }

    /// An operation starts; `begun` is when its cause was observed.
    pub(super) fn started(
        &mut self,
        operation: Operation,
        address: Ipv4Addr,
        member: Member,
        begun: Moment,
    ) {
        let key = (address, OperationKind::of(&operation));
        self.running.insert(key, Running { operation, member, begun });
    }

    /// An operation has ended. None if it is not known.
    pub(super) fn ended(
        &mut self,
        key: ExecutionKey,
        outcome: Option<Outcome>,
        now: Moment,
    ) -> Option<EndedOperation> {
        let Running { operation, member, begun } = self.running.remove(&key)?;
        let last = self.backoffs.remove(&key).filter(|(of, _)| of.as_ref() == pod(&operation));
        if !has_mended(outcome.as_ref()) {
            let backoff = Backoff::after(last.map(|(_, last)| last), outcome.as_ref(), now);
            self.backoffs.insert(key, (pod(&operation).cloned(), backoff));
        }
        self.failing.remove(&key);
        if let Some(Outcome::Failed(why)) = &outcome {
            self.failing.insert(key, (why.exit, why.message.clone()));
        }
        let took = now.since(begun);
        Some(EndedOperation { operation, address: key.0, member, outcome, took })
    }

    /// Whether an operation of this kind runs.
    pub(super) fn runs(&self, kind: OperationKind) -> bool {
        self.running.keys().any(|(_, running)| *running == kind)
    }

    /// Forgets the failures of operations that are no longer due.
    pub(super) fn retain_failures(&mut self, is_due: impl Fn(&ExecutionKey) -> bool) {
        self.failing.retain(|execution, _| is_due(execution));
    }

    /// Forgets the backoffs that are over.
    pub(super) fn forget_backoffs(&mut self, now: Moment) {
        self.backoffs.retain(|_, (_, backoff)| !backoff.is_over(now));
    }
}

/// The pod whose address is released or evicted.
fn pod(operation: &Operation) -> Option<&PodUid> {
    match operation {
        Operation::Release { pod, .. } | Operation::Evict { pod, .. } => Some(pod),
        Operation::Withdraw { .. }
        | Operation::Reassert { .. }
        | Operation::Restore { .. }
        | Operation::Collect { .. } => None,
    }
}

/// The keys of these operations.
pub(super) fn keys(
    operations: &[Operation],
    address: impl Fn(&Operation) -> Option<Ipv4Addr>,
) -> BTreeSet<ExecutionKey> {
    let key = |operation| Some((address(operation)?, OperationKind::of(operation)));
    operations.iter().filter_map(key).collect()
}

/// Whether an operation repaired or released something. Without an outcome it was interrupted.
fn has_mended(outcome: Option<&Outcome>) -> bool {
    match outcome {
        Some(Outcome::Maintained { what, .. }) => *what != Maintenance::NothingToDo,
        // NotEnding, NotHolder: the observation was stale.
        Some(Outcome::Released { release, .. }) => match release {
            Release::Parked | Release::Unassigned => true,
            Release::NotEnding | Release::NotHolder => false,
        },
        Some(Outcome::Attached(_)) => true,
        Some(Outcome::Failed(_)) | None => false,
    }
}

/// The notice of a successful operation.
pub(super) fn notice(ended: &EndedOperation) -> Option<Notice> {
    let notice = match &ended.operation {
        Operation::Restore { .. } => Notice::Restored(ended.address),
        Operation::Reassert { .. } => Notice::Reasserted(ended.address),
        Operation::Release { .. } => Notice::Released(ended.address),
        Operation::Evict { .. } => Notice::Evicted(ended.address),
        Operation::Withdraw { .. } | Operation::Collect { .. } => return None,
    };
    has_mended(ended.outcome.as_ref()).then_some(notice)
}
