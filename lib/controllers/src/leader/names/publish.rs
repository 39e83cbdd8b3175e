//! The changes that give the members of a Service their names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::ids::{ClusterName, DnsZone};
use firecamp_core::time::Moment;

use super::condition::{Problem, conditions};
use super::desired::{Members, slices};
use super::lookups::Lookups;
use super::objects::{
    Endpoint, NamedService, NamesChange, NamesObject, NamespacedName, ObservedRecords,
    OwningService,
};
use super::zone::AllowedZones;
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
    /// Whether the DNSEndpoints are known.
    pub(super) has_records: bool,
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
        let members = Members::of(self.known.view, &self.name.namespace, &service.set);
        let mut problem = (!service.is_suitable).then_some(Problem::Unsuitable);
        if service.is_suitable {
            self.slices(service, &members);
            problem = members.is_absent().then_some(Problem::NoSet);
        }
        let of_records = self.records(service, &members);
        let problem = problem.or(of_records);
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
            if !is_wanted && (members.is_unknown(&old.member) || self.stays(&old.member)) {
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
        let same = observed.is_some_and(|slice| {
            slice.is_ours
                && slice.service == self.name.name
                && slice.endpoints == endpoints
                && slice.ports == service.ports
        });
        if !same {
            let (endpoints, ports) = (endpoints.to_vec(), service.ports.clone());
            let object = NamesObject::Slice(self.owner(service), endpoints, ports);
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

    /// Plans the records, and says what is wrong with them.
    fn records(&mut self, service: &NamedService, members: &Members<'_>) -> Option<Problem> {
        let Some(asked) = &service.zone else {
            self.remove_records();
            return None;
        };
        let Known { view, cluster, zones, .. } = self.known;
        let Some(zone) = zones.allowed(asked, cluster) else {
            self.remove_records();
            return Some(Problem::ZoneNotAllowed((*cluster).clone()));
        };
        if !self.known.has_records {
            return Some(Problem::NoDnsEndpoints);
        }
        let observed = match view.records.get(self.name) {
            Some(Some(records)) => Some(records),
            Some(None) => return None,
            None => None,
        };
        if let Some(other) = self.collision(service, &zone) {
            self.remove_records();
            return Some(Problem::Collision(other));
        }
        self.absent.wanted(self.name, RECORDS);
        let records = self.wanted_records(observed, members, &zone);
        if observed.map(|it| &it.records) != Some(&records)
            && !(records.is_empty() && observed.is_none())
        {
            let object = NamesObject::Records(self.owner(service), records);
            self.change(self.name.clone(), observed.map(|it| it.id.clone()), object);
        }
        let lookups = self.known.lookups;
        if lookups.is_late(self.name, self.now) {
            return Some(Problem::NotProcessed);
        }
        let deviations = lookups.deviations(self.name);
        (!deviations.is_empty()).then_some(Problem::Deviations(deviations))
    }

    fn wanted_records(
        &mut self,
        observed: Option<&ObservedRecords>,
        members: &Members<'_>,
        zone: &DnsZone,
    ) -> BTreeMap<String, Ipv4Addr> {
        let suffix = format!(".{zone}");
        let named = |(member, address): (&str, Ipv4Addr)| (format!("{member}{suffix}"), address);
        let mut records: BTreeMap<_, _> = members.addresses().into_iter().map(named).collect();
        for (name, address) in observed.into_iter().flat_map(|it| &it.records) {
            if records.contains_key(name) {
                self.absent.wanted(self.name, name);
                continue;
            }
            // A name of another zone: the user has changed the annotation.
            let Some(member) = name.strip_suffix(&suffix) else { continue };
            let keeps = members.is_unknown(member) || members.may_start(member);
            if keeps || self.stays(name) {
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
        let is_published = |name: &NamespacedName| {
            view.records.get(name).is_some_and(|it| it.as_ref().is_none_or(|it| !it.id.deleting))
        };
        let rank = |name: &NamespacedName| (!is_published(name), name.clone());
        let rivals = self.known.rivals.get(service.set.as_str()).into_iter().flatten();
        let others = rivals.filter(|(name, other)| *name != self.name && has_names(other));
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
