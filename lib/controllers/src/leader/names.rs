//! Names of members: EndpointSlices for the cluster's DNS, and DNSEndpoints from which ExternalDNS
//! makes records of the VPC.
//!
//! A user labels a headless Service without selector with the name of a StatefulSet. The leader
//! keeps an EndpointSlice of it in which each member has its static address, and, if the Service
//! names a DNS zone, a DNSEndpoint. Both belong to the Service and are deleted with it.
//!
//! Guarantees: each change names the version that was read. A change follows its cause at once, and
//! everything is compared again every half a minute. What is published for a member is removed only
//! once its claim was missing for half a minute, and stays while an object cannot be read. Whatever
//! happens here, no address waits for it, and no change for a look-up. Caveat: the names change one
//! after the other.

mod condition;
mod desired;
mod lookups;
mod objects;
mod publish;
mod zone;

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::{ClusterName, Member};
use firecamp_core::time::Moment;

pub use self::objects::{
    Endpoint, LookupAnswer, NamedService, NamesChange, NamesObject, NamespacedName,
    ObservedRecords, ObservedSlice, OwningService, ServicePort,
};
pub use self::zone::AllowedZones;

use self::lookups::Lookups;
use self::publish::{Absent, Rivals};
use super::cluster_cache::{ClusterCache, RecordsKnown};
use super::{ClusterEvent, Effect, ObjectEvent, timing};
use crate::leader::view::View;

/// Pause until everything is listed.
const POLL: Duration = Duration::from_secs(1);
/// Pause after a change that failed.
const RETRY: Duration = Duration::from_secs(10);
/// Pause after a change of an object that had changed since: its watch reports it.
const RETRY_CONFLICT: Duration = Duration::from_secs(1);
/// A failure is reported once it has happened as often as this.
const REPORTED: u32 = 3;
/// Services that are compared at once.
const AT_ONCE: usize = 100;

/// A step that the leader takes for names, beside its passes. One of each kind runs at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamesStep {
    /// Change an object.
    Change(Box<NamesChange>),
    /// Look up the IPv4 addresses of this name, as every program of the node does.
    LookUp(String),
}

/// The result of such a step.
#[derive(Debug)]
pub enum NamesResult {
    /// The object was changed, or not.
    Changed(Result<(), RegistryFailure>),
    /// What DNS answered; none if the term ended before.
    LookedUp(Option<LookupAnswer>),
    /// The term ended before the change.
    Cancelled,
}

/// The names of a term.
#[derive(Debug)]
pub(super) struct Names {
    cluster: ClusterName,
    zones: AllowedZones,
    /// Services to compare.
    dirty: BTreeSet<NamespacedName>,
    /// Services to compare again at this time.
    again: BTreeMap<NamespacedName, Moment>,
    /// The changes of the Service that was compared last, and this Service.
    changes: VecDeque<NamesChange>,
    current: Option<NamespacedName>,
    /// Whether a change runs.
    is_running: bool,
    /// Services with a change that failed: how often in succession, and why.
    failing: BTreeMap<NamespacedName, (u32, String)>,
    absent: Absent,
    lookups: Lookups,
    /// When all Services are compared again.
    resync: Moment,
}

impl Names {
    pub(super) fn new(zones: AllowedZones, cluster: ClusterName, now: Moment) -> Self {
        Self {
            cluster,
            zones,
            dirty: BTreeSet::new(),
            again: BTreeMap::new(),
            changes: VecDeque::new(),
            current: None,
            is_running: false,
            failing: BTreeMap::new(),
            absent: Absent::default(),
            lookups: Lookups::new(now),
            resync: now,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.is_running || self.lookups.is_running()
    }

    /// When a step may be due; none while a change runs.
    pub(super) fn next(&self) -> Option<Moment> {
        if self.is_running {
            return None;
        }
        let at_once = !self.changes.is_empty() || !self.dirty.is_empty();
        let again = self.again.values().copied();
        let planned = again.chain([self.resync]).chain(self.lookups.due()).min();
        if at_once { Some(Moment::default()) } else { planned }
    }

    /// Observes an event before the cache does.
    pub(super) fn observe(&mut self, event: &ClusterEvent, view: &View) {
        match event {
            ClusterEvent::Services(ObjectEvent::Set(name, _) | ObjectEvent::Deleted(name))
            | ClusterEvent::Records(ObjectEvent::Set(name, _) | ObjectEvent::Deleted(name)) => {
                self.dirty.insert(name.clone());
            }
            ClusterEvent::Slices(ObjectEvent::Set(name, slice)) => {
                let both = [slice.as_ref(), view.slices.get(name).and_then(Option::as_ref)];
                for slice in both.into_iter().flatten() {
                    self.touch_service(view, &name.namespace, &slice.service);
                }
            }
            ClusterEvent::Slices(ObjectEvent::Deleted(name)) => {
                if let Some(Some(slice)) = view.slices.get(name) {
                    self.touch_service(view, &name.namespace, &slice.service);
                }
            }
            ClusterEvent::Claims(ObjectEvent::Set(member, _) | ObjectEvent::Deleted(member)) => {
                self.touch_member(view, member.namespace(), member.name());
            }
            ClusterEvent::StaticIps(ObjectEvent::Set(address, ip)) => {
                let now = ip.as_ref().map(|ip| ip.record.member.clone());
                self.touch_holders(view, *address, now);
            }
            ClusterEvent::StaticIps(ObjectEvent::Deleted(address)) => {
                self.touch_holders(view, *address, None);
            }
            ClusterEvent::Sets(ObjectEvent::Set(set, _) | ObjectEvent::Deleted(set)) => {
                self.touch(view, &set.namespace, |service| service.set == set.name);
            }
            ClusterEvent::Services(ObjectEvent::Listed)
            | ClusterEvent::Slices(ObjectEvent::Listed)
            | ClusterEvent::Records(ObjectEvent::Listed) => self.resync = Moment::default(),
            // Names depend on nothing else, or are compared again soon.
            ClusterEvent::StaticIps(_)
            | ClusterEvent::Claims(_)
            | ClusterEvent::Pools(_)
            | ClusterEvent::Sets(_)
            | ClusterEvent::Nodes(_)
            | ClusterEvent::Interfaces(_)
            | ClusterEvent::GatedPods(_)
            | ClusterEvent::Services(_)
            | ClusterEvent::Slices(_)
            | ClusterEvent::Records(_) => {}
        }
    }

    fn touch(&mut self, view: &View, namespace: &str, which: impl Fn(&NamedService) -> bool) {
        let from = NamespacedName::new(namespace, "");
        let all = view.services.range(from..).take_while(|(name, _)| name.namespace == namespace);
        let those = all.filter(|(_, service)| service.as_ref().is_some_and(&which));
        self.dirty.extend(those.map(|(name, _)| name.clone()));
    }

    /// The member that had the address before the event, and the one that has it now.
    fn touch_holders(&mut self, view: &View, address: Ipv4Addr, now: Option<Member>) {
        let before = desired::holder(view, address).cloned();
        for member in before.into_iter().chain(now).collect::<BTreeSet<_>>() {
            self.touch_member(view, member.namespace(), member.name());
        }
    }

    fn touch_member(&mut self, view: &View, namespace: &str, member: &str) {
        let set = member.rsplit_once('-').map_or(member, |(set, _)| set);
        self.touch(view, namespace, |service| service.set == set);
    }

    /// The Service of a slice names members, or a StatefulSet whose members another one names.
    fn touch_service(&mut self, view: &View, namespace: &str, name: &str) {
        self.dirty.insert(NamespacedName::new(namespace, name));
        self.touch(view, namespace, |service| {
            let set = NamespacedName::new(namespace, &service.set);
            let set = view.sets.get(&set).and_then(Option::as_ref);
            set.is_some_and(|set| set.service.as_deref() == Some(name))
        });
    }

    /// Starts the next step if one is due.
    pub(super) fn step(
        &mut self,
        cache: &ClusterCache,
        holds: bool,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        if self.next().is_none_or(|due| now < due) {
            return;
        }
        let Some(view) = cache.names().filter(|_| holds) else {
            // Nothing is forgotten: all Services are compared once everything is listed.
            self.dirty.clear();
            self.again.clear();
            self.changes.clear();
            self.resync = now.plus(POLL);
            self.lookups.wait_until(self.resync);
            return;
        };
        if let Some(step) = self.next_step((view, cache.records()), now) {
            self.is_running = matches!(step, NamesStep::Change(_));
            effects.push(Effect::StartNames(step));
        }
    }

    fn next_step(
        &mut self,
        (view, records): (&View, RecordsKnown),
        now: Moment,
    ) -> Option<NamesStep> {
        if now >= self.resync {
            self.resync = now.plus(timing::PASS_EVERY);
            self.dirty.extend(publish::all(view));
            self.absent.retain(view);
        }
        let due: Vec<_> = self.again.iter().filter(|(_, at)| **at <= now).collect();
        let due: Vec<_> = due.into_iter().map(|(name, _)| name.clone()).collect();
        for name in due {
            self.again.remove(&name);
            self.dirty.insert(name);
        }
        let rivals = LazyCell::new(|| publish::rivals(view));
        for _ in 0..AT_ONCE {
            if let Some(change) = self.changes.pop_front() {
                return Some(NamesStep::Change(Box::new(change)));
            }
            let Some(name) = self.dirty.pop_first() else { break };
            self.compare((view, records), &rivals, &name, now);
            self.current = Some(name);
        }
        if !self.changes.is_empty() || !self.dirty.is_empty() {
            return None;
        }
        self.current = None;
        self.lookups.next(view, now).map(NamesStep::LookUp)
    }

    fn compare(
        &mut self,
        (view, records): (&View, RecordsKnown),
        rivals: &Rivals<'_>,
        name: &NamespacedName,
        now: Moment,
    ) {
        let observed = view.records.get(name).and_then(Option::as_ref);
        let later = self.lookups.observe(name, observed, now).filter(|at| *at > now);
        let known = publish::Known {
            view,
            records,
            failure: self.failing.get(name).filter(|(times, _)| *times >= REPORTED),
            zones: &self.zones,
            cluster: &self.cluster,
            lookups: &self.lookups,
            rivals,
        };
        let (changes, again) = publish::plan(&known, name, &mut self.absent, now);
        let is_content = |it: &NamesChange| !matches!(it.object, NamesObject::Conditions(_));
        if !changes.iter().any(is_content) {
            self.failing.remove(name);
        }
        self.changes.extend(changes);
        if let Some(at) = again.into_iter().chain(later).min() {
            self.again.insert(name.clone(), at);
        }
    }

    /// A running step has ended.
    pub(super) fn ended(&mut self, result: NamesResult, view: &View, now: Moment) {
        match result {
            NamesResult::Changed(Ok(())) | NamesResult::Cancelled => self.is_running = false,
            // The other objects of the Service are changed all the same.
            NamesResult::Changed(Err(why)) => {
                self.is_running = false;
                let pause = match why.kind {
                    RegistryKind::Conflict | RegistryKind::NotFound => RETRY_CONFLICT,
                    RegistryKind::AlreadyExists
                    | RegistryKind::Unavailable
                    | RegistryKind::Invalid
                    | RegistryKind::Refused => RETRY,
                };
                let Some(name) = self.current.clone() else { return };
                if pause == RETRY {
                    let failed = self.failing.entry(name.clone()).or_default();
                    *failed = (failed.0.saturating_add(1), why.detail);
                }
                self.again.insert(name, now.plus(pause));
            }
            NamesResult::LookedUp(answer) => {
                self.dirty.extend(self.lookups.answered(view, answer, now));
            }
        }
    }
}
