//! What changes in the cluster.

use firecamp_controllers::leader::{NodeLife, NodeSeen, PodSeen, StatefulSet};
use firecamp_core::ids::Version;
use firecamp_core::outside::{Life, PodView};
use firecamp_core::record::{Mark, Mutation, State};
use firecamp_registry::api::{
    ClaimRetention, ClaimRetentionPolicy, Condition, ReclaimPolicy, VOLUME_READY,
};

use super::made::{address, at, attachment, claim, member, owner, pool, set_name, uid};
use super::{MEMBERS, Town};
use crate::drive::{parsed, pick};

/// Nodes beside the leader's own.
const NODES: u8 = 4;
const STATES: [State; 5] =
    [State::Attaching, State::Attached, State::Parked, State::Releasing, State::Released];
const REPORTED: [ReclaimPolicy; 2] = [ReclaimPolicy::Delete, ReclaimPolicy::Retain];
const KEPT: [ClaimRetention; 2] = [ClaimRetention::Delete, ClaimRetention::Retain];

impl Town {
    /// A cluster in which all is well.
    pub(super) fn settle(&mut self) {
        self.view.nodes.insert(parsed("here"), Some(NodeLife::Ready.into()));
        for number in 0..NODES {
            self.view.nodes.insert(parsed(&format!("n{number}")), Some(NodeLife::Ready.into()));
        }
        let version = self.version();
        self.view.pools.insert(parsed("pool"), Some(pool("pool", version, 57)));
        self.change_policy();
        for number in 0..self.chance.small(MEMBERS + 1) {
            let (version, node) = (self.version(), self.chance.small(NODES));
            let taken = Some(attachment(State::Attached, number, node));
            let seen = address((number, number), version.clone(), taken);
            self.view.addresses.insert(at(number), Some(seen));
            let mut seen = claim(number, version, Some(at(number)));
            seen.owner = (!self.chance.once_in(3)).then(|| owner(1));
            self.view.claims.insert(member(number), Some(seen));
            self.change_pod(number);
        }
        self.change_set();
    }

    fn version(&mut self) -> Version {
        self.version += 1;
        parsed(&self.version.to_string())
    }

    pub(super) fn change_one(&mut self) {
        let number = self.chance.small(MEMBERS);
        match self.chance.small(16) {
            0 | 1 => self.change_address(number),
            2 => self.mark_address(number),
            3 => self.lose_address(number),
            4 | 5 => self.change_claim(number),
            6 => self.mark_claim(number),
            7..=9 => self.change_pod(number),
            10 | 11 => self.change_node(),
            12 => self.change_set(),
            13 => self.change_pool(),
            14 => self.change_policy(),
            15.. => self.change_ec2(number),
        }
    }

    fn change_address(&mut self, number: u8) {
        let of = if self.chance.once_in(10) { self.chance.small(MEMBERS) } else { number };
        let (version, state) = (self.version(), pick(&mut self.chance, &STATES));
        let (pod, node) = (pick(&mut self.chance, &[number, number + 100]), self.node());
        let taken = (!self.chance.once_in(8)).then(|| attachment(state, pod, node));
        self.view.addresses.insert(at(number), Some(address((number, of), version, taken)));
    }

    fn node(&mut self) -> u8 {
        // Now and then one that has no Node object.
        self.chance.small(NODES + 1)
    }

    fn mark_address(&mut self, number: u8) {
        let what = self.chance.small(5);
        let version = self.version();
        let Some(Some(seen)) = self.view.addresses.get_mut(&at(number)) else { return };
        seen.id.version = version;
        match what {
            0 => seen.id.deleting = true,
            1 => seen.finalizers.push("example.com/other".to_owned()),
            2 => seen.finalizers.clear(),
            3 => seen.record.epoch.0 += 1,
            4.. => {
                let (mutation, run) = (Mutation::Assign, parsed("run"));
                let mark = Mark { mutation, eni: parsed("eni-0000000b"), run };
                seen.record.unsettled.insert(mark);
            }
        }
    }

    fn lose_address(&mut self, number: u8) {
        if self.chance.once_in(2) {
            self.view.addresses.remove(&at(number));
        } else {
            self.view.addresses.insert(at(number), None);
        }
    }

    fn change_claim(&mut self, number: u8) {
        let version = self.version();
        let mut seen = claim(number, version, Some(at(number)));
        seen.owner = (!self.chance.once_in(3)).then(|| owner(self.chance.small(2)));
        match self.chance.small(9) {
            0 | 1 => drop(self.view.claims.remove(&member(number))),
            2 => drop(self.view.claims.insert(member(number), None)),
            kind => {
                if kind == 3 || kind == 4 {
                    seen.claim.address = None;
                } else if kind == 5 {
                    seen.claim.address = Some(at(self.chance.small(MEMBERS * 2)));
                }
                if kind == 4 || kind == 6 {
                    seen.claim.requested = Some(at(self.chance.small(MEMBERS * 2)));
                } else if kind == 7 {
                    seen.claim.pool = parsed("other");
                }
                self.view.claims.insert(member(number), Some(seen));
            }
        }
    }

    fn mark_claim(&mut self, number: u8) {
        let (deletes, good) = (self.chance.once_in(3), self.chance.once_in(4));
        let Some(Some(seen)) = self.view.claims.get_mut(&member(number)) else { return };
        if deletes {
            seen.id.deleting = true;
            return;
        }
        seen.conditions.retain(|one| one.kind != VOLUME_READY);
        seen.conditions.push(Condition {
            kind: VOLUME_READY.to_owned(),
            status: if good { "True" } else { "False" }.to_owned(),
            reason: "NotMounted".to_owned(),
            message: "it is not mounted".to_owned(),
            last_transition_time: Some("2026-11-20T00:00:00Z".to_owned()),
            observed_generation: Some(seen.generation),
        });
    }

    fn change_pod(&mut self, number: u8) {
        let chance = &mut self.chance;
        let lives = [Life::Running, Life::Running, Life::Terminating(None), Life::Terminal];
        let view = match chance.small(6) {
            0 => {
                self.pods.remove(&member(number));
                return;
            }
            1 | 2 => PodView::Absent,
            _ => PodView::Present {
                pod: parsed(&format!("pod-{}", pick(chance, &[number, number, number + 100]))),
                node: None,
                life: pick(chance, &lives),
                controller: None,
            },
        };
        let controller = (!chance.once_in(4)).then(|| owner(chance.small(2)));
        self.pods.insert(member(number), PodSeen { view, controller });
    }

    fn change_node(&mut self) {
        let here = self.chance.once_in(20);
        let name = if here { "here".to_owned() } else { format!("n{}", self.node()) };
        let lives =
            [NodeLife::Ready, NodeLife::NotReady, NodeLife::NotReady, NodeLife::OutOfService];
        let life = pick(&mut self.chance, &lives);
        let zones = [None, Some(parsed("us-east-1a")), Some(parsed("us-east-1b"))];
        let zone = pick(&mut self.chance, &zones);
        match self.chance.small(8) {
            0 => drop(self.view.nodes.remove(&parsed(&name))),
            1 => drop(self.view.nodes.insert(parsed(&name), None)),
            _ => drop(self.view.nodes.insert(parsed(&name), Some(NodeSeen { life, zone }))),
        }
    }

    fn change_set(&mut self) {
        let chance = &mut self.chance;
        let set = StatefulSet {
            uid: uid(&format!("set-{}", chance.small(2))),
            first: u32::from(pick(chance, &[0_u8, 0, 0, 2])),
            replicas: u32::from(chance.small(MEMBERS + 1)),
        };
        match chance.small(6) {
            0 => drop(self.view.sets.remove(&set_name())),
            1 => drop(self.view.sets.insert(set_name(), None)),
            _ => drop(self.view.sets.insert(set_name(), Some(set))),
        }
    }

    fn change_pool(&mut self) {
        let (version, last) = (self.version(), 50 + self.chance.small(MEMBERS));
        let name = pick(&mut self.chance, &["pool", "pool", "other"]);
        match self.chance.small(6) {
            0 => drop(self.view.pools.remove(&parsed(name))),
            1 => drop(self.view.pools.insert(parsed(name), None)),
            kind => {
                let mut seen = pool(name, version, last);
                let entry = &mut seen.pool.subnets[0];
                if kind == 2 {
                    entry.zone = parsed("us-east-1b");
                } else if kind == 3 {
                    entry.cidr = parsed("10.0.0.0/16");
                }
                self.view.pools.insert(parsed(name), Some(seen));
            }
        }
    }

    fn change_policy(&mut self) {
        let chance = &mut self.chance;
        let reclaim = pick(chance, &REPORTED);
        let when_deleted = pick(chance, &KEPT);
        let retention = ClaimRetentionPolicy { when_deleted, when_scaled: pick(chance, &KEPT) };
        for seen in self.view.pools.values_mut().flatten() {
            (seen.reclaim, seen.retention) = (reclaim, retention);
        }
    }

    fn change_ec2(&mut self, number: u8) {
        match self.chance.small(3) {
            0 => drop(self.held.remove(&at(number))),
            kind => drop(self.held.insert(at(number), kind == 1)),
        }
    }
}
