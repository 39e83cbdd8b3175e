//! Clears stale `VolumeReady` conditions of pods that are gone.
//!
//! The agent of a pod's node reports in the claim which volume the pod lacks, and clears the
//! condition once the pod has left. An agent that was down meanwhile cannot. So the leader clears
//! the condition of a member without a pod. While the pod exists, on any node, only the agent of
//! that node writes or clears it.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::ids::{Member, Uid};
use firecamp_core::ports::PodView;
use firecamp_core::time::Moment;

use crate::leader::persistent_findings::Findings;
use crate::leader::planner::Operation;
use crate::leader::round_robin::RoundRobin;
use crate::leader::seen_conditions::{ConditionChange, ConditionKind, SeenCondition};
use crate::leader::timing;
use crate::leader::view::{ObservedClaim, Queries, QueryResults, View};

/// The maximum number of pods read, and of claims written, in one pass.
const CLAIMS_PER_PASS: usize = 200;

#[derive(Debug, Clone, Default)]
pub(crate) struct VolumeWaits {
    findings: Findings<Member, (Uid, SeenCondition)>,
    round_robin: RoundRobin<Member>,
}

/// The condition that the pod lacks a volume.
fn wait(observed: &ObservedClaim) -> Option<SeenCondition> {
    observed.conditions.volume_wait().filter(|_| !observed.id.deleting)
}

/// The change that removes `VolumeReady`; none if the claim does not wait for a volume.
pub fn without_volume_wait(observed: &ObservedClaim) -> Option<ConditionChange> {
    wait(observed)?;
    Some(ConditionChange::Remove(ConditionKind::VolumeReady))
}

impl VolumeWaits {
    pub(crate) fn ask(&mut self, view: &View, questions: &mut Queries) {
        let claims = view
            .claims
            .iter()
            .filter_map(|(member, observed)| Some((member, observed.as_deref()?)));
        let waits = claims.filter(|(_, observed)| wait(observed).is_some());
        let waits = waits.map(|(member, _)| member).collect();
        let batch = self.round_robin.take(waits, CLAIMS_PER_PASS);
        questions.pods.extend(batch.into_iter().cloned());
    }

    pub(crate) fn plan(
        &mut self,
        view: &View,
        answers: &QueryResults,
        now: Moment,
    ) -> Vec<Operation> {
        self.round_robin.skipped(&answers.skipped_pods);
        let (mut found, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        for (member, observed) in &view.claims {
            let Some(observed) = observed else {
                unknown.insert(member.clone());
                continue;
            };
            let Some(condition) = wait(observed) else { continue };
            match answers.pods.get(member).map(|pod| &pod.view) {
                None => drop(unknown.insert(member.clone())),
                Some(PodView::Absent) => {
                    found.insert(member.clone(), (observed.id.uid.clone(), condition));
                }
                Some(PodView::Present { .. } | PodView::Vouched) => {}
            }
        }
        self.findings.pass(found, &unknown, now);
        let due = self.findings.due(now, |_, _| timing::WAIT_GRACE);
        let operation = |(member, _): (&Member, _)| {
            let id = view.claims.get(member)?.as_ref()?.id.clone();
            Some(Operation::ClearVolumeWait { member: member.clone(), id })
        };
        due.filter(|(member, _)| answers.pods.contains_key(*member)).filter_map(operation).collect()
    }
}
