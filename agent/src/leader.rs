//! What the leader does for the whole cluster: observe, plan, apply, report. The plan is pure
//! (`firecamp_controllers::leader`); this module does the I/O.
//!
//! Guarantees: an agent that is not the leader reads only the Lease, periodically. Every operation
//! reads its objects again and writes with the version that it read. No operation starts after the
//! leadership term, and a running one stops between two steps. When the process ends it gets
//! `LAST_CALL`; the next leader continues from the records.

mod cache;
mod leadership_term;
mod operations;
mod recorded_cloud;
mod remote_systems;

use std::cell::RefCell;
use std::time::Duration;

use firecamp_controllers::leader::{Candidate, Cluster, timing};
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::{ClusterName, NodeName};
use firecamp_core::ports::Cloud;
use firecamp_core::time::Moment;
use firecamp_engine::Rng;
use firecamp_kube::KubeCluster;
use firecamp_run::connect::AnyRegistry;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::remote_systems::RemoteSystems;
use crate::lazy_registry::LazyRegistry;
use crate::outage::Outage;
use crate::status::LeadershipMetrics;

/// Interval between attempts to open the registry or to renew the Lease.
const RETRY: Duration = Duration::from_secs(5);
/// When the process ends, a running operation gets this long, and so does the release of the
/// Lease: both fit into the termination grace period.
const LAST_CALL: Duration = Duration::from_millis(300);

/// An agent as candidate and leader.
pub(crate) struct Leader<C> {
    node: NodeName,
    name: ClusterName,
    cluster: KubeCluster,
    ports: RemoteSystems<C>,
    candidate: RefCell<Candidate>,
    outage: RefCell<Outage>,
    metrics: LeadershipMetrics,
    rng: Rng,
    origin: Instant,
}

/// Runs leader election and the leader's work until `end`. Returns at once for a file registry.
pub(crate) async fn run<C: Cloud>(
    (node, name): (NodeName, ClusterName),
    (cloud, registry): (C, LazyRegistry),
    metrics: &LeadershipMetrics,
    end: &CancellationToken,
) {
    let opened = async {
        loop {
            match registry.get().await {
                Ok(AnyRegistry::Kube(kube)) => return Some(KubeCluster::new(kube)),
                Ok(AnyRegistry::File(_)) => return None,
                // The agent's source logs the failure.
                Err(_logged) => sleep(RETRY).await,
            }
        }
    };
    let cluster = tokio::select! {
        () = end.cancelled() => return,
        opened = opened => opened,
    };
    if let Some(cluster) = cluster {
        let ports = RemoteSystems::new(cloud, registry.clone());
        Leader::new((node, name), cluster, ports, metrics.clone()).run(end).await;
    }
}

/// Runs work that must not delay the end of the process by more than `LAST_CALL`. The next reader
/// of the record learns whether a cancelled write took effect.
async fn in_time(end: &CancellationToken, work: impl Future<Output = ()>) {
    let over = async {
        end.cancelled().await;
        sleep(LAST_CALL).await;
    };
    tokio::select! {
        () = work => {}
        () = over => {}
    }
}

impl<C: Cloud> Leader<C> {
    pub(crate) fn new(
        (node, name): (NodeName, ClusterName),
        cluster: KubeCluster,
        ports: RemoteSystems<C>,
        metrics: LeadershipMetrics,
    ) -> Self {
        let rng = Rng::default();
        let candidate = Candidate::new(format!("{node}_{}", rng.run_id()));
        Self {
            node,
            name,
            cluster,
            ports,
            candidate: RefCell::new(candidate),
            outage: RefCell::new(Outage::new("the Lease")),
            metrics,
            rng,
            origin: Instant::now(),
        }
    }

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    /// Whether this agent holds the Lease now.
    fn holds(&self) -> bool {
        self.candidate.borrow().holds(self.now())
    }

    pub(crate) async fn run(&self, end: &CancellationToken) {
        while !end.is_cancelled() {
            let mut pause = timing::LEASE_CHECK_EVERY.mul_f64(1.0 + self.rng.part() / 2.0);
            in_time(end, self.acquire_or_renew()).await;
            if self.holds() && !end.is_cancelled() {
                tracing::info!("leadership acquired");
                self.metrics.begins();
                // Boxed: the future is large and seldom needed.
                Box::pin(self.leadership_term(end)).await;
                self.metrics.ends();
                tracing::info!("leadership lost");
                if self.ports.cloud.is_unreachable() && self.holds() && !end.is_cancelled() {
                    tracing::warn!("EC2 unreachable; releasing the Lease to another agent");
                    in_time(end, self.resign()).await;
                    pause = timing::EC2_UNREACHABLE_PAUSE;
                }
            }
            tokio::select! {
                () = end.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
        if timeout(LAST_CALL, self.resign()).await.is_err() {
            tracing::debug!("failed to release the Lease in time; it will expire");
        }
    }

    /// One attempt to acquire or renew the Lease.
    async fn acquire_or_renew(&self) {
        let read = match self.cluster.lease().await {
            Ok(read) => read,
            Err(why) => return self.outage.borrow_mut().lasts(&why),
        };
        self.outage.borrow_mut().ended();
        let write = self.candidate.borrow_mut().decide(read.as_ref(), self.now());
        let Some(write) = write else { return };
        let sent = self.now();
        match self.cluster.write_lease(&write).await {
            Ok(()) => self.candidate.borrow_mut().renewed(sent),
            Err(why) => self.not_written(&why),
        }
    }

    /// A conflict means that another agent wrote the Lease and the term is over. Any other failure
    /// does not: the term lasts until the last renewal expires.
    fn not_written(&self, why: &RegistryFailure) {
        tracing::debug!(error = %why, "failed to write the Lease");
        match why.kind {
            RegistryKind::Conflict | RegistryKind::AlreadyExists | RegistryKind::NotFound => {
                self.candidate.borrow_mut().refused();
            }
            RegistryKind::Unavailable | RegistryKind::Invalid | RegistryKind::Refused => {}
        }
    }

    /// Releases the Lease if this agent holds it, so that the next leader need not wait.
    async fn resign(&self) {
        if !self.holds() {
            return;
        }
        let Ok(Some(read)) = self.cluster.lease().await else { return };
        let write = self.candidate.borrow_mut().resign(&read);
        if let Some(write) = write
            && let Err(why) = self.cluster.write_lease(&write).await
        {
            tracing::debug!(error = %why, "failed to release the Lease; it will expire");
        }
    }
}
