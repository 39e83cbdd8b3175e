//! Whether the node gets another interface, and the next step of one that is being made.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::agent::slots;
use firecamp_core::contract::tag;
use firecamp_core::ids::{ClusterName, EniId, InterfaceName, NodeName, SubnetId};
use firecamp_core::managed_interface::{NewInterface, NodeInterface, Phase, StoredInterface};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{Eni, NodeIdentity, TypeLimits};

use super::{InterfaceRead, OwnNode, PoolPolicy, VpcCniSettings, Wanted};

/// What a decision waits for.
const METADATA: &str = "an answer of the metadata service";
const LIMITS: &str = "EC2's limits of the instance type (DescribeInstanceTypes)";
const DESCRIPTION: &str = "EC2's description of the interfaces (DescribeNetworkInterfaces)";
const CNI: &str = "the CNI plugin's configuration (/etc/cni/net.d)";
const REMOVALS: &str = "the removal of earlier interfaces, which members or EC2 delay";
/// The label that earlier versions of the VPC CNI give to a node that is to get a trunk interface.
const TRUNK: &str = "vpc.amazonaws.com/has-trunk-attached";
/// Pods of the host network that every node of EKS has: they need no address of their own. The
/// formula for max-pods counts them (`eni-max-pods.txt`).
const HOST_NETWORK_PODS: u32 = 2;
/// How many addresses a /28 prefix has.
const PREFIX: u32 = 16;
/// The fewest free slots at which the next interface is made.
const FEWEST_FREE: u32 = 2;
/// The next interface is made when one in so many slots is free.
const FREE_SHARE: u32 = 5;

/// What is known of the node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) cluster: &'a ClusterName,
    pub(crate) node: &'a NodeName,
    /// The metadata service.
    pub(crate) identity: Option<&'a NodeIdentity>,
    /// EC2's last answer about the instance's interfaces.
    pub(crate) described: Option<&'a [Interface]>,
    pub(crate) limits: Option<&'a TypeLimits>,
    /// Whether the VPC CNI runs here, if that is known.
    pub(crate) vpc_cni: Option<bool>,
}

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Every interface that is wanted is there.
    Nothing,
    /// This must be known or done first.
    Wait(&'static str),
    /// None is made, for this reason.
    Refused(Refusal),
    /// Create this record.
    Record(InterfaceName, NodeInterface),
    /// Create the interface of this record.
    Create(StoredInterface, NewInterface),
    /// Attach it at this device index.
    Attach(StoredInterface, EniId, u32),
    /// The metadata service lists it.
    Attached(StoredInterface),
    /// No pool wants it as it was recorded, or it is no longer attached: remove it.
    Unwanted(StoredInterface),
    /// It is removed, and the init containers of the node no longer choose it: record that.
    Excluded(StoredInterface),
}

/// Why no step follows although an interface is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Blocked {
    By(Refusal),
    Until(&'static str),
}

impl Decision {
    pub(super) fn blocked(&self) -> Option<Blocked> {
        match self {
            Self::Refused(refusal) => Some(Blocked::By(refusal.clone())),
            Self::Wait(what) => Some(Blocked::Until(what)),
            Self::Nothing
            | Self::Record(..)
            | Self::Create(..)
            | Self::Attach(..)
            | Self::Attached(_)
            | Self::Unwanted(_)
            | Self::Excluded(_) => None,
        }
    }
}

/// Why no further interface is made although a pool wants one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The instance type takes no further one beside those that pods need.
    NoInterfaceLeft {
        /// How many the type takes.
        limit: u32,
        /// How many are attached.
        attached: u32,
        /// How many more the VPC CNI needs for the kubelet's maximum of pods.
        pods: u32,
        /// How many more the VPC resource controller needs for a trunk.
        trunk: u32,
    },
    /// The kubelet's maximum of pods is unknown, so it is unknown how many the VPC CNI needs.
    PodsUnknown,
    /// The VPC CNI would give the interface's addresses to pods: it reads no tags.
    TagsNotRead,
    /// Cilium's operator would: these tags do not exclude it.
    NotExcluded(BTreeMap<String, String>),
    /// Cilium has not yet written what it does on this node.
    CiliumPending,
}

/// Decides from complete reads.
pub(super) fn decide(known: &InterfaceRead, inputs: &Inputs<'_>) -> Decision {
    let Some(identity) = inputs.identity else { return Decision::Wait(METADATA) };
    let own: Vec<&StoredInterface> =
        known.records.iter().filter(|one| one.record.instance == identity.instance).collect();
    let is_new = |one: &&&StoredInterface| one.record.phase.is_removal() && !one.record.excluded;
    if let Some(stored) = own.iter().find(is_new) {
        return Decision::Excluded((*stored).clone());
    }
    let taken = known.wanted.as_ref().and_then(|wanted| taken_by_cni(wanted, inputs.cluster));
    if let Some(refusal) = taken {
        return Decision::Refused(refusal);
    }
    let open = own.iter().find(|one| one.record.phase == Phase::Creating);
    if let Some(stored) = open {
        return go_on(known, stored, identity, inputs);
    }
    if let Some(stored) = own.iter().find(|one| is_gone(one, identity, inputs)) {
        return Decision::Unwanted((*stored).clone());
    }
    let Some(wanted) = &known.wanted else { return Decision::Nothing };
    for policy in wanted.policies.iter().filter(|policy| policy.selects(&wanted.node)) {
        let here = policy.subnets.iter().filter(|(_, zone)| **zone == identity.zone);
        for (subnet, _zone) in here {
            let decision = another(policy, subnet, &own, wanted, inputs);
            if decision != Decision::Nothing {
                return decision;
            }
        }
    }
    Decision::Nothing
}

impl PoolPolicy {
    /// Whether a node with these labels gets interfaces.
    pub(super) fn selects(&self, node: &OwnNode) -> bool {
        self.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
    }
}

/// The next step of an interface that is being made.
fn go_on(
    known: &InterfaceRead,
    stored: &StoredInterface,
    identity: &NodeIdentity,
    inputs: &Inputs<'_>,
) -> Decision {
    let Some(eni) = &stored.record.eni else {
        let wanted = known.wanted.as_ref().filter(|wanted| is_wanted(wanted, &stored.record));
        let Some(wanted) = wanted else { return Decision::Unwanted(stored.clone()) };
        let request = stored.request(inputs.cluster, &wanted.cluster_uid);
        return Decision::Create(stored.clone(), request);
    };
    if identity.enis.iter().any(|one| one.id == *eni) {
        return Decision::Attached(stored.clone());
    }
    let Some(limits) = inputs.limits else { return Decision::Wait(LIMITS) };
    match free_index(identity, inputs.described.unwrap_or_default(), limits.enis) {
        Some(index) => Decision::Attach(stored.clone(), eni.clone(), index),
        // EC2 decides: an interface may have been detached since.
        None => Decision::Attach(stored.clone(), eni.clone(), limits.enis.saturating_sub(1)),
    }
}

/// Whether a pool still wants an interface with the subnet and the groups of this record. Pools
/// that take the groups of the primary interface want any.
fn is_wanted(Wanted { policies, node, .. }: &Wanted, record: &NodeInterface) -> bool {
    let wants = |policy: &&PoolPolicy| {
        let groups = policy.groups.is_empty() || policy.groups == record.groups;
        groups && policy.selects(node) && policy.subnets.contains_key(&record.subnet)
    };
    policies.iter().any(|policy| wants(&policy))
}

/// Whether an interface that was attached is there no more: neither the metadata service nor EC2's
/// last answer has it.
fn is_gone(stored: &StoredInterface, identity: &NodeIdentity, inputs: &Inputs<'_>) -> bool {
    let (Phase::Attached, Some(eni)) = (stored.record.phase, &stored.record.eni) else {
        return false;
    };
    let listed = identity.enis.iter().any(|one| one.id == *eni);
    let answer = inputs.described.is_some_and(|all| !all.iter().any(|one| one.id == *eni));
    !listed && answer
}

/// A free device index. The VPC CNI takes the lowest free one and the VPC resource controller the
/// highest, each from its own memory, so a third one is better.
fn free_index(identity: &NodeIdentity, described: &[Interface], limit: u32) -> Option<u32> {
    let listed = identity.enis.iter().filter(|eni| eni.network_card == 0);
    let described = described.iter().filter(|one| one.network_card == 0);
    let used: BTreeSet<u32> =
        listed.map(|eni| eni.device_index).chain(described.map(|one| one.device_index)).collect();
    let free: Vec<u32> = (1..limit).filter(|index| !used.contains(index)).collect();
    match free.as_slice() {
        [_lowest, second, _highest, ..] => Some(*second),
        _ => free.last().copied(),
    }
}

/// Whether the pool gets another interface in this subnet.
fn another(
    policy: &PoolPolicy,
    subnet: &SubnetId,
    own: &[&StoredInterface],
    wanted: &Wanted,
    inputs: &Inputs<'_>,
) -> Decision {
    let Some(identity) = inputs.identity else { return Decision::Wait(METADATA) };
    let Some(limits) = inputs.limits else { return Decision::Wait(LIMITS) };
    let Some(vpc_cni) = inputs.vpc_cni else { return Decision::Wait(CNI) };
    let there = own.iter().filter(|one| one.record.subnet == *subnet);
    let there: Vec<_> = there.filter(|one| !one.record.phase.is_removal()).collect();
    let count = u32::try_from(there.len()).unwrap_or(u32::MAX);
    // One that cannot be removed must not become many. One that still has addresses of members
    // must be replaced, or they would never leave it.
    let is_here = |eni: &EniId| identity.enis.iter().any(|one| one.id == *eni);
    let is_detached = |one: &&&StoredInterface| {
        let removed = one.record.subnet == *subnet && one.record.phase.is_removal();
        removed && !one.record.eni.as_ref().is_some_and(is_here)
    };
    let detached = u32::try_from(own.iter().filter(is_detached).count()).unwrap_or(u32::MAX);
    if detached > policy.maximum {
        return Decision::Wait(REMOVALS);
    }
    if count >= policy.maximum || (count > 0 && !is_almost_full(&there, identity, limits)) {
        return Decision::Nothing;
    }
    let settings = wanted.cni.vpc_cni.or(vpc_cni.then(VpcCniSettings::default));
    let refused = match (settings, inputs.described) {
        (Some(_), None) => return Decision::Wait(DESCRIPTION),
        (Some(settings), Some(described)) => {
            let pods = pod_interfaces(own, identity, described, settings);
            refusal(&wanted.node, (identity, limits), Some(&pods))
        }
        (None, _) => refusal(&wanted.node, (identity, limits), None),
    };
    if let Some(refusal) = refused {
        return Decision::Refused(refusal);
    }
    let Some(groups) = groups(policy, inputs.described) else {
        return Decision::Wait(DESCRIPTION);
    };
    let taken: BTreeSet<&InterfaceName> = own.iter().map(|one| &one.name).collect();
    let mut names = (0..).map(|number| InterfaceName::of(&identity.instance, number));
    let Some(name) = names.find(|name| !taken.contains(name)) else {
        return Decision::Wait(REMOVALS);
    };
    let record = NodeInterface {
        node: inputs.node.clone(),
        instance: identity.instance.clone(),
        subnet: subnet.clone(),
        groups,
        phase: Phase::Creating,
        eni: None,
        excluded: false,
    };
    Decision::Record(name, record)
}

/// Why a CNI plugin would take an interface that is made, if one would. Cilium leaves an interface
/// alone that has all of its tags (`InterfaceSpec` in cilium's `pkg/aws/eni/types`).
pub(super) fn taken_by_cni(wanted: &Wanted, cluster: &ClusterName) -> Option<Refusal> {
    let Wanted { policies, node, cluster_uid, cni } = wanted;
    if !policies.iter().any(|policy| policy.selects(node)) {
        return None;
    }
    if cni.vpc_cni.is_some_and(|settings| settings.reads_no_tags) {
        return Some(Refusal::TagsNotRead);
    }
    if cni.cilium_pending {
        return Some(Refusal::CiliumPending);
    }
    let tags = cni.cilium_excludes.as_ref()?;
    let set = |(key, value): (&String, &String)| {
        let made = [
            (tag::CNI_NO_MANAGE, "true"),
            (tag::CLUSTER, cluster.as_str()),
            (tag::CLUSTER_UID, cluster_uid.as_str()),
        ];
        made.contains(&(key.as_str(), value.as_str()))
    };
    let excluded = !tags.is_empty() && tags.iter().all(set);
    (!excluded).then(|| Refusal::NotExcluded(tags.clone()))
}

fn is_almost_full(
    there: &[&&StoredInterface],
    identity: &NodeIdentity,
    limits: &TypeLimits,
) -> bool {
    let ours = |eni: &&Eni| there.iter().any(|one| one.record.eni.as_ref() == Some(&eni.id));
    let free = slots(identity.enis.iter().filter(ours), limits.addresses, &BTreeMap::new()).free;
    let each = limits.addresses.saturating_sub(1);
    let total = each.saturating_mul(u32::try_from(there.len()).unwrap_or(u32::MAX));
    free <= (total / FREE_SHARE).max(FEWEST_FREE)
}

/// The policy's groups, or those of the primary interface. None while the latter are unknown.
fn groups(policy: &PoolPolicy, described: Option<&[Interface]>) -> Option<BTreeSet<String>> {
    if !policy.groups.is_empty() {
        return Some(policy.groups.clone());
    }
    let primary = described?.iter().find(|one| one.is_primary())?;
    Some(primary.groups.clone()).filter(|groups| !groups.is_empty())
}

/// What the VPC CNI has for pods on this instance.
struct PodInterfaces<'a> {
    enis: Vec<&'a Eni>,
    /// A trunk is still to be attached.
    needs_trunk: bool,
}

/// The interfaces whose addresses the VPC CNI gives to pods: neither ours, nor those that somebody
/// has tagged so that it leaves them alone, nor those that a service manages, such as a trunk. One
/// that EC2's last answer lacks is the VPC CNI's.
fn pod_interfaces<'a>(
    own: &[&StoredInterface],
    identity: &'a NodeIdentity,
    described: &[Interface],
    settings: VpcCniSettings,
) -> PodInterfaces<'a> {
    let ours = |eni: &Eni| own.iter().any(|one| one.record.eni.as_ref() == Some(&eni.id));
    let left_alone = |eni: &Eni| {
        let mut same = described.iter().filter(|one| one.id == eni.id);
        let skipped = eni.device_index == 0 && settings.skips_primary;
        let managed = |one: &Interface| one.is_unmanaged() || one.operator.is_some();
        skipped || (eni.device_index > 0 && same.any(managed))
    };
    let enis = identity.enis.iter().filter(|eni| !ours(eni) && !left_alone(eni)).collect();
    let has_trunk = described.iter().any(Interface::is_trunk);
    PodInterfaces { enis, needs_trunk: settings.has_trunk && !has_trunk }
}

/// Why the instance takes no further interface, if it does not. `for_pods`: what the VPC CNI has
/// for pods, if it runs here. Interfaces are attached to network card 0.
fn refusal(
    node: &OwnNode,
    (identity, limits): (&NodeIdentity, &TypeLimits),
    for_pods: Option<&PodInterfaces<'_>>,
) -> Option<Refusal> {
    let count = |enis: usize| u32::try_from(enis).unwrap_or(u32::MAX);
    let attached = count(identity.enis.iter().filter(|eni| eni.network_card == 0).count());
    let pods = match (for_pods, node.pods) {
        (None, _) => 0,
        (Some(_), None) => return Some(Refusal::PodsUnknown),
        (Some(PodInterfaces { enis, .. }), Some(most)) => {
            enis_for_pods(most, enis, limits).saturating_sub(count(enis.len()))
        }
    };
    let labelled = node.labels.get(TRUNK).is_some_and(|attached| attached == "false");
    let trunk = u32::from(labelled || for_pods.is_some_and(|pods| pods.needs_trunk));
    let used = attached.saturating_add(pods).saturating_add(trunk);
    let limit = limits.enis;
    (used >= limit).then_some(Refusal::NoInterfaceLeft { limit, attached, pods, trunk })
}

/// How many interfaces the VPC CNI needs so that so many pods get an address.
fn enis_for_pods(most: u32, enis: &[&Eni], limits: &TypeLimits) -> u32 {
    let delegates = enis.iter().any(|eni| eni.prefixes > 0);
    let each =
        limits.addresses.saturating_sub(1).saturating_mul(if delegates { PREFIX } else { 1 });
    most.saturating_sub(HOST_NETWORK_PODS).div_ceil(each.max(1)).max(1)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
pub(in crate::node) mod tests;
