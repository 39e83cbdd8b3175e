//! What the protocol's machines have in common: the interface to their runner, and the outcome.

use std::net::Ipv4Addr;

use crate::action::{Action, Reply};
use crate::contract::exit::Exit;
use crate::ids::{EniId, Epoch};
use crate::step::Step;
use crate::time::Moment;

/// A protocol machine: it names one action, receives the reply with its time, and names the next.
///
/// Guarantees: `action` changes nothing and returns the same action until `reply`. Every action is
/// safe to repeat after a crash. Assumptions: one reply per action; moments never go backwards.
pub trait Machine {
    /// The next action.
    fn action(&self) -> Action;

    /// Passes the reply to the action to the machine, with the time of the reply.
    fn reply(&mut self, reply: Reply, now: Moment);

    /// The step boundary that the last reply crossed, if it crossed one.
    fn crossed(&self) -> Option<Step>;

    /// The outcome, once the action is `Done`.
    fn outcome(&self) -> Option<&Outcome>;
}

/// How an attach succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Path {
    /// The address was on this ENI already: no EC2 mutation.
    SameNode,
    /// The address was assigned to this ENI.
    Moved,
}

/// A completed attach.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attached {
    /// The member's address.
    pub address: Ipv4Addr,
    /// The epoch of this run.
    pub epoch: Epoch,
    /// The ENI that carries it.
    pub eni: EniId,
    /// How it succeeded.
    pub path: Path,
    /// It waited for pending calls of others.
    pub barrier: bool,
    /// A predecessor still used the address at the end of its grace period.
    pub overlapped: bool,
}

/// What a release did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Release {
    /// Released; EC2 keeps the address on the ENI.
    Parked,
    /// Released and unassigned in EC2.
    Unassigned,
    /// Nothing to do: this pod does not hold the address (any more).
    NotHolder,
    /// Nothing done: the pod is not terminating, so this signal does not mean a release.
    NotEnding,
}

/// What an operation of the agent did, other than a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Maintenance {
    /// A superseded address was removed from this node's kernel.
    Withdrawn,
    /// EC2 assigned the address to the recorded ENI again.
    Reasserted,
    /// What another program removed is in this node's kernel again.
    Restored,
    /// What no record claims was removed from this node's kernel.
    Collected,
    /// A fresh read showed that there was nothing to do (any more).
    NothingToDo,
}

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Outcome {
    /// Attach: EC2, the kernel and the file agree, and the record says so.
    Attached(Attached),
    /// Release: done, or correctly not done.
    Released {
        /// What was done.
        release: Release,
        /// The address, if the member has one.
        address: Option<Ipv4Addr>,
        /// Sockets still used the address at the end of the drain time.
        cut_short: bool,
    },
    /// An operation of the agent: done, or correctly not done.
    Maintained {
        /// What was done.
        what: Maintenance,
        /// The address.
        address: Ipv4Addr,
    },
    /// It failed.
    Failed(Failure),
}

/// A failed attach, release or operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Failure {
    /// The cause, as an exit code.
    pub exit: Exit,
    /// What failed, on which object, and why.
    pub message: String,
    /// The address, if it was known.
    pub address: Option<Ipv4Addr>,
}

/// When an action was requested (no later than it was sent) and when its reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) requested: Moment,
    pub(crate) now: Moment,
}
