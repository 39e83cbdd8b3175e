//! What the other controllers of an agent report for publication.

use std::collections::VecDeque;

use firecamp_node::volumes::{PodVolumes, Table};

use crate::publish::event::Notice;
use crate::publish::facts::Facts;

/// Maximum number of waiting notices; older ones are dropped.
const NOTICES: usize = 64;

/// What was reported and not evaluated yet: the latest facts, the latest volumes, and notices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reports {
    facts: Option<Facts>,
    volumes: Option<(Table, Option<Vec<PodVolumes>>)>,
    notices: VecDeque<Notice>,
}

impl Reports {
    /// Reports the facts about the node, except its volumes.
    pub fn facts(&mut self, facts: Facts) {
        self.facts = Some(facts);
    }

    /// Reports the volumes, and the pods that claim them if known.
    pub fn volumes(&mut self, table: Table, pods: Option<Vec<PodVolumes>>) {
        self.volumes = Some((table, pods));
    }

    /// Reports what an operation has done.
    pub fn notice(&mut self, notice: Notice) {
        if self.notices.len() >= NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(notice);
    }

    /// Adds later reports.
    pub(super) fn extend(&mut self, later: Self) {
        self.facts = later.facts.or(self.facts.take());
        self.volumes = later.volumes.or(self.volumes.take());
        for notice in later.notices {
            self.notice(notice);
        }
    }

    /// Takes the notices.
    pub fn take_notices(&mut self) -> VecDeque<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Moves facts and volumes into the known facts, and returns whether that changed them. Without
    /// facts about the node the volumes wait.
    pub fn apply(&mut self, known: &mut Option<Facts>) -> bool {
        let mut changed = false;
        if let Some(facts) = self.facts.take() {
            let (volumes, pods) = known
                .as_mut()
                .map(|known| (known.volumes.take(), known.pods.take()))
                .unwrap_or_default();
            changed |= known.as_ref() != Some(&facts);
            *known = Some(Facts { volumes, pods, ..facts });
        }
        if let Some(known) = known
            && let Some((table, pods)) = self.volumes.take()
        {
            changed |= known.volumes.as_ref() != Some(&table) || known.pods != pods;
            (known.volumes, known.pods) = (Some(table), pods);
        }
        changed
    }
}
