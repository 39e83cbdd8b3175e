//! How long a client of the endpoint asks, and when it asks again. Pure: the time comes in.

use std::time::Duration;

use crate::time::Moment;

/// The agent answers as soon as it knows the pod: that takes a review and a read of the API server,
/// each with a timeout of a few seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// A release is given up after this long without an answer: the pod must end in its usual time, and
/// the agent releases the address by itself when it is back.
const RELEASE_PATIENCE: Duration = Duration::from_secs(3);
/// A token that was refused is shown again for this long: an API server may know a new pod late.
const REFUSED_PATIENCE: Duration = Duration::from_secs(3);
/// The agent's deadline comes this much earlier, so that its outcome arrives in time.
const MARGIN: Duration = Duration::from_secs(5);
/// At its deadline the agent still finishes the call in flight, and what it undoes.
const SLACK: Duration = Duration::from_secs(15);
/// A sidecar asks for its epoch as long as its pod runs.
const LIFETIME: Duration = Duration::from_hours(24 * 365);
/// First pause before the request is repeated; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why a request has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoOutcome {
    /// The agent did not answer, or has to be asked later.
    NoAnswer,
    /// The agent refused the token.
    Refused,
    /// The agent began to answer and was lost.
    Cut,
    /// Asking again changes nothing.
    Final,
}

/// The requests of one client, until one of them has an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asking {
    begun: Moment,
    /// Until its outcome.
    deadline: Moment,
    /// Until the agent answers. Later if it answered and was lost.
    answer_by: Moment,
    patience: Duration,
    pause: Duration,
}

impl Asking {
    /// Asks for an attach: as long for an agent as for its outcome.
    pub fn attach(within: Duration, now: Moment) -> Self {
        Self::begin(within, within, now)
    }

    /// Asks for a release. Waits only briefly for an agent that is not there.
    pub fn release(within: Duration, now: Moment) -> Self {
        Self::begin(within, RELEASE_PATIENCE.min(within), now)
    }

    /// Asks for the epoch that the pod holds, until the pod ends.
    pub fn epoch(now: Moment) -> Self {
        Self::begin(LIFETIME, LIFETIME, now)
    }

    fn begin(within: Duration, patience: Duration, now: Moment) -> Self {
        let (deadline, answer_by) = (now.plus(within), now.plus(patience));
        Self { begun: now, deadline, answer_by, patience, pause: FIRST_PAUSE }
    }

    /// How long the agent may not answer.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// The time that a request which is sent now gives the agent.
    pub fn time_for_agent(&self, now: Moment) -> Duration {
        let left = self.deadline.since(now);
        left.saturating_sub(MARGIN.min(left / 2))
    }

    /// When a request that is sent now must be answered.
    pub fn answer_by(&self, now: Moment) -> Moment {
        self.answer_by.plus(LONGEST_PAUSE).min(now.plus(ANSWER_WITHIN))
    }

    /// When a request that is answered must have its outcome.
    pub fn outcome_by(&self) -> Moment {
        self.deadline.plus(SLACK)
    }

    /// How long to wait before the request is repeated; none if it is given up.
    pub fn again(&mut self, why: NoOutcome, now: Moment) -> Option<Duration> {
        let until = match why {
            NoOutcome::Final => now,
            NoOutcome::Refused => self.answer_by.min(self.begun.plus(REFUSED_PATIENCE)),
            NoOutcome::Cut => {
                self.answer_by = now.plus(self.patience).min(self.deadline);
                self.answer_by
            }
            NoOutcome::NoAnswer => self.answer_by,
        };
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        (now.plus(pause) < until).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Moment(Duration::from_hours(1));

    fn asking() -> Asking {
        Asking::release(Duration::from_mins(10), START)
    }

    #[test]
    fn an_agent_that_answered_and_was_lost_is_asked_again_and_an_absent_one_only_briefly() {
        let mut asking = asking();
        let late = START.plus(Duration::from_mins(1));
        assert_eq!(asking.again(NoOutcome::NoAnswer, late), None);
        assert!(asking.again(NoOutcome::Cut, late).is_some());
        assert!(asking.again(NoOutcome::NoAnswer, late.plus(RELEASE_PATIENCE / 2)).is_some());
        assert_eq!(asking.again(NoOutcome::NoAnswer, late.plus(RELEASE_PATIENCE)), None);
        let over = asking.deadline;
        assert_eq!(asking.again(NoOutcome::Cut, over), None, "never past the deadline");
    }

    #[test]
    fn a_refused_token_is_shown_again_only_at_first() {
        let mut asking = asking();
        assert!(asking.again(NoOutcome::Refused, START).is_some());
        assert_eq!(asking.again(NoOutcome::Refused, START.plus(REFUSED_PATIENCE)), None);
    }

    #[test]
    fn an_attach_waits_for_an_agent_until_its_deadline_and_pauses_longer_each_time() {
        let mut asking = Asking::attach(Duration::from_secs(20), START);
        let pauses: Vec<u128> = (0..6)
            .filter_map(|_| asking.again(NoOutcome::NoAnswer, START))
            .map(|pause| pause.as_millis())
            .collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 2_000]);
        let end = START.plus(Duration::from_secs(20));
        assert_eq!(asking.again(NoOutcome::NoAnswer, end), None);
    }

    #[test]
    fn the_agents_outcome_arrives_before_the_client_gives_up() {
        let asking = Asking::attach(Duration::from_secs(20), START);
        assert_eq!(asking.time_for_agent(START), Duration::from_secs(15));
        let late = START.plus(Duration::from_secs(16));
        assert_eq!(asking.time_for_agent(late), Duration::from_secs(2));
        assert!(asking.outcome_by() > START.plus(Duration::from_secs(20)));
        assert_eq!(asking.answer_by(START), START.plus(ANSWER_WITHIN));
    }
}
