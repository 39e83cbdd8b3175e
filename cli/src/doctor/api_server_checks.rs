//! Checks of the API server: definitions and permissions. Pure.

use std::collections::BTreeSet;

use firecamp_core::contract::api;
use firecamp_kube::Served;
use firecamp_registry::api::{
    Kind, NodeAttachmentsSpec, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec,
};

use super::finding::{Finding, Level};
use super::gather::{Kubernetes, RegistrySnapshot};
use crate::common::known_or_unknown::Answer;

/// The API server responds, serves our kinds, and grants the permissions.
pub(super) fn api(seen: &RegistrySnapshot) -> Vec<Finding> {
    let Some(cluster) = &seen.cluster else { return Vec::new() };
    let version = match &cluster.version {
        Answer::Known(version) => Finding::ok("api", "API server", version.clone()),
        Answer::Unknown(why) => Finding::unknown("api", "API server", why),
    };
    let mut findings = vec![version];
    findings.extend(definitions(&cluster.served));
    findings.extend(rights(cluster));
    findings
}

/// Plural name, kind, and whether it is namespaced.
fn kinds() -> [(&'static str, &'static str, bool); 4] {
    fn of<S: Kind>() -> (&'static str, &'static str, bool) {
        (S::PLURAL, S::KIND, S::NAMESPACED)
    }
    [
        of::<StaticIPPoolSpec>(),
        of::<StaticIPSpec>(),
        of::<StaticIPClaimSpec>(),
        of::<NodeAttachmentsSpec>(),
    ]
}

fn definitions(served: &Answer<Option<BTreeSet<Served>>>) -> Vec<Finding> {
    const APPLY: &str = "kubectl apply -f deploy/crds";
    let served = match served {
        Answer::Known(Some(served)) => served,
        Answer::Known(None) => {
            let found =
                ("NotInstalled", "the API server does not serve this API version".to_owned());
            let finding = Finding::new("definitions", Level::Failed, api::VERSION, found);
            return vec![finding.advice(APPLY)];
        }
        Answer::Unknown(why) => return vec![Finding::unknown("definitions", api::VERSION, why)],
    };
    let find = |name: &str| served.iter().find(|one| one.name == name);
    let mut findings = Vec::new();
    for (plural, kind, namespaced) in kinds() {
        let wrong = match find(plural) {
            None => Some(("KindNotServed", "the API server does not serve it")),
            Some(one) if one.kind != kind || one.namespaced != namespaced => {
                Some(("KindMismatch", "the API server serves it with another kind or scope"))
            }
            Some(_) if find(&format!("{plural}/status")).is_none() => Some((
                "StatusSubresourceMissing",
                "the definition has no status subresource; it is outdated",
            )),
            Some(_) => None,
        };
        if let Some((reason, words)) = wrong {
            let object = format!("{kind} of {}", api::VERSION);
            let found = (reason, words.to_owned());
            let finding = Finding::new("definitions", Level::Failed, object, found);
            findings.push(finding.advice(APPLY));
        }
    }
    if findings.is_empty() {
        let words = format!("all {} kinds are served", kinds().len());
        findings.push(Finding::ok("definitions", api::VERSION, words));
    }
    findings
}

fn rights(cluster: &Kubernetes) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (right, answer) in &cluster.rights {
        match answer {
            Answer::Known(true) => {}
            Answer::Known(false) => {
                let found = ("PermissionMissing", "the API server would deny it".to_owned());
                let finding = Finding::new("rights", Level::Failed, right.to_string(), found);
                findings.push(finding.advice(
                    "bind the roles of deploy/rbac to the user or service account of this command",
                ));
            }
            Answer::Unknown(why) => {
                findings.push(Finding::unknown("rights", right.to_string(), why));
            }
        }
    }
    if findings.is_empty() {
        let words = format!("all {} required permissions are granted", cluster.rights.len());
        findings.push(Finding::ok("rights", "all permissions", words));
    }
    findings
}
