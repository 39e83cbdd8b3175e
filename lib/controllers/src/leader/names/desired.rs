//! What the names of a Service should be: the endpoints and the records of a StatefulSet's members.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_core::ids::Member;

use super::objects::{Endpoint, NamedService, NamespacedName, ObservedSlice};
use crate::leader::retention::ordinal;
use crate::leader::view::{StatefulSet, View};

/// The characters that a made-up name takes of its prefix (`names.SimpleNameGenerator` of
/// Kubernetes).
const MADE_UP: usize = 58;

/// The static address of a member, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StaticAddress {
    Known(Ipv4Addr),
    /// The claim has none yet, or an object could not be read: what is published stays.
    Unknown,
}

/// What is known about the members of a StatefulSet.
#[derive(Debug)]
pub(super) struct Members<'v> {
    /// The members with a claim.
    claimed: BTreeMap<&'v str, StaticAddress>,
    /// The pods that the set's own Service has endpoints for; none without such a Service.
    pods: Option<BTreeMap<&'v str, &'v Endpoint>>,
    name: &'v str,
    set: Set<'v>,
}

/// The StatefulSet, as far as it is known.
#[derive(Debug, Clone, Copy)]
enum Set<'v> {
    Absent,
    /// It exists and could not be read.
    Unreadable,
    Known(&'v StatefulSet),
}

impl<'v> Members<'v> {
    /// `published` are the addresses at which members are named now. One that is still recorded as
    /// the member's stays, whether its claim is there or not.
    pub(super) fn of(
        view: &'v View,
        (namespace, name): (&str, &'v str),
        published: impl Iterator<Item = (&'v str, Ipv4Addr)>,
    ) -> Self {
        let set = NamespacedName::new(namespace, name);
        let set = match view.sets.get(&set) {
            None => Set::Absent,
            Some(None) => Set::Unreadable,
            Some(Some(set)) => Set::Known(set),
        };
        let service = if let Set::Known(set) = set { set.service.as_deref() } else { None };
        let pods = service.and_then(|service| pods(view, &NamespacedName::new(namespace, service)));
        let is_member = |pod: &str| ordinal(pod, name).is_some();
        let pods = pods.map(|all| all.into_iter().filter(|(pod, _)| is_member(pod)).collect());
        let mut claimed = claimed(view, namespace, name);
        for (member, address) in published {
            if holder(view, address).is_some_and(|it| is(it, namespace, member)) {
                claimed.entry(member).or_insert(StaticAddress::Known(address));
            }
        }
        Self { claimed, pods, name, set }
    }

    /// Whether there is neither the StatefulSet nor a member of it.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.set, Set::Absent) && self.claimed.is_empty()
    }

    /// Whether what is published for the member must stay, because its address is not known.
    pub(super) fn is_unknown(&self, member: &str) -> bool {
        self.claimed.get(member) == Some(&StaticAddress::Unknown)
    }

    /// Whether the member's record stays while it has no pod: its next pod may have another
    /// address, but until then nobody else is named.
    pub(super) fn may_start(&self, member: &str) -> bool {
        if self.claimed.contains_key(member) {
            return false;
        }
        match self.set {
            Set::Absent => false,
            Set::Unreadable => true,
            Set::Known(set) => ordinal(member, self.name).is_some_and(|it| set.wants(it)),
        }
    }

    /// The address of each member: the static one, or that of its pod if it has no claim. Before
    /// its first start a member has no claim either, so the pod has to have started.
    pub(super) fn addresses(&self) -> BTreeMap<&'v str, Ipv4Addr> {
        let fixed = self.claimed.iter().filter_map(|(member, address)| match address {
            StaticAddress::Known(address) => Some((*member, *address)),
            StaticAddress::Unknown => None,
        });
        let others = self.pods.iter().flatten();
        let others = others.filter(|(name, pod)| pod.serving && !self.claimed.contains_key(**name));
        fixed.chain(others.map(|(member, pod)| (*member, pod.address))).collect()
    }

    /// The endpoints of a Service for these members.
    pub(super) fn endpoints(&self, service: &NamedService) -> Vec<Endpoint> {
        let addresses = self.addresses();
        let endpoint = |(member, address): (&str, Ipv4Addr)| {
            let pod = self.pods.as_ref().map(|pods| pods.get(member));
            let (serving, terminating) = match pod {
                Some(Some(pod)) => (pod.serving, pod.terminating),
                Some(None) => (false, false),
                // Nothing says whether the pod is ready.
                None => (true, false),
            };
            // What the set's own Service publishes says nothing about this one.
            let ready = service.publishes_unready || (serving && !terminating);
            Endpoint { member: member.to_owned(), address, ready, serving, terminating }
        };
        addresses.into_iter().map(endpoint).collect()
    }
}

/// The endpoints of a headless Service that the control plane keeps, by pod; none if there is no
/// such Service.
fn pods<'v>(view: &'v View, service: &NamespacedName) -> Option<BTreeMap<&'v str, &'v Endpoint>> {
    let slices = slices(view, service).filter(|(_, slice)| !slice.is_ours);
    let mut all = None;
    for (_, slice) in slices {
        let pods: &mut BTreeMap<_, _> = all.get_or_insert_default();
        pods.extend(slice.endpoints.iter().map(|pod| (pod.member.as_str(), pod)));
    }
    all
}

/// The member whose address it is on record.
pub(super) fn holder(view: &View, address: Ipv4Addr) -> Option<&Member> {
    view.addresses.get(&address)?.as_ref().map(|found| &found.record.member)
}

pub(super) fn is(member: &Member, namespace: &str, name: &str) -> bool {
    (member.namespace(), member.name()) == (namespace, name)
}

/// The EndpointSlices of a Service that could be read. Their names begin with the Service's, of
/// which the API server takes 58 characters if it makes up a name.
pub(super) fn slices<'v>(
    view: &'v View,
    service: &NamespacedName,
) -> impl Iterator<Item = (&'v NamespacedName, &'v ObservedSlice)> {
    let NamespacedName { namespace, name } = service.clone();
    let name: String = name.chars().take(MADE_UP).collect();
    let from = NamespacedName::new(&namespace, &name);
    let near = view.slices.range(from..).take_while(move |(slice, _)| {
        slice.namespace == namespace && slice.name.starts_with(&name)
    });
    let service = service.name.clone();
    near.filter_map(move |(name, slice)| {
        slice.as_ref().filter(|slice| slice.service == service).map(|slice| (name, slice))
    })
}

fn claimed<'v>(view: &'v View, namespace: &str, set: &str) -> BTreeMap<&'v str, StaticAddress> {
    let Ok(first) = Member::new(namespace, &format!("{set}-0")) else { return BTreeMap::new() };
    let prefix = format!("{set}-");
    let near = view.claims.range(first..).take_while(|(member, _)| {
        member.namespace() == namespace && member.name().starts_with(&prefix)
    });
    let ours = near.filter(|(member, _)| ordinal(member.name(), set).is_some());
    ours.map(|(member, observed)| {
        let address = observed.as_ref().and_then(|observed| observed.claim.address);
        let record = address.and_then(|address| view.addresses.get(&address)?.as_ref());
        let own = record.map(|found| &found.record).filter(|record| record.member == *member);
        let address = own.map_or(StaticAddress::Unknown, |it| StaticAddress::Known(it.address));
        (member.name(), address)
    })
    .collect()
}
