//! What a process has heard, and what follows from that.

use crate::names::{EniIx, Names, PodIx};
use firecamp_core::action::Reply;
use firecamp_core::failure::Effect;
use firecamp_core::outside::{Owner, OwnerEni};
use firecamp_core::time::Moment;

/// What the audits hold against it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heard {
    /// The epoch that a release fixed at its start.
    pub(crate) fixed: Option<u64>,
    /// Its last read of the record succeeded.
    pub(crate) read: bool,
    /// Its last look-up showed a stranger.
    pub(crate) foreign: bool,
    /// Until then a call of its without an answer may land.
    pub(crate) unsettled_until: Moment,
}

impl Heard {
    /// Notes a reply. `pod` is whose release it is, if it is one; `not_after` ends the time of
    /// the call that was answered.
    pub(crate) fn note(&mut self, reply: &Reply, pod: Option<PodIx>, not_after: Moment) {
        if let Reply::Record(read) = reply {
            self.read = read.is_ok();
        } else if let Reply::Pod(Err(_)) = reply {
            self.read = false;
        } else if let Reply::Owner(Ok(owner)) = reply {
            let stranger = |eni: &OwnerEni| EniIx::of(&eni.id).and_then(EniIx::node).is_none();
            self.foreign = matches!(owner, Owner::Eni(eni) if stranger(eni));
        } else if let Reply::Cloud(Err(failure)) = reply {
            if failure.effect == Effect::Unknown {
                self.unsettled_until = self.unsettled_until.max(not_after);
            }
        } else if let (Reply::Member(Ok(records)), Some(pod)) = (reply, pod) {
            let held = records.static_ip.as_ref().map(|stored| &stored.object).filter(|ip| {
                let holder = ip.attachment.as_ref().map(|a| &a.pod);
                holder.and_then(Names::pod_ix) == Some(pod)
            });
            self.fixed = held.map(|ip| ip.epoch.0);
        }
    }
}
