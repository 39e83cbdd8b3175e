//! What the agent's parts have to tell, until the publisher looks.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use firecamp_controllers::publish::{Facts, Notice, table};
use firecamp_core::ids::VolumeId;
use firecamp_node::volumes::seen::CloudView;
use firecamp_node::volumes::{PodVolumes, Table};
use firecamp_registry::api::VolumeStatus;

/// So many notices wait; older ones are dropped.
const NOTICES: usize = 64;

/// The latest of everything.
#[derive(Debug, Default)]
pub(crate) struct Bulletin(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    facts: Option<Facts>,
    volumes: Option<Table>,
    pods: Option<Vec<PodVolumes>>,
    cloud: Option<CloudView>,
    suspects: bool,
    lacked: BTreeSet<VolumeId>,
    notices: VecDeque<Notice>,
    /// Something of this is other than it was when all of it was taken.
    changed: bool,
    published: Option<Table>,
}

impl Bulletin {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the node, but for its volumes.
    pub(crate) fn tell(&self, facts: Facts) {
        let (mut kept, facts) = (self.kept(), Some(facts));
        kept.changed |= kept.facts != facts;
        kept.facts = facts;
    }

    /// The volumes, and the pods that claim them, as far as those are known.
    pub(crate) fn volumes(&self, table: Table, pods: Option<Vec<PodVolumes>>) {
        let (mut kept, table) = (self.kept(), Some(table));
        kept.changed |= kept.volumes != table || kept.pods != pods;
        (kept.volumes, kept.pods) = (table, pods);
    }

    /// What EC2 says of the volumes.
    pub(crate) fn seen_by_ec2(&self, view: CloudView) {
        self.kept().cloud = Some(view);
    }

    /// What EC2 has said of them since the last look.
    pub(crate) fn take_cloud(&self) -> Option<CloudView> {
        self.kept().cloud.take()
    }

    /// Something may be wrong with a volume, or no longer.
    pub(crate) fn suspect_volumes(&self, suspects: bool) {
        self.kept().suspects = suspects;
    }

    /// These pods of this node lack, and EC2 does not show them here.
    pub(crate) fn lack_volumes(&self, volumes: &BTreeSet<VolumeId>) {
        self.kept().lacked.clone_from(volumes);
    }

    /// What the pods lack.
    pub(crate) fn lacked_volumes(&self) -> BTreeSet<VolumeId> {
        self.kept().lacked.clone()
    }

    /// Whether something may be wrong with one.
    pub(crate) fn suspects_volumes(&self) -> bool {
        self.kept().suspects
    }

    /// An errand has done something.
    pub(crate) fn notice(&self, notice: Notice) {
        let mut kept = self.kept();
        if kept.notices.len() >= NOTICES {
            kept.notices.pop_front();
        }
        kept.notices.push_back(notice);
        kept.changed = true;
    }

    /// Everything that is known, and the notices since it was taken last. None before anything is
    /// known, and while all of it is as it was, unless it is `due`.
    pub(crate) fn take(&self, due: bool) -> Option<(Facts, VecDeque<Notice>)> {
        let mut kept = self.kept();
        if !kept.changed && !due {
            return None;
        }
        let facts = kept.facts.clone()?;
        let (volumes, pods) = (kept.volumes.clone(), kept.pods.clone());
        let facts = Facts { volumes, pods, ..facts };
        kept.changed = false;
        Some((facts, std::mem::take(&mut kept.notices)))
    }

    /// These volumes stand in the API; only the first time counts.
    pub(crate) fn published(&self, volumes: &[VolumeStatus]) {
        self.kept().published.get_or_insert_with(|| table(volumes));
    }

    /// What an earlier process published of the volumes, once that is known.
    pub(crate) fn earlier(&self) -> Option<Table> {
        self.kept().published.clone()
    }
}
