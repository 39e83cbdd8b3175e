//! What proves that the data path has switched, once EC2 answered or its answer was lost.

use super::{At, Move, Moved};
use crate::action::Step;
use crate::attach::AttachInput;
use crate::attach::hold::still_ours;
use crate::bug::{Bug, planted};
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::machine::{Halt, Path, Turn};
use crate::outside::Owner;
use crate::record::{StaticIp, Stored};
use crate::time::Moment;

impl Move {
    pub(super) fn after_assigned(&mut self, now: Moment) -> Turn<Moved> {
        self.assigned = Some(now);
        if planted(Bug::SuccessBeforeSwitch) {
            return Ok(Some(self.moved(Path::Moved)));
        }
        if self.held.listed && !planted(Bug::PresenceIsProof) {
            // Listed before, so that presence proves nothing: Describe decides, once settled.
            self.at = At::Shown;
            let text = "the data path to settle".to_owned();
            return Err(Halt::Pause(timing::SETTLE, text));
        }
        self.at = At::Listed;
        Ok(None)
    }

    /// The answer to the first Assign was lost, and IMDS that lists what it did not list before
    /// stands for it. If it does not in time, the call is repeated, and from then on presence may
    /// be news of either.
    pub(super) fn after_unlisted(&mut self, now: Moment) -> Turn<Moved> {
        let (since, patience) = if let At::Unanswered(since) = self.at {
            (since, timing::SETTLE)
        } else {
            (self.assigned.unwrap_or(now), timing::METADATA_PATIENCE)
        };
        let waited = now.since(since);
        if waited < patience {
            let text = "IMDS to list the address, which shows that the data path has switched";
            let fast = waited < timing::SETTLE;
            let poll = if fast { timing::METADATA_POLL } else { timing::METADATA_POLL_SLOW };
            return Err(Halt::Pause(poll, text.to_owned()));
        }
        self.at = if self.assigned.is_some() {
            // Frozen, perhaps. The answer to Assign and a Describe long after it suffice.
            At::Shown
        } else {
            self.held.listed = true;
            At::Owner
        };
        Ok(None)
    }

    pub(super) fn after_shown(&mut self, owner: &Owner, crossed: &mut Option<Step>) -> Turn<Moved> {
        if self.is_here(owner) {
            *crossed = Some(Step::Attach(10));
            return Ok(Some(self.moved(Path::Moved)));
        }
        self.at = At::Recheck;
        Ok(None)
    }

    /// Describe lags, or somebody else took the address. A successor is in the record; without one,
    /// what is not shown for longer than reads lag was taken outside, and is looked up anew.
    pub(super) fn after_recheck(
        &mut self,
        input: &AttachInput,
        stored: Option<Stored<StaticIp>>,
        now: Moment,
    ) -> Turn<Moved> {
        self.held.stored = still_ours(&self.held, input, stored)?;
        let lost = now.since(self.assigned.unwrap_or(now)) >= timing::DESCRIBE_LAG;
        self.held.lately = true; // IMDS may yet tell of the Assign that was undone.
        self.at = if lost { At::Relisted } else { At::Shown };
        let text = format!("Describe to show {} on this ENI", self.record().address);
        Err(Halt::Retry(timing::THROTTLE_BASE, Exit::TimedOut, text))
    }
}
