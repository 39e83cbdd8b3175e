//! The leader's outside: how the effects of [`LeaderController`], which makes all decisions, are
//! performed.

mod interfaces;
mod names;
mod operations;
mod recorded_calls;
mod remote_systems;
mod watches;

use std::convert::Infallible;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use firecamp_controllers::leader::{
    AllowedZones, Cluster as _, Effect, Event, LeaderController, PassStep, Report, StepResult,
};
use firecamp_core::ids::{ClusterName, NodeName};
use firecamp_core::ports::{Cloud, CloudInterfaces};
use firecamp_engine::Rng;
use firecamp_kube::KubeCluster;
use firecamp_run::connect::{AnyRegistry, OpenRegistry};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub(crate) use self::remote_systems::RemoteSystems;
use self::watches::Watches;
use crate::outage::Outage;
use crate::publish::{LeaseRead, SharedStatus};
use crate::runner::{self, Driver};
use crate::status::LeadershipMetrics;

/// Interval between attempts to open the registry.
const RETRY: Duration = Duration::from_secs(5);

/// Runs leader election and the leader's work until `end`. Returns at once for a file registry.
/// With `zones` it keeps the names of members.
pub(crate) async fn run<C: Cloud + CloudInterfaces + 'static>(
    names: (NodeName, ClusterName, Option<AllowedZones>),
    (cloud, registry): (C, AnyRegistry),
    (metrics, shared_status): (&LeadershipMetrics, &SharedStatus),
    end: &CancellationToken,
) {
    let opened = async {
        loop {
            match registry.get().await {
                Ok(OpenRegistry::Kube(kube)) => return Some(KubeCluster::new(kube)),
                Ok(OpenRegistry::File(_)) => return None,
                // The agent's source logs the failure.
                Err(_logged) => sleep(RETRY).await,
            }
        }
    };
    if let Some(Some(cluster)) = end.run_until_cancelled(opened).await {
        let remote = RemoteSystems::new(names, cluster, (cloud, registry.clone()));
        lead(remote, (metrics.clone(), shared_status.clone()), end).await;
    }
}

/// Runs the controller until `end`. Needs a `LocalSet`.
pub(crate) async fn lead<C: Cloud + CloudInterfaces + 'static>(
    remote: RemoteSystems<C>,
    (metrics, shared_status): (LeadershipMetrics, SharedStatus),
    end: &CancellationToken,
) {
    let (node, name) = (remote.node.clone(), remote.name.clone());
    let mut controller = LeaderController::new(node, name, &Rng::default().run_id());
    if let Some(zones) = &remote.zones {
        controller = controller.with_names(zones.clone());
    }
    let outside = Outside {
        remote: Rc::new(remote),
        watches: None,
        term: CancellationToken::new(),
        dropped: CancellationToken::new(),
        outage: Outage::new("the Lease"),
        metrics,
        shared_status,
    };
    let Ok(()) = runner::run(controller, outside, end).await;
}

/// The outside of the controller.
struct Outside<C> {
    remote: Rc<RemoteSystems<C>>,
    watches: Option<Watches>,
    /// Cancelled at the end of the term.
    term: CancellationToken,
    /// Cancelled to drop a running step at the end of the process.
    dropped: CancellationToken,
    outage: Outage,
    metrics: LeadershipMetrics,
    shared_status: SharedStatus,
}

impl<C: Cloud + CloudInterfaces + 'static> Driver<LeaderController> for Outside<C> {
    type Failure = Infallible;

    async fn changed(&mut self) -> Result<Event, Infallible> {
        match &mut self.watches {
            Some(watches) => Ok(Event::Cluster(watches.next().await)),
            None => pending().await,
        }
    }

    fn tick(&mut self) -> Event {
        Event::Tick(Rng::default().part())
    }

    async fn perform(&mut self, effect: Effect, tasks: &mut JoinSet<Event>) -> Option<Event> {
        match effect {
            Effect::ReadLease(id) => self.spawn(tasks, async move |remote| {
                Event::LeaseRead(id, remote.cluster.lease().await)
            }),
            Effect::WriteLease(id, write) => self.spawn(tasks, async move |remote| {
                Event::LeaseWritten(id, remote.cluster.write_lease(&write).await)
            }),
            Effect::BeginTerm => {
                self.term = CancellationToken::new();
                let (cluster, names) = (self.remote.cluster.clone(), self.remote.zones.is_some());
                self.watches = Some(Watches::begin(cluster, names));
            }
            Effect::EndTerm => {
                self.watches = None;
                self.term.cancel();
            }
            Effect::Start(step) => self.start(step, tasks),
            Effect::StartNames(step) => {
                let term = self.term.clone();
                self.spawn(tasks, async move |remote| {
                    Event::NamesStepEnded(names::perform(&remote.cluster, step, &term).await)
                });
            }
            Effect::DropOperation => self.dropped.cancel(),
            Effect::Report(what) => self.report(what),
        }
        None
    }
}

impl<C: Cloud + CloudInterfaces + 'static> Outside<C> {
    fn spawn<F>(&self, tasks: &mut JoinSet<Event>, task: F)
    where
        F: AsyncFnOnce(Rc<RemoteSystems<C>>) -> Event + 'static,
    {
        let remote = Rc::clone(&self.remote);
        tasks.spawn_local(async move { task(remote).await }.in_current_span());
    }

    fn start(&self, step: PassStep, tasks: &mut JoinSet<Event>) {
        let (term, dropped) = (self.term.clone(), self.dropped.clone());
        self.spawn(tasks, async move |remote| {
            let result = dropped.run_until_cancelled(remote.perform(step, &term)).await;
            // Nobody waits for a step that was dropped.
            Event::StepEnded(result.unwrap_or_else(|| StepResult::Performed(Vec::new())))
        });
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::LeaseRead(read) => {
                match &read {
                    Ok(_) => self.outage.ended(),
                    Err(why) => self.outage.lasts(why),
                }
                self.shared_status.set_lease_read(LeaseRead(read.ok().flatten()));
            }
            Report::LeaseNotWritten(why) => {
                tracing::debug!(error = %why, "failed to write the Lease");
            }
            Report::LeaseNotReleased(why) => {
                tracing::debug!(error = %why, "failed to release the Lease; it will expire");
            }
            Report::LeaseNotReleasedInTime => {
                tracing::debug!("failed to release the Lease in time; it will expire");
            }
            Report::TermBegun => {
                tracing::info!("leadership acquired");
                self.metrics.begins();
            }
            Report::TermEnded => {
                self.metrics.ends();
                tracing::info!("leadership lost");
            }
            Report::Ec2Unreachable => {
                tracing::warn!("EC2 unreachable; releasing the Lease to another agent");
            }
            Report::Pools(usage) => self.metrics.set_pools(&usage),
            Report::PassEnded(took) => self.metrics.passed(took),
            Report::PassOverdue(operation) => {
                tracing::warn!(%operation, "pass exceeds its time limit; planning again");
            }
        }
    }
}
