//! Interfaces that calls create, attach, detach and delete. Those that no instance has keep their
//! addresses.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_core::contract::tag;
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{EniId, InstanceId};
use firecamp_core::managed_interface::{
    DescribedInterface, InstanceState, InterfaceAttachment, InterfaceFilter, NewInterface,
};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::Eni;

use super::{Account, Instance, failed};

/// The interfaces that calls created.
#[derive(Debug, Clone, Default)]
pub struct CreatedInterfaces {
    /// How many of them the account may have. None: any number.
    pub quota: Option<usize>,
    /// What a Describe still shows, if that is not the present state.
    pub stale: Option<Vec<DescribedInterface>>,
    /// Whether attaching and detaching remain incomplete.
    pub incomplete: bool,
    all: BTreeMap<EniId, Created>,
    /// The request with each token, and the interface that it created, even if that is deleted.
    tokens: BTreeMap<String, (NewInterface, EniId)>,
    /// The number of the next ID.
    next: u32,
}

#[derive(Debug, Clone)]
struct Created {
    tags: BTreeMap<String, String>,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// No instance has it.
    Free(Interface),
    /// It is among the interfaces of its instance.
    At { attachment: InterfaceAttachment, detaching: bool },
}

impl CreatedInterfaces {
    /// How many there are, attached or not.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// EC2 forgets client tokens: a request that is repeated later creates another interface.
    pub fn forget_tokens(&mut self) {
        self.tokens.clear();
    }

    /// Those that no instance has.
    pub(super) fn free(&self) -> impl Iterator<Item = &Interface> {
        self.all.values().filter_map(|one| match &one.place {
            Place::Free(interface) => Some(interface),
            Place::At { .. } => None,
        })
    }

    /// Those that no instance has, to be changed.
    pub(super) fn free_mut(&mut self) -> impl Iterator<Item = &mut Interface> {
        self.all.values_mut().filter_map(|one| match &mut one.place {
            Place::Free(interface) => Some(interface),
            Place::At { .. } => None,
        })
    }

    fn number(&mut self) -> u32 {
        self.next = self.next.saturating_add(1);
        self.next
    }

    fn found(&mut self, eni: &EniId) -> Result<&mut Created, CloudFailure> {
        self.all.get_mut(eni).ok_or_else(|| no_interface(eni))
    }
}

fn no_interface(eni: &EniId) -> CloudFailure {
    failed(CloudKind::NotFound, &format!("InvalidNetworkInterfaceID.NotFound: {eni}"))
}

impl Account {
    pub(super) fn create(&mut self, request: &NewInterface) -> Result<EniId, CloudFailure> {
        if let Some((first, eni)) = self.created.tokens.get(&request.token) {
            if first != request {
                return Err(failed(CloudKind::Unknown, "IdempotentParameterMismatch"));
            }
            let exists = self.created.all.contains_key(eni);
            return if exists { Ok(eni.clone()) } else { Err(no_interface(eni)) };
        }
        if self.created.quota.is_some_and(|quota| self.created.all.len() >= quota) {
            return Err(failed(CloudKind::QuotaExceeded, "NetworkInterfaceLimitExceeded"));
        }
        let number = self.created.number();
        let invalid = |_source| failed(CloudKind::Unknown, "an interface number of the fake EC2");
        let eni = EniId::new(&format!("eni-c{number:016x}")).map_err(invalid)?;
        let tags: BTreeMap<String, String> = request.tags.iter().cloned().collect();
        let interface = Interface {
            primary: Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 254, 0, 0)).saturating_add(number)),
            groups: request.groups.clone(),
            cluster: tags.get(tag::CLUSTER).cloned(),
            no_manage: tags.get(tag::CNI_NO_MANAGE).cloned(),
            ..super::interface(eni.clone(), request.subnet.clone())
        };
        let token = request.token.clone();
        self.created.tokens.insert(token, (request.clone(), eni.clone()));
        self.created.all.insert(eni.clone(), Created { tags, place: Place::Free(interface) });
        Ok(eni)
    }

    pub(super) fn attach(
        &mut self,
        eni: &EniId,
        instance: &InstanceId,
        device_index: u32,
    ) -> Result<(), CloudFailure> {
        let Place::Free(interface) = self.created.found(eni)?.place.clone() else {
            return Err(failed(CloudKind::InterfaceInUse, "InvalidNetworkInterface.InUse"));
        };
        let limit = self.interface_limit(instance);
        let number = self.created.number();
        let attached = !self.created.incomplete;
        let there = self.instances.get_mut(instance.as_str()).filter(|there| !there.terminated);
        let there = there.ok_or_else(|| failed(CloudKind::NotFound, "no such instance"))?;
        if limit.is_some_and(|limit| there.interfaces.len() >= limit) {
            let kind = CloudKind::AttachmentLimitExceeded;
            return Err(failed(kind, "AttachmentLimitExceeded"));
        }
        if device_index == 0 || there.interfaces.iter().any(|it| it.device_index == device_index) {
            return Err(failed(CloudKind::DeviceIndexTaken, "the device index is taken"));
        }
        let interface = Interface { device_index, ..interface };
        if attached {
            there.list_interface(&interface, number);
        }
        there.interfaces.push(interface);
        let id = format!("eni-attach-{number:017x}");
        let attachment =
            InterfaceAttachment { id, instance: instance.clone(), device_index, attached };
        self.created.found(eni)?.place = Place::At { attachment, detaching: false };
        Ok(())
    }

    /// How many interfaces the instance's type takes.
    fn interface_limit(&self, instance: &InstanceId) -> Option<usize> {
        let name = &self.instances.get(instance.as_str())?.identity.as_ref()?.instance_type;
        usize::try_from(self.types.get(name)?.enis).ok()
    }

    pub(super) fn detach(&mut self, id: &str) -> Result<(), CloudFailure> {
        let named = self.created.all.iter_mut().find_map(|(eni, one)| match &mut one.place {
            Place::At { attachment, detaching } if attachment.id == id => {
                Some((eni.clone(), attachment, detaching))
            }
            Place::At { .. } | Place::Free(_) => None,
        });
        let Some((eni, attachment, detaching)) = named else {
            return Err(failed(CloudKind::NotFound, "InvalidAttachmentID.NotFound"));
        };
        if *detaching {
            return Err(failed(CloudKind::Transient, "IncorrectState: it is being detached"));
        }
        (*detaching, attachment.attached) = (true, false);
        if !self.created.incomplete {
            self.free(&eni);
        }
        Ok(())
    }

    /// The instance does not have the interface any more.
    fn free(&mut self, eni: &EniId) {
        for there in self.instances.values_mut() {
            if let Some(identity) = &mut there.identity {
                identity.enis.retain(|one| one.id != *eni);
            }
            let Some(at) = there.interfaces.iter().position(|one| one.id == *eni) else { continue };
            let interface = there.interfaces.remove(at);
            if let Ok(created) = self.created.found(eni) {
                created.place = Place::Free(interface);
            }
        }
    }

    pub(super) fn delete(&mut self, eni: &EniId) -> Result<(), CloudFailure> {
        if let Place::At { .. } = self.created.found(eni)?.place {
            return Err(failed(CloudKind::InterfaceInUse, "the interface is currently in use"));
        }
        self.created.all.remove(eni);
        Ok(())
    }

    /// What was being attached is attached, and what was being detached is detached.
    pub(super) fn complete(&mut self) {
        self.created.incomplete = false;
        let mut attached = Vec::new();
        let mut detached = Vec::new();
        for (eni, one) in &mut self.created.all {
            match &mut one.place {
                Place::At { detaching: true, .. } => detached.push(eni.clone()),
                Place::At { attachment, .. } if !attachment.attached => {
                    attachment.attached = true;
                    attached.push(eni.clone());
                }
                Place::At { .. } | Place::Free(_) => {}
            }
        }
        for eni in attached {
            let number = self.created.number();
            for there in self.instances.values_mut() {
                let interface = there.interfaces.iter().find(|one| one.id == eni).cloned();
                if let Some(interface) = interface {
                    there.list_interface(&interface, number);
                }
            }
        }
        for eni in &detached {
            self.free(eni);
        }
    }

    /// The instance and all interfaces that no call created are gone; the others keep their
    /// addresses.
    pub(super) fn terminate(&mut self, instance: &InstanceId) {
        let Some(there) = self.instances.get(instance.as_str()) else { return };
        let mut enis: Vec<EniId> = there.interfaces.iter().map(|one| one.id.clone()).collect();
        enis.retain(|eni| self.created.all.contains_key(eni));
        for eni in &enis {
            self.free(eni);
        }
        let gone = Instance { terminated: true, ..Instance::default() };
        self.instances.insert(instance.to_string(), gone);
    }

    pub(super) fn describe(&self, filter: &InterfaceFilter) -> Vec<DescribedInterface> {
        let present = || self.created.all.keys().filter_map(|eni| self.described(eni));
        let all = self.created.stale.clone().unwrap_or_else(|| present().collect()).into_iter();
        match filter {
            InterfaceFilter::Id(eni) => all.filter(|one| one.id == *eni).collect(),
            InterfaceFilter::Record(uid) => {
                all.filter(|one| one.record.as_ref() == Some(uid)).collect()
            }
            InterfaceFilter::Cluster(cluster) => self.of_cluster(cluster.as_str()),
        }
    }

    /// All interfaces of the cluster with their addresses, whoever created them, but without
    /// attachments.
    fn of_cluster(&self, cluster: &str) -> Vec<DescribedInterface> {
        let mut attached: Vec<&Interface> = Vec::new();
        for one in self.instances.values() {
            attached.extend(one.stale_interfaces.as_ref().unwrap_or(&one.interfaces));
        }
        let all = attached.into_iter().chain(self.created.free());
        let described = |one: &Interface| DescribedInterface {
            id: one.id.clone(),
            addresses: one.addresses.clone(),
            prefixes: one.prefixes,
            attachment: None,
            record: None,
            cluster_uid: None,
        };
        all.filter(|one| one.cluster.as_deref() == Some(cluster)).map(described).collect()
    }

    fn described(&self, eni: &EniId) -> Option<DescribedInterface> {
        let Created { tags, place } = self.created.all.get(eni)?;
        let (interface, attachment) = match place {
            Place::Free(interface) => (interface, None),
            Place::At { attachment, .. } => {
                let there = self.instances.get(attachment.instance.as_str())?;
                let interface = there.interfaces.iter().find(|one| one.id == *eni)?;
                (interface, Some(attachment.clone()))
            }
        };
        Some(DescribedInterface {
            id: eni.clone(),
            addresses: interface.addresses.clone(),
            prefixes: interface.prefixes,
            attachment,
            record: tags.get(tag::INTERFACE).cloned(),
            cluster_uid: tags.get(tag::CLUSTER_UID).cloned(),
        })
    }

    pub(super) fn state(&self, instance: &InstanceId) -> InstanceState {
        let there = self.instances.get(instance.as_str()).filter(|there| !there.terminated);
        if there.is_some() { InstanceState::Exists } else { InstanceState::Gone }
    }
}

impl Instance {
    /// The metadata service lists the interface. Every subnet is a /24 here.
    fn list_interface(&mut self, interface: &Interface, number: u32) {
        let [a, b, c, d] = number.to_be_bytes();
        let mac = format!("0a:c0:{a:02x}:{b:02x}:{c:02x}:{d:02x}").parse();
        let [a, b, c, _] = interface.primary.octets();
        let cidr = format!("{a}.{b}.{c}.0/24").parse();
        let (Some(identity), Ok(mac), Ok(cidr)) = (&mut self.identity, mac, cidr) else { return };
        identity.enis.push(Eni {
            id: interface.id.clone(),
            mac,
            device_index: interface.device_index,
            network_card: interface.network_card,
            subnet: interface.subnet.clone(),
            cidr,
            primary_address: interface.primary,
            listed: interface.addresses.clone(),
            prefixes: interface.prefixes,
        });
    }
}

#[cfg(test)]
#[path = "created_tests.rs"]
mod tests;
