//! The leader's planner and its Lease.

use std::collections::HashMap;

use firecamp_controllers::leader::{
    Call, Candidate, Ec2Reachability, ObservedClaim, ObservedLease, Operation, Owner, Planner,
    QueryResults, Site, StatefulSet, View, deletion_reason, is_orphan, usage, without_volume_wait,
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
    planned: HashMap<u64, Vec<Operation>>,
    candidates: HashMap<u64, Candidate>,
    hearings: HashMap<u64, Ec2Reachability>,
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
                let (view, site, answers, now): (View, Site, QueryResults, Moment) = read(with)?;
                let planner = self.planners.entry(of).or_default();
                let operations = planner.plan(&view, &site, &answers, now);
                let answer = gives(&operations);
                self.planned.insert(of, operations);
                answer
            }
            "leader.words" => {
                let operations = self.planned.get(&of).map(Vec::as_slice).unwrap_or_default();
                let reported =
                    operations.iter().map(|operation| (operation.reason(), operation.action()));
                gives(&reported.collect::<Vec<_>>())
            }
            "leader.usage" => gives(&usage(&read(with)?)),
            "leader.claim" => {
                let seen: ObservedClaim = read(with)?;
                let orphan = seen.claim.address.map(|address| is_orphan(address, Some(&seen)));
                gives(&(orphan, without_volume_wait(&seen)))
            }
            "leader.unwanted" => {
                type All = (Member, Owner, ClaimRetentionPolicy, Option<StatefulSet>);
                let (member, owner, policy, set): All = read(with)?;
                gives(&deletion_reason(&member, &owner, policy, set.as_ref()))
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
                let reachability = self.hearings.entry(of).or_default();
                reachability.sent(call, now);
                gives(&reachability.is_unreachable())
            }
            "hearing.ended" => {
                let (call, failure): (Call, Option<CloudKind>) = read(with)?;
                let reachability = self.hearings.entry(of).or_default();
                reachability.ended(call, failure);
                gives(&reachability.is_unreachable())
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
            let (lease, now): (Option<ObservedLease>, Moment) = read(with)?;
            gives(&candidate.decide(lease.as_ref(), now))
        }
        "resign" => gives(&candidate.resign(&read(with)?)),
        "refused" => gives(&candidate.refused()),
        "renewed" => gives(&candidate.renewed(read(with)?)),
        _ => Ok(None),
    }
}
