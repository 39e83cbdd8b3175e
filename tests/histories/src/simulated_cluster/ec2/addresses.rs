//! The owners of one address, and when each system shows them.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::time::Moment;

use crate::names::EniIx;

/// The delays of the other systems after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lags {
    /// Until the data path leads to the new owner.
    pub switch: Duration,
    /// Until the new owner's metadata service lists it; never before the data path has switched.
    pub listed: Duration,
    /// Until the old owner's metadata service no longer lists it.
    pub unlisted: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Transition {
    at: Moment,
    owner: Option<EniIx>,
    primary: bool,
    before: Option<EniIx>,
    switch_at: Moment,
    listed_at: Moment,
    unlisted_at: Moment,
}

#[derive(Debug, Clone)]
pub(super) struct History {
    pub(super) address: Ipv4Addr,
    past: Vec<Transition>,
}

impl History {
    pub(super) fn new(address: Ipv4Addr) -> Self {
        Self { address, past: Vec::new() }
    }

    /// The ENI that has it as a secondary address now.
    pub(super) fn owner(&self) -> Option<EniIx> {
        self.past.last().filter(|last| !last.primary).and_then(|last| last.owner)
    }

    /// The ENI that has it now, in either role.
    pub(super) fn last_owner(&self) -> Option<EniIx> {
        self.past.last().and_then(|last| last.owner)
    }

    /// When it last moved.
    pub(super) fn changed(&self) -> Option<Moment> {
        self.past.last().map(|last| last.at)
    }

    pub(super) fn owner_at(&self, then: Moment) -> Option<(EniIx, bool)> {
        let shown = self.past.iter().rev().find(|t| t.at <= then)?;
        shown.owner.map(|owner| (owner, shown.primary))
    }

    pub(super) fn receiver(&self, now: Moment) -> Option<EniIx> {
        self.past.iter().rev().find(|t| t.switch_at <= now).and_then(|t| t.owner)
    }

    /// The newest event of this ENI that the metadata service has processed decides.
    pub(super) fn is_listed(&self, eni: EniIx, now: Moment) -> bool {
        for transition in self.past.iter().rev() {
            if transition.owner == Some(eni) && transition.listed_at <= now {
                return true;
            }
            if transition.before == Some(eni) && transition.unlisted_at <= now {
                return false;
            }
        }
        false
    }

    pub(super) fn push(&mut self, at: Moment, to: Option<(EniIx, bool)>, lags: Lags) {
        let switch_at = at.plus(lags.switch);
        self.past.push(Transition {
            at,
            owner: to.map(|(eni, _)| eni),
            primary: to.is_some_and(|(_, primary)| primary),
            before: self.last_owner(),
            switch_at,
            listed_at: switch_at.max(at.plus(lags.listed)),
            unlisted_at: at.plus(lags.unlisted),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: EniIx = EniIx(0x10);
    const B: EniIx = EniIx(0x20);

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    fn lags(switch: u64, listed: u64, unlisted: u64) -> Lags {
        let ms = Duration::from_millis;
        Lags { switch: ms(switch), listed: ms(listed), unlisted: ms(unlisted) }
    }

    #[test]
    fn each_system_follows_with_its_own_lag() {
        let mut history = History::new(Ipv4Addr::new(10, 0, 1, 5));
        history.push(at(1_000), Some((A, false)), lags(500, 100, 0));
        assert_eq!(history.owner(), Some(A));
        assert_eq!(history.owner_at(at(999)), None);
        assert_eq!(history.owner_at(at(1_000)), Some((A, false)));
        assert_eq!(history.receiver(at(1_499)), None);
        assert_eq!(history.receiver(at(1_500)), Some(A));
        assert!(!history.is_listed(A, at(1_499)), "never before the data path");
        assert!(history.is_listed(A, at(1_500)));
    }

    #[test]
    fn a_slow_removal_keeps_the_old_listing_and_does_not_hide_a_return() {
        let mut history = History::new(Ipv4Addr::new(10, 0, 1, 5));
        history.push(at(0), Some((A, false)), lags(0, 0, 0));
        history.push(at(1_000), Some((B, false)), lags(0, 0, 9_000));
        assert!(history.is_listed(A, at(5_000)), "the removal has not been seen");
        history.push(at(2_000), Some((A, false)), lags(0, 0, 0));
        assert!(history.is_listed(A, at(12_000)), "the return is newer than the removal");
        assert!(!history.is_listed(B, at(2_000)));
    }

    #[test]
    fn a_slow_switch_does_not_undo_a_later_one() {
        let mut history = History::new(Ipv4Addr::new(10, 0, 1, 5));
        history.push(at(0), Some((A, false)), lags(5_000, 0, 0));
        history.push(at(1_000), Some((B, false)), lags(100, 0, 0));
        assert_eq!(history.receiver(at(6_000)), Some(B));
    }
}
