//! The node's condition about the interfaces that FireCamp makes.

use firecamp_core::contract::cluster::{condition, reason};
use firecamp_core::contract::tag;
use firecamp_core::failure::CloudKind;
use firecamp_core::managed_interface::Phase;

use super::decide::{Blocked, Refusal};
use super::{Failure, GIVE_UP_AFTER, ManagedInterfaces, Wanted};
use crate::publish::facts::Check;

impl ManagedInterfaces {
    /// The condition; none if no pool wants interfaces for this node.
    pub(in crate::node) fn check(&self) -> Option<Check> {
        if self.wanted != Some(true) {
            return None;
        }
        let (good, reason, message) = self.state()?;
        let (kind, reason) = (condition::INTERFACES_MADE.to_owned(), reason.to_owned());
        Some(Check { kind, good, blocks: false, reason, message })
    }

    fn state(&self) -> Option<(Option<bool>, &'static str, String)> {
        if let Some(failure) = self.stale.as_ref().filter(|_| self.reads.failures > 1) {
            let message = format!("{failure}. Until a read succeeds, no interface is made");
            return Some((Some(false), reason::INTERFACE_FAILED, message));
        }
        let known = self.known.as_ref()?;
        let selects =
            |wanted: &Wanted| wanted.policies.iter().any(|policy| policy.selects(&wanted.node));
        if known.records.is_empty() && !known.wanted.as_ref().is_some_and(selects) {
            return None;
        }
        let given_up = self.given_up.as_ref().map(|(failure, _)| failure);
        match self.steps.failure.as_ref().or(given_up) {
            Some(Failure::Cloud(failure)) => {
                let message = format!("{failure}. {}", remedy(failure.kind));
                return Some((Some(false), failure_reason(failure.kind), message));
            }
            Some(Failure::Registry(failure)) => {
                let message = format!("{failure}. The agent tries again");
                return Some((Some(false), reason::INTERFACE_FAILED, message));
            }
            None => {}
        }
        match &self.blocked {
            Some(Blocked::By(refusal)) => {
                return Some((Some(false), refusal.reason(), refusal.to_string()));
            }
            Some(Blocked::Until(what)) => {
                let message = format!("The agent waits for {what}");
                return Some((None, reason::INTERFACE_IN_PROGRESS, message));
            }
            None => {}
        }
        let open = known.records.iter().find(|one| one.record.phase == Phase::Creating);
        if let Some(open) = open {
            let message = format!("NodeInterface {} is being created and attached", open.name);
            return Some((None, reason::INTERFACE_IN_PROGRESS, message));
        }
        let names: Vec<String> = self.made().map(ToString::to_string).collect();
        Some((Some(true), reason::INTERFACES_READY, names.join(", ")))
    }
}

fn failure_reason(kind: CloudKind) -> &'static str {
    match kind {
        CloudKind::AttachmentLimitExceeded => reason::NO_INTERFACE_LEFT,
        CloudKind::SubnetExhausted => reason::NO_ADDRESS_FOR_INTERFACE,
        CloudKind::QuotaExceeded => reason::INTERFACE_QUOTA,
        CloudKind::Auth => reason::INTERFACE_DENIED,
        CloudKind::HeldElsewhere
        | CloudKind::NotOnInterface
        | CloudKind::CapacityExceeded
        | CloudKind::BadAddress
        | CloudKind::NotFound
        | CloudKind::DeviceIndexTaken
        | CloudKind::InterfaceInUse
        | CloudKind::Throttled
        | CloudKind::Transient
        | CloudKind::Unknown => reason::INTERFACE_FAILED,
    }
}

fn remedy(kind: CloudKind) -> String {
    match kind {
        CloudKind::AttachmentLimitExceeded => {
            "Use a larger instance type, or lower the kubelet's maximum of pods".to_owned()
        }
        CloudKind::SubnetExhausted => "Free addresses in the subnet".to_owned(),
        CloudKind::QuotaExceeded => {
            "Raise the quota \"Network interfaces per Region\", or delete unused interfaces"
                .to_owned()
        }
        CloudKind::Auth => {
            "Attach deploy/iam-policy-interfaces.json (docs/iam.md) to the IAM role of the agents"
                .to_owned()
        }
        CloudKind::Throttled | CloudKind::Transient => "The agent tries again".to_owned(),
        CloudKind::HeldElsewhere
        | CloudKind::NotOnInterface
        | CloudKind::CapacityExceeded
        | CloudKind::BadAddress
        | CloudKind::NotFound
        | CloudKind::DeviceIndexTaken
        | CloudKind::InterfaceInUse
        | CloudKind::Unknown => format!(
            "The agent tries again; after {GIVE_UP_AFTER} failures it removes an interface that \
             cannot be created or attached"
        ),
    }
}

impl Refusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::NoInterfaceLeft { .. } | Self::PodsUnknown => reason::NO_INTERFACE_LEFT,
            Self::TagsNotRead | Self::NotExcluded(_) | Self::CiliumPending => {
                reason::CNI_TAKES_INTERFACES
            }
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoInterfaceLeft { limit, attached, pods, trunk } => write!(
                f,
                "The instance type takes {limit} interfaces: {attached} are attached, the VPC CNI \
                 needs {pods} more for the kubelet's maximum of pods, and a trunk needs {trunk}. \
                 Lower that maximum (Karpenter: RESERVED_ENIS), or use a larger type"
            ),
            Self::PodsUnknown => f.write_str(
                "The Node does not report its maximum of pods (status.capacity.pods), so how many \
                 interfaces the VPC CNI needs is unknown. The kubelet reports it once it runs",
            ),
            Self::TagsNotRead => f.write_str(
                "The VPC CNI would give the addresses of an interface to pods, because it reads no \
                 tags. Set ENABLE_IMDS_ONLY_MODE=false in the DaemonSet kube-system/aws-node",
            ),
            Self::NotExcluded(tags) => write!(
                f,
                "Cilium's operator would give the addresses of an interface to pods: the CiliumNode \
                 has exclude-interface-tags {tags:?}. Set eni.nodeSpec.excludeInterfaceTags to \
                 {}=true in the values of Cilium",
                tag::CNI_NO_MANAGE
            ),
            Self::CiliumPending => f.write_str(
                "The cluster has the kind CiliumNode, but no object for this node, so it is unknown \
                 whether Cilium's operator would give the addresses of an interface to pods. If \
                 Cilium is not used any more, delete its CustomResourceDefinitions",
            ),
        }
    }
}
