//! S10: for which pods an agent serves requests, and attaches acquire addresses.

use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;

use super::{Audit, Author, Promise, ServedRequest};

impl Audit {
    /// An agent begins to serve a request.
    pub fn serves(&mut self, now: Moment, request: ServedRequest) {
        let ServedRequest { slot, attaches, lives, of, by } = request;
        if of != by {
            self.broken(Promise::S10, now, || {
                format!("the agent of node {} serves process {slot}: its pod is on {}", by.0, of.0)
            });
        }
        if attaches && !lives {
            self.broken(Promise::S10, now, || {
                format!("an agent attaches in process {slot} for a pod that the API does not show")
            });
        }
    }

    /// A run that attaches has acquired an epoch.
    pub(super) fn acquires(
        &mut self,
        now: Moment,
        by: Author,
        before: Option<&StaticIp>,
        after: &StaticIp,
    ) {
        let is_new = before.is_none_or(|before| before.epoch < after.epoch);
        let attaching = after.attachment.as_ref().is_some_and(|a| a.state == State::Attaching);
        if is_new && attaching && !by.pod_lives {
            let (slot, address) = (by.slot, after.address);
            self.broken(Promise::S10, now, || {
                format!("process {slot} acquires {address}, and its pod does not live on its node")
            });
        }
    }
}
