//! The drain: a release waits until no socket uses the address, as long as the grace period allows.

use std::time::Duration;

use super::{At, Release};
use crate::contract::timing;
use crate::failure::HostFailure;
use crate::machine::Outcome;
use crate::ports::SocketUse;
use crate::retry_or_fail::{Halt, Next};
use crate::step::{ReleaseStep, Step};
use crate::time::Moment;

impl Release {
    /// How long to drain if this is left of the grace period: the rest of the release needs a part.
    pub(super) fn drain_within(&self, left: Duration) -> Duration {
        left.saturating_sub(timing::RELEASE_RESERVE).min(self.input.drain)
    }

    /// Sockets that cannot be counted may be in use, but do not delay the release for ever.
    pub(super) fn after_sockets(
        &mut self,
        observed: Result<SocketUse, HostFailure>,
        now: Moment,
    ) -> Next<Outcome> {
        let (idle, text) = match observed {
            Ok(used) => (used.idle(self.input.scope), used.to_string()),
            Err(failure) => (false, failure.detail),
        };
        if !idle && now < self.drain_until {
            let poll = timing::SOCKET_POLL.min(self.drain_until.since(now));
            return Err(Halt::Pause(poll, format!("the address to become idle: {text}")));
        }
        self.cut_short = !idle;
        self.crossed = Some(Step::Release(ReleaseStep::DrainEnded));
        self.at = At::Again;
        Ok(None)
    }
}
