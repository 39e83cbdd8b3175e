//! The loop: observe, plan, apply, report. It handles kernel events at once; reads of slow systems
//! run beside the loop and end with a [`WorkResult`].

mod adopt;
mod collect;
mod ec2;
mod iteration;
mod kernel;
mod node;
mod operations;
mod withhold;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Adopter, Budget, Collector, Pass};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::{ClusterName, EniId, NodeName};
use firecamp_core::time::Moment;
use firecamp_host::ObservedLink;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::kernel::Stale;
use self::withhold::Withheld;
use crate::agent_files::AgentFiles;
use crate::executions::{Backoff, Busy};
use crate::link_up::LinkRaiser;
use crate::ports::{Environment, KernelEvents, Ports};
use crate::preflight::Preflight;
use crate::publish::SharedStatus;
use crate::source::Source;
use crate::state::{Failing, Observed};
use crate::status::{Kind, Status, System};
use crate::work_result::WorkResult;

/// Period of the loop without events.
const TICK: Duration = Duration::from_secs(1);
/// Minimum time between two registry lists that only a kernel event requires.
const LIST_PAUSE: Duration = Duration::from_millis(20);
/// Read the metadata service every so many ticks: it is local and cheap.
const METADATA_EVERY: u32 = 5;
/// Full resync of the kernel every so many ticks, because events may be lost.
const KERNEL_EVERY: u32 = 10;
/// Search for orphaned addresses every so many ticks.
const COLLECT_EVERY: u32 = 60;
/// Read the node's files every so many ticks: they seldom change.
const FILES_EVERY: u32 = 600;

/// The agent of a node.
pub(crate) struct Agent<'a, W: Environment> {
    cluster: ClusterName,
    ports: Ports<W>,
    files: AgentFiles,
    status: &'a Status,
    shared_status: &'a SharedStatus,
    /// When the shared status was last updated.
    shared_status_at: Option<Instant>,
    failing: Failing,
    origin: Instant,
    state: Observed,
    stale: Stale,
    /// When the first kernel event arrived that no operation has handled yet.
    reported: Option<Instant>,
    busy: BTreeMap<(Ipv4Addr, Kind), Busy>,
    /// Operations that did not succeed, by address and kind.
    backoffs: BTreeMap<(Ipv4Addr, Kind), Backoff>,
    collector: Collector,
    adopter: Adopter,
    /// Addresses to remove from the kernel.
    leftovers: Vec<Ipv4Addr>,
    /// The collector pass that waits for reads of the registry.
    pass: Option<Pass>,
    /// Addresses in EC2 without a record that were already logged.
    orphaned: BTreeSet<(EniId, Ipv4Addr)>,
    /// Addresses with FireCamp's protocol number but neither record nor lock, already logged.
    unknown: BTreeSet<Ipv4Addr>,
    listing: bool,
    /// The registry reported a change after the last list.
    list_again: bool,
    /// The kernel reported a change after the last list.
    kernel_changed: bool,
    /// The addresses that the last list asked for, and when.
    last_list: Option<(BTreeSet<Ipv4Addr>, Instant)>,
    identifying: bool,
    /// Limits queries of EC2.
    budget: Budget,
    /// The last query of the interfaces failed.
    interfaces_fail: bool,
    /// The attached addresses by record when the running query of EC2 started.
    querying: Option<BTreeMap<Ipv4Addr, EniId>>,
    withheld: Withheld,
    /// Misplaced addresses under investigation.
    investigating: BTreeSet<Ipv4Addr>,
    reading_files: bool,
    preflight: Preflight,
    links: Vec<ObservedLink>,
    raiser: LinkRaiser,
    ticks: u32,
}

impl<'a, W: Environment> Agent<'a, W> {
    pub(crate) fn new(
        (node, cluster, rule): (NodeName, ClusterName, EniRule),
        ports: Ports<W>,
        files: AgentFiles,
        (status, shared_status): (&'a Status, &'a SharedStatus),
    ) -> Self {
        let preflight = Preflight::new(cluster.clone(), rule);
        let state = Observed::new(node, cluster.clone(), files.last_snapshot());
        Self {
            cluster,
            ports,
            files,
            status,
            shared_status,
            shared_status_at: None,
            failing: Failing::new(),
            origin: Instant::now(),
            state,
            stale: Stale::All,
            reported: None,
            busy: BTreeMap::new(),
            backoffs: BTreeMap::new(),
            collector: Collector::default(),
            adopter: Adopter::default(),
            leftovers: Vec::new(),
            pass: None,
            orphaned: BTreeSet::new(),
            unknown: BTreeSet::new(),
            listing: false,
            list_again: false,
            kernel_changed: false,
            last_list: None,
            identifying: false,
            budget: ec2::budget(),
            interfaces_fail: false,
            querying: None,
            withheld: Withheld::new(),
            investigating: BTreeSet::new(),
            reading_files: false,
            preflight,
            links: Vec::new(),
            raiser: LinkRaiser::default(),
            ticks: 0,
        }
    }

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    /// Runs until `end` is cancelled. Fails if the netlink monitor fails.
    pub(crate) async fn run(
        mut self,
        kernel: impl KernelEvents,
        end: &CancellationToken,
    ) -> Result<(), HostFailure> {
        let source = self.ports.source();
        let mut work = JoinSet::new();
        let run = async {
            let ended = self.run_loop(kernel, &*source, end, &mut work).await;
            end.cancel();
            ended
        };
        let ((), ended) = tokio::join!(Box::pin(source.follow(end)), Box::pin(run));
        // Operations stop between two steps; reads are cancelled.
        while !self.busy.is_empty() {
            let Some(done) = work.join_next().await else { break };
            self.handle_result(done, &mut work);
        }
        work.shutdown().await;
        ended
    }

    async fn run_loop(
        &mut self,
        mut kernel: impl KernelEvents,
        source: &W::Source,
        end: &CancellationToken,
        work: &mut JoinSet<WorkResult>,
    ) -> Result<(), HostFailure> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = end.cancelled() => return Ok(()),
                events = kernel.changed() => self.handle_kernel_events(events?),
                Some(done) = work.join_next() => self.handle_result(done, work),
                () = source.changed() => self.list_again = true,
                _at = tick.tick() => self.tick(work),
            }
            self.iterate(end, work).await;
        }
    }

    /// Starts a list of the registry if one is due.
    fn list(&mut self, work: &mut JoinSet<WorkResult>) {
        let known = self.state.known();
        if self.listing || !self.is_list_due(&known) {
            return;
        }
        (self.listing, self.list_again, self.kernel_changed) = (true, false, false);
        self.last_list = Some((known.clone(), Instant::now()));
        self.status.read_started(System::Registry);
        self.ports.list(known, work);
    }

    /// A list is due if the registry reported a change, if the node has an address that the last
    /// list did not ask for, or if the kernel reported a change while a lock is newer than the
    /// record: an init container has just finished, and the removed address may be the one it
    /// attached.
    fn is_list_due(&self, known: &BTreeSet<Ipv4Addr>) -> bool {
        let more = self.last_list.as_ref().is_some_and(|(asked, _)| !known.is_subset(asked));
        let paused = self.last_list.as_ref().is_none_or(|(_, at)| at.elapsed() >= LIST_PAUSE);
        self.list_again
            || more
            || (self.kernel_changed && paused && self.state.has_unconfirmed_lock())
    }

    /// Starts the periodic tasks that are due.
    fn tick(&mut self, work: &mut JoinSet<WorkResult>) {
        let ticks = self.ticks;
        let due = |every: u32| ticks.is_multiple_of(every);
        self.ticks = self.ticks.wrapping_add(1);
        if due(METADATA_EVERY) && !self.identifying {
            self.identifying = true;
            self.status.read_started(System::Metadata);
            self.ports.identify(work);
        }
        if due(METADATA_EVERY) {
            self.recheck_withheld(work);
        }
        if due(KERNEL_EVERY) {
            self.stale = Stale::All;
        }
        if due(COLLECT_EVERY) {
            self.query_claims(work);
        }
        if due(FILES_EVERY) {
            self.read_node_files(work);
        }
        self.query_ec2(work);
    }

    /// Handles the result of a task.
    fn handle_result(
        &mut self,
        done: Result<WorkResult, JoinError>,
        work: &mut JoinSet<WorkResult>,
    ) {
        match done {
            Ok(WorkResult::Listed(read)) => {
                self.listing = false;
                self.status.read(System::Registry, &read);
                if let Ok(listing) = read {
                    if let Some(pools) = &listing.pools {
                        self.preflight.pools(pools);
                    }
                    self.observed(|state| state.listed(listing));
                }
            }
            Ok(WorkResult::Identified(read)) => {
                self.identifying = false;
                self.status.read(System::Metadata, &read);
                self.preflight.identified(&read);
                if let Ok(identity) = read {
                    self.observed(|state| state.identified(identity));
                }
            }
            Ok(WorkResult::Interfaces(read)) => {
                let listing = read.as_ref().ok().cloned();
                self.interfaces(read);
                self.investigate_losses(work);
                self.check_orphans(listing.as_deref(), work);
            }
            Ok(WorkResult::LossInvestigated(lost, found, done)) => {
                self.loss_investigated(lost, found, done);
            }
            Ok(WorkResult::Attachments(read)) => self.attachments(read),
            Ok(WorkResult::TypeLimits(read)) => self.type_limits(read),
            Ok(WorkResult::Files(facts)) => {
                self.reading_files = false;
                self.preflight.files(facts);
            }
            Ok(WorkResult::Raised(eni, done)) => node::report_raised(&eni, &done),
            Ok(WorkResult::Claimed(claimed)) => self.collect(claimed),
            Ok(WorkResult::Orphans(found, recorded, begun)) => {
                self.orphans(&found, &recorded, begun, work);
            }
            Ok(WorkResult::AdoptionTried(orphan, tried)) => self.tried(&orphan, &tried),
            Ok(WorkResult::Done(execution, ended)) => self.done(execution, &ended),
            // A bug: let it end the process like any other panic.
            Err(why) if why.is_panic() => std::panic::resume_unwind(why.into_panic()),
            Err(why) => tracing::error!(error = %why, "task cancelled"),
        }
    }

    /// Applies an observation. If it changes the kernel targets, all of them are read again.
    fn observed(&mut self, take: impl FnOnce(&mut Observed)) {
        let before = self.state.targets();
        take(&mut self.state);
        if self.state.targets() != before {
            self.stale = Stale::All;
        }
    }
}
