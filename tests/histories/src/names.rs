//! The names of everything in a simulated cluster, created once for each thread: identifiers are
//! reference-counted strings, and shared counts slow threads down.

use std::net::Ipv4Addr;

use firecamp_core::ids::{
    ClusterName, EniId, InstanceId, Mac, Member, NodeName, PodUid, PoolName, RunId, SubnetId, Zone,
};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// A node, by its index.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct NodeIx(pub u8);

/// A member, by its index.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct MemberIx(pub u8);

/// A pod, by its index in this history; its UID is derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PodIx(pub u16);

/// A process, by its index in this history; its run ID is derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ProcessId(pub u32);

/// An ENI, by the number that its ID ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EniIx(pub u8);

impl NodeIx {
    /// As an index.
    pub fn at(self) -> usize {
        usize::from(self.0)
    }

    /// The ENI in this slot: 0 is the primary interface.
    pub fn eni(self, slot: u8) -> EniIx {
        EniIx(self.0.saturating_add(1).saturating_mul(16).saturating_add(slot))
    }
}

impl MemberIx {
    /// As an index.
    pub fn at(self) -> usize {
        usize::from(self.0)
    }
}

impl PodIx {
    /// As an index.
    pub fn at(self) -> usize {
        usize::from(self.0)
    }
}

impl ProcessId {
    /// As an index.
    pub fn at(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl EniIx {
    /// The number that the ID ends with; none for an ENI outside this cluster.
    pub fn of(id: &EniId) -> Option<Self> {
        let digits = id.as_str().strip_prefix(ENI_PREFIX)?;
        u8::from_str_radix(digits, 16).ok().map(Self)
    }

    /// The node that it belongs to; none for a foreign one.
    pub fn node(self) -> Option<NodeIx> {
        let node = (self.0 / 16).checked_sub(1)?;
        (node < MAX_NODES).then_some(NodeIx(node))
    }

    /// Its slot on its node.
    pub fn slot(self) -> u8 {
        self.0 % 16
    }
}

/// The largest number of nodes.
pub const MAX_NODES: u8 = 6;
/// The largest number of members.
pub const MAX_MEMBERS: u8 = 4;
/// ENIs of each node: the primary interface and one for members.
pub const SLOTS: u8 = 2;
/// A foreign ENI in the same subnet.
pub const FOREIGN_ENI: EniIx = EniIx(0xf0);
/// A foreign ENI that has the address as its primary one.
pub const FOREIGN_PRIMARY_ENI: EniIx = EniIx(0xf1);

const ENI_PREFIX: &str = "eni-000000";

/// One network interface of a node.
#[derive(Debug, Clone)]
pub struct EniNames {
    /// Its number.
    pub ix: EniIx,
    /// Its ID.
    pub id: EniId,
    /// Its MAC.
    pub mac: Mac,
    /// Its primary address.
    pub primary: Ipv4Addr,
}

/// One node.
#[derive(Debug, Clone)]
pub struct NodeNames {
    /// Its name.
    pub name: NodeName,
    /// Its instance.
    pub instance: InstanceId,
    /// Its ENIs, by slot.
    pub enis: Vec<EniNames>,
}

/// The names.
#[derive(Debug, Clone)]
pub struct Names {
    /// The nodes.
    pub nodes: Vec<NodeNames>,
    /// The members.
    pub members: Vec<Member>,
    /// A member that never starts: a user has created its claim.
    pub guest: Member,
    /// Foreign ENIs.
    pub foreign_enis: Vec<EniNames>,
    /// The cluster.
    pub cluster: ClusterName,
    /// The pool.
    pub pool: PoolName,
    /// The subnet of all ENIs.
    pub subnet: SubnetId,
    /// Its CIDR.
    pub cidr: Ipv4Net,
    /// Its zone.
    pub zone: Zone,
    uids: Vec<PodUid>,
    runs: Vec<RunId>,
}

/// The number of pod UIDs and run IDs that are created in advance; few histories need more.
const READY: u32 = 256;

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

fn eni(ix: EniIx) -> EniNames {
    EniNames {
        ix,
        id: id(&format!("{ENI_PREFIX}{:02x}", ix.0)),
        mac: Mac::from_bytes([2, 0, 0, 0, 0, ix.0]),
        primary: Ipv4Addr::new(10, 0, 1, 100_u8.saturating_add(ix.0 / 16 * 4 + ix.0 % 16)),
    }
}

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("names in this module are valid")
}

fn node(ix: NodeIx) -> NodeNames {
    NodeNames {
        name: id(&format!("node-{}", ix.0)),
        instance: id(&format!("i-000000{:02x}", ix.0)),
        enis: (0..SLOTS).map(|slot| eni(ix.eni(slot))).collect(),
    }
}

fn uid(number: u32) -> PodUid {
    id(&format!("pod-{number}"))
}

fn run(number: u32) -> RunId {
    id(&format!("run-{number}"))
}

impl Names {
    /// All names.
    pub fn new() -> Self {
        Self {
            nodes: (0..MAX_NODES).map(|number| node(NodeIx(number))).collect(),
            members: (0..MAX_MEMBERS).map(|number| id(&format!("demo/redis-{number}"))).collect(),
            guest: id("demo/guest-0"),
            foreign_enis: vec![eni(FOREIGN_ENI), eni(FOREIGN_PRIMARY_ENI)],
            cluster: id("demo"),
            pool: id("pool"),
            subnet: id("subnet-0000000a"),
            cidr: id("10.0.1.0/24"),
            zone: id("us-east-1a"),
            uids: (0..READY).map(uid).collect(),
            runs: (0..READY).map(run).collect(),
        }
    }

    /// A node.
    pub fn node(&self, node: NodeIx) -> &NodeNames {
        &self.nodes[node.at()]
    }

    /// A member.
    pub fn member(&self, member: MemberIx) -> &Member {
        &self.members[member.at()]
    }

    /// The index of a node.
    pub fn node_ix(&self, name: &NodeName) -> Option<NodeIx> {
        let found = self.nodes.iter().position(|node| node.name == *name)?;
        u8::try_from(found).ok().map(NodeIx)
    }

    /// A member by its name.
    pub fn member_ix(&self, member: &Member) -> Option<MemberIx> {
        let found = self.members.iter().position(|known| known == member)?;
        u8::try_from(found).ok().map(MemberIx)
    }

    /// An ENI.
    pub fn eni(&self, ix: EniIx) -> &EniNames {
        match ix.node() {
            Some(node) => &self.nodes[node.at()].enis[usize::from(ix.slot() % SLOTS)],
            None => &self.foreign_enis[usize::from(ix.slot() % 2)],
        }
    }

    /// The UID of a pod.
    pub fn uid(&self, pod: PodIx) -> PodUid {
        let ready = self.uids.get(pod.at()).cloned();
        ready.unwrap_or_else(|| uid(u32::from(pod.0)))
    }

    /// The pod with a UID.
    pub fn pod_ix(uid: &PodUid) -> Option<PodIx> {
        uid.as_str().strip_prefix("pod-")?.parse().ok().map(PodIx)
    }

    /// The run ID of a process.
    pub fn run(&self, process: ProcessId) -> RunId {
        self.runs.get(process.at()).cloned().unwrap_or_else(|| run(process.0))
    }

    /// The process with a run ID.
    pub fn process(run: &RunId) -> Option<ProcessId> {
        run.as_str().strip_prefix("run-")?.parse().ok().map(ProcessId)
    }
}

/// The addresses of a pool of this size. The first is a textual prefix of the others, as `.5` is of
/// `.50`.
pub fn pool_addresses(size: u8) -> impl Iterator<Item = Ipv4Addr> {
    let first = (size > 0).then_some(Ipv4Addr::new(10, 0, 1, 5));
    let others = 1..size.max(1);
    first.into_iter().chain(others.map(|number| Ipv4Addr::new(10, 0, 1, 49 + number)))
}

/// Additional addresses of the pool in histories with orphans.
pub const SPARE: [Ipv4Addr; 4] = [
    Ipv4Addr::new(10, 0, 1, 80),
    Ipv4Addr::new(10, 0, 1, 81),
    Ipv4Addr::new(10, 0, 1, 82),
    Ipv4Addr::new(10, 0, 1, 83),
];
/// An address outside every pool.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 90);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_eni_id_maps_back_to_its_eni() {
        let names = Names::new();
        let nodes = names.nodes.iter().flat_map(|node| &node.enis);
        for eni in nodes.chain(&names.foreign_enis) {
            assert_eq!(EniIx::of(&eni.id), Some(eni.ix));
            assert_eq!(names.eni(eni.ix).id, eni.id);
        }
        assert_eq!(NodeIx(2).eni(1).node(), Some(NodeIx(2)));
        assert_eq!(FOREIGN_ENI.node(), None);
        let foreign = EniId::new("eni-12345678").unwrap();
        assert_eq!(EniIx::of(&foreign), None);
    }

    #[test]
    fn pod_uids_and_run_ids_map_back_to_their_indices() {
        let names = Names::new();
        for number in [0, 3, 255, 256, 5_000] {
            assert_eq!(Names::pod_ix(&names.uid(PodIx(number))), Some(PodIx(number)));
            let process = ProcessId(u32::from(number));
            assert_eq!(Names::process(&names.run(process)), Some(process));
        }
    }

    #[test]
    fn pool_addresses_are_distinct_and_not_primary() {
        let names = Names::new();
        let all = pool_addresses(8).chain(SPARE).chain([OUTSIDE]);
        let pool: std::collections::BTreeSet<_> = all.collect();
        assert_eq!(pool.len(), 8 + SPARE.len() + 1);
        let enis = names.nodes.iter().flat_map(|n| &n.enis).chain(&names.foreign_enis);
        let primaries: std::collections::BTreeSet<_> = enis.map(|e| e.primary).collect();
        assert_eq!(primaries.len(), usize::from(MAX_NODES * SLOTS) + 2);
        assert!(pool.is_disjoint(&primaries));
    }
}
