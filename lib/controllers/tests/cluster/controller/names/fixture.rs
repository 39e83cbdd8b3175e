//! Services, EndpointSlices and DNSEndpoints: an API server that tells of changes as a watch does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use firecamp_controllers::leader::{
    ClusterEvent, Effect, Endpoint, Event, NamedService, NamesStep, NamespacedName, ObjectEvent,
    ObservedSlice, ServicePort, StatefulSet, View,
};
use firecamp_registry::api::Condition;

use super::super::super::support::{ClusterFixture, address, claim, identity, member, owner, uid};
use super::super::fixture::{Agent, SECOND, Seen, list};
use super::stored::Stored;

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
        cluster.tell(ClusterEvent::Services(ObjectEvent::Listed));
        cluster.tell(ClusterEvent::Slices(ObjectEvent::Listed));
        cluster.tell(ClusterEvent::Records(ObjectEvent::Current(false)));
        cluster
    }

    /// What the lists of the names' kinds show.
    pub(super) fn list_names(&mut self) {
        fn all<T: Clone>(of: &BTreeMap<NamespacedName, T>) -> BTreeMap<NamespacedName, Option<T>> {
            of.iter().map(|(name, it)| (name.clone(), Some(it.clone()))).collect()
        }
        let stored = self.stored.borrow();
        let services = list(all(&stored.services), ClusterEvent::Services);
        let slices = list(all(&stored.slices), ClusterEvent::Slices);
        let records = list(all(&stored.records), ClusterEvent::Records);
        drop(stored);
        for event in services.chain(slices).chain(records) {
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
            self.tell_all();
            seen.extend(self.agent.run(Duration::from_millis(50)));
        }
        self.tell_all();
        seen
    }

    fn tell_all(&mut self) {
        let events = std::mem::take(&mut self.stored.borrow_mut().events);
        for event in events {
            self.tell(event);
        }
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
        let all: Vec<_> =
            pods.iter().map(|(number, ready)| (*number, pod_ip(*number), *ready)).collect();
        self.pods_in("prod", &all);
    }

    /// The same in this namespace, with the addresses of the pods.
    pub(super) fn pods_in(&mut self, namespace: &str, pods: &[(u8, Ipv4Addr, bool)]) {
        let endpoint = |(number, address, ready): &(u8, Ipv4Addr, bool)| Endpoint {
            member: format!("redis-{number}"),
            address: *address,
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
        let name = NamespacedName { namespace: namespace.to_owned(), ..name("redis-abcde") };
        stored.put_slice(name, slice);
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
        let name = NamespacedName { namespace: namespace.to_owned(), name: "redis".to_owned() };
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

    /// From now on no look-up ends.
    pub(super) fn hang_lookups(&mut self) {
        let stored = Rc::clone(&self.stored);
        self.agent.names = Box::new(move |step| match step {
            NamesStep::Change(_) => Some(stored.borrow_mut().step(step)),
            NamesStep::LookUp(_) => None,
        });
    }

    /// How many look-ups began.
    pub(super) fn lookups(seen: &Seen) -> usize {
        let is_lookup =
            |effect: &Effect| matches!(effect, Effect::StartNames(NamesStep::LookUp(_)));
        seen.iter().filter(|(_, effect)| is_lookup(effect)).count()
    }

    /// How many changes were made.
    pub(super) fn changes(seen: &Seen) -> usize {
        let is_change =
            |effect: &Effect| matches!(effect, Effect::StartNames(NamesStep::Change(_)));
        seen.iter().filter(|(_, effect)| is_change(effect)).count()
    }
}
