//! What the controllers of an agent pass to each other: always the latest, so it is bounded.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
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
    /// For the node: where the endpoint listens or why it cannot, until it is taken.
    endpoint: Option<Result<SocketAddrV4, String>>,
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

    /// The endpoint listens, or cannot.
    pub(crate) fn set_endpoint(&self, listens: Result<SocketAddrV4, String>) {
        self.lock().endpoint = Some(listens);
    }

    /// Takes what the endpoint said since the last call.
    pub(crate) fn take_endpoint(&self) -> Option<Result<SocketAddrV4, String>> {
        self.lock().endpoint.take()
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
