//! What a process knows from the replies that it has received.

use crate::names::{EniIx, Names, PodIx};
use firecamp_core::action::Reply;
use firecamp_core::failure::Effect;
use firecamp_core::ports::{Owner, OwnerEni};
use firecamp_core::time::Moment;

/// The knowledge that the audits use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ObservedReplies {
    /// The epoch that a release fixed at its start.
    pub(crate) fixed: Option<u64>,
    /// Its last read of the record succeeded.
    pub(crate) read: bool,
    /// Its last lookup showed a foreign interface.
    pub(crate) foreign: bool,
    /// Until then an unanswered call of this process may land.
    pub(crate) pending_until: Moment,
}

impl ObservedReplies {
    /// Records a reply. `pod` is the pod of a release; `not_after` is the time limit of the call
    /// that was answered.
    pub(crate) fn note(&mut self, reply: &Reply, pod: Option<PodIx>, not_after: Moment) {
        if let Reply::Record(read) = reply {
            self.read = read.is_ok();
        } else if let Reply::Pod(Err(_)) = reply {
            self.read = false;
        } else if let Reply::Owner(Ok(owner)) = reply {
            let foreign = |eni: &OwnerEni| EniIx::of(&eni.id).and_then(EniIx::node).is_none();
            self.foreign = matches!(owner, Owner::Eni(eni) if foreign(eni));
        } else if let Reply::Cloud(Err(failure)) = reply {
            if failure.effect == Effect::Unknown {
                self.pending_until = self.pending_until.max(not_after);
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
