//! How attach proves that the data path has switched, after EC2 answered or its answer was lost.

use std::time::Duration;

use super::{Assign, At};
use crate::attach::held::{Assigned, still_ours};
use crate::attach::input::AttachInput;
use crate::contract::exit::Exit;
use crate::contract::timing;
use crate::machine::Path;
use crate::ports::Owner;
use crate::record::{StaticIp, Stored};
use crate::retry_or_fail::{Halt, Next};
use crate::step::{AttachStep, Step};
use crate::time::Moment;

impl Assign {
    pub(super) fn after_assigned(&mut self, now: Moment) -> Next<Assigned> {
        self.assigned = Some(now);
        if self.held.listed {
            // IMDS listed it before, so a listed address proves nothing: Describe decides after the
            // wait.
            self.at = At::Shown;
            let text = "the data path to settle".to_owned();
            return Err(Halt::Pause(timing::SETTLE, text));
        }
        self.at = At::Listed;
        Ok(None)
    }

    /// The answer to the first Assign was lost. If IMDS now lists an address that it did not list
    /// before, that stands for the answer. If it does not in time, the call is repeated, and from
    /// then on a listed address may be the result of either call.
    pub(super) fn after_unlisted(&mut self, poll: Duration, now: Moment) -> Next<Assigned> {
        let (since, patience) = if let At::Unanswered(since) = self.at {
            (since, timing::SETTLE)
        } else {
            (self.assigned.unwrap_or(now), timing::METADATA_PATIENCE)
        };
        let waited = now.since(since);
        if waited < patience {
            let text = "IMDS to list the address, which shows that the data path has switched";
            return Err(Halt::Pause(poll_after(waited, poll), text.to_owned()));
        }
        self.at = if self.assigned.is_some() {
            // IMDS may be frozen. The answer to Assign and a Describe long after it suffice.
            At::Shown
        } else {
            self.held.listed = true;
            At::Owner
        };
        Ok(None)
    }

    pub(super) fn after_shown(
        &mut self,
        owner: &Owner,
        crossed: &mut Option<Step>,
    ) -> Next<Assigned> {
        if self.is_here(owner) {
            *crossed = Some(Step::Attach(AttachStep::DataPathSwitched));
            return Ok(Some(self.moved(Path::Moved)));
        }
        self.at = At::Recheck;
        Ok(None)
    }

    /// Describe lags, or another process moved the address. A successor is in the record. Without
    /// one, an address that is not shown for longer than reads lag was moved by something outside
    /// FireCamp, and is looked up again.
    pub(super) fn after_recheck(
        &mut self,
        input: &AttachInput,
        stored: Option<Stored<StaticIp>>,
        now: Moment,
    ) -> Next<Assigned> {
        self.held.stored = still_ours(&self.held, input, stored)?;
        let lost = now.since(self.assigned.unwrap_or(now)) >= timing::DESCRIBE_LAG;
        // IMDS may still list the address for the Assign that was undone.
        self.held.recently_assigned = true;
        self.at = if lost { At::Relisted } else { At::Shown };
        let (address, eni) = (self.record().address, &self.held.eni.id);
        let text = format!("Describe does not show {address} on {eni} yet");
        Err(Halt::Retry(timing::THROTTLE_BASE, Exit::TimedOut, text))
    }
}

/// `poll` apart while polls are frequent, then an unchanging part of the time waited.
fn poll_after(waited: Duration, poll: Duration) -> Duration {
    let [waited, often] = [waited, timing::METADATA_OFTEN].map(|it| it.as_micros());
    let part = poll.as_micros().saturating_mul(waited).checked_div(often).unwrap_or_default();
    poll.max(Duration::from_micros(u64::try_from(part).unwrap_or(u64::MAX)))
}
