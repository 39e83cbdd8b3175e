//! What changes in the cluster.

use firecamp_controllers::leader::{NodeReadiness, ObservedNode, ObservedPod, StatefulSet};
use firecamp_core::ids::Version;
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::record::{Mutation, PendingMutation, State};
use firecamp_registry::api::{
    ClaimRetention, ClaimRetentionPolicy, Condition, ReclaimPolicy, VOLUME_READY,
};

use super::made::{address, at, attachment, claim, member, owner, pool, set_name, uid};
use super::{ClusterFixture, MEMBERS};
use crate::drive::{parsed, pick};

/// Nodes beside the leader's own.
const NODES: u8 = 4;
const STATES: [State; 5] =
    [State::Attaching, State::Attached, State::Parked, State::Releasing, State::Released];
const REPORTED: [ReclaimPolicy; 2] = [ReclaimPolicy::Delete, ReclaimPolicy::Retain];
const KEPT: [ClaimRetention; 2] = [ClaimRetention::Delete, ClaimRetention::Retain];

impl ClusterFixture {
    /// A cluster in which all is well.
    pub(super) fn settle(&mut self) {
        self.view.nodes.insert(parsed("here"), Some(NodeReadiness::Ready.into()));
        for number in 0..NODES {
            self.view
                .nodes
                .insert(parsed(&format!("n{number}")), Some(NodeReadiness::Ready.into()));
        }
        let version = self.version();
        self.view.pools.insert(parsed("pool"), Some(pool("pool", version, 57)));
        self.change_policy();
        for number in 0..self.rng.small(MEMBERS + 1) {
            let (version, node) = (self.version(), self.rng.small(NODES));
            let taken = Some(attachment(State::Attached, number, node));
            let seen = address((number, number), version.clone(), taken);
            self.view.addresses.insert(at(number), Some(seen.into()));
            let mut seen = claim(number, version, Some(at(number)));
            seen.owner = (!self.rng.once_in(3)).then(|| owner(1));
            self.view.claims.insert(member(number), Some(seen.into()));
            self.change_pod(number);
        }
        self.change_set();
    }

    fn version(&mut self) -> Version {
        self.version += 1;
        parsed(&self.version.to_string())
    }

    pub(super) fn change_one(&mut self) {
        let number = self.rng.small(MEMBERS);
        match self.rng.small(16) {
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
        let of = if self.rng.once_in(10) { self.rng.small(MEMBERS) } else { number };
        let (version, state) = (self.version(), pick(&mut self.rng, &STATES));
        let (pod, node) = (pick(&mut self.rng, &[number, number + 100]), self.node());
        let taken = (!self.rng.once_in(8)).then(|| attachment(state, pod, node));
        let seen = address((number, of), version, taken);
        self.view.addresses.insert(at(number), Some(seen.into()));
    }

    fn node(&mut self) -> u8 {
        // Now and then one that has no Node object.
        self.rng.small(NODES + 1)
    }

    fn mark_address(&mut self, number: u8) {
        let what = self.rng.small(5);
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
                let mark = PendingMutation { mutation, eni: parsed("eni-0000000b"), run };
                seen.record.pending_mutations.insert(mark);
            }
        }
    }

    fn lose_address(&mut self, number: u8) {
        if self.rng.once_in(2) {
            self.view.addresses.remove(&at(number));
        } else {
            self.view.addresses.insert(at(number), None);
        }
    }

    fn change_claim(&mut self, number: u8) {
        let version = self.version();
        let mut seen = claim(number, version, Some(at(number)));
        seen.owner = (!self.rng.once_in(3)).then(|| owner(self.rng.small(2)));
        match self.rng.small(9) {
            0 | 1 => drop(self.view.claims.remove(&member(number))),
            2 => drop(self.view.claims.insert(member(number), None)),
            kind => {
                if kind == 3 || kind == 4 {
                    seen.claim.address = None;
                } else if kind == 5 {
                    seen.claim.address = Some(at(self.rng.small(MEMBERS * 2)));
                }
                if kind == 4 || kind == 6 {
                    seen.claim.requested = Some(at(self.rng.small(MEMBERS * 2)));
                } else if kind == 7 {
                    seen.claim.pool = parsed("other");
                }
                self.view.claims.insert(member(number), Some(seen.into()));
            }
        }
    }

    fn mark_claim(&mut self, number: u8) {
        let (deletes, good) = (self.rng.once_in(3), self.rng.once_in(4));
        let Some(Some(seen)) = self.view.claims.get_mut(&member(number)) else { return };
        if deletes {
            seen.id.deleting = true;
            return;
        }
        let volume = Condition {
            kind: VOLUME_READY.to_owned(),
            status: if good { "True" } else { "False" }.to_owned(),
            reason: "NotMounted".to_owned(),
            message: "it is not mounted".to_owned(),
            last_transition_time: Some("2026-11-20T00:00:00Z".to_owned()),
            observed_generation: Some(seen.generation),
        };
        seen.conditions = [volume].as_slice().into();
    }

    fn change_pod(&mut self, number: u8) {
        let rng = &mut self.rng;
        let lives = [
            PodLifecycle::Running,
            PodLifecycle::Running,
            PodLifecycle::Terminating(None),
            PodLifecycle::Terminal,
        ];
        let view = match rng.small(6) {
            0 => {
                self.pods.remove(&member(number));
                return;
            }
            1 | 2 => PodView::Absent,
            _ => PodView::Present {
                pod: parsed(&format!("pod-{}", pick(rng, &[number, number, number + 100]))),
                node: None,
                lifecycle: pick(rng, &lives),
                controller: None,
            },
        };
        let controller = (!rng.once_in(4)).then(|| owner(rng.small(2)));
        self.pods.insert(member(number), ObservedPod { view, controller });
    }

    fn change_node(&mut self) {
        let here = self.rng.once_in(20);
        let name = if here { "here".to_owned() } else { format!("n{}", self.node()) };
        let lives = [
            NodeReadiness::Ready,
            NodeReadiness::NotReady,
            NodeReadiness::NotReady,
            NodeReadiness::OutOfService,
        ];
        let lifecycle = pick(&mut self.rng, &lives);
        let zones = [None, Some(parsed("us-east-1a")), Some(parsed("us-east-1b"))];
        let zone = pick(&mut self.rng, &zones);
        match self.rng.small(8) {
            0 => drop(self.view.nodes.remove(&parsed(&name))),
            1 => drop(self.view.nodes.insert(parsed(&name), None)),
            _ => {
                drop(
                    self.view
                        .nodes
                        .insert(parsed(&name), Some(ObservedNode { zone, ..lifecycle.into() })),
                );
            }
        }
    }

    fn change_set(&mut self) {
        let rng = &mut self.rng;
        let set = StatefulSet {
            uid: uid(&format!("set-{}", rng.small(2))),
            first: u32::from(pick(rng, &[0_u8, 0, 0, 2])),
            replicas: u32::from(rng.small(MEMBERS + 1)),
            service: None,
        };
        match rng.small(6) {
            0 => drop(self.view.sets.remove(&set_name())),
            1 => drop(self.view.sets.insert(set_name(), None)),
            _ => drop(self.view.sets.insert(set_name(), Some(set))),
        }
    }

    fn change_pool(&mut self) {
        let (version, last) = (self.version(), 50 + self.rng.small(MEMBERS));
        let name = pick(&mut self.rng, &["pool", "pool", "other"]);
        match self.rng.small(6) {
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
        let rng = &mut self.rng;
        let reclaim = pick(rng, &REPORTED);
        let when_deleted = pick(rng, &KEPT);
        let retention = ClaimRetentionPolicy { when_deleted, when_scaled: pick(rng, &KEPT) };
        for seen in self.view.pools.values_mut().flatten() {
            (seen.reclaim, seen.retention) = (reclaim, retention);
        }
    }

    fn change_ec2(&mut self, number: u8) {
        match self.rng.small(3) {
            0 => drop(self.held.remove(&at(number))),
            kind => drop(self.held.insert(at(number), kind == 1)),
        }
    }
}
