//! The condition of a Service that names members: whether everybody finds them by their names, and
//! if not, why.

use std::fmt::Display;

use firecamp_core::contract::names::{NAMES_READY, reason};
use firecamp_core::ids::ClusterName;
use firecamp_registry::api::Condition;

use super::objects::{LookupAnswer, NamedService, NamespacedName};
use crate::leader::pools::{Verdict, is_unchanged, listed, merged};

/// What is wrong with the names of a Service, the most fundamental first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    Unsuitable,
    NoSet,
    ZoneNotAllowed(ClusterName),
    /// This Service has the same names.
    Collision(NamespacedName),
    NoDnsEndpoints,
    NotProcessed,
    /// An object could not be written, and why.
    NotWritten(String),
    /// What DNS answered for these names.
    Deviations(Vec<(String, LookupAnswer)>),
}

/// All conditions of the Service, if they have to be written.
pub(super) fn conditions(
    service: &NamedService,
    problem: Option<&Problem>,
    members: usize,
) -> Option<Vec<Condition>> {
    let verdict = match problem {
        Some(problem) => problem.verdict(service),
        None => published(service, members),
    };
    // A Service has no generation.
    let condition = Condition { observed_generation: None, ..verdict.condition(0) };
    let all = merged(&service.conditions, vec![condition]);
    (!is_unchanged(&service.conditions, &all)).then_some(all)
}

fn published(service: &NamedService, members: usize) -> Verdict {
    let zone = service.zone.as_deref().map(|zone| format!(", and in DNS zone {zone}"));
    let message = format!(
        "the cluster's DNS names {members} members of StatefulSet {}{}",
        service.set,
        zone.unwrap_or_default()
    );
    Verdict { kind: NAMES_READY, holds: Some(true), reason: reason::PUBLISHED, message }
}

/// Whether the condition reports what only DNS or ExternalDNS can show.
pub(super) fn is_about_dns(service: &NamedService) -> bool {
    let found = service.conditions.iter().find(|it| it.kind == NAMES_READY);
    found.is_some_and(|it| {
        let known = [
            reason::NOT_PROCESSED,
            reason::RECORD_NOT_FOUND,
            reason::RECORD_DIFFERS,
            reason::LOOKUP_FAILED,
        ];
        known.contains(&it.reason.as_str())
    })
}

impl Problem {
    fn verdict(&self, service: &NamedService) -> Verdict {
        let zone = service.zone.as_deref().unwrap_or_default();
        let (reason, message) = match self {
            Self::Unsuitable => (
                reason::SERVICE_NOT_SUITABLE,
                "the Service needs clusterIP: None and no selector, or others write its endpoints"
                    .to_owned(),
            ),
            Self::NoSet => {
                (reason::SET_NOT_FOUND, format!("StatefulSet {} does not exist", service.set))
            }
            Self::ZoneNotAllowed(cluster) => (
                reason::ZONE_NOT_ALLOWED,
                format!(
                    "the agents of cluster {cluster} are not configured to name members in zone \
                     {zone:?}: add it to names.dnsZones of the chart"
                ),
            ),
            Self::Collision(other) => (
                reason::NAME_COLLISION,
                format!(
                    "Service {other} has the same names in zone {zone:?}: choose another zone, \
                     such as one for each namespace"
                ),
            ),
            Self::NoDnsEndpoints => (
                reason::NO_DNS_ENDPOINTS,
                "the API server serves no DNSEndpoints to the agents: install ExternalDNS with \
                 its CustomResourceDefinition"
                    .to_owned(),
            ),
            Self::NotProcessed => (
                reason::NOT_PROCESSED,
                "ExternalDNS has not reported that it read the DNSEndpoint of this Service: it \
                 has to run with --source=crd, may not exclude this namespace, and needs the \
                 right to update dnsendpoints/status"
                    .to_owned(),
            ),
            Self::NotWritten(why) => (reason::NOT_WRITTEN, why.clone()),
            Self::Deviations(all) => return deviation(all),
        };
        Verdict { kind: NAMES_READY, holds: Some(false), reason, message }
    }
}

/// Names the worst kind of deviation, and whom it affects.
fn deviation(all: &[(String, LookupAnswer)]) -> Verdict {
    let is_other = |answer: &LookupAnswer| matches!(answer, LookupAnswer::Addresses(_));
    let is_missing = |answer: &LookupAnswer| matches!(answer, LookupAnswer::NotFound);
    let named = |is: &dyn Fn(&LookupAnswer) -> bool| -> Vec<String> {
        let those = all.iter().filter(|(_, answer)| is(answer));
        those.map(|(name, answer)| format!("{name} {answer}")).collect()
    };
    let (others, missing) = (named(&is_other), named(&is_missing));
    let kind = NAMES_READY;
    if !others.is_empty() {
        let message = told(&others, "another program or zone owns the name, or ExternalDNS lags");
        return Verdict { kind, holds: Some(false), reason: reason::RECORD_DIFFERS, message };
    }
    if !missing.is_empty() {
        let advice = "ExternalDNS has not written the record, or this zone is not associated with \
                      the VPC of the node";
        let message = told(&missing, advice);
        return Verdict { kind, holds: Some(false), reason: reason::RECORD_NOT_FOUND, message };
    }
    let message = told(&named(&|_| true), "the DNS resolver of the leader's node does not answer");
    Verdict { kind, holds: None, reason: reason::LOOKUP_FAILED, message }
}

fn told<T: Display>(names: &[T], advice: &str) -> String {
    format!("{}: {advice}", listed(names))
}
