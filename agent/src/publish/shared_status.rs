//! What the controllers of an agent pass to each other: always the latest, so it is bounded.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use firecamp_controllers::leader::Ec2Observation;
use firecamp_controllers::publish::{Facts, Notice, Reports};
use firecamp_controllers::volumes::VolumesReport;
use firecamp_core::ids::VolumeId;
use firecamp_node::volumes::observation::CloudView;
use firecamp_node::volumes::{Recheck, Table};

/// What a read of the Lease found; none if it failed or if there is no Lease.
#[derive(Debug, Clone)]
pub(crate) struct LeaseRead(pub(crate) Option<Ec2Observation>);

/// The latest report of each controller. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedStatus(Arc<Mutex<SharedState>>);

#[derive(Debug, Default)]
struct SharedState {
    /// For the publisher.
    reports: Reports,
    /// For the volumes: EC2's view of them.
    cloud: Option<CloudView>,
    /// For the volumes: what an earlier process published.
    published: Option<Table>,
    /// For the node: how soon EC2 should be asked for the volumes again.
    recheck: Recheck,
    /// For the node: the volumes that its pods lack and EC2 does not show here.
    lacked: BTreeSet<VolumeId>,
    /// For the node: how many volumes the EBS CSI driver offers.
    offered: Option<u32>,
    /// For the node: the last read of the Lease, until it is taken, and what it publishes.
    lease_read: Option<LeaseRead>,
    /// For the node: whether there is an endpoint, or why it cannot listen.
    endpoint: Option<Result<bool, String>>,
    /// The node has not taken that yet.
    endpoint_is_new: bool,
    /// For the endpoint: the lists of interfaces are those of this agent.
    node_is_read: bool,
}

impl SharedStatus {
    fn lock(&self) -> MutexGuard<'_, SharedState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the facts about the node, except its volumes.
    pub(crate) fn report(&self, facts: Facts) {
        self.lock().reports.facts(facts);
    }

    /// Adds the notice of an operation.
    pub(crate) fn notice(&self, notice: Notice) {
        self.lock().reports.notice(notice);
    }

    /// Sets what is known of the volumes.
    pub(crate) fn volumes(&self, report: VolumesReport) {
        let VolumesReport { table, pods, recheck, lacked, ages: _, offered } = report;
        let mut kept = self.lock();
        kept.reports.volumes(table, pods);
        (kept.recheck, kept.lacked, kept.offered) = (recheck, lacked, offered);
    }

    /// Takes what was reported since the last call.
    pub(crate) fn take(&self) -> Reports {
        std::mem::take(&mut self.lock().reports)
    }

    /// Sets EC2's view of the volumes.
    pub(crate) fn set_cloud_view(&self, view: CloudView) {
        self.lock().cloud = Some(view);
    }

    /// Takes EC2's view of the volumes, if there is a new one.
    pub(crate) fn take_cloud(&self) -> Option<CloudView> {
        self.lock().cloud.take()
    }

    /// The volumes that pods lack.
    pub(crate) fn lacked_volumes(&self) -> BTreeSet<VolumeId> {
        self.lock().lacked.clone()
    }

    /// How many volumes the EBS CSI driver offers on this node, if known.
    pub(crate) fn offered_volumes(&self) -> Option<u32> {
        self.lock().offered
    }

    /// How soon EC2 should be asked for the volumes again.
    pub(crate) fn recheck_volumes(&self) -> Recheck {
        self.lock().recheck
    }

    /// The Lease was read.
    pub(crate) fn set_lease_read(&self, read: LeaseRead) {
        self.lock().lease_read = Some(read);
    }

    /// Takes the last read of the Lease, if there is a new one.
    pub(crate) fn take_lease_read(&self) -> Option<LeaseRead> {
        self.lock().lease_read.take()
    }

    /// The agent knows its node, and has written the lists of interfaces.
    pub(crate) fn set_node_read(&self) {
        self.lock().node_is_read = true;
    }

    /// Whether it does.
    pub(crate) fn node_is_read(&self) -> bool {
        self.lock().node_is_read
    }

    /// Sets whether there is an endpoint, or why it cannot listen.
    pub(crate) fn set_endpoint(&self, listens: Result<bool, String>) {
        let (mut kept, listens) = (self.lock(), Some(listens));
        kept.endpoint_is_new |= kept.endpoint != listens;
        kept.endpoint = listens;
    }

    /// What is known of the endpoint, if it has changed since the last call.
    pub(crate) fn take_endpoint(&self) -> Option<Result<bool, String>> {
        let mut kept = self.lock();
        let is_new = std::mem::take(&mut kept.endpoint_is_new);
        kept.endpoint.clone().filter(|_| is_new)
    }

    /// Sets the volumes that an earlier process published.
    pub(crate) fn set_published(&self, volumes: Table) {
        self.lock().published = Some(volumes);
    }

    /// The volumes that an earlier process published, once known.
    pub(crate) fn published(&self) -> Option<Table> {
        self.lock().published.clone()
    }
}
