//! Services, EndpointSlices and DNSEndpoints: an API server that tells of changes as a watch does.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use firecamp_controllers::leader::{
    ClusterEvent, Effect, Endpoint, Event, Identity, LookupAnswer, NamedService, NamesChange,
    NamesObject, NamesResult, NamesStep, NamespacedName, ObjectEvent, ObservedRecords,
    ObservedSlice, ServicePort, SetName, StatefulSet, View,
};
use firecamp_core::failure::{Effect as Took, RegistryFailure, RegistryKind};
use firecamp_registry::api::Condition;

use super::super::super::support::{
    ClusterFixture, address, claim, identity, member, owner, parsed, uid,
};
use super::super::fixture::{Agent, SECOND, Seen};

/// The address of redis-N: 10.0.1.50 and following.
pub(super) fn ip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, 50 + number)
}

/// The address of its pod.
pub(super) fn pod_ip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 244, 0, number)
}

pub(super) fn name(name: &str) -> NamespacedName {
    NamespacedName { namespace: "prod".to_owned(), name: name.to_owned() }
}

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
    events: Vec<ClusterEvent>,
    version: u64,
    pub(super) looked_up: Vec<String>,
}

impl Stored {
    fn id(&mut self, of: &str) -> Identity {
        self.version += 1;
        Identity { version: parsed(&format!("{}", 100 + self.version)), ..identity(of) }
    }

    fn step(&mut self, step: &NamesStep) -> NamesResult {
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
                NamesResult::LookedUp(self.dns.get(name).cloned().unwrap_or(usual))
            }
        }
    }

    fn change(&mut self, change: &NamesChange) -> Result<(), RegistryFailure> {
        let NamesChange { name, id, object } = change;
        let stored = match object {
            NamesObject::Slice(..) | NamesObject::NoSlice => self.slices.get(name).map(|it| &it.id),
            NamesObject::Records(..) | NamesObject::NoRecords => {
                self.records.get(name).map(|it| &it.id)
            }
            NamesObject::Conditions(_) => self.services.get(name).map(|it| &it.id),
        };
        match (stored, id) {
            (None, Some(_)) => return refused(RegistryKind::NotFound),
            (Some(_), None) => return refused(RegistryKind::AlreadyExists),
            (Some(stored), Some(read)) if stored != read => return refused(RegistryKind::Conflict),
            _ => {}
        }
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

/// A leader that keeps names, and the cluster.
pub(super) struct Cluster {
    pub(super) agent: Agent,
    pub(super) stored: Rc<RefCell<Stored>>,
}

impl Cluster {
    /// StatefulSet redis, whose headless Service is redis, has two members with an address each;
    /// both pods run, and the second is not ready. Service redis-static names them.
    pub(super) fn new() -> Self {
        let mut cluster = Self::of(&[0, 1]);
        cluster.service("redis-static", |_| {});
        cluster.pods(&[(0, true), (1, false)]);
        cluster.run(SECOND);
        cluster
    }

    /// The members with these numbers have a claim, and there is nothing else.
    pub(super) fn of(members: &[u8]) -> Self {
        let mut fixture = ClusterFixture::new();
        fixture.set("set-1", 3);
        for number in members {
            let name = format!("redis-{number}");
            fixture.put(address(ip(*number), &name, None));
            fixture.claim(claim(&name, Some(ip(*number)), Some(owner("set-1"))));
        }
        Self::leading(&fixture.view)
    }

    pub(super) fn leading(view: &View) -> Self {
        let mut cluster = Self::before_lists(view);
        cluster.list_names();
        cluster
    }

    fn before_lists(view: &View) -> Self {
        let mut agent = Agent::naming();
        drop(agent.run(Duration::ZERO));
        agent.list(view);
        let stored = Rc::new(RefCell::new(Stored { external_dns: true, ..Stored::default() }));
        let inner = Rc::clone(&stored);
        agent.names = Box::new(move |step| Some(inner.borrow_mut().step(step)));
        Self { agent, stored }
    }

    /// The same with one member, where the API server serves no DNSEndpoints.
    pub(super) fn without_external_dns() -> Self {
        let mut fixture = ClusterFixture::new();
        fixture.set("set-1", 3);
        fixture.put(address(ip(0), "redis-0", None));
        fixture.claim(claim("redis-0", Some(ip(0)), Some(owner("set-1"))));
        let mut cluster = Self::before_lists(&fixture.view);
        cluster.tell(ClusterEvent::Services(ObjectEvent::Listed(BTreeMap::new())));
        cluster.tell(ClusterEvent::Slices(ObjectEvent::Listed(BTreeMap::new())));
        cluster.tell(ClusterEvent::Records(ObjectEvent::Current(false)));
        cluster
    }

    /// What the lists of the names' kinds show.
    pub(super) fn list_names(&mut self) {
        fn all<T: Clone>(of: &BTreeMap<NamespacedName, T>) -> BTreeMap<NamespacedName, Option<T>> {
            of.iter().map(|(name, it)| (name.clone(), Some(it.clone()))).collect()
        }
        let stored = self.stored.borrow();
        let services = ClusterEvent::Services(ObjectEvent::Listed(all(&stored.services)));
        let slices = ClusterEvent::Slices(ObjectEvent::Listed(all(&stored.slices)));
        let records = ClusterEvent::Records(ObjectEvent::Listed(all(&stored.records)));
        drop(stored);
        for event in [services, slices, records] {
            self.tell(event);
        }
    }

    pub(super) fn tell(&mut self, event: ClusterEvent) {
        assert_eq!(self.agent.handle(Event::Cluster(Box::new(event))), Vec::new());
    }

    /// Runs, and delivers what the watches report, a moment later.
    pub(super) fn run(&mut self, time: Duration) -> Seen {
        let (end, mut seen) = (self.agent.now.plus(time), Seen::new());
        while self.agent.now < end {
            let events = std::mem::take(&mut self.stored.borrow_mut().events);
            events.into_iter().for_each(|event| self.tell(event));
            seen.extend(self.agent.run(Duration::from_millis(50)));
        }
        let events = std::mem::take(&mut self.stored.borrow_mut().events);
        events.into_iter().for_each(|event| self.tell(event));
        seen
    }

    /// A user creates a Service for the members.
    pub(super) fn service(&mut self, of: &str, change: impl FnOnce(&mut NamedService)) {
        self.service_in("prod", of, change);
    }

    pub(super) fn service_in(
        &mut self,
        namespace: &str,
        of: &str,
        change: impl FnOnce(&mut NamedService),
    ) {
        let port = ServicePort {
            name: Some("redis".to_owned()),
            port: 6379,
            protocol: "TCP".to_owned(),
            app_protocol: None,
        };
        let mut service = NamedService {
            id: identity(of),
            set: "redis".to_owned(),
            is_suitable: true,
            publishes_unready: false,
            ports: vec![port],
            zone: None,
            conditions: Vec::new(),
        };
        change(&mut service);
        let name = NamespacedName { namespace: namespace.to_owned(), name: of.to_owned() };
        self.stored.borrow_mut().put_service(name, service);
    }

    /// The user changes it.
    pub(super) fn change_service(&mut self, of: &str, change: impl FnOnce(&mut NamedService)) {
        let mut stored = self.stored.borrow_mut();
        let mut service = stored.services[&name(of)].clone();
        change(&mut service);
        service.id = stored.id(of);
        stored.put_service(name(of), service);
    }

    /// The control plane writes the endpoints of Service redis: the pods, and which are ready.
    pub(super) fn pods(&mut self, pods: &[(u8, bool)]) {
        let endpoint = |(number, ready): &(u8, bool)| Endpoint {
            member: format!("redis-{number}"),
            address: pod_ip(*number),
            // The set's own Service publishes addresses that are not ready.
            ready: true,
            serving: *ready,
            terminating: false,
        };
        let endpoints = pods.iter().map(endpoint).collect();
        let (service, ports) = ("redis".to_owned(), Vec::new());
        let mut stored = self.stored.borrow_mut();
        let id = stored.id("redis-abcde");
        let slice = ObservedSlice {
            id,
            service,
            is_ours: false,
            owner: None,
            is_altered: false,
            endpoints,
            ports,
        };
        stored.put_slice(name("redis-abcde"), slice);
    }

    /// The claim of a member appears; without a number of its address, it has none.
    pub(super) fn claims(&mut self, number: u8, at: Option<Ipv4Addr>) {
        let of = format!("redis-{number}");
        if let Some(at) = at {
            let record = address(at, &of, None);
            self.tell(ClusterEvent::StaticIps(ObjectEvent::Set(at, Some(record))));
        }
        let claim = claim(&of, at, Some(owner("set-1")));
        self.tell(ClusterEvent::Claims(ObjectEvent::Set(member(&of), Some(claim))));
    }

    pub(super) fn unclaims(&mut self, number: u8) {
        let of = member(&format!("redis-{number}"));
        self.tell(ClusterEvent::Claims(ObjectEvent::Deleted(of)));
    }

    /// The StaticIP is reclaimed; with a name, its address is that of another member then.
    pub(super) fn reclaims(&mut self, number: u8, by: Option<&str>) {
        let at = ip(number);
        let record = by.map(|by| address(at, by, None));
        self.tell(ClusterEvent::StaticIps(match record {
            Some(record) => ObjectEvent::Set(at, Some(record)),
            None => ObjectEvent::Deleted(at),
        }));
    }

    pub(super) fn scale(&mut self, replicas: u32) {
        self.set_in("prod", replicas);
    }

    pub(super) fn set_in(&mut self, namespace: &str, replicas: u32) {
        let service = Some("redis".to_owned());
        let set = StatefulSet { uid: uid("set-1"), first: 0, replicas, service };
        let name = SetName { namespace: namespace.to_owned(), name: "redis".to_owned() };
        self.tell(ClusterEvent::Sets(ObjectEvent::Set(name, Some(set))));
    }

    /// The members in FireCamp's EndpointSlice of redis-static: name, address, ready.
    pub(super) fn endpoints(&self) -> Vec<(String, Ipv4Addr, bool)> {
        let stored = self.stored.borrow();
        let slice = stored.slices.get(&name("redis-static-firecamp"));
        let all = slice.into_iter().flat_map(|slice| &slice.endpoints);
        all.map(|it| (it.member.clone(), it.address, it.ready)).collect()
    }

    /// The names in the DNSEndpoint of a Service, and their addresses.
    pub(super) fn records(&self, of: &str) -> Vec<(String, Ipv4Addr)> {
        let stored = self.stored.borrow();
        let records = stored.records.get(&name(of));
        let all = records.into_iter().flat_map(|it| &it.records);
        all.map(|(name, address)| (name.clone(), *address)).collect()
    }

    /// Status and reason of the condition of a Service.
    pub(super) fn condition(&self, of: &str) -> (String, String) {
        let Condition { status, reason, .. } = self.full_condition(of);
        (status, reason)
    }

    pub(super) fn full_condition(&self, of: &str) -> Condition {
        self.stored.borrow().services[&name(of)].conditions[0].clone()
    }

    /// How many changes were made.
    pub(super) fn changes(seen: &Seen) -> usize {
        let is_change =
            |effect: &Effect| matches!(effect, Effect::StartNames(NamesStep::Change(_)));
        seen.iter().filter(|(_, effect)| is_change(effect)).count()
    }
}
