//! Duties become errands, and errands end.

use std::net::Ipv4Addr;

use firecamp_core::agent::Duty;
use firecamp_core::machine::{Mended, Outcome};
use firecamp_engine::Ended;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Agent, Stale};
use crate::errands::{Busy, Rest, has_mended, kind, notice, tell, tell_begin};
use crate::outside::World;
use crate::status::Errands;
use crate::work::News;

impl<W: World> Agent<'_, W> {
    /// One errand for each address at a time.
    pub(super) fn begin(&mut self, duty: Duty, end: &CancellationToken, work: &mut JoinSet<News>) {
        let Some((address, member)) = self.state.subject(&duty) else { return };
        if let Some(busy) = self.busy.get(&address) {
            if busy.hinders(&duty) {
                busy.end.cancel();
            }
            return;
        }
        if self.rests.get(&address).is_some_and(|rest| rest.holds_back(&duty)) {
            return;
        }
        tell_begin(&duty, (address, &member));
        self.status.errands.get_or_create(&Errands { kind: kind(&duty) }).inc();
        if let Duty::Reassert { .. } = duty {
            self.state.reasserts(address, self.now());
        }
        let begun = self.told.unwrap_or_else(Instant::now);
        let (cluster, end) = (self.cluster.clone(), end.child_token());
        let busy = Busy { duty: duty.clone(), member: member.clone(), begun, end: end.clone() };
        self.busy.insert(address, busy);
        self.outside.begin(duty, (address, member), (cluster, end), work);
    }

    pub(super) fn done(&mut self, address: Ipv4Addr, ended: &Ended) {
        let Some(busy) = self.busy.remove(&address) else { return };
        tell(&busy, address, ended);
        let Busy { duty, begun, .. } = busy;
        self.judged_by(&duty, ended);
        let kind = kind(&duty);
        let mended = has_mended(ended);
        let last = self.rests.remove(&address).filter(|_| !mended);
        if !mended {
            self.rests.insert(address, Rest::after(kind, last, ended));
        }
        self.status.took.get_or_create(&Errands { kind }).observe(begun.elapsed().as_secs_f64());
        if let Some(notice) = notice(&duty, address, mended) {
            self.bulletin.notice(notice);
        }
        self.failing.remove(&address);
        match ended {
            Ended::Outcome(Outcome::Failed(why)) => {
                self.status.failed.get_or_create(&Errands { kind }).inc();
                self.failing.insert(address, (why.exit, why.message.clone()));
            }
            Ended::Outcome(Outcome::Mended { what: Mended::Restored, .. }) => {
                self.status.restored.observe(begun.elapsed().as_secs_f64());
            }
            Ended::Outcome(
                Outcome::Attached(_) | Outcome::Released { .. } | Outcome::Mended { .. },
            )
            | Ended::Interrupted => {}
        }
        if let Duty::Reassert { .. } = duty {
            self.state.reasserted(address);
        }
        // Locks change without a word of the kernel.
        self.stale = Stale::All;
    }
}
