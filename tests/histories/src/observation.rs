//! What an agent observes of a simulated cluster, and what its operations are about: the same at
//! every level.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::agent::{AddressReadings, Observation, Operation};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::lock_rule::Hold;
use firecamp_core::ports::{KernelTarget, KernelView};
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_testkit::sim::Tag;

use crate::cluster::ApiPod;
use crate::names::{MemberIx, Names, NodeIx, PodIx};
use crate::simulated_cluster::{SimulatedCluster, SimulatedNode};
use crate::watch::{View, Views};

impl SimulatedCluster {
    /// An empty observation from this node. The agent handles these lost nodes.
    pub fn observation(node: NodeIx, gone: &BTreeSet<NodeIx>, names: &Names) -> Observation {
        let name = |node: &NodeIx| names.node(*node).name.clone();
        Observation::new(name(&node), names.cluster.clone(), gone.iter().map(name).collect())
    }

    /// The lost nodes that an agent on this node handles; empty unless it holds the Lease. `agents`
    /// lists the nodes where agents run.
    pub fn gone(&self, node: NodeIx, agents: impl Iterator<Item = NodeIx>) -> BTreeSet<NodeIx> {
        if !self.leases && agents.min() != Some(node) {
            return BTreeSet::new();
        }
        let taken = |node: &SimulatedNode| node.gone || self.leases && node.off;
        let all = (0_u8..).map(NodeIx).zip(&self.nodes);
        all.filter(|(_, node)| taken(node)).map(|(node, _)| node).collect()
    }

    /// Keeps the record of an address for lagging watches.
    pub fn noted(&mut self, now: Moment, address: Ipv4Addr) {
        let stored = self.registry.static_ips.get(&address);
        if let (Some(past), Some(stored)) = (&mut self.past, stored) {
            past.record(now, &stored.object);
        }
    }

    /// The API shows this pod of a member from now on.
    pub fn shown(&mut self, now: Moment, member: MemberIx, pod: Option<ApiPod>) {
        self.pods[member.at()] = pod;
        if let Some(past) = &mut self.past {
            past.pod(now, member, pod);
        }
    }

    /// A record as a watch shows it.
    pub fn observed_record(&self, address: Ipv4Addr, view: View) -> Option<&StaticIp> {
        match (view, &self.past) {
            (View::Then(then), Some(past)) => past.record_at(address, then),
            (View::Nothing, _) => None,
            (View::Now | View::Then(_), _) => {
                self.registry.static_ips.get(&address).map(|stored| &stored.object)
            }
        }
    }

    fn observed_pod(&self, member: MemberIx, view: View) -> Option<ApiPod> {
        match (view, &self.past) {
            (View::Then(then), Some(past)) => past.pod_at(member, then),
            (View::Nothing, _) => None,
            (View::Now | View::Then(_), _) => self.pods[member.at()],
        }
    }

    /// The readings of an address that has a record. `in_place` is EC2's answer, if there is one.
    pub fn readings<'a>(
        &'a self,
        (node, address): (NodeIx, Ipv4Addr),
        views: Views,
        in_place: Option<bool>,
        (names, now): (&Names, Moment),
    ) -> Option<AddressReadings<'a>> {
        let record = self.observed_record(address, views.records)?;
        let kernel = &self.node(node).kernel;
        let ours = kernel.addresses.get(&address).is_some_and(|(_, tag)| *tag == Tag::Ours);
        // An orphaned address has no pod.
        let pod = names.member_ix(&record.member).and_then(|it| self.observed_pod(it, views.pods));
        Some(AddressReadings {
            record,
            lock: kernel.locks.get(&address),
            in_kernel: ours || kernel.routed.contains(&address),
            kernel: self.kernel_view(node, record, names, now),
            pod: ApiPod::view(pod, names, now),
            in_place,
        })
    }

    /// The record of an address that is attached at this node.
    pub fn attached_at(
        &self,
        (node, address): (NodeIx, Ipv4Addr),
        view: View,
        names: &Names,
    ) -> Option<&StaticIp> {
        let record = self.observed_record(address, view)?;
        is_attached_at(record, node, names).then_some(record)
    }

    fn kernel_view(
        &self,
        node: NodeIx,
        record: &StaticIp,
        names: &Names,
        now: Moment,
    ) -> Option<(KernelTarget, KernelView)> {
        // Also for an address that only the lock holds here: the planner has to distinguish the
        // two.
        let lock = self.node(node).kernel.locks.get(&record.address);
        let held = lock.is_some_and(|last| last.hold == Hold::Held);
        let wanted = held || is_attached_at(record, node, names);
        let known = wanted.then(|| self.identity(node, names, now))?;
        let recorded = record.attachment.as_ref()?.eni.as_ref();
        let recorded = known.enis.iter().find(|eni| Some(&eni.id) == recorded);
        let eni = recorded.or_else(|| known.choose(EniRule::Auto, |_any| true))?;
        let target = KernelTarget::on(record.address, eni);
        let view = self.node(node).kernel.observe(&target, now);
        Some((target, view))
    }

    /// The address and the member of an operation.
    pub fn subject(
        &self,
        operation: &Operation,
        names: &Names,
    ) -> (Option<Ipv4Addr>, Option<MemberIx>) {
        let records = &self.registry.static_ips;
        let found = |address: &Ipv4Addr| {
            let stored = records.get(address);
            (Some(*address), stored.and_then(|stored| names.member_ix(&stored.object.member)))
        };
        match operation {
            Operation::Withdraw { address, .. }
            | Operation::Reassert { address, .. }
            | Operation::Restore { target: KernelTarget { address, .. }, .. }
            | Operation::Collect { address, .. } => found(address),
            Operation::Release { member, .. } => {
                let found = records.values().find(|stored| stored.object.member == *member);
                (found.map(|stored| stored.object.address), names.member_ix(member))
            }
        }
    }
}

fn is_attached_at(record: &StaticIp, node: NodeIx, names: &Names) -> bool {
    let attachment = record.attachment.as_ref();
    attachment.is_some_and(|a| a.node == names.node(node).name && a.state == State::Attached)
}

/// The pod of an operation.
pub fn pod_of(operation: &Operation) -> Option<PodIx> {
    match operation {
        Operation::Withdraw { holder, .. }
        | Operation::Restore { holder, .. }
        | Operation::Collect { holder, .. } => Names::pod_ix(&holder.pod),
        Operation::Release { pod, .. } => Names::pod_ix(pod),
        Operation::Reassert { .. } => None,
    }
}
