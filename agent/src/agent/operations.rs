//! Starts operations and handles their results.

use std::net::Ipv4Addr;

use firecamp_core::agent::Operation;
use firecamp_core::machine::{Maintenance, Outcome};
use firecamp_engine::Ended;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Agent, Stale};
use crate::executions::{Backoff, Busy, has_mended, kind, notice, report, report_begin};
use crate::ports::Environment;
use crate::status::{Executions, KINDS, Kind};
use crate::work_result::WorkResult;

impl<W: Environment> Agent<'_, W> {
    /// Starts an operation. One runs per address at a time, except that a re-assert may run beside
    /// an operation on the kernel.
    pub(super) fn begin(
        &mut self,
        operation: Operation,
        end: &CancellationToken,
        work: &mut JoinSet<WorkResult>,
    ) {
        let Some((address, member)) = self.state.subject(&operation) else { return };
        let kind = kind(&operation);
        let busy = KINDS.iter().filter_map(|kind| self.busy.get(&(address, *kind)));
        if self.is_backing_off(address, kind)
            || busy.into_iter().any(|busy| busy.excludes(&operation))
        {
            return;
        }
        report_begin(&operation, (address, &member));
        self.status.executions.get_or_create(&Executions { kind }).inc();
        if let Operation::Reassert { .. } = operation {
            self.state.reasserts(address, self.now());
        }
        let begun = self.reported.unwrap_or_else(Instant::now);
        let (cluster, end) = (self.cluster.clone(), end.child_token());
        let busy = Busy { operation: operation.clone(), member: member.clone(), begun };
        self.busy.insert((address, kind), busy);
        self.ports.begin(operation, (address, member), (cluster, end), work);
    }

    /// Whether operations of this kind are in backoff for the address.
    pub(super) fn is_backing_off(&self, address: Ipv4Addr, kind: Kind) -> bool {
        self.backoffs.get(&(address, kind)).is_some_and(|backoff| !backoff.is_over())
    }

    pub(super) fn done(&mut self, (address, kind): (Ipv4Addr, Kind), ended: &Ended) {
        let Some(busy) = self.busy.remove(&(address, kind)) else { return };
        report(&busy, address, ended);
        let Busy { operation, begun, .. } = busy;
        self.record_permission(&operation, ended);
        let mended = has_mended(ended);
        let last = self.backoffs.remove(&(address, kind));
        if !mended {
            self.backoffs.insert((address, kind), Backoff::after(last, ended));
        }
        self.status
            .operation_durations
            .get_or_create(&Executions { kind })
            .observe(begun.elapsed().as_secs_f64());
        if let Some(notice) = notice(&operation, address, mended) {
            self.shared_status.notice(notice);
        }
        self.failing.remove(&(address, kind));
        match ended {
            Ended::Outcome(Outcome::Failed(why)) => {
                self.status.failed.get_or_create(&Executions { kind }).inc();
                self.failing.insert((address, kind), (why.exit, why.message.clone()));
            }
            Ended::Outcome(Outcome::Maintained { what: Maintenance::Restored, .. }) => {
                self.status.restored.observe(begun.elapsed().as_secs_f64());
            }
            Ended::Outcome(
                Outcome::Attached(_) | Outcome::Released { .. } | Outcome::Maintained { .. },
            )
            | Ended::Interrupted => {}
        }
        if let (Operation::Reassert { .. }, Ended::Outcome(Outcome::Maintained { .. })) =
            (&operation, ended)
        {
            self.state.reasserted(address);
        }
        // Changes of locks cause no kernel event.
        self.stale = Stale::All;
    }
}
