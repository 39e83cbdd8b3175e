//! What the agent does for the whole cluster while it holds the Lease: observe, plan, apply, tell.
//! The plan is pure (`firecamp_controllers::leader`); this asks and does.
//!
//! Guarantees: without the Lease nothing of the cluster is watched but the Lease itself, once in a
//! while. Every duty reads afresh what it is about, and names the version that it read. No duty is
//! begun after the term, and one under way ends between two steps; at the process's end it has
//! moments, and whoever is next goes on from what is on record.

mod atlas;
mod duties;
mod ear;
mod elsewhere;
mod tenure;

use std::cell::RefCell;
use std::time::Duration;

use firecamp_controllers::leader::{Candidate, Cluster, timing};
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::{ClusterName, NodeName};
use firecamp_core::outside::Cloud;
use firecamp_core::time::Moment;
use firecamp_engine::Dice;
use firecamp_kube::KubeCluster;
use firecamp_run::connect::AnyRegistry;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::elsewhere::Elsewhere;
use crate::late::LateRegistry;
use crate::outage::Outage;
use crate::status::Stewardship;

/// Between two attempts to open the registry, or to renew the Lease.
const RETRY: Duration = Duration::from_secs(5);
/// What is under way at the end gets this long, and so does giving the Lease back: both are over
/// before the process's last moments are.
const LAST_CALL: Duration = Duration::from_millis(300);

/// The agent as one who may hold the Lease.
pub(crate) struct Steward<C> {
    node: NodeName,
    name: ClusterName,
    cluster: KubeCluster,
    outside: Elsewhere<C>,
    candidate: RefCell<Candidate>,
    outage: RefCell<Outage>,
    /// What is told of it.
    shown: Stewardship,
    dice: Dice,
    origin: Instant,
}

/// Does what there is to do for the cluster until the end. Files have no cluster.
pub(crate) async fn run<C: Cloud>(
    (node, name): (NodeName, ClusterName),
    (cloud, registry): (C, LateRegistry),
    shown: &Stewardship,
    end: &CancellationToken,
) {
    let opened = async {
        loop {
            match registry.get().await {
                Ok(AnyRegistry::Kube(kube)) => return Some(KubeCluster::new(kube)),
                Ok(AnyRegistry::File(_)) => return None,
                // The agent's source tells of it.
                Err(_told) => sleep(RETRY).await,
            }
        }
    };
    let cluster = tokio::select! {
        () = end.cancelled() => return,
        opened = opened => opened,
    };
    if let Some(cluster) = cluster {
        let outside = Elsewhere::new(cloud, registry.clone());
        Steward::new((node, name), cluster, outside, shown.clone()).run(end).await;
    }
}

/// Work that does not keep the process at its end. Whether a write that is given up took effect,
/// the next read says: whoever does the work next goes by that.
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

impl<C: Cloud> Steward<C> {
    pub(crate) fn new(
        (node, name): (NodeName, ClusterName),
        cluster: KubeCluster,
        outside: Elsewhere<C>,
        shown: Stewardship,
    ) -> Self {
        let dice = Dice::default();
        let candidate = Candidate::new(format!("{node}_{}", dice.run_id()));
        Self {
            node,
            name,
            cluster,
            outside,
            candidate: RefCell::new(candidate),
            outage: RefCell::new(Outage::new("the Lease")),
            shown,
            dice,
            origin: Instant::now(),
        }
    }

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    /// Whether it may act now.
    fn holds(&self) -> bool {
        self.candidate.borrow().holds(self.now())
    }

    pub(crate) async fn run(&self, end: &CancellationToken) {
        while !end.is_cancelled() {
            let mut pause = timing::LOOK_EVERY.mul_f64(1.0 + self.dice.part() / 2.0);
            in_time(end, self.stand()).await;
            if self.holds() && !end.is_cancelled() {
                tracing::info!("This agent holds the Lease");
                self.shown.begins();
                // It is seldom needed, and larger than all the rest.
                Box::pin(self.tenure(end)).await;
                self.shown.ends();
                tracing::info!("This agent does not hold the Lease any more");
                if self.outside.cloud.is_deaf() && self.holds() && !end.is_cancelled() {
                    tracing::warn!(
                        "EC2 does not answer this agent: another one may have the Lease"
                    );
                    in_time(end, self.resign()).await;
                    pause = timing::UNHEARD_PAUSE;
                }
            }
            tokio::select! {
                () = end.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
        if timeout(LAST_CALL, self.resign()).await.is_err() {
            tracing::debug!("The Lease was not given back in time; it ends by itself");
        }
    }

    /// One attempt to get the Lease or to renew it.
    async fn stand(&self) {
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

    /// Somebody else was first, and the term is over. A server that has no time, or whose answer
    /// was not heard, says nothing of that: the term lasts as long as the last renewal makes it.
    fn not_written(&self, why: &RegistryFailure) {
        tracing::debug!(error = %why, "The Lease was not written");
        match why.kind {
            RegistryKind::Conflict | RegistryKind::AlreadyExists | RegistryKind::NotFound => {
                self.candidate.borrow_mut().refused();
            }
            RegistryKind::Unavailable | RegistryKind::Invalid | RegistryKind::Refused => {}
        }
    }

    /// Gives the Lease back, if it is ours, so that the next agent need not wait.
    async fn resign(&self) {
        if !self.holds() {
            return;
        }
        let Ok(Some(read)) = self.cluster.lease().await else { return };
        let write = self.candidate.borrow_mut().resign(&read);
        if let Some(write) = write
            && let Err(why) = self.cluster.write_lease(&write).await
        {
            tracing::debug!(error = %why, "The Lease was not given back; it ends by itself");
        }
    }
}
