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
use crate::status::{Errands, KINDS, Kind};
use crate::work::News;

impl<W: World> Agent<'_, W> {
    /// One errand for each address at a time, and a re-assert beside what is done in the kernel.
    pub(super) fn begin(&mut self, duty: Duty, end: &CancellationToken, work: &mut JoinSet<News>) {
        let Some((address, member)) = self.state.subject(&duty) else { return };
        let kind = kind(&duty);
        let busy = KINDS.iter().filter_map(|kind| self.busy.get(&(address, *kind)));
        if self.is_resting(address, kind) || busy.into_iter().any(|busy| busy.excludes(&duty)) {
            return;
        }
        tell_begin(&duty, (address, &member));
        self.status.errands.get_or_create(&Errands { kind }).inc();
        if let Duty::Reassert { .. } = duty {
            self.state.reasserts(address, self.now());
        }
        let begun = self.told.unwrap_or_else(Instant::now);
        let (cluster, end) = (self.cluster.clone(), end.child_token());
        let busy = Busy { duty: duty.clone(), member: member.clone(), begun };
        self.busy.insert((address, kind), busy);
        self.outside.begin(duty, (address, member), (cluster, end), work);
    }

    /// Whether an errand of this kind has failed for the address and is not begun again yet.
    pub(super) fn is_resting(&self, address: Ipv4Addr, kind: Kind) -> bool {
        self.rests.get(&(address, kind)).is_some_and(|rest| !rest.is_over())
    }

    pub(super) fn done(&mut self, (address, kind): (Ipv4Addr, Kind), ended: &Ended) {
        let Some(busy) = self.busy.remove(&(address, kind)) else { return };
        tell(&busy, address, ended);
        let Busy { duty, begun, .. } = busy;
        self.judged_by(&duty, ended);
        let mended = has_mended(ended);
        let last = self.rests.remove(&(address, kind));
        if !mended {
            self.rests.insert((address, kind), Rest::after(last, ended));
        }
        self.status.took.get_or_create(&Errands { kind }).observe(begun.elapsed().as_secs_f64());
        if let Some(notice) = notice(&duty, address, mended) {
            self.bulletin.notice(notice);
        }
        self.failing.remove(&(address, kind));
        match ended {
            Ended::Outcome(Outcome::Failed(why)) => {
                self.status.failed.get_or_create(&Errands { kind }).inc();
                self.failing.insert((address, kind), (why.exit, why.message.clone()));
            }
            Ended::Outcome(Outcome::Mended { what: Mended::Restored, .. }) => {
                self.status.restored.observe(begun.elapsed().as_secs_f64());
            }
            Ended::Outcome(
                Outcome::Attached(_) | Outcome::Released { .. } | Outcome::Mended { .. },
            )
            | Ended::Interrupted => {}
        }
        if let (Duty::Reassert { .. }, Ended::Outcome(Outcome::Mended { .. })) = (&duty, ended) {
            self.state.reasserted(address);
        }
        // Locks change without a word of the kernel.
        self.stale = Stale::All;
    }
}
