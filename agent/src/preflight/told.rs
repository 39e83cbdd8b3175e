//! What is told of the node itself: its interfaces and what they have room for, and the checks.

use firecamp_controllers::publish::Facts;
use firecamp_controllers::publish::facts::{Check, EniFact};
use firecamp_core::node::Eni;
use firecamp_node::preflight::{Condition, Manager, Status, Weight};
use firecamp_registry::api::EniManager;

use super::Preflight;

impl Preflight {
    /// Adds what is known of the node. Once the metadata service is silent for long, the
    /// interfaces are as unknown as before it had answered.
    pub(crate) fn tell(&self, facts: &mut Facts) {
        facts.checks = self.conditions.iter().map(check).collect();
        let Some(identity) = self.facts.identity.known() else { return };
        facts.instance = Some(identity.instance.clone());
        facts.zone = Some(identity.zone.clone());
        let carriers = self.carriers(identity);
        let told = |eni: &Eni| EniFact {
            eni: eni.clone(),
            limit: self.limits().map(|limits| limits.addresses),
            link: self.link(eni),
            managed_by: self.manager(eni),
            carries: carriers.as_ref().map(|all| all.contains(&eni.id)),
        };
        facts.enis = Some(identity.enis.iter().map(told).collect());
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
            Some(Manager::Other) => EniManager::Other,
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
        blocks: condition.weight() == Weight::Blocks,
        reason: condition.reason.name().to_owned(),
        message: condition.message.clone(),
    }
}
