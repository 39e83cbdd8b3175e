//! The leader's planner and its Lease.

use std::collections::HashMap;

use firecamp_cluster::{
    Answers, Call, Candidate, ClaimSeen, Duty, Hearing, LeaseSeen, Owner, Planner, Site,
    StatefulSet, View, is_orphan, unwanted, usage, without_wait,
};
use firecamp_core::failure::CloudKind;
use firecamp_core::ids::Member;
use firecamp_core::time::Moment;
use firecamp_registry::api::ClaimRetentionPolicy;

use super::{Answer, gives, known, read};

/// The stateful components of leaders.
#[derive(Debug, Default)]
pub(super) struct Leader {
    planners: HashMap<u64, Planner>,
    /// The last plan of each planner.
    planned: HashMap<u64, Vec<Duty>>,
    candidates: HashMap<u64, Candidate>,
    hearings: HashMap<u64, Hearing>,
}

impl Leader {
    pub(super) fn ask(&mut self, call: &str, of: u64, with: &str) -> Answer {
        match call {
            "leader.new" => {
                let _before = self.planners.insert(of, Planner::default());
                gives(&read::<()>(with)?)
            }
            "leader.ask" => {
                let (view, site): (View, Site) = read(with)?;
                gives(&self.planners.entry(of).or_default().ask(&view, &site))
            }
            "leader.plan" => {
                let (view, site, answers, now): (View, Site, Answers, Moment) = read(with)?;
                let planner = self.planners.entry(of).or_default();
                let duties = planner.plan(&view, &site, &answers, now);
                let answer = gives(&duties);
                self.planned.insert(of, duties);
                answer
            }
            "leader.words" => {
                let duties = self.planned.get(&of).map(Vec::as_slice).unwrap_or_default();
                let told = duties.iter().map(|duty| (duty.reason(), duty.action()));
                gives(&told.collect::<Vec<_>>())
            }
            "leader.usage" => gives(&usage(&read(with)?)),
            "leader.claim" => {
                let seen: ClaimSeen = read(with)?;
                let orphan = seen.claim.address.map(|address| is_orphan(address, Some(&seen)));
                gives(&(orphan, without_wait(&seen)))
            }
            "leader.unwanted" => {
                type All = (Member, Owner, ClaimRetentionPolicy, Option<StatefulSet>);
                let (member, owner, policy, set): All = read(with)?;
                gives(&unwanted(&member, &owner, policy, set.as_ref()))
            }
            _ => self.lease(call, of, with),
        }
    }

    fn lease(&mut self, call: &str, of: u64, with: &str) -> Answer {
        match call {
            "candidate.new" => {
                let _before = self.candidates.insert(of, Candidate::new(read(with)?));
                gives(&())
            }
            "hearing.sent" => {
                let (call, now): (Call, Moment) = read(with)?;
                let hearing = self.hearings.entry(of).or_default();
                hearing.sent(call, now);
                gives(&hearing.is_deaf())
            }
            "hearing.ended" => {
                let (call, failure): (Call, Option<CloudKind>) = read(with)?;
                let hearing = self.hearings.entry(of).or_default();
                hearing.ended(call, failure);
                gives(&hearing.is_deaf())
            }
            _ => match call.strip_prefix("candidate.") {
                Some(call) => stands(known(self.candidates.get_mut(&of))?, call, with),
                None => Ok(None),
            },
        }
    }
}

fn stands(candidate: &mut Candidate, call: &str, with: &str) -> Answer {
    match call {
        "left" => {
            let now = read(with)?;
            gives(&(candidate.left(now), candidate.holds(now)))
        }
        "decide" => {
            let (lease, now): (Option<LeaseSeen>, Moment) = read(with)?;
            gives(&candidate.decide(lease.as_ref(), now))
        }
        "resign" => gives(&candidate.resign(&read(with)?)),
        "refused" => gives(&candidate.refused()),
        "renewed" => gives(&candidate.renewed(read(with)?)),
        _ => Ok(None),
    }
}
