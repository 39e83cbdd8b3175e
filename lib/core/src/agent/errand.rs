//! A duty under way.

use super::give_way::GiveWay;
use super::reassert::Reassert;
use super::upkeep::Upkeep;
use super::{Duty, PATIENCE};
use crate::action::{Action, Reply, Step};
use crate::contract::timing;
use crate::ids::{ClusterName, RunId};
use crate::machine::{Machine, Outcome};
use crate::outside::SocketScope;
use crate::release::{Release, ReleaseInput};
use crate::time::Moment;

/// The machine of one duty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Errand {
    /// Gives way.
    GiveWay(Box<GiveWay>),
    /// Releases.
    Release(Box<Release>),
    /// Re-asserts.
    Reassert(Box<Reassert>),
    /// Restores or collects.
    Upkeep(Box<Upkeep>),
}

impl Errand {
    /// Begins a duty now. `run` is random, never used before.
    pub fn new(duty: &Duty, cluster: &ClusterName, run: RunId, now: Moment) -> Self {
        match duty {
            Duty::GiveWay { address, holder } => {
                Self::GiveWay(Box::new(GiveWay::new(*address, holder.clone(), now)))
            }
            Duty::Release { member, pod, by } => {
                let input = ReleaseInput {
                    member: member.clone(),
                    pod: pod.clone(),
                    run,
                    unassign: false,
                    await_stop: false,
                    by: *by,
                    scope: SocketScope::All,
                    drain: timing::DRAIN,
                    grace: PATIENCE,
                };
                Self::Release(Box::new(Release::new(input, now)))
            }
            Duty::Reassert { address, epoch, eni } => {
                let what = (*address, *epoch, eni.clone());
                Self::Reassert(Box::new(Reassert::new(what, cluster.clone(), run, now)))
            }
            Duty::Restore { target, holder } => {
                Self::Upkeep(Box::new(Upkeep::restore(target.clone(), holder.clone(), now)))
            }
            Duty::Collect { address, holder } => {
                Self::Upkeep(Box::new(Upkeep::collect(*address, holder.clone(), now)))
            }
        }
    }
}

impl Machine for Errand {
    fn action(&self) -> Action {
        match self {
            Self::GiveWay(it) => it.action(),
            Self::Release(it) => it.action(),
            Self::Reassert(it) => it.action(),
            Self::Upkeep(it) => it.action(),
        }
    }

    fn reply(&mut self, reply: Reply, now: Moment) {
        match self {
            Self::GiveWay(it) => it.reply(reply, now),
            Self::Release(it) => it.reply(reply, now),
            Self::Reassert(it) => it.reply(reply, now),
            Self::Upkeep(it) => it.reply(reply, now),
        }
    }

    fn crossed(&self) -> Option<Step> {
        match self {
            Self::GiveWay(it) => it.crossed(),
            Self::Release(it) => it.crossed(),
            Self::Reassert(it) => it.crossed(),
            Self::Upkeep(it) => it.crossed(),
        }
    }

    fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::GiveWay(it) => it.outcome(),
            Self::Release(it) => it.outcome(),
            Self::Reassert(it) => it.outcome(),
            Self::Upkeep(it) => it.outcome(),
        }
    }

    fn canonical(&mut self, now: Moment) {
        match self {
            Self::GiveWay(it) => it.canonical(now),
            Self::Release(it) => it.canonical(now),
            Self::Reassert(it) => it.canonical(now),
            Self::Upkeep(it) => it.canonical(now),
        }
    }
}
