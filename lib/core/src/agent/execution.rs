//! An operation in progress.

use super::reassert::Reassert;
use super::restore_and_collect::Upkeep;
use super::withdraw::Withdraw;
use super::{Operation, PATIENCE};
use crate::action::{Action, Reply};
use crate::contract::timing;
use crate::ids::{ClusterName, Member, PodUid, RunId};
use crate::machine::{Machine, Outcome};
use crate::ports::SocketScope;
use crate::release::{Release, ReleaseInput, Releaser};
use crate::step::Step;
use crate::time::Moment;

/// The machine of one operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Execution {
    /// A withdrawal.
    Withdraw(Box<Withdraw>),
    /// A release or an eviction.
    Release(Box<Release>),
    /// A re-assert.
    Reassert(Box<Reassert>),
    /// A restore or a collection.
    Upkeep(Box<Upkeep>),
}

impl Execution {
    /// Starts an operation now. `run` is random and was never used before.
    pub fn new(operation: &Operation, cluster: &ClusterName, run: RunId, now: Moment) -> Self {
        match operation {
            Operation::Withdraw { address, holder } => {
                Self::Withdraw(Box::new(Withdraw::new(*address, holder.clone(), now)))
            }
            Operation::Release { member, pod, by } => {
                Self::Release(Box::new(Release::new(input((member, pod), *by, run), now)))
            }
            Operation::Evict { member, pod, .. } => {
                let input = input((member, pod), Releaser::Evictor, run);
                Self::Release(Box::new(Release::new(input, now)))
            }
            Operation::Reassert { address, epoch, eni } => {
                let what = (*address, *epoch, eni.clone());
                Self::Reassert(Box::new(Reassert::new(what, cluster.clone(), run, now)))
            }
            Operation::Restore { target, holder } => {
                Self::Upkeep(Box::new(Upkeep::restore(target.clone(), holder.clone(), now)))
            }
            Operation::Collect { address, holder } => {
                Self::Upkeep(Box::new(Upkeep::collect(*address, holder.clone(), now)))
            }
        }
    }
}

/// The input of a release by an agent.
fn input((member, pod): (&Member, &PodUid), by: Releaser, run: RunId) -> ReleaseInput {
    ReleaseInput {
        member: member.clone(),
        pod: pod.clone(),
        run,
        unassign: by == Releaser::Evictor,
        await_stop: false,
        by,
        scope: SocketScope::All,
        drain: timing::DRAIN,
        grace: PATIENCE,
    }
}

impl Machine for Execution {
    fn action(&self) -> Action {
        match self {
            Self::Withdraw(it) => it.action(),
            Self::Release(it) => it.action(),
            Self::Reassert(it) => it.action(),
            Self::Upkeep(it) => it.action(),
        }
    }

    fn reply(&mut self, reply: Reply, now: Moment) {
        match self {
            Self::Withdraw(it) => it.reply(reply, now),
            Self::Release(it) => it.reply(reply, now),
            Self::Reassert(it) => it.reply(reply, now),
            Self::Upkeep(it) => it.reply(reply, now),
        }
    }

    fn crossed(&self) -> Option<Step> {
        match self {
            Self::Withdraw(it) => it.crossed(),
            Self::Release(it) => it.crossed(),
            Self::Reassert(it) => it.crossed(),
            Self::Upkeep(it) => it.crossed(),
        }
    }

    fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Withdraw(it) => it.outcome(),
            Self::Release(it) => it.outcome(),
            Self::Reassert(it) => it.outcome(),
            Self::Upkeep(it) => it.outcome(),
        }
    }
}
