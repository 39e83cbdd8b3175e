//! The model: instances, ENIs and their addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::rng::{SeededRng, key_of};
use crate::spec::Operator;
use crate::view::{HeldAs, NodeState};

mod attachment;
mod invariants;
mod types;
mod volume;

pub(crate) use attachment::{Attachment, Stage};
pub(crate) use invariants::{Limits, broken};
pub(crate) use types::{InstanceType, TYPES, type_named};
pub(crate) use volume::{Step, Volume, VolumeAttachment, Volumes};

/// An ID or a name.
pub(crate) type Id = Arc<str>;

/// IPv4 slots of an ENI that is not attached (unverified on AWS).
pub(crate) const UNATTACHED_SLOTS: usize = 50;

/// The part of the model that never changes.
#[derive(Debug, Clone)]
pub(crate) struct Topology {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) vpc: String,
    pub(crate) vpc_cidr: Ipv4Net,
    pub(crate) cluster_tag: String,
    pub(crate) subnets: Vec<Subnet>,
    /// Names of the nodes and their instances, in the order of the spec.
    pub(crate) nodes: Vec<(String, Id)>,
    pub(crate) clients: Vec<ClientEntry>,
    /// Names of foreign ENIs.
    pub(crate) foreign: Vec<(String, Id)>,
    /// Names of volumes.
    pub(crate) volumes: Vec<(String, Id)>,
}

/// A client.
#[derive(Debug, Clone)]
pub(crate) struct ClientEntry {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) eni: Option<Id>,
}

/// A subnet.
#[derive(Debug, Clone)]
pub(crate) struct Subnet {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) cidr: Ipv4Net,
    pub(crate) zone: String,
    pub(crate) zone_id: String,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Subnet {
    /// Network address, router, DNS, reserved for future use, broadcast (M4).
    pub(crate) fn is_reserved(&self, address: Ipv4Addr) -> bool {
        let base = u32::from(self.cidr.network());
        let offset = u32::from(address).wrapping_sub(base);
        offset < 4 || address == self.cidr.broadcast()
    }

    /// The router's address.
    pub(crate) fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.cidr.network()).wrapping_add(1))
    }
}

/// The kind of owner of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstanceKind {
    Node,
    Client,
    Foreign,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) kind: InstanceKind,
    pub(crate) size: &'static InstanceType,
    pub(crate) state: NodeState,
    pub(crate) terminated_at: Option<Duration>,
    pub(crate) zone: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// The boot count; a changed number means another boot.
    pub(crate) boots: u64,
    /// Device indexes that are unusable after a forced detachment, until a stop and start.
    pub(crate) unusable_indexes: BTreeSet<u32>,
    /// ENIs that the instance's metadata service still lists after a forced detachment.
    pub(crate) ghosts: Vec<Arc<Eni>>,
    /// Until when its metadata service lists only the primary ENI after a reboot.
    pub(crate) imds_whole_at: Duration,
}

/// What an ENI is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EniKind {
    Ordinary,
    /// It carries branch ENIs.
    Trunk,
    /// A service of AWS manages it.
    Managed(Operator),
}

impl EniKind {
    pub(crate) fn of(operator: Option<&Operator>) -> Self {
        operator.cloned().map_or(Self::Ordinary, Self::Managed)
    }

    /// `interfaceType`.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Ordinary | Self::Managed(_) => "interface",
            Self::Trunk => "trunk",
        }
    }
}

/// An ENI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Eni {
    pub(crate) id: Id,
    pub(crate) mac: String,
    pub(crate) subnet: Id,
    pub(crate) description: String,
    /// Whether EC2 drops packets that neither come from nor go to an address of the ENI.
    pub(crate) source_dest_check: bool,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) primary: Ipv4Addr,
    pub(crate) secondary: Vec<Ipv4Addr>,
    pub(crate) prefixes: Vec<Ipv4Net>,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) kind: EniKind,
    /// When it becomes visible to calls other than the one that created it.
    pub(crate) known_at: Duration,
}

impl Eni {
    /// The service that manages it.
    pub(crate) fn operator(&self) -> Option<&Operator> {
        match &self.kind {
            EniKind::Managed(operator) => Some(operator),
            EniKind::Ordinary | EniKind::Trunk => None,
        }
    }

    /// The number of used address slots (M13).
    pub(crate) fn slots(&self) -> usize {
        1 + self.secondary.len() + self.prefixes.len()
    }

    /// How it holds an address.
    pub(crate) fn holds(&self, address: Ipv4Addr) -> Option<HeldAs> {
        if self.primary == address {
            Some(HeldAs::Primary)
        } else if self.secondary.contains(&address) {
            Some(HeldAs::Secondary)
        } else if self.prefixes.iter().any(|net| net.contains(&address)) {
            Some(HeldAs::Prefix)
        } else {
            None
        }
    }

    /// Every address whose packets it receives, including each address of its prefixes.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        let singles = std::iter::once(self.primary).chain(self.secondary.iter().copied());
        singles.chain(self.prefixes.iter().copied().flat_map(all_of))
    }
}

/// Every address of a network, including the first and the last.
pub(crate) fn all_of(net: Ipv4Net) -> impl Iterator<Item = Ipv4Addr> + use<> {
    let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
    (first..=last).map(Ipv4Addr::from)
}

/// An explicit CIDR reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) id: Id,
    pub(crate) subnet: Id,
    pub(crate) block: Ipv4Net,
}

impl Reservation {
    /// One that this call creates, or the spec if it is 0. Another one of the same block has
    /// another ID.
    pub(crate) fn new(rng: SeededRng, subnet: &Id, block: Ipv4Net, call: u64) -> Self {
        let number = key_of(&format!("{subnet} {block} {call}"));
        let id = format!("scr-{}", rng.hex17("cidr-reservation", number)).into();
        Self { id, subnet: Id::clone(subnet), block }
    }
}

/// The mutable state at one moment. Cheap to clone, because its parts are shared.
#[derive(Debug, Clone, Default)]
pub(crate) struct VpcState {
    pub(crate) instances: BTreeMap<Id, Arc<Instance>>,
    pub(crate) enis: BTreeMap<Id, Arc<Eni>>,
    pub(crate) volumes: Arc<Volumes>,
    /// Client tokens of CreateNetworkInterface: a fingerprint of the request and the created ENI.
    pub(crate) tokens: Arc<BTreeMap<String, (u64, Id)>>,
    /// The explicit CIDR reservations.
    pub(crate) reserved: Arc<Vec<Reservation>>,
}

impl VpcState {
    /// The ENI that holds an address, and how.
    pub(crate) fn holder(&self, address: Ipv4Addr) -> Option<(&Arc<Eni>, HeldAs)> {
        self.enis.values().find_map(|eni| eni.holds(address).map(|held| (eni, held)))
    }

    /// An ENI, mutable.
    pub(crate) fn eni_mut(&mut self, id: &str) -> Option<&mut Eni> {
        self.enis.get_mut(id).map(Arc::make_mut)
    }

    /// An instance, mutable.
    pub(crate) fn instance_mut(&mut self, id: &str) -> Option<&mut Instance> {
        self.instances.get_mut(id).map(Arc::make_mut)
    }

    /// The ENIs of an instance, by device index.
    pub(crate) fn enis_of(&self, instance: &str) -> Vec<&Arc<Eni>> {
        let mut found: Vec<(u32, &Arc<Eni>)> = self
            .enis
            .values()
            .filter_map(|eni| {
                let attachment = eni.attachment.as_ref()?;
                (&*attachment.instance == instance).then_some((attachment.device_index, eni))
            })
            .collect();
        found.sort_by_key(|(index, _)| *index);
        found.into_iter().map(|(_, eni)| eni).collect()
    }

    /// The instance that an ENI is attached to.
    pub(crate) fn instance_of(&self, eni: &Eni) -> Option<&Arc<Instance>> {
        self.instances.get(&eni.attachment.as_ref()?.instance)
    }

    /// The address slots of an ENI (M13), with limits that faults changed.
    pub(crate) fn slot_limit(&self, eni: &Eni, limits: &BTreeMap<String, u32>) -> usize {
        self.instance_of(eni).map_or(UNATTACHED_SLOTS, |instance| instance.size.slots(limits))
    }

    /// The used addresses of a subnet: one per address and 16 per prefix (M5).
    pub(crate) fn used_in(&self, subnet: &str) -> u64 {
        let of = |eni: &Arc<Eni>| {
            let singles = u64::try_from(1 + eni.secondary.len()).unwrap_or(u64::MAX);
            singles + 16 * u64::try_from(eni.prefixes.len()).unwrap_or(u64::MAX)
        };
        self.enis.values().filter(|eni| &*eni.subnet == subnet).map(of).sum()
    }

    /// The explicit CIDR reservations of a subnet.
    pub(crate) fn reservations<'a>(
        &'a self,
        subnet: &'a Subnet,
    ) -> impl Iterator<Item = &'a Reservation> {
        self.reserved.iter().filter(|one| one.subnet == subnet.id)
    }

    /// Whether an explicit CIDR reservation covers it; automatic assignment skips it.
    pub(crate) fn has_cidr_reservation(&self, subnet: &Subnet, address: Ipv4Addr) -> bool {
        self.reservations(subnet).any(|one| one.block.contains(&address))
    }

    /// The free addresses of a subnet for automatic assignment, in order.
    pub(crate) fn free_in(&self, subnet: &Subnet) -> Vec<Ipv4Addr> {
        let used: std::collections::BTreeSet<Ipv4Addr> = self
            .enis
            .values()
            .filter(|eni| eni.subnet == subnet.id)
            .flat_map(|eni| eni.addresses())
            .collect();
        let reserved = |address: &Ipv4Addr| self.has_cidr_reservation(subnet, *address);
        all_of(subnet.cidr)
            .filter(|a| !subnet.is_reserved(*a) && !reserved(a) && !used.contains(a))
            .collect()
    }

    /// The free /28 blocks of a subnet, in order.
    pub(crate) fn free_prefixes_in(&self, subnet: &Subnet) -> Vec<Ipv4Net> {
        let free = self.free_in(subnet);
        let mut found = Vec::new();
        for block in free.chunk_by(|a, b| u32::from(*a) >> 4 == u32::from(*b) >> 4) {
            let first = block.first().copied().map(|a| Ipv4Net::new(a, 28));
            if let (16, Some(Ok(net))) = (block.len(), first) {
                found.push(net);
            }
        }
        found
    }
}

impl Topology {
    /// A subnet by ID.
    pub(crate) fn subnet(&self, id: &str) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| &*subnet.id == id)
    }

    /// A subnet by ID or by its name in the spec.
    pub(crate) fn subnet_named(&self, name: &str) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| &*subnet.id == name || subnet.name == name)
    }

    /// The subnet that contains an address.
    pub(crate) fn subnet_with(&self, address: Ipv4Addr) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.cidr.contains(&address))
    }

    /// The instance of a node, by the node's name or the instance's ID.
    pub(crate) fn node(&self, name: &str) -> Option<&Id> {
        self.nodes.iter().find(|(n, id)| n == name || &**id == name).map(|(_, id)| id)
    }
}
