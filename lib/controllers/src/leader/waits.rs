//! What is said of the volumes of a pod that is gone.
//!
//! The agent of a pod's node says of its claim which volume it lacks, and takes it back once the
//! pod has left. An agent that was down meanwhile does not know of it any more. So the holder takes
//! it back where the member has no pod at all: nobody waits for a volume then. What is said of a
//! pod that is there, wherever that is, is for the agent of its node to say or to take back.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::ids::Member;
use firecamp_core::outside::PodView;
use firecamp_core::time::Moment;
use firecamp_registry::api::{Condition, VOLUME_READY};

use crate::leader::planner::Duty;
use crate::leader::suspects::Suspects;
use crate::leader::timing;
use crate::leader::turns::Turns;
use crate::leader::view::{Answers, ClaimSeen, Questions, Uid, View};

/// So many pods are looked for in one pass, and no more claims are written.
const AT_ONCE: usize = 200;

#[derive(Debug, Clone, Default)]
pub(crate) struct Waits {
    suspects: Suspects<Member, (Uid, Condition)>,
    turns: Turns<Member>,
}

/// What is said of a volume that its pod lacks.
fn wait(seen: &ClaimSeen) -> Option<&Condition> {
    let said = seen.conditions.iter().find(|one| one.kind == VOLUME_READY);
    said.filter(|one| one.status != "True" && !seen.id.deleting)
}

/// What else is said of the claim; none if no volume is waited for.
pub fn without_wait(seen: &ClaimSeen) -> Option<Vec<Condition>> {
    wait(seen)?;
    Some(seen.conditions.iter().filter(|one| one.kind != VOLUME_READY).cloned().collect())
}

impl Waits {
    pub(crate) fn ask(&mut self, view: &View, questions: &mut Questions) {
        let claims = view.claims.iter().filter_map(|(member, seen)| Some((member, seen.as_ref()?)));
        let waits = claims.filter(|(_, seen)| wait(seen).is_some());
        let waits = waits.map(|(member, _)| member).collect();
        let turn = self.turns.take(waits, AT_ONCE);
        questions.pods.extend(turn.into_iter().cloned());
    }

    pub(crate) fn plan(&mut self, view: &View, answers: &Answers, now: Moment) -> Vec<Duty> {
        self.turns.cut_short(&answers.unasked_pods);
        let (mut found, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        for (member, seen) in &view.claims {
            let Some(seen) = seen else {
                unknown.insert(member.clone());
                continue;
            };
            let Some(said) = wait(seen) else { continue };
            match answers.pods.get(member).map(|pod| &pod.view) {
                None => drop(unknown.insert(member.clone())),
                Some(PodView::Absent) => {
                    found.insert(member.clone(), (seen.id.uid.clone(), said.clone()));
                }
                Some(PodView::Present { .. } | PodView::Vouched) => {}
            }
        }
        self.suspects.pass(found, &unknown, now);
        let due = self.suspects.due(now, |_, _| timing::WAIT_GRACE);
        let duty = |(member, _): (&Member, _)| {
            let id = view.claims.get(member)?.as_ref()?.id.clone();
            Some(Duty::EndWait { member: member.clone(), id })
        };
        due.filter(|(member, _)| answers.pods.contains_key(*member)).filter_map(duty).collect()
    }
}
