//! The shared status: what the parts of the agent report, until the publisher takes it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use firecamp_controllers::publish::{Facts, Notice, table};
use firecamp_core::ids::VolumeId;
use firecamp_node::volumes::observation::CloudView;
use firecamp_node::volumes::{PodVolumes, Table};
use firecamp_registry::api::VolumeStatus;

/// Maximum number of waiting notices; older ones are dropped.
const NOTICES: usize = 64;

/// The latest report of each part.
#[derive(Debug, Default)]
pub(crate) struct SharedStatus(Mutex<SharedState>);

#[derive(Debug, Default)]
struct SharedState {
    facts: Option<Facts>,
    volumes: Option<Table>,
    pods: Option<Vec<PodVolumes>>,
    cloud: Option<CloudView>,
    suspects: bool,
    lacked: BTreeSet<VolumeId>,
    notices: VecDeque<Notice>,
    /// Something has changed since the last `take`.
    changed: bool,
    published: Option<Table>,
}

impl SharedStatus {
    fn lock(&self) -> MutexGuard<'_, SharedState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the facts about the node, except its volumes.
    pub(crate) fn report(&self, facts: Facts) {
        let (mut kept, facts) = (self.lock(), Some(facts));
        kept.changed |= kept.facts != facts;
        kept.facts = facts;
    }

    /// Sets the volumes, and the pods that claim them if known.
    pub(crate) fn volumes(&self, table: Table, pods: Option<Vec<PodVolumes>>) {
        let (mut kept, table) = (self.lock(), Some(table));
        kept.changed |= kept.volumes != table || kept.pods != pods;
        (kept.volumes, kept.pods) = (table, pods);
    }

    /// Sets EC2's view of the volumes.
    pub(crate) fn set_cloud_view(&self, view: CloudView) {
        self.lock().cloud = Some(view);
    }

    /// Takes EC2's view of the volumes, if there is a new one.
    pub(crate) fn take_cloud(&self) -> Option<CloudView> {
        self.lock().cloud.take()
    }

    /// Sets whether a volume may have a problem.
    pub(crate) fn set_suspects(&self, suspects: bool) {
        self.lock().suspects = suspects;
    }

    /// Sets the volumes that pods of this node lack and EC2 does not show here.
    pub(crate) fn set_lacked_volumes(&self, volumes: &BTreeSet<VolumeId>) {
        self.lock().lacked.clone_from(volumes);
    }

    /// The volumes that pods lack.
    pub(crate) fn lacked_volumes(&self) -> BTreeSet<VolumeId> {
        self.lock().lacked.clone()
    }

    /// Whether a volume may have a problem.
    pub(crate) fn suspects_volumes(&self) -> bool {
        self.lock().suspects
    }

    /// Adds the notice of an operation.
    pub(crate) fn notice(&self, notice: Notice) {
        let mut kept = self.lock();
        if kept.notices.len() >= NOTICES {
            kept.notices.pop_front();
        }
        kept.notices.push_back(notice);
        kept.changed = true;
    }

    /// Takes the facts and the notices since the last call. None before the first report, and none
    /// if nothing has changed, unless it is `due`.
    pub(crate) fn take(&self, due: bool) -> Option<(Facts, VecDeque<Notice>)> {
        let mut kept = self.lock();
        if !kept.changed && !due {
            return None;
        }
        let facts = kept.facts.clone()?;
        let (volumes, pods) = (kept.volumes.clone(), kept.pods.clone());
        let facts = Facts { volumes, pods, ..facts };
        kept.changed = false;
        Some((facts, std::mem::take(&mut kept.notices)))
    }

    /// Sets the volumes in the published status; only the first call counts.
    pub(crate) fn published(&self, volumes: &[VolumeStatus]) {
        self.lock().published.get_or_insert_with(|| table(volumes));
    }

    /// The volumes that an earlier process published, once known.
    pub(crate) fn earlier(&self) -> Option<Table> {
        self.lock().published.clone()
    }
}
