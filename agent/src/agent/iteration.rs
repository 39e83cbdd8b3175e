//! One iteration of the loop: observe, plan, start operations, report.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Observation, ObservedAddress, Operation, plan};
use firecamp_core::record::State;
use firecamp_node::preflight::{Condition, Severity};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Agent;
use crate::executions::kind;
use crate::ports::Environment;
use crate::source::Source;
use crate::status::Kind;
use crate::work_result::WorkResult;

/// Minimum time between two updates of the shared status.
const SHARED_STATUS_INTERVAL: Duration = Duration::from_millis(900);

impl<W: Environment> Agent<'_, W> {
    /// Reads what is stale, plans, and starts the planned operations.
    pub(super) async fn iterate(
        &mut self,
        end: &CancellationToken,
        work: &mut JoinSet<WorkResult>,
    ) {
        let begun = Instant::now();
        self.refresh_kernel().await;
        self.list(work);
        let observation = self.state.observation(self.now());
        self.report(&observation);
        self.act(&observation, end, work);
        self.raise_links(work);
        if let Some(snapshot) = self.state.snapshot() {
            self.files.write(snapshot);
        }
        self.files.exclude(self.preflight.verdicts());
        // A running list may return the record that the kernel event concerns.
        self.reported = self.reported.filter(|_| self.listing);
        let synced = self.ports.source().is_synced();
        self.status.registry_synced.set(i64::from(synced));
        self.report_shared_status();
        if self.state.is_complete() {
            self.status.is_ready_now();
        }
        self.status.iteration_completed(begun.elapsed());
    }

    /// Plans again without the addresses' kernel state where a restore runs or is in backoff: a
    /// failing restore must not hide that EC2 has lost the address as well.
    fn beside_restores(&self, observation: &Observation) -> Vec<Operation> {
        let restores = |seen: &&ObservedAddress| {
            let address = seen.record.address;
            self.busy.contains_key(&(address, Kind::Restore))
                || self.is_backing_off(address, Kind::Restore)
        };
        let mut others = Observation::new(
            observation.node.clone(),
            observation.cluster.clone(),
            observation.gone.clone(),
        );
        let addresses = observation.addresses.iter().filter(restores).cloned();
        others.addresses =
            addresses.map(|seen| ObservedAddress { missing: None, ..seen }).collect();
        plan(&others, self.now())
    }

    /// Starts the operations of the plan and of the collector.
    fn act(
        &mut self,
        observation: &Observation,
        end: &CancellationToken,
        work: &mut JoinSet<WorkResult>,
    ) {
        let mut operations = plan(observation, self.now());
        operations.extend(self.beside_restores(observation));
        if operations.is_empty() {
            self.backoffs.retain(|_, backoff| !backoff.is_over());
        }
        let execution = |operation| {
            self.state.subject(operation).map(|(address, _)| (address, kind(operation)))
        };
        let planned: BTreeSet<(Ipv4Addr, Kind)> = operations.iter().filter_map(execution).collect();
        // Between two re-asserts nothing is planned, but the address is still misplaced.
        let is_misplaced = |address: &Ipv4Addr| {
            observation
                .addresses
                .iter()
                .any(|s| s.record.address == *address && s.misplaced.is_some())
        };
        self.failing.retain(|execution, _| {
            let (address, kind) = execution;
            planned.contains(execution) || (*kind == Kind::Reassert && is_misplaced(address))
        });
        for operation in operations {
            if !self.is_withheld(&operation) {
                self.begin(operation, end, work);
            }
        }
        for address in std::mem::take(&mut self.leftovers) {
            if let Some(operation) = self.collection(address) {
                self.begin(operation, end, work);
            }
        }
    }

    /// Updates the shared status, at most once per `SHARED_STATUS_INTERVAL`.
    fn report_shared_status(&mut self) {
        if self.shared_status_at.is_none_or(|at| at.elapsed() >= SHARED_STATUS_INTERVAL) {
            self.shared_status_at = Some(Instant::now());
            let mut facts = self.state.facts(&self.failing);
            self.preflight.report(&mut facts);
            self.shared_status.report(facts);
        }
    }

    fn report(&self, observation: &Observation) {
        let here = |seen: &&ObservedAddress| {
            seen.record
                .attachment
                .as_ref()
                .is_some_and(|a| a.node == observation.node && a.state == State::Attached)
        };
        let count = |which: &dyn Fn(&ObservedAddress) -> bool| {
            let all = observation.addresses.iter().filter(here).filter(|seen| which(seen));
            i64::try_from(all.count()).unwrap_or(i64::MAX)
        };
        let blocks = |one: &&Condition| one.severity() == Severity::Blocking;
        let blocks = self.preflight.conditions().iter().filter(blocks).count();
        self.status.blocks.set(i64::try_from(blocks).unwrap_or(i64::MAX));
        let missing = |seen: &ObservedAddress| self.state.is_missing(seen.record.address);
        self.status.attached.set(count(&|_| true));
        self.status.missing.set(count(&missing));
        self.status.misplaced.set(count(&|seen| seen.misplaced.is_some()));
    }
}
