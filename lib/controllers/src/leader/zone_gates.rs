//! The scheduling gate of a pod that waits for the zone of its member's address.
//!
//! The leader adds the zone to the pod's node selector and removes the gate. It always removes the
//! gate, because autoscalers make nodes only for pods that the scheduler has tried: without an
//! address it adds no zone, and a zone without a ready Node is reported. A pod keeps the gate only
//! if it could never run in that zone: its node selector names another zone, or it uses a volume of
//! another zone.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::cluster::{ZONE_GATE, ZONE_LABEL};
use firecamp_core::ids::{Member, Uid, Zone};
use firecamp_core::record::Claim;
use firecamp_core::time::Moment;

use crate::leader::planner::Operation;
use crate::leader::view::{BoundVolume, GatedPod, NodeReadiness, Queries, QueryResults, View};

/// After this long a pod that kept its gate is judged and reported again: its volume claim may be
/// another one.
const KEPT_AGAIN: Duration = Duration::from_mins(10);

/// Why a pod can never run in the zone of its member's address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ZoneConflict {
    /// The address.
    pub address: Ipv4Addr,
    /// Its zone.
    pub zone: Zone,
    /// What contradicts it.
    pub with: Contradiction,
}

/// What contradicts the zone of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Contradiction {
    /// The pod's node selector has this zone.
    NodeSelector(String),
    /// The pod uses a volume of other zones.
    Volume(BoundVolume),
}

/// The address whose zone the member's pod needs; none if it gets one where its pod runs.
pub fn address_of(claim: &Claim) -> Option<Ipv4Addr> {
    claim.address.or(claim.requested)
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ZoneGates {
    /// Pods that keep the gate, and the zone for which that was reported.
    kept: BTreeMap<Member, Kept>,
}

/// A pod that keeps its gate.
#[derive(Debug, Clone)]
struct Kept {
    pod: Uid,
    zone: Zone,
    since: Moment,
}

impl ZoneGates {
    /// The volumes of pods that could be bound to another zone.
    pub(crate) fn ask(&self, view: &View, questions: &mut Queries) {
        let asks = |(member, pod): &(&Member, &GatedPod)| {
            let zone = zone(view, member).map(|(_, zone)| zone);
            zone.is_some_and(|zone| {
                !pod.claims.is_empty() && pod.selects(&zone) && !self.is_kept(member, pod, &zone)
            })
        };
        let members = gated(view).filter(asks).map(|(member, _)| member.clone());
        questions.volumes.extend(members);
    }

    pub(crate) fn plan(
        &mut self,
        view: &View,
        answers: &QueryResults,
        now: Moment,
    ) -> Vec<Operation> {
        self.kept.retain(|member, kept| {
            let pod = view.gated_pods.get(member);
            let same = pod.is_some_and(|pod| pod.as_ref().is_none_or(|pod| pod.id.uid == kept.pod));
            same && now.since(kept.since) < KEPT_AGAIN
        });
        let pods = gated(view).collect::<Vec<_>>();
        pods.into_iter().filter_map(|pod| self.of_pod((view, answers), pod, now)).collect()
    }

    fn of_pod(
        &mut self,
        (view, answers): (&View, &QueryResults),
        (member, pod): (&Member, &GatedPod),
        now: Moment,
    ) -> Option<Operation> {
        let Some((address, zone)) = zone(view, member) else {
            let address = claim(view, member).and_then(address_of);
            return Some(pod.freed(member, address, None));
        };
        if self.is_kept(member, pod, &zone) {
            return None;
        }
        let volumes = match answers.volumes.get(member) {
            Some(volumes) => volumes.as_slice(),
            None if pod.claims.is_empty() || !pod.selects(&zone) => &[],
            // Not read: the next pass asks again.
            None => return None,
        };
        let Some(with) = pod.contradiction(&zone, volumes) else {
            return Some(pod.freed(
                member,
                Some(address),
                Some((zone.clone(), lacks(view, &zone))),
            ));
        };
        let kept = Kept { pod: pod.id.uid.clone(), zone: zone.clone(), since: now };
        self.kept.insert(member.clone(), kept);
        let conflict = ZoneConflict { address, zone, with };
        let (member, pod) = (member.clone(), pod.id.uid.clone());
        Some(Operation::ReportZoneConflict { member, pod, conflict })
    }

    fn is_kept(&self, member: &Member, pod: &GatedPod, zone: &Zone) -> bool {
        self.kept.get(member).is_some_and(|kept| (&kept.pod, &kept.zone) == (&pod.id.uid, zone))
    }
}

impl GatedPod {
    /// Whether its node selector allows the zone.
    fn selects(&self, zone: &Zone) -> bool {
        self.zone.as_ref().is_none_or(|selected| selected == zone.as_str())
    }

    fn contradiction(&self, zone: &Zone, volumes: &[BoundVolume]) -> Option<Contradiction> {
        if let Some(selected) = self.zone.as_ref().filter(|_| !self.selects(zone)) {
            return Some(Contradiction::NodeSelector(selected.clone()));
        }
        let elsewhere = |one: &&BoundVolume| !one.zones.is_empty() && !one.zones.contains(zone);
        volumes.iter().find(elsewhere).cloned().map(Contradiction::Volume)
    }

    /// The removal of the gate. The zone, and whether it lacks a ready Node.
    fn freed(
        &self,
        member: &Member,
        address: Option<Ipv4Addr>,
        zone: Option<(Zone, bool)>,
    ) -> Operation {
        let (zone, lacks_node) = zone.unzip();
        Operation::RemoveZoneGate {
            member: member.clone(),
            id: self.id.clone(),
            rest: self.other_gates.clone(),
            address,
            zone,
            lacks_node: lacks_node.unwrap_or_default(),
        }
    }
}

fn gated(view: &View) -> impl Iterator<Item = (&Member, &GatedPod)> {
    let all = view.gated_pods.iter().filter_map(|(member, pod)| Some((member, pod.as_ref()?)));
    all.filter(|(_, pod)| !pod.id.deleting)
}

fn claim<'v>(view: &'v View, member: &Member) -> Option<&'v Claim> {
    view.claims.get(member)?.as_ref().map(|observed| &observed.claim)
}

/// The address of the member, and its zone: that of its StaticIP, or before there is one, of the
/// pool's subnet.
fn zone(view: &View, member: &Member) -> Option<(Ipv4Addr, Zone)> {
    let claim = claim(view, member)?;
    let address = address_of(claim)?;
    // A StaticIP that cannot be read does not hide the zone of its subnet.
    if let Some(Some(observed)) = view.addresses.get(&address) {
        let record = &observed.record;
        return (record.member == *member).then(|| (address, record.zone.clone()));
    }
    let subnets = &view.pool(&claim.pool)?.pool.subnets;
    let subnet = subnets.iter().find(|entry| entry.cidr.contains(&address))?;
    Some((address, subnet.zone.clone()))
}

/// Whether no Node of the zone is ready. False while a Node cannot be read.
fn lacks(view: &View, zone: &Zone) -> bool {
    view.nodes.values().all(|node| {
        node.as_ref().is_some_and(|node| {
            node.lifecycle != NodeReadiness::Ready || node.zone.as_ref() != Some(zone)
        })
    })
}

impl fmt::Display for ZoneConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, zone, with } = self;
        write!(f, "the pod keeps the scheduling gate {ZONE_GATE}: its address {address} is in ")?;
        match with {
            Contradiction::NodeSelector(selected) => write!(
                f,
                "{zone}, and its node selector has {ZONE_LABEL} {selected}. Remove the zone from \
                 the pod template and delete the pod, or delete the member's StaticIPClaim to give \
                 the address up"
            ),
            Contradiction::Volume(BoundVolume { name, zones }) => {
                let zones: Vec<&str> = zones.iter().map(Zone::as_str).collect();
                write!(
                    f,
                    "{zone}, and its PersistentVolume {name} in {}. Delete the member's \
                     StaticIPClaim to give the address up, or the PersistentVolumeClaim to give \
                     the data up",
                    zones.join(", ")
                )
            }
        }
    }
}
