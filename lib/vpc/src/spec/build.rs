//! From a spec to the world's first state.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::check::field;
use super::{ClientSpec, EniSpec, ForeignSpec, NodeSpec, Spec, SpecError, SubnetSpec};
use crate::chance::{Chance, key_of};
use crate::model::{ClientSeat, Ground, Id, Instance, InstanceKind, Ledger, Subnet, type_named};
use crate::view::NodeState;

mod eni;
mod volume;

/// Ground and first ledger of a spec that [`super::check::check`] has passed.
pub(crate) fn build(spec: &Spec, chance: Chance) -> Result<(Ground, Ledger), SpecError> {
    super::check::check(spec)?;
    let mut builder = Builder::new(spec, chance)?;
    // Addresses that are given are placed before those that are free to be anywhere.
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
    chance: Chance,
    cluster: &'a str,
    ground: Ground,
    ledger: Ledger,
    /// Who has which address.
    taken: BTreeMap<Ipv4Addr, String>,
}

/// What an ENI is made of.
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
    fn new(spec: &'a Spec, chance: Chance) -> Result<Self, SpecError> {
        let generated = || format!("vpc-{}", chance.hex17("vpc", 0));
        let vpc = spec.vpc.id.clone().map_or_else(|| Ok(generated()), |id| checked("vpc", &id))?;
        let mut ground = Ground {
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
        for (at, subnet) in spec.subnets.iter().enumerate() {
            let made = make_subnet(subnet, &spec.region, chance)?;
            if ground.subnet(&made.id).is_some() {
                return Err(field(format!("subnets[{at}].id"), "it is there twice"));
            }
            ground.subnets.push(made);
        }
        Ok(Self {
            chance,
            cluster: &spec.cluster,
            ground,
            ledger: Ledger::default(),
            taken: BTreeMap::new(),
        })
    }

    /// One of the two rounds over a node: in the first one ENIs with given addresses are made.
    fn node(&mut self, at: &str, node: &'a NodeSpec, given: bool) -> Result<(), SpecError> {
        let cluster = node.cluster.as_deref().unwrap_or(self.cluster);
        let seat = self.ground.nodes.iter().find(|(name, _)| *name == node.name);
        let instance = match seat.map(|(_, id)| Arc::clone(id)) {
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
        if let Some(instance) = self.ledger.instance_mut(&id) {
            instance.tags.extend(node.tags.clone());
        }
        let limit = type_named(&node.instance_type).map_or(0, |known| known.enis);
        let count = u32::try_from(node.enis.len() + 1).unwrap_or(u32::MAX);
        if count > limit {
            let problem = format!("Interface count {count} exceeds the limit for {}", shape.1);
            return Err(field(format!("{at}.enis"), problem));
        }
        self.ground.nodes.push((node.name.clone(), Arc::clone(&id)));
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
            return Err(field(format!("{at}.device_index"), "it is from 1 to 63"));
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
            let address = client.address.filter(|a| !self.ground.vpc_cidr.contains(a));
            let problem = "a client has a subnet, or an address outside the VPC";
            let address = address.ok_or_else(|| field(format!("{at}.subnet"), problem))?;
            self.take(&format!("{at}.address"), address, &client.name)?;
            let seat = ClientSeat { name: client.name.clone(), address, eni: None };
            self.ground.clients.push(seat);
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
        let address = self.ledger.enis.get(&eni).map_or(Ipv4Addr::UNSPECIFIED, |e| e.primary);
        let seat = ClientSeat { name: client.name.clone(), address, eni: Some(eni) };
        self.ground.clients.push(seat);
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
        if let Some(made) = self.ledger.eni_mut(&eni) {
            made.operator.clone_from(&spec.operator);
        }
        self.ground.foreign.push((spec.name.clone(), eni));
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
            field(format!("{at}.instance_type"), format!("{kind:?} is not in the table of types"))
        })?;
        let zone = self.subnet(at, subnet)?.zone.clone();
        let id = match id {
            Some(id) => checked("i", id)?,
            None => format!("i-{}", self.chance.hex17("instance", key_of(name))),
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
            burnt: BTreeSet::new(),
            ghosts: Vec::new(),
            imds_whole_at: Duration::ZERO,
        };
        self.root_volume(&instance);
        if self.ledger.instances.insert(Arc::clone(&id), Arc::new(instance)).is_some() {
            return Err(field(format!("{at}.id"), format!("{id} is there twice")));
        }
        Ok(id)
    }

    fn subnet(&self, at: &str, name: &str) -> Result<&Subnet, SpecError> {
        let problem = || format!("there is no subnet {name:?}");
        let found = self.ground.subnets.iter().find(|subnet| subnet.name == name);
        found.ok_or_else(|| field(format!("{at}.subnet"), problem()))
    }

    fn with_cluster(
        &self,
        cluster: &str,
        tags: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut all = tags.clone();
        if !cluster.is_empty() {
            all.entry(self.ground.cluster_tag.clone()).or_insert_with(|| cluster.to_owned());
        }
        all
    }

    fn finish(mut self, spec: &Spec) -> Result<(Ground, Ledger), SpecError> {
        let order = |name: &str| spec.clients.iter().position(|client| client.name == name);
        self.ground.clients.sort_by_key(|seat| order(&seat.name));
        let macs: std::collections::BTreeSet<&str> =
            self.ledger.enis.values().map(|eni| eni.mac.as_str()).collect();
        if macs.len() != self.ledger.enis.len() {
            return Err(field("seed", "two MACs are equal; take another seed"));
        }
        Ok((self.ground, self.ledger))
    }
}

fn make_subnet(spec: &SubnetSpec, region: &str, chance: Chance) -> Result<Subnet, SpecError> {
    let id = match &spec.id {
        Some(id) => checked("subnet", id)?,
        None => format!("subnet-{}", chance.hex17("subnet", key_of(&spec.name))),
    };
    // Zone ids are shuffled between accounts; here they follow the letter.
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
        reservations: spec.reservations.clone(),
        tags,
    })
}

/// A MAC with this first byte and five bytes of `bits`.
pub(crate) fn mac_of(first: &str, bits: u64) -> String {
    let bytes = bits.to_be_bytes().into_iter().take(5);
    bytes.fold(first.to_owned(), |mac, byte| format!("{mac}:{byte:02x}"))
}

/// `use1` for `us-east-1`, as zone ids begin.
fn short(region: &str) -> String {
    let mut parts = region.split('-');
    let area = parts.next().unwrap_or_default();
    let initials = parts.map(|part| part.get(..1).unwrap_or_default()).collect::<String>();
    format!("{area}{initials}")
}

/// An id that is given must look like one of EC2's: 8 or 17 hex digits.
fn checked(kind: &str, id: &str) -> Result<String, SpecError> {
    if crate::ec2::is_id(kind, id) {
        return Ok(id.to_owned());
    }
    Err(field(format!("id {id:?}"), format!("an id here is {kind}- and 8 or 17 hex digits")))
}
