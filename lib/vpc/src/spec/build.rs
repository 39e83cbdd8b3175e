//! Builds the initial state from a spec.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::check::field;
use super::{ClientSpec, EniSpec, ForeignSpec, NodeSpec, Spec, SpecError, SubnetSpec};
use crate::model::{
    ClientEntry, EniKind, Id, Instance, InstanceKind, Reservation, Subnet, Topology, VpcState,
    type_named,
};
use crate::rng::{SeededRng, key_of};
use crate::view::NodeState;

mod eni;
mod volume;

/// The topology and the initial state of a spec that [`super::check::check`] has accepted.
pub(crate) fn build(spec: &Spec, rng: SeededRng) -> Result<(Topology, VpcState), SpecError> {
    super::check::check(spec)?;
    let mut builder = Builder::new(spec, rng)?;
    // Explicit addresses are placed before automatic ones.
    for given in [true, false] {
        for (at, node) in spec.nodes.iter().enumerate() {
            builder.node(&format!("nodes[{at}]"), node, given)?;
        }
        for (at, client) in spec.clients.iter().enumerate() {
            builder.client(&format!("clients[{at}]"), client, given)?;
        }
        for (at, foreign) in spec.foreign.iter().enumerate() {
            builder.foreign(&format!("foreign[{at}]"), foreign, given)?;
        }
    }
    for (at, volume) in spec.volumes.iter().enumerate() {
        builder.volume(&format!("volumes[{at}]"), volume)?;
    }
    builder.finish(spec)
}

struct Builder<'a> {
    rng: SeededRng,
    cluster: &'a str,
    topology: Topology,
    vpc: VpcState,
    /// The owner of each address.
    taken: BTreeMap<Ipv4Addr, String>,
}

/// The data of a new ENI.
struct Draft<'a> {
    at: String,
    name: String,
    id: Option<&'a String>,
    mac: Option<&'a String>,
    subnet: &'a str,
    address: Option<Ipv4Addr>,
    secondary: &'a [Ipv4Addr],
    prefixes: &'a [Ipv4Net],
    description: String,
    tags: BTreeMap<String, String>,
    /// Instance, device index and delete-on-termination.
    attach: Option<(Id, u32, bool)>,
}

impl<'a> Builder<'a> {
    fn new(spec: &'a Spec, rng: SeededRng) -> Result<Self, SpecError> {
        let generated = || format!("vpc-{}", rng.hex17("vpc", 0));
        let vpc = spec.vpc.id.clone().map_or_else(|| Ok(generated()), |id| checked("vpc", &id))?;
        let mut topology = Topology {
            account: spec.account.clone(),
            region: spec.region.clone(),
            vpc,
            vpc_cidr: spec.vpc.cidr,
            cluster_tag: spec.cluster_tag.clone(),
            subnets: Vec::new(),
            nodes: Vec::new(),
            clients: Vec::new(),
            foreign: Vec::new(),
            volumes: Vec::new(),
        };
        let mut reserved = Vec::new();
        for (at, subnet) in spec.subnets.iter().enumerate() {
            let made = make_subnet(subnet, &spec.region, rng)?;
            if topology.subnet(&made.id).is_some() {
                return Err(field(format!("subnets[{at}].id"), "duplicate ID"));
            }
            let blocks = subnet.reservations.iter();
            reserved.extend(blocks.map(|block| Reservation::new(rng, &made.id, *block, 0)));
            topology.subnets.push(made);
        }
        Ok(Self {
            rng,
            cluster: &spec.cluster,
            topology,
            vpc: VpcState { reserved: Arc::new(reserved), ..VpcState::default() },
            taken: BTreeMap::new(),
        })
    }

    /// One of two passes over a node: the first one creates ENIs with explicit addresses.
    fn node(&mut self, at: &str, node: &'a NodeSpec, given: bool) -> Result<(), SpecError> {
        let cluster = node.cluster.as_deref().unwrap_or(self.cluster);
        let entry = self.topology.nodes.iter().find(|(name, _)| *name == node.name);
        let instance = match entry.map(|(_, id)| Arc::clone(id)) {
            Some(id) => id,
            None => self.new_node(at, node)?,
        };
        if node.address.is_some() == given {
            self.eni(Draft {
                at: at.to_owned(),
                name: format!("{}/0", node.name),
                id: node.eni.as_ref(),
                mac: node.mac.as_ref(),
                subnet: &node.subnet,
                address: node.address,
                secondary: &node.secondary,
                prefixes: &[],
                description: format!("primary of {}", node.name),
                tags: self.with_cluster(cluster, &BTreeMap::new()),
                attach: Some((Arc::clone(&instance), 0, true)),
            })?;
        }
        for (index, eni) in node.enis.iter().enumerate() {
            if eni.address.is_some() == given {
                let at = format!("{at}.enis[{index}]");
                let cluster = eni.cluster.as_deref().unwrap_or(cluster);
                self.extra_eni(at, (&node.name, &instance), eni, cluster)?;
            }
        }
        Ok(())
    }

    fn new_node(&mut self, at: &str, node: &NodeSpec) -> Result<Id, SpecError> {
        let shape = (node.name.as_str(), node.instance_type.as_str(), node.subnet.as_str());
        let id = self.instance(at, node.id.as_ref(), shape, InstanceKind::Node)?;
        if let Some(instance) = self.vpc.instance_mut(&id) {
            instance.tags.extend(node.tags.clone());
        }
        let limit = type_named(&node.instance_type).map_or(0, |known| known.enis);
        let count = u32::try_from(node.enis.len() + 1).unwrap_or(u32::MAX);
        if count > limit {
            let problem = format!("Interface count {count} exceeds the limit for {}", shape.1);
            return Err(field(format!("{at}.enis"), problem));
        }
        self.topology.nodes.push((node.name.clone(), Arc::clone(&id)));
        Ok(id)
    }

    fn extra_eni(
        &mut self,
        at: String,
        (node, instance): (&str, &Id),
        eni: &'a EniSpec,
        cluster: &str,
    ) -> Result<(), SpecError> {
        if eni.device_index == 0 || eni.device_index > 63 {
            return Err(field(format!("{at}.device_index"), "must be from 1 to 63"));
        }
        self.eni(Draft {
            at,
            name: format!("{node}/{}", eni.device_index),
            id: eni.id.as_ref(),
            mac: eni.mac.as_ref(),
            subnet: &eni.subnet,
            address: eni.address,
            secondary: &eni.secondary,
            prefixes: &eni.prefixes,
            description: format!("device {} of {node}", eni.device_index),
            tags: self.with_cluster(cluster, &eni.tags),
            attach: Some((Arc::clone(instance), eni.device_index, eni.delete_on_termination)),
        })
        .map(|_| ())
    }

    fn client(&mut self, at: &str, client: &'a ClientSpec, given: bool) -> Result<(), SpecError> {
        if client.address.is_some() != given {
            return Ok(());
        }
        let Some(subnet) = &client.subnet else {
            let address = client.address.filter(|a| !self.topology.vpc_cidr.contains(a));
            let problem = "a client needs a subnet, or an address outside the VPC";
            let address = address.ok_or_else(|| field(format!("{at}.subnet"), problem))?;
            self.take(&format!("{at}.address"), address, &client.name)?;
            let entry = ClientEntry { name: client.name.clone(), address, eni: None };
            self.topology.clients.push(entry);
            return Ok(());
        };
        let shape = (client.name.as_str(), "t3.large", subnet.as_str());
        let instance = self.instance(at, None, shape, InstanceKind::Client)?;
        let eni = self.eni(Draft {
            at: at.to_owned(),
            name: client.name.clone(),
            id: None,
            mac: None,
            subnet,
            address: client.address,
            secondary: &[],
            prefixes: &[],
            description: format!("client {}", client.name),
            tags: BTreeMap::new(),
            attach: Some((instance, 0, true)),
        })?;
        let address = self.vpc.enis.get(&eni).map_or(Ipv4Addr::UNSPECIFIED, |e| e.primary);
        let entry = ClientEntry { name: client.name.clone(), address, eni: Some(eni) };
        self.topology.clients.push(entry);
        Ok(())
    }

    fn foreign(&mut self, at: &str, spec: &'a ForeignSpec, given: bool) -> Result<(), SpecError> {
        if spec.address.is_some() != given {
            return Ok(());
        }
        let attach = match &spec.instance_type {
            Some(kind) => {
                let shape = (spec.name.as_str(), kind.as_str(), spec.subnet.as_str());
                Some((self.instance(at, None, shape, InstanceKind::Foreign)?, 0, true))
            }
            None => None,
        };
        let eni = self.eni(Draft {
            at: at.to_owned(),
            name: spec.name.clone(),
            id: spec.id.as_ref(),
            mac: None,
            subnet: &spec.subnet,
            address: spec.address,
            secondary: &spec.secondary,
            prefixes: &spec.prefixes,
            description: spec.description.clone(),
            tags: spec.tags.clone(),
            attach,
        })?;
        if let Some(made) = self.vpc.eni_mut(&eni) {
            made.kind = EniKind::of(spec.operator.as_ref());
        }
        self.topology.foreign.push((spec.name.clone(), eni));
        Ok(())
    }

    fn instance(
        &mut self,
        at: &str,
        id: Option<&String>,
        (name, kind, subnet): (&str, &str, &str),
        owner: InstanceKind,
    ) -> Result<Id, SpecError> {
        let instance_type = type_named(kind).ok_or_else(|| {
            field(format!("{at}.instance_type"), format!("unknown instance type {kind:?}"))
        })?;
        let zone = self.subnet(at, subnet)?.zone.clone();
        let id = match id {
            Some(id) => checked("i", id)?,
            None => format!("i-{}", self.rng.hex17("instance", key_of(name))),
        };
        let id: Id = Arc::from(id);
        let instance = Instance {
            id: Arc::clone(&id),
            name: name.to_owned(),
            kind: owner,
            size: instance_type,
            state: NodeState::Running,
            terminated_at: None,
            zone,
            tags: BTreeMap::from([("Name".to_owned(), name.to_owned())]),
            boots: 0,
            unusable_indexes: BTreeSet::new(),
            ghosts: Vec::new(),
            imds_whole_at: Duration::ZERO,
        };
        self.root_volume(&instance);
        if self.vpc.instances.insert(Arc::clone(&id), Arc::new(instance)).is_some() {
            return Err(field(format!("{at}.id"), format!("duplicate ID {id}")));
        }
        Ok(id)
    }

    fn subnet(&self, at: &str, name: &str) -> Result<&Subnet, SpecError> {
        let problem = || format!("there is no subnet {name:?}");
        let found = self.topology.subnets.iter().find(|subnet| subnet.name == name);
        found.ok_or_else(|| field(format!("{at}.subnet"), problem()))
    }

    fn with_cluster(
        &self,
        cluster: &str,
        tags: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut all = tags.clone();
        if !cluster.is_empty() {
            all.entry(self.topology.cluster_tag.clone()).or_insert_with(|| cluster.to_owned());
        }
        all
    }

    fn finish(mut self, spec: &Spec) -> Result<(Topology, VpcState), SpecError> {
        let order = |name: &str| spec.clients.iter().position(|client| client.name == name);
        self.topology.clients.sort_by_key(|entry| order(&entry.name));
        let macs: std::collections::BTreeSet<&str> =
            self.vpc.enis.values().map(|eni| eni.mac.as_str()).collect();
        if macs.len() != self.vpc.enis.len() {
            return Err(field("seed", "two MAC addresses are equal; use another seed"));
        }
        Ok((self.topology, self.vpc))
    }
}

fn make_subnet(spec: &SubnetSpec, region: &str, rng: SeededRng) -> Result<Subnet, SpecError> {
    let id = match &spec.id {
        Some(id) => checked("subnet", id)?,
        None => format!("subnet-{}", rng.hex17("subnet", key_of(&spec.name))),
    };
    // AWS shuffles zone IDs between accounts; here they follow the letter.
    let letter = spec.zone.bytes().last().unwrap_or(b'a');
    let number = letter.wrapping_sub(b'a') % 26 + 1;
    let mut tags = spec.tags.clone();
    tags.entry("Name".to_owned()).or_insert_with(|| spec.name.clone());
    Ok(Subnet {
        id: Arc::from(id),
        name: spec.name.clone(),
        cidr: spec.cidr,
        zone_id: format!("{}-az{number}", short(region)),
        zone: spec.zone.clone(),
        tags,
    })
}

/// A MAC address with this first byte and five bytes of `bits`.
pub(crate) fn mac_of(first: &str, bits: u64) -> String {
    let bytes = bits.to_be_bytes().into_iter().take(5);
    bytes.fold(first.to_owned(), |mac, byte| format!("{mac}:{byte:02x}"))
}

/// `use1` for `us-east-1`, the prefix of zone IDs.
fn short(region: &str) -> String {
    let mut parts = region.split('-');
    let area = parts.next().unwrap_or_default();
    let initials = parts.map(|part| part.get(..1).unwrap_or_default()).collect::<String>();
    format!("{area}{initials}")
}

/// Checks that an explicit ID has EC2's format: 8 or 17 hex digits.
fn checked(kind: &str, id: &str) -> Result<String, SpecError> {
    if crate::ec2::is_id(kind, id) {
        return Ok(id.to_owned());
    }
    Err(field(format!("id {id:?}"), format!("expected {kind}- and 8 or 17 hex digits")))
}
