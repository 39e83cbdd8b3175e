//! What an agent reads of a simulated cluster: the same at every level.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_controllers::node::{
    Event as NodeEvent, InterfaceRead, InterfaceStep, Listing, LostAddress, StepEnd,
};
use firecamp_controllers::publish::Facts;
use firecamp_core::agent::{KernelOwner, Operation};
use firecamp_core::failure::{HostFailure, HostKind};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::node_identity::TypeLimits;
use firecamp_core::ports::{KernelTarget, KernelView};
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;
use firecamp_node::kernel::{KernelSnapshot, ObservedLink};
use firecamp_node::preflight::facts::{Fact, NodeFacts};
use firecamp_testkit::sim::Tag;

use crate::cluster::ApiPod;
use crate::names::{MemberIx, Names, NodeIx, PodIx};
use crate::simulated_cluster::SimulatedCluster;
use crate::watch::{View, Views};

/// The end of a step of the node's own interfaces: no pool wants any, and the Node has no taint.
pub fn interface_step(step: &InterfaceStep) -> NodeEvent {
    let reads = *step == InterfaceStep::Read;
    let end = if reads { StepEnd::Read(Ok(InterfaceRead::default())) } else { StepEnd::Done };
    NodeEvent::InterfaceStepEnded(end)
}

/// Whether the agent that published this will repeat an operation that failed.
pub fn will_repeat(facts: &Facts) -> bool {
    facts.addresses.iter().flatten().any(|address| address.failing.is_some())
}

impl SimulatedCluster {
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

    fn observed_record(&self, address: Ipv4Addr, view: View) -> Option<&StaticIp> {
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

    /// A list of the registry for an agent: the records of its node and of the known addresses,
    /// with the pods of their members. The pools are those of `pools_at`.
    pub fn listing(
        &self,
        (node, known): (NodeIx, &BTreeSet<Ipv4Addr>),
        (views, pools_at): (Views, Moment),
        (names, now): (&Names, Moment),
    ) -> Listing {
        let name = &names.node(node).name;
        let mut listing = Listing { pools: Some(self.pools_at(pools_at)), ..Listing::default() };
        for address in self.registry.static_ips.keys() {
            let Some(record) = self.observed_record(*address, views.records) else { continue };
            let here = record.attachment.as_ref().is_some_and(|it| it.node == *name);
            if here || known.contains(address) {
                // An orphaned address has no pod.
                let member = names.member_ix(&record.member);
                let pod = member.and_then(|member| self.observed_pod(member, views.pods));
                listing.pods.insert(record.member.clone(), ApiPod::view(pod, names, now));
                listing.records.insert(*address, record.clone());
            }
        }
        listing
    }

    /// The kernel of a node, and its locks.
    pub fn kernel_snapshot(&self, node: NodeIx) -> KernelSnapshot {
        let node = self.node(node);
        let owner = |tag: &Tag| match tag {
            Tag::Ours => KernelOwner::Ours,
            Tag::Foreign => KernelOwner::Foreign,
        };
        let addresses = node.kernel.addresses.iter().map(|(at, (_, tag))| (*at, owner(tag)));
        let routed = node.kernel.routed.iter().map(|at| (*at, KernelOwner::Ours));
        KernelSnapshot {
            kernel: addresses.chain(routed).collect(),
            locks: node.kernel.locks.clone(),
            torn: node.torn.clone(),
            wider: BTreeSet::new(),
        }
    }

    /// The links of a node; a hot-plugged one may appear some time after the boot.
    pub fn links(&self, node: NodeIx, names: &Names, now: Moment) -> Vec<ObservedLink> {
        let ready = self.node(node).hardware_at <= now;
        let enis = names.node(node).enis.iter().filter(|eni| ready || eni.ix.slot() == 0);
        let link = |eni: &crate::names::EniNames| {
            let slot = eni.ix.slot();
            let (name, index) = (format!("eth{slot}"), u32::from(slot) + 2);
            ObservedLink { name, index, mac: eni.mac, up: true, bare: false }
        };
        enis.map(link).collect()
    }

    /// What the kernel of a node has of a target.
    pub fn kernel_view(&self, node: NodeIx, target: &KernelTarget, now: Moment) -> KernelView {
        let node = self.node(node);
        let mut view = node.kernel.observe(target, now);
        if node.hardware_at > now {
            (view.link, view.link_up) = (None, false);
        }
        view
    }

    /// Removes an address from the kernel of a partitioned node; the lock keeps its holder.
    pub fn withhold(&mut self, node: NodeIx, lost: &LostAddress) -> Result<bool, HostFailure> {
        let kernel = &mut self.node_mut(node).kernel;
        let held = LockRecord { holder: lost.holder.clone(), hold: Hold::Held };
        if kernel.locks.get(&lost.address) != Some(&held) {
            let detail = format!("another epoch holds {} on this node", lost.address);
            return Err(HostFailure { kind: HostKind::Superseded, detail });
        }
        let there = kernel.addresses.get(&lost.address).is_some_and(|(_, tag)| *tag == Tag::Ours);
        if there {
            kernel.strip(lost.address);
        }
        Ok(there)
    }
}

/// The files of every node: no VPC CNI runs there.
pub fn node_facts() -> NodeFacts {
    NodeFacts { cni: Fact::Known(None), ..NodeFacts::default() }
}

/// The limits of the type of every instance.
pub fn type_limits() -> TypeLimits {
    TypeLimits { name: String::new(), enis: 3, addresses: 6, volumes: None }
}

/// The pod of an operation.
pub fn pod_of(operation: &Operation) -> Option<PodIx> {
    match operation {
        Operation::Withdraw { holder, .. }
        | Operation::Restore { holder, .. }
        | Operation::Collect { holder, .. } => Names::pod_ix(&holder.pod),
        Operation::Release { pod, .. } | Operation::Evict { pod, .. } => Names::pod_ix(pod),
        Operation::Reassert { .. } => None,
    }
}
