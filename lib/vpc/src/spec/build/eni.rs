//! An ENI of a spec: its ID, its addresses, its attachment.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::{Builder, Draft, checked, mac_of};
use crate::model::{Attachment, Eni, EniKind, Id, Subnet, all_of};
use crate::rng::key_of;
use crate::spec::SpecError;
use crate::spec::check::field;

impl<'a> Builder<'a> {
    pub(super) fn eni(&mut self, draft: Draft<'a>) -> Result<Id, SpecError> {
        let Draft {
            at,
            name,
            id: given,
            mac,
            subnet,
            address,
            secondary,
            prefixes,
            description,
            tags,
            attach,
        } = draft;
        let subnet = self.subnet(&at, subnet)?.clone();
        let key = key_of(&name);
        let id = match given {
            Some(id) => checked("eni", id)?,
            None => format!("eni-{}", self.rng.hex17("eni", key)),
        };
        let primary = match address {
            Some(address) => address,
            None => self.free(&at, &subnet)?,
        };
        self.place(&format!("{at}.address"), &subnet, primary, &name)?;
        for address in secondary {
            self.place(&format!("{at}.secondary"), &subnet, *address, &name)?;
        }
        for net in prefixes {
            self.place_prefix(&format!("{at}.prefixes"), &subnet, *net, &name)?;
        }
        let eni = Eni {
            mac: self.mac(mac, key)?,
            id: Arc::from(id),
            subnet: Arc::clone(&subnet.id),
            description,
            source_dest_check: true,
            tags,
            primary,
            secondary: secondary.to_vec(),
            prefixes: prefixes.to_vec(),
            attachment: attach.map(|(instance, device_index, delete)| {
                let id = format!("eni-attach-{}", self.rng.hex17("attach", key));
                Attachment::old(Arc::from(id), instance, device_index, delete)
            }),
            kind: EniKind::Ordinary,
            known_at: Duration::ZERO,
        };
        self.add(&at, eni)
    }

    fn add(&mut self, at: &str, eni: Eni) -> Result<Id, SpecError> {
        let id = Arc::clone(&eni.id);
        let limit = self.vpc.slot_limit(&eni, &BTreeMap::new());
        if eni.slots() > limit {
            let problem = format!("{} addresses and prefixes, the limit is {limit}", eni.slots());
            return Err(field(at, problem));
        }
        if let Some(attachment) = &eni.attachment {
            let zone = self.topology.subnet(&eni.subnet).map(|subnet| subnet.zone.as_str());
            let instance = self.vpc.instances.get(&attachment.instance);
            if zone != instance.map(|instance| instance.zone.as_str()) {
                return Err(field(format!("{at}.subnet"), "the subnet is in another zone"));
            }
            let same = |eni: &&Arc<Eni>| {
                eni.attachment.as_ref().map(|a| a.device_index) == Some(attachment.device_index)
            };
            if self.vpc.enis_of(&attachment.instance).iter().any(same) {
                return Err(field(format!("{at}.device_index"), "duplicate device index"));
            }
        }
        if self.vpc.enis.insert(Arc::clone(&id), Arc::new(eni)).is_some() {
            return Err(field(format!("{at}.id"), format!("duplicate ID {id}")));
        }
        Ok(id)
    }

    /// The explicit MAC address, or a locally administered one in EC2's form.
    fn mac(&self, given: Option<&String>, key: u64) -> Result<String, SpecError> {
        let Some(given) = given else { return Ok(mac_of("0a", self.rng.bits("mac", key, 0))) };
        let is_byte = |part: &str| {
            part.len() == 2 && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        if given.split(':').count() == 6 && given.split(':').all(is_byte) {
            return Ok(given.clone());
        }
        Err(field(format!("mac {given:?}"), "expected six pairs of lower-case hex digits"))
    }

    fn free(&self, at: &str, subnet: &Subnet) -> Result<Ipv4Addr, SpecError> {
        // From the tenth address on, so that explicit addresses in a spec rarely conflict with it.
        let fits = |address: &Ipv4Addr| {
            let given = self.taken.contains_key(address);
            let reserved = self.vpc.has_cidr_reservation(subnet, *address);
            !given && !reserved && !subnet.is_reserved(*address)
        };
        let mut all = all_of(subnet.cidr).skip(10).chain(all_of(subnet.cidr).take(10));
        let problem =
            || field(format!("{at}.address"), format!("no free address in {}", subnet.cidr));
        all.find(fits).ok_or_else(problem)
    }

    fn place(
        &mut self,
        at: &str,
        subnet: &Subnet,
        address: Ipv4Addr,
        name: &str,
    ) -> Result<(), SpecError> {
        if !subnet.cidr.contains(&address) {
            return Err(field(at, format!("{address} is not in {}", subnet.cidr)));
        }
        if subnet.is_reserved(address) {
            return Err(field(at, format!("{address} is reserved by the VPC")));
        }
        self.take(at, address, name)
    }

    fn place_prefix(
        &mut self,
        at: &str,
        subnet: &Subnet,
        net: Ipv4Net,
        name: &str,
    ) -> Result<(), SpecError> {
        if net.prefix_len() != 28 || net.trunc() != net {
            return Err(field(at, format!("{net} is not a /28 network")));
        }
        all_of(net).try_for_each(|address| self.place(at, subnet, address, name))
    }

    pub(super) fn take(
        &mut self,
        at: &str,
        address: Ipv4Addr,
        name: &str,
    ) -> Result<(), SpecError> {
        match self.taken.insert(address, name.to_owned()) {
            Some(other) => Err(field(at, format!("{address} already belongs to {other}"))),
            None => Ok(()),
        }
    }
}
