//! The changes that give the members of a Service their names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::names::in_zone;
use firecamp_core::ids::{ClusterName, DnsZone};
use firecamp_core::time::Moment;

use super::condition::{Problem, conditions, is_about_dns};
use super::desired::{Members, holder, is, slices};
use super::lookups::Lookups;
use super::objects::{
    Endpoint, NamedService, NamesChange, NamesObject, NamespacedName, ObservedRecords,
    ObservedSlice, OwningService,
};
use super::zone::AllowedZones;
use crate::leader::cluster_cache::RecordsKnown;
use crate::leader::view::{Identity, View};

/// What is published for a member is removed this long after it was last wanted: a list of the API
/// server may be older than the last one.
const GRACE: Duration = Duration::from_secs(30);
/// The name of all records in [`Absent`].
const RECORDS: &str = "";
/// Endpoints of one EndpointSlice (discovery.k8s.io/v1 allows 1,000).
const ENDPOINTS: usize = 1_000;

/// What the changes depend on.
pub(super) struct Known<'a> {
    pub(super) view: &'a View,
    /// What is known about the DNSEndpoints.
    pub(super) records: RecordsKnown,
    /// Why an object of the Service cannot be written.
    pub(super) failure: Option<&'a (u32, String)>,
    pub(super) zones: &'a AllowedZones,
    pub(super) cluster: &'a ClusterName,
    pub(super) lookups: &'a Lookups,
    /// The Services that want records, by StatefulSet.
    pub(super) rivals: &'a Rivals<'a>,
}

/// The Services that want records, by the name of their StatefulSet.
pub(super) type Rivals<'a> = BTreeMap<&'a str, Vec<(&'a NamespacedName, &'a NamedService)>>;

/// All Services that want records.
pub(super) fn rivals(view: &View) -> Rivals<'_> {
    let mut all = Rivals::new();
    for (name, service) in &view.services {
        if let Some(service) = service.as_ref().filter(|it| it.zone.is_some()) {
            all.entry(&service.set).or_default().push((name, service));
        }
    }
    all
}

/// Since when what is published is not wanted any more, by its Service and its name.
#[derive(Debug, Default)]
pub(super) struct Absent(BTreeMap<(NamespacedName, String), Moment>);

impl Absent {
    /// Forgets Services that are gone, with all that they published.
    pub(super) fn retain(&mut self, view: &View) {
        let all: BTreeSet<NamespacedName> = all(view).collect();
        self.0.retain(|(service, _), _| all.contains(service));
    }

    /// Whether it still has to stay; and until when.
    fn stays(&mut self, (service, what): (&NamespacedName, &str), now: Moment) -> Option<Moment> {
        let since = *self.0.entry((service.clone(), what.to_owned())).or_insert(now);
        Some(since.plus(GRACE)).filter(|until| now < *until)
    }

    fn wanted(&mut self, service: &NamespacedName, what: &str) {
        self.0.remove(&(service.clone(), what.to_owned()));
    }
}

/// All Services that name members, and those for which something is left.
pub(super) fn all(view: &View) -> impl Iterator<Item = NamespacedName> {
    let slices = view.slices.iter().filter_map(|(name, slice)| {
        let slice = slice.as_ref().filter(|slice| slice.is_ours)?;
        Some(NamespacedName::new(&name.namespace, &slice.service))
    });
    view.services.keys().chain(view.records.keys()).cloned().chain(slices)
}

/// The changes for a Service, and when it has to be compared again.
pub(super) fn plan(
    known: &Known<'_>,
    name: &NamespacedName,
    absent: &mut Absent,
    now: Moment,
) -> (Vec<NamesChange>, Option<Moment>) {
    let mut plan = Plan { known, name, absent, now, changes: Vec::new(), again: None };
    match known.view.services.get(name) {
        Some(Some(service)) if !service.id.deleting => plan.of_service(service),
        // It is being deleted, or cannot be read.
        Some(_) => {}
        None => {
            plan.remove_slices(&[]);
            plan.remove_records();
        }
    }
    (plan.changes, plan.again)
}

/// The state of the records of a Service.
enum Records {
    Good,
    Wrong(Problem),
    /// Not known yet: the condition stays.
    Unknown,
}

/// At which addresses the members of a Service are named now.
fn published<'v>(
    view: &'v View,
    service: &NamespacedName,
) -> impl Iterator<Item = (&'v str, Ipv4Addr)> {
    let ours = slices(view, service).filter(|(_, slice)| slice.is_ours);
    let endpoints = ours.flat_map(|(_, slice)| &slice.endpoints);
    let records = view.records.get(service).and_then(Option::as_ref);
    let records = records.into_iter().flat_map(|it| &it.records);
    let first_label = |name: &'v String| name.split('.').next().unwrap_or_default();
    endpoints
        .map(|it| (it.member.as_str(), it.address))
        .chain(records.map(move |(name, address)| (first_label(name), *address)))
}

struct Plan<'a> {
    known: &'a Known<'a>,
    name: &'a NamespacedName,
    absent: &'a mut Absent,
    now: Moment,
    changes: Vec<NamesChange>,
    again: Option<Moment>,
}

impl Plan<'_> {
    fn of_service(&mut self, service: &NamedService) {
        let (view, name) = (self.known.view, self.name);
        let members = Members::of(view, (&name.namespace, &service.set), published(view, name));
        let mut problem = (!service.is_suitable).then_some(Problem::Unsuitable);
        if service.is_suitable {
            self.slices(service, &members);
            problem = members.is_absent().then_some(Problem::NoSet);
        } else {
            self.remove_slices(&[]);
        }
        let records = self.records(service, &members);
        let failure = self.known.failure.map(|(_, why)| Problem::NotWritten(why.clone()));
        let of_records = match records {
            Records::Wrong(problem) => Some(problem),
            // The condition may say more than is known now.
            Records::Unknown if problem.is_none() && failure.is_none() => return,
            Records::Good | Records::Unknown => None,
        };
        let problem = problem.or(failure).or(of_records);
        let number = members.addresses().len();
        if let Some(all) = conditions(service, problem.as_ref(), number) {
            let id = Some(service.id.clone());
            self.change(self.name.clone(), id, NamesObject::Conditions(all));
        }
    }

    fn change(&mut self, name: NamespacedName, id: Option<Identity>, object: NamesObject) {
        self.changes.push(NamesChange { name, id, object });
    }

    /// Whether what is published and not wanted has to stay for now.
    fn stays(&mut self, what: &str) -> bool {
        let until = self.absent.stays((self.name, what), self.now);
        self.again = self.again.into_iter().chain(until).min();
        until.is_some()
    }

    fn owner(&self, service: &NamedService) -> OwningService {
        OwningService { name: self.name.name.clone(), uid: service.id.uid.clone() }
    }

    fn slices(&mut self, service: &NamedService, members: &Members<'_>) {
        let mut endpoints = members.endpoints(service);
        for endpoint in &endpoints {
            self.absent.wanted(self.name, &endpoint.member);
        }
        let wanted: BTreeSet<String> = endpoints.iter().map(|it| it.member.clone()).collect();
        let view = self.known.view;
        let published = slices(view, self.name).filter(|(_, slice)| slice.is_ours);
        for old in published.flat_map(|(_, slice)| &slice.endpoints) {
            let is_wanted = wanted.contains(&old.member);
            let is_others = self.is_others(&old.member, old.address);
            if !is_wanted
                && !is_others
                && (members.is_unknown(&old.member) || self.stays(&old.member))
            {
                endpoints.push(old.clone());
            }
        }
        endpoints.sort_by(|one, two| one.member.cmp(&two.member));
        endpoints.dedup_by(|one, two| one.member == two.member);
        let mut names = Vec::new();
        for (number, part) in endpoints.chunks(ENDPOINTS).enumerate() {
            let name = slice_name(self.name, number);
            self.slice(service, &name, part);
            self.absent.wanted(self.name, &format!("slice/{}", name.name));
            names.push(name);
        }
        self.remove_slices(&names);
    }

    fn slice(&mut self, service: &NamedService, name: &NamespacedName, endpoints: &[Endpoint]) {
        let observed = match self.known.view.slices.get(name) {
            Some(Some(slice)) => Some(slice),
            Some(None) => return,
            None => None,
        };
        let owner = self.owner(service);
        let is_owned = |slice: &ObservedSlice| {
            slice.owner.as_ref() == Some(&owner.uid) && slice.service == owner.name
        };
        // The owner of an object is never changed.
        if let Some(slice) = observed.filter(|slice| slice.is_ours && !is_owned(slice)) {
            return self.change(name.clone(), Some(slice.id.clone()), NamesObject::NoSlice);
        }
        let same = observed.is_some_and(|slice| {
            slice.is_ours
                && !slice.is_altered
                && slice.service == self.name.name
                && slice.endpoints == endpoints
                && slice.ports == service.ports
        });
        if !same {
            let (endpoints, ports) = (endpoints.to_vec(), service.ports.clone());
            let object = NamesObject::Slice(owner, endpoints, ports);
            // Somebody else's object of that name stays: to create it fails, and is reported.
            let id = observed.filter(|slice| slice.is_ours).map(|slice| slice.id.clone());
            self.change(name.clone(), id, object);
        }
    }

    fn remove_slices(&mut self, but: &[NamespacedName]) {
        let view = self.known.view;
        let ours = slices(view, self.name).filter(|(_, slice)| slice.is_ours);
        for (name, slice) in ours.filter(|(name, slice)| !but.contains(name) && !slice.id.deleting)
        {
            if !self.stays(&format!("slice/{}", name.name)) {
                self.change(name.clone(), Some(slice.id.clone()), NamesObject::NoSlice);
            }
        }
    }

    /// Whether the address is on record as that of another member than this one.
    fn is_others(&self, member: &str, address: Ipv4Addr) -> bool {
        let namespace = &self.name.namespace;
        holder(self.known.view, address).is_some_and(|it| !is(it, namespace, member))
    }

    /// Plans the records, and says what is wrong with them.
    fn records(&mut self, service: &NamedService, members: &Members<'_>) -> Records {
        let Some(asked) = &service.zone else {
            self.remove_records();
            return Records::Good;
        };
        let Known { view, cluster, zones, .. } = self.known;
        let Some(zone) = zones.allowed(asked, cluster) else {
            self.remove_records();
            return Records::Wrong(Problem::ZoneNotAllowed((*cluster).clone()));
        };
        match self.known.records {
            RecordsKnown::Current => {}
            RecordsKnown::NotYet => return Records::Unknown,
            RecordsKnown::NotServed => return Records::Wrong(Problem::NoDnsEndpoints),
        }
        let observed = match view.records.get(self.name) {
            Some(Some(records)) => Some(records),
            Some(None) => return Records::Unknown,
            None => None,
        };
        if let Some(other) = self.collision(service, &zone) {
            self.remove_records();
            return Records::Wrong(Problem::Collision(other));
        }
        let owner = self.owner(service);
        if let Some(it) = observed.filter(|it| it.owner.as_ref() != Some(&owner.uid)) {
            self.change(self.name.clone(), Some(it.id.clone()), NamesObject::NoRecords);
            return Records::Unknown;
        }
        self.absent.wanted(self.name, RECORDS);
        let records = self.wanted_records(observed, members, &zone);
        let same =
            observed.map_or(records.is_empty(), |it| it.records == records && !it.is_altered);
        if !same {
            let object = NamesObject::Records(owner, records);
            self.change(self.name.clone(), observed.map(|it| it.id.clone()), object);
        }
        self.in_dns(service)
    }

    /// What the look-ups have shown.
    fn in_dns(&self, service: &NamedService) -> Records {
        let lookups = self.known.lookups;
        if lookups.is_late(self.name, self.now) {
            return Records::Wrong(Problem::NotProcessed);
        }
        let deviations = lookups.deviations(self.name);
        if !deviations.is_empty() {
            return Records::Wrong(Problem::Deviations(deviations));
        }
        // An earlier leader has found something that this one has not looked for yet.
        let is_open = is_about_dns(service) && !lookups.has_judged(self.name);
        if is_open { Records::Unknown } else { Records::Good }
    }

    fn wanted_records(
        &mut self,
        observed: Option<&ObservedRecords>,
        members: &Members<'_>,
        zone: &DnsZone,
    ) -> BTreeMap<String, Ipv4Addr> {
        let suffix = format!(".{zone}");
        let named = |(member, address): (&str, Ipv4Addr)| (in_zone(member, zone), address);
        let mut records: BTreeMap<_, _> = members.addresses().into_iter().map(named).collect();
        for (name, address) in observed.into_iter().flat_map(|it| &it.records) {
            if records.contains_key(name) {
                self.absent.wanted(self.name, name);
                continue;
            }
            // A name of another zone: the user has changed the annotation.
            let Some(member) = name.strip_suffix(&suffix) else { continue };
            let keeps = members.is_unknown(member) || members.may_start(member);
            if !self.is_others(member, *address) && (keeps || self.stays(name)) {
                records.insert(name.clone(), *address);
            }
        }
        records
    }

    /// The Service of another namespace that has the same names: whichever has published them, or
    /// else the first by name.
    fn collision(&self, service: &NamedService, zone: &DnsZone) -> Option<NamespacedName> {
        let Known { view, cluster, zones, .. } = self.known;
        let has_names = |other: &NamedService| {
            let theirs = other.zone.as_deref().and_then(|asked| zones.allowed(asked, cluster));
            theirs.as_ref() == Some(zone)
        };
        let suffix = format!(".{zone}");
        let is_published = |name: &NamespacedName| {
            let records = view.records.get(name).and_then(Option::as_ref);
            records.is_some_and(|it| it.records.keys().any(|record| record.ends_with(&suffix)))
        };
        let exists = |name: &NamespacedName, other: &NamedService| {
            let members = Members::of(view, (&name.namespace, &other.set), published(view, name));
            !other.id.deleting && !members.is_absent()
        };
        let rank = |name: &NamespacedName| (!is_published(name), name.clone());
        let rivals = self.known.rivals.get(service.set.as_str()).into_iter().flatten();
        let others = rivals
            .filter(|(name, other)| *name != self.name && has_names(other) && exists(name, other));
        let first = others.map(|(name, _)| rank(name)).min()?;
        (first < rank(self.name)).then_some(first.1)
    }

    fn remove_records(&mut self) {
        let Some(Some(records)) = self.known.view.records.get(self.name) else { return };
        if !records.id.deleting && !self.stays(RECORDS) {
            let id = Some(records.id.clone());
            self.change(self.name.clone(), id, NamesObject::NoRecords);
        }
    }
}

fn slice_name(service: &NamespacedName, number: usize) -> NamespacedName {
    let NamespacedName { namespace, name } = service;
    let name =
        if number == 0 { format!("{name}-firecamp") } else { format!("{name}-firecamp-{number}") };
    NamespacedName { namespace: namespace.clone(), name }
}
