//! What other actors do with orphaned addresses, and what an agent sees of them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::agent::KernelOwner;
use firecamp_core::ids::{Epoch, Member, PodUid};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::network_interface::Interface;
use firecamp_core::ports::{Holder, SocketUse};
use firecamp_core::record::{Claim, OrphanPolicy, Pool, Write};
use firecamp_core::time::Moment;
use firecamp_testkit::sim::{Kernel, Tag};

use super::ec2::Lags;
use super::{SimulatedCluster, SimulatedNode};
use crate::names::{FOREIGN_ENI, Names, NodeIx, SLOTS};
use crate::scenario::{Act, Using};

/// The epoch of an unknown holder in a lock: no member of a history reaches it.
const FORGOTTEN: Epoch = Epoch(700);

/// A socket that no member of these histories has.
const DATAGRAMS: SocketUse = SocketUse { listeners: 0, connections: 0, datagrams: 1 };

impl SimulatedCluster {
    /// Another actor acts. False if that is not possible.
    pub fn act(&mut self, now: Moment, act: Act, (names, lags): (&Names, Lags)) -> bool {
        match act {
            Act::Assign(address, node, slot) => {
                let free = !self.registry.static_ips.contains_key(&address);
                free && self.ec2.assign(now, (node.eni(slot), address), true, lags).is_ok()
            }
            Act::Steal(address) => self.is_orphan(address) && self.ec2.steal(now, address, lags),
            Act::Unassign(address) => self.is_orphan(address) && self.ec2.strip(now, address, lags),
            Act::Use(address, node, using) => {
                let here = self.pods.iter().flatten().find(|pod| pod.node == Some(node));
                let using = match using {
                    Using::Left(None) => Using::Left(here.map(|pod| pod.pod.0)),
                    Using::Kernel
                    | Using::Socket
                    | Using::Held
                    | Using::Left(Some(_))
                    | Using::Torn => using,
                };
                self.is_orphan(address) && self.node_mut(node).use_it(address, using, names)
            }
            Act::Leave(address, node) => {
                self.node_mut(node).leave_it(address);
                true
            }
            Act::Ask(address) => self.is_orphan(address) && self.ask(address, names),
            Act::Declare(adopts) => {
                self.declare(now, adopts);
                true
            }
        }
    }

    /// Whether EC2 has it and it has no record: other actors leave recorded addresses alone.
    fn is_orphan(&self, address: Ipv4Addr) -> bool {
        let held = self.ec2.holder(address).is_some_and(|(eni, _)| eni != FOREIGN_ENI);
        held && !self.registry.static_ips.contains_key(&address)
    }

    fn ask(&mut self, address: Ipv4Addr, names: &Names) -> bool {
        let claim = Claim {
            member: names.guest.clone(),
            pool: names.pool.clone(),
            requested: Some(address),
            address: None,
            set: None,
        };
        self.registry.write(&Write::CreateClaim(claim)).is_ok()
    }

    fn declare(&mut self, now: Moment, adopts: bool) {
        self.declared.push((now, adopts));
        for pool in self.registry.pools.values_mut() {
            pool.orphaned = policy(adopts);
        }
    }

    /// The pools at an earlier time.
    pub fn pools_at(&self, then: Moment) -> Vec<Pool> {
        let declared = self.declared.iter().rfind(|(at, _)| *at <= then);
        let orphaned = policy(declared.is_some_and(|(_, adopts)| *adopts));
        let pools = self.registry.pools.values().cloned();
        pools.map(|pool| Pool { orphaned, ..pool }).collect()
    }

    /// From now on only members use addresses, and the pool adopts. An address that a claim names
    /// and that is on an ENI without a StaticIP is taken out of EC2, as the message to the user
    /// advises.
    pub fn end_use_of_orphans(&mut self, now: Moment, names: &Names, addresses: &[Ipv4Addr]) {
        self.registry.claims.remove(&names.guest);
        self.declare(now, true);
        for address in addresses.iter().copied() {
            for node in &mut self.nodes {
                node.leave_it(address);
            }
            if self.is_orphan(address) && self.claim_naming(address).is_some() {
                self.ec2.strip(now, address, Lags::default());
            }
        }
    }

    /// The member whose claim is bound to the address, or requests it.
    pub fn claim_naming(&self, address: Ipv4Addr) -> Option<&Member> {
        let named = |claim: &Claim| [claim.requested, claim.address].contains(&Some(address));
        let mut claims = self.registry.claims.values().map(|stored| &stored.object);
        claims.find(|claim| named(claim)).map(|claim| &claim.member)
    }

    /// The pods that the API shows on a node.
    pub fn pods_on(&self, node: NodeIx, names: &Names) -> BTreeSet<PodUid> {
        let here = self.pods.iter().flatten().filter(|pod| pod.node == Some(node));
        here.map(|pod| names.uid(pod.pod)).collect()
    }

    /// The interfaces of a node as EC2 showed them then. The secondary one that carries no members'
    /// addresses belongs to another cluster.
    pub fn interfaces(
        &self,
        (node, carrier): (NodeIx, u8),
        names: &Names,
        then: Moment,
    ) -> Vec<Interface> {
        let interface = |slot: u8| {
            let eni = names.eni(node.eni(slot));
            let ours = slot == carrier;
            let cluster = if ours { names.cluster.as_str() } else { "another" };
            Interface {
                id: eni.id.clone(),
                subnet: names.subnet.clone(),
                device_index: u32::from(slot),
                network_card: 0,
                primary: eni.primary,
                addresses: self.ec2.secondaries(eni.ix, then).collect(),
                prefixes: 0,
                groups: BTreeSet::new(),
                cluster: Some(cluster.to_owned()),
                no_manage: None,
                operator: None,
                delete_on_termination: true,
            }
        };
        (0..SLOTS).map(interface).collect()
    }
}

fn policy(adopts: bool) -> OrphanPolicy {
    if adopts { OrphanPolicy::Adopt } else { OrphanPolicy::Report }
}

/// The origin of an address in a node's kernel.
pub fn mark(kernel: &Kernel, address: Ipv4Addr) -> Option<KernelOwner> {
    let routed = kernel.routed.contains(&address).then_some(KernelOwner::Ours);
    let tag = kernel.addresses.get(&address).map(|(_, tag)| match tag {
        Tag::Ours => KernelOwner::Ours,
        Tag::Foreign => KernelOwner::Foreign,
    });
    routed.or(tag)
}

impl SimulatedNode {
    fn use_it(&mut self, address: Ipv4Addr, using: Using, names: &Names) -> bool {
        if self.off || self.gone || self.kernel.locks.contains_key(&address) {
            return false;
        }
        let lock = |hold| {
            let pod = using.pod().map(|pod| names.uid(pod))?;
            Some(LockRecord { holder: Holder { pod, epoch: FORGOTTEN }, hold })
        };
        match using {
            Using::Kernel => {
                let mac = self.kernel.links.first().copied();
                self.kernel.addresses.extend(mac.map(|mac| (address, (mac, Tag::Foreign))));
            }
            Using::Socket => {
                self.kernel.sockets.insert(address, DATAGRAMS);
            }
            Using::Held => self.kernel.locks.extend(lock(Hold::Held).map(|it| (address, it))),
            Using::Left(_) => {
                self.kernel.locks.extend(lock(Hold::Released).map(|it| (address, it)));
            }
            Using::Torn => {
                self.torn.insert(address);
            }
        }
        true
    }

    /// The use of the address on a node has ended, and the lock says so.
    fn leave_it(&mut self, address: Ipv4Addr) {
        let foreign = self.kernel.addresses.get(&address).is_some_and(|(_, t)| *t == Tag::Foreign);
        if foreign {
            self.kernel.addresses.remove(&address);
        }
        if self.kernel.sockets(address) == DATAGRAMS {
            self.kernel.sockets.remove(&address);
        }
        self.torn.remove(&address);
        let forgotten = |lock: &LockRecord| lock.holder.epoch == FORGOTTEN;
        if self.kernel.locks.get(&address).is_some_and(forgotten) {
            self.kernel.locks.remove(&address);
        }
    }
}
