//! A cluster that changes by rng, and the passes of whoever holds the Lease over it.

mod change;
mod made;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    Identity, ObservedClaim, ObservedPod, Operation, Planner, Queries, QueryResults,
    SeenConditions, Site, View, deletion_reason, is_orphan, usage, without_volume_wait,
};
use firecamp_core::ids::Member;
use firecamp_core::time::Moment;
use firecamp_histories::seed::{Purpose, SeededRng};
use firecamp_histories::tape::Tape;

use super::parsed;

const PASSES: u32 = 40;
/// Members and as many addresses.
const MEMBERS: u8 = 8;

/// Records a history.
pub fn leader(seed: u64) -> Tape {
    let mut fixture = ClusterFixture::new(seed);
    for _ in 0..PASSES {
        fixture.now = fixture.now.plus(fixture.rng.millis(20_000, 60_000));
        fixture.change();
        fixture.pass();
    }
    fixture.tape
}

struct ClusterFixture {
    rng: SeededRng,
    tape: Tape,
    planner: Planner,
    view: View,
    site: Site,
    pods: BTreeMap<Member, ObservedPod>,
    held: BTreeMap<Ipv4Addr, bool>,
    now: Moment,
    version: u32,
    /// How many things change between two passes, at most.
    haste: u64,
}

impl ClusterFixture {
    fn new(seed: u64) -> Self {
        let mut rng = SeededRng::new(seed, Purpose::Test, 101);
        let haste = [1, 3, 10][usize::from(rng.small(3))];
        let mut fixture = Self {
            rng,
            tape: Tape::of("leader", seed),
            planner: Planner::default(),
            view: View::default(),
            site: Site {
                node: parsed("here"),
                cluster: parsed("test"),
                subnets: [(parsed("subnet-0000000a"), parsed("10.0.1.0/24"))].into(),
            },
            pods: BTreeMap::new(),
            held: BTreeMap::new(),
            now: Moment::default(),
            version: 1,
            haste,
        };
        fixture.settle();
        fixture
    }

    fn change(&mut self) {
        for _ in 0..self.rng.below(self.haste + 1) {
            self.change_one();
        }
    }

    fn pass(&mut self) {
        if self.rng.once_in(40) {
            self.planner = Planner::default();
            self.tape.call("leader.new", Some(0), &());
            self.tape.gives(&());
        }
        self.tape.call("leader.ask", Some(0), &(&self.view, &self.site));
        let asked = self.planner.ask(&self.view, &self.site);
        self.tape.gives(&asked);
        let answers = self.answers(&asked);
        let with = (&self.view, &self.site, &answers, self.now);
        self.tape.call("leader.plan", Some(0), &with);
        let operations = self.planner.plan(&self.view, &self.site, &answers, self.now);
        let reported: Vec<_> =
            operations.iter().map(|operation| (operation.reason(), operation.action())).collect();
        self.tape.gives(&operations);
        self.tape.call("leader.words", Some(0), &());
        self.tape.gives(&reported);
        self.look();
        for operation in operations {
            if !self.rng.once_in(4) {
                self.obey(operation);
            }
        }
    }

    /// What was asked for, but for what could not be read, or came too late.
    fn answers(&mut self, asked: &Queries) -> QueryResults {
        let mut answers = QueryResults::default();
        for member in &asked.pods {
            if self.rng.once_in(12) {
                answers.skipped_pods.insert(member.clone());
            } else if let Some(pod) = self.pods.get(member) {
                answers.pods.insert(member.clone(), pod.clone());
            }
        }
        for address in &asked.owners {
            if self.rng.once_in(12) {
                answers.skipped_owners.insert(*address);
            } else if let Some(held) = self.held.get(address) {
                answers.held.insert(*address, *held);
            }
        }
        answers
    }

    /// What is asked outside of a pass.
    fn look(&mut self) {
        self.tape.function("leader.usage", &self.view, &usage(&self.view));
        let claims: Vec<&ObservedClaim> =
            self.view.claims.values().flatten().map(AsRef::as_ref).collect();
        for seen in claims {
            let orphan = seen.claim.address.map(|address| is_orphan(address, Some(seen)));
            let wait = without_volume_wait(seen);
            self.tape.function("leader.claim", seen, &(orphan, wait));
            let (Some(owner), Some(pool)) = (&seen.owner, self.view.pools.get(&seen.claim.pool))
            else {
                continue;
            };
            let Some(policy) = pool.as_ref().map(|pool| pool.retention) else { continue };
            let member = &seen.claim.member;
            let set = self.view.sets.get(&owner.full_name(member)).and_then(Option::as_ref);
            let why = deletion_reason(member, owner, policy, set);
            self.tape.function("leader.unwanted", &(member, owner, policy, set), &why);
        }
    }

    /// Does what was planned, as far as this view shows it.
    fn obey(&mut self, operation: Operation) {
        match operation {
            Operation::Release { address, .. } | Operation::Unassign { address, .. } => {
                self.part(address);
            }
            Operation::RecordOwner { member, owner, .. } => {
                self.claim(&member, |seen| seen.owner = owner);
            }
            Operation::DeleteClaim { member, .. } => drop(self.view.claims.remove(&member)),
            Operation::DeleteStaticIp { address, .. } => {
                self.address(address, |id| id.deleting = true);
            }
            Operation::RemoveFinalizer { address, .. } => {
                drop(self.view.addresses.remove(&address));
            }
            Operation::UpdateStaticIpStatus { address, phase, change, .. } => {
                if let Some(Some(seen)) = self.view.addresses.get_mut(&address) {
                    seen.phase = phase;
                    seen.conditions = change.applied(&[]).as_slice().into();
                }
            }
            Operation::ClearVolumeWait { member, .. } => self.claim(&member, |seen| {
                seen.conditions = SeenConditions::default();
            }),
            // This cluster has no gated pods, and FireCamp makes no interface in it.
            Operation::RemoveZoneGate { .. }
            | Operation::ReportZoneConflict { .. }
            | Operation::DrainInterface(_)
            | Operation::DetachInterface { .. }
            | Operation::DeleteInterface(_) => {}
            Operation::UpdateClaimStatus { member, change, .. } => {
                self.claim(&member, |seen| {
                    seen.conditions = change.applied(&[]).as_slice().into();
                });
            }
            Operation::UpdatePoolStatus { pool, status, .. } => {
                if let Some(Some(seen)) = self.view.pools.get_mut(&pool) {
                    seen.status = Some(status);
                }
            }
        }
    }

    fn claim(&mut self, member: &Member, change: impl FnOnce(&mut ObservedClaim)) {
        if let Some(Some(seen)) = self.view.claims.get_mut(member) {
            change(seen);
        }
    }

    fn address(&mut self, address: Ipv4Addr, change: impl FnOnce(&mut Identity)) {
        if let Some(Some(seen)) = self.view.addresses.get_mut(&address) {
            change(&mut seen.id);
        }
    }

    /// An address goes on its way out of EC2.
    fn part(&mut self, address: Ipv4Addr) {
        use firecamp_core::record::State;
        let Some(Some(seen)) = self.view.addresses.get_mut(&address) else { return };
        let Some(attachment) = &mut seen.record.attachment else { return };
        attachment.state = match attachment.state {
            State::Attaching | State::Attached => State::Parked,
            State::Parked => State::Releasing,
            State::Releasing | State::Released => State::Released,
        };
        seen.record.pending_mutations = BTreeSet::new();
    }
}
