//! The objects of names as an API server stores them: it refuses what a real one refuses.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_controllers::leader::{
    ClusterEvent, Identity, LookupAnswer, NamedService, NamesChange, NamesObject, NamesResult,
    NamesStep, NamespacedName, ObjectEvent, ObservedRecords, ObservedSlice,
};
use firecamp_core::failure::{Effect as Took, RegistryFailure, RegistryKind};

use super::super::super::support::{identity, parsed};

/// What the API server stores, and what happens to requests.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) services: BTreeMap<NamespacedName, NamedService>,
    pub(super) slices: BTreeMap<NamespacedName, ObservedSlice>,
    pub(super) records: BTreeMap<NamespacedName, ObservedRecords>,
    /// What DNS answers; the address of the record for each other name.
    pub(super) dns: BTreeMap<String, LookupAnswer>,
    /// The next changes fail: before their effect, or after it.
    pub(super) failing: Vec<(RegistryKind, Took)>,
    /// ExternalDNS reads each DNSEndpoint at once.
    pub(super) external_dns: bool,
    pub(super) events: Vec<ClusterEvent>,
    pub(super) version: u64,
    pub(super) looked_up: Vec<String>,
}

impl Stored {
    pub(super) fn id(&mut self, of: &str) -> Identity {
        self.version += 1;
        Identity { version: parsed(&format!("{}", 100 + self.version)), ..identity(of) }
    }

    pub(super) fn step(&mut self, step: &NamesStep) -> NamesResult {
        match step {
            NamesStep::Change(change) => {
                let fault = self.failing.pop();
                if let Some((kind, Took::None)) = fault {
                    return failed(kind, Took::None);
                }
                let changed = self.change(change);
                match fault {
                    Some((kind, took)) => failed(kind, took),
                    None => NamesResult::Changed(changed),
                }
            }
            NamesStep::LookUp(name) => {
                self.looked_up.push(name.clone());
                let all = self.records.values().flat_map(|it| &it.records);
                let record = all.into_iter().find(|(record, _)| *record == name).map(|(_, ip)| *ip);
                let usual = record.map_or(LookupAnswer::NotFound, |ip| {
                    LookupAnswer::Addresses(BTreeSet::from([ip]))
                });
                NamesResult::LookedUp(Some(self.dns.get(name).cloned().unwrap_or(usual)))
            }
        }
    }

    fn check(&self, NamesChange { name, id, object }: &NamesChange) -> Result<(), RegistryFailure> {
        let stored = match object {
            NamesObject::Slice(..) | NamesObject::NoSlice => self.slices.get(name).map(|it| &it.id),
            NamesObject::Records(..) | NamesObject::NoRecords => {
                self.records.get(name).map(|it| &it.id)
            }
            NamesObject::Conditions(_) => self.services.get(name).map(|it| &it.id),
        };
        match (stored, id) {
            (None, Some(_)) => refused(RegistryKind::NotFound),
            (Some(_), None) => refused(RegistryKind::AlreadyExists),
            (Some(stored), Some(read)) if stored != read => refused(RegistryKind::Conflict),
            _ => Ok(()),
        }
    }

    fn change(&mut self, change: &NamesChange) -> Result<(), RegistryFailure> {
        self.check(change)?;
        let NamesChange { name, object, .. } = change;
        let id = self.id(&name.name);
        match object.clone() {
            NamesObject::Slice(owner, endpoints, ports) => {
                let (service, owner) = (owner.name, Some(owner.uid));
                let slice = ObservedSlice {
                    id,
                    service,
                    is_ours: true,
                    owner,
                    is_altered: false,
                    endpoints,
                    ports,
                };
                self.put_slice(name.clone(), slice);
            }
            NamesObject::NoSlice => {
                self.slices.remove(name);
                self.events.push(ClusterEvent::Slices(ObjectEvent::Deleted(name.clone())));
            }
            NamesObject::Records(owner, records) => {
                let generation = self.records.get(name).map_or(1, |it| it.generation + 1);
                let processed = if self.external_dns { generation } else { 0 };
                let owner = Some(owner.uid);
                let it = ObservedRecords {
                    id,
                    generation,
                    processed,
                    owner,
                    is_altered: false,
                    records,
                };
                self.put_records(name.clone(), it);
            }
            NamesObject::NoRecords => {
                self.records.remove(name);
                self.events.push(ClusterEvent::Records(ObjectEvent::Deleted(name.clone())));
            }
            NamesObject::Conditions(mut conditions) => {
                for condition in &mut conditions {
                    condition.last_transition_time.get_or_insert_with(|| "now".to_owned());
                }
                let mut service = self.services[name].clone();
                (service.conditions, service.id) = (conditions, id);
                self.put_service(name.clone(), service);
            }
        }
        Ok(())
    }

    pub(super) fn put_service(&mut self, name: NamespacedName, service: NamedService) {
        let event = ObjectEvent::Set(name.clone(), Some(service.clone()));
        self.services.insert(name, service);
        self.events.push(ClusterEvent::Services(event));
    }

    pub(super) fn put_slice(&mut self, name: NamespacedName, slice: ObservedSlice) {
        let event = ObjectEvent::Set(name.clone(), Some(slice.clone()));
        self.slices.insert(name, slice);
        self.events.push(ClusterEvent::Slices(event));
    }

    pub(super) fn put_records(&mut self, name: NamespacedName, records: ObservedRecords) {
        let event = ObjectEvent::Set(name.clone(), Some(records.clone()));
        self.records.insert(name, records);
        self.events.push(ClusterEvent::Records(event));
    }
}

fn failed(kind: RegistryKind, effect: Took) -> NamesResult {
    NamesResult::Changed(Err(RegistryFailure { kind, effect, detail: "on purpose".to_owned() }))
}

fn refused(kind: RegistryKind) -> Result<(), RegistryFailure> {
    Err(RegistryFailure { kind, effect: Took::None, detail: "by the API server".to_owned() })
}
