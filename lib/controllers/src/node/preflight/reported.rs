//! The part of the status about the node itself: interfaces, their capacity, and the checks.

use std::collections::BTreeSet;

use firecamp_core::ids::EniId;
use firecamp_core::node_identity::Eni;
use firecamp_node::preflight::{Condition, Manager, Severity, Status, has_cluster_tag};
use firecamp_registry::api::EniManager;

use super::Preflight;
use crate::publish::Facts;
use crate::publish::facts::{Check, EniFact};

impl Preflight {
    /// Adds the facts about the node. If the metadata service has been unreachable for long, the
    /// interfaces are unknown again.
    pub(in crate::node) fn report(&self, facts: &mut Facts) {
        facts.checks = self.conditions.iter().map(check).collect();
        let Some(identity) = self.facts.identity.known() else { return };
        facts.instance = Some(identity.instance.clone());
        facts.zone = Some(identity.zone.clone());
        let carriers = self.carriers(identity);
        let reported = |eni: &Eni| EniFact {
            eni: eni.clone(),
            limit: self.limits().map(|limits| limits.addresses),
            link: self.link(eni),
            managed_by: self.manager(eni),
            carries: carriers.as_ref().and_then(|all| self.carries(all, eni)),
            resource: self.resources.get(&eni.subnet).cloned().unwrap_or_default(),
        };
        facts.enis = Some(identity.enis.iter().map(reported).collect());
    }

    /// Whether members may get the interface: without the cluster's tag, the IAM policy denies
    /// every Assign. None for an interface that EC2's last answer lacks. Before the first answer,
    /// which may take a minute, the tag is presumed.
    fn carries(&self, carriers: &BTreeSet<EniId>, eni: &Eni) -> Option<bool> {
        if !carriers.contains(&eni.id) {
            return Some(false);
        }
        if self.facts.interfaces.known().is_none() {
            return Some(true);
        }
        has_cluster_tag(&self.facts, eni)
    }

    fn link(&self, eni: &Eni) -> Option<String> {
        let link = self.links.as_ref()?.iter().find(|link| link.mac == eni.mac)?;
        Some(link.name.clone())
    }

    fn manager(&self, eni: &Eni) -> EniManager {
        let verdict = self.verdicts.iter().find(|one| one.eni == eni.id);
        match verdict.map(|verdict| verdict.manager) {
            Some(Manager::FireCamp) => EniManager::FireCamp,
            Some(Manager::VpcCni) => EniManager::VpcCni,
            Some(
                Manager::Other | Manager::TakenByCni | Manager::UnknownCni | Manager::Removing,
            ) => EniManager::Other,
            Some(Manager::Unknown) | None => EniManager::Unknown,
        }
    }
}

fn check(condition: &Condition) -> Check {
    Check {
        kind: condition.kind.name().to_owned(),
        good: match condition.status() {
            Status::True => Some(true),
            Status::False => Some(false),
            Status::Unknown => None,
        },
        blocks: condition.severity() == Severity::Blocking,
        reason: condition.reason.name().to_owned(),
        message: condition.message.clone(),
    }
}
