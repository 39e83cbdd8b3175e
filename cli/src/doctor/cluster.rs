//! Checks of what only a cluster has: definitions, rights, nodes and agents. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::contract::api;
use firecamp_kube::{NodeSeen, Served};
use firecamp_node::preflight::Reason;
use firecamp_registry::api::{
    AttachmentState, Kind, NodeAttachments, NodeAttachmentsSpec, StaticIPClaimSpec,
    StaticIPPoolSpec, StaticIPSpec,
};

use super::finding::{Finding, Level};
use super::gather::{Kubernetes, Seen};
use crate::look::asked::Asked;
use crate::look::book::Found;

/// The nodes of a cluster, by name.
type Nodes = BTreeMap<String, NodeSeen>;

/// The API server answers, serves our kinds, and lets us.
pub(super) fn api(seen: &Seen) -> Vec<Finding> {
    let Some(cluster) = &seen.cluster else { return Vec::new() };
    let version = match &cluster.version {
        Asked::Known(version) => Finding::fine("api", "API server", version.clone()),
        Asked::Unknown(why) => Finding::unknown("api", "API server", why),
    };
    let mut findings = vec![version];
    findings.extend(definitions(&cluster.served));
    findings.extend(rights(cluster));
    findings
}

/// Plural, kind and whether it has namespaces.
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

fn definitions(served: &Asked<Option<BTreeSet<Served>>>) -> Vec<Finding> {
    const APPLY: &str = "kubectl apply -f deploy/crds";
    let served = match served {
        Asked::Known(Some(served)) => served,
        Asked::Known(None) => {
            let found = ("NotInstalled", "the API server serves nothing of it".to_owned());
            let finding = Finding::new("definitions", Level::Fails, api::VERSION, found);
            return vec![finding.advice(APPLY)];
        }
        Asked::Unknown(why) => return vec![Finding::unknown("definitions", api::VERSION, why)],
    };
    let find = |name: &str| served.iter().find(|one| one.name == name);
    let mut findings = Vec::new();
    for (plural, kind, namespaced) in kinds() {
        let wrong = match find(plural) {
            None => Some(("KindMissing", "the API server does not serve it")),
            Some(one) if one.kind != kind || one.namespaced != namespaced => {
                Some(("KindDiffers", "it is served as another kind or scope"))
            }
            Some(_) if find(&format!("{plural}/status")).is_none() => {
                Some(("StatusMissing", "its status is no subresource: an older definition"))
            }
            Some(_) => None,
        };
        if let Some((reason, words)) = wrong {
            let object = format!("{kind} of {}", api::VERSION);
            let found = (reason, words.to_owned());
            let finding = Finding::new("definitions", Level::Fails, object, found);
            findings.push(finding.advice(APPLY));
        }
    }
    if findings.is_empty() {
        let words = format!("all {} kinds are served", kinds().len());
        findings.push(Finding::fine("definitions", api::VERSION, words));
    }
    findings
}

fn rights(cluster: &Kubernetes) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (right, answer) in &cluster.rights {
        match answer {
            Asked::Known(true) => {}
            Asked::Known(false) => {
                let found = ("RightMissing", "the API server would refuse it".to_owned());
                let finding = Finding::new("rights", Level::Fails, right.to_string(), found);
                findings.push(finding.advice("bind the roles in deploy/rbac to who asks here"));
            }
            Asked::Unknown(why) => {
                findings.push(Finding::unknown("rights", right.to_string(), why));
            }
        }
    }
    if findings.is_empty() {
        let words = format!("all {} that are needed", cluster.rights.len());
        findings.push(Finding::fine("rights", "our own", words));
    }
    findings
}

/// Every node that holds an address is there, and its agent tells of it.
pub(super) fn agents(seen: &Seen) -> Vec<Finding> {
    let Some(cluster) = &seen.cluster else { return Vec::new() };
    let reports = match &cluster.reports {
        Asked::Known(reports) => reports,
        Asked::Unknown(why) => {
            return vec![Finding::unknown("agents", NodeAttachmentsSpec::KIND, why)];
        }
    };
    let unread = reports.unread.iter().map(|one| Finding::unknown("agents", &one.what, &one.why));
    let mut findings: Vec<Finding> = unread.collect();
    match &cluster.nodes {
        Asked::Known(nodes) => {
            findings.extend(addressed(seen, nodes));
            findings.extend(gone(seen, nodes, &reports.found));
        }
        Asked::Unknown(why) => findings.push(Finding::unknown("nodes", "all nodes", why)),
    }
    findings.extend(held(seen).filter_map(|ip| silent(ip, cluster, &reports.found)));
    findings.extend(reports.found.iter().filter_map(not_ready));
    if findings.is_empty() {
        let words = format!("{} agents report, and all are ready", reports.found.len());
        findings.push(Finding::fine("agents", NodeAttachmentsSpec::KIND, words));
    }
    findings
}

/// Addresses that a pod holds, or is taking or releasing.
fn held(seen: &Seen) -> impl Iterator<Item = &Found<StaticIPSpec>> {
    let found = seen.addresses.known().map(|listing| listing.found.as_slice());
    found.unwrap_or_default().iter().filter(|ip| {
        ip.spec.attachment.as_ref().is_some_and(|attachment| match attachment.state {
            AttachmentState::Attaching | AttachmentState::Attached | AttachmentState::Releasing => {
                true
            }
            AttachmentState::Parked | AttachmentState::Released => false,
        })
    })
}

fn node_of(ip: &Found<StaticIPSpec>) -> Option<&str> {
    ip.spec.attachment.as_ref().map(|attachment| attachment.node_name.as_str())
}

/// Nodes that the cluster reaches by a member's address, until the member moves.
fn addressed(seen: &Seen, nodes: &Nodes) -> Vec<Finding> {
    let addresses = seen.addresses.known().map(|listing| listing.found.as_slice());
    let taken = |address: &&Ipv4Addr| {
        let text = address.to_string();
        addresses.unwrap_or_default().iter().any(|one| one.metadata.name == text)
    };
    let of_member = nodes.iter().filter_map(|(name, node)| {
        let address = node.internal.iter().find(taken)?;
        let reason = Reason::NodeAddressOfPool;
        let found = (reason.name(), format!("its InternalIP {address} is a StaticIP"));
        let finding = Finding::new("nodes", Level::Fails, format!("node {name}"), found);
        Some(finding.advice(reason.remedy()))
    });
    of_member.collect()
}

fn gone(seen: &Seen, nodes: &Nodes, reports: &[NodeAttachments]) -> Vec<Finding> {
    let lost = held(seen).filter_map(|ip| {
        let node = node_of(ip).filter(|node| !nodes.contains_key(*node))?;
        let owner = &ip.spec.claim_ref;
        let words = format!(
            "it is on record for {}/{} on {node}, and there is no such node",
            owner.namespace, owner.name
        );
        let object = format!("StaticIP {}", ip.metadata.name);
        let finding = Finding::new("nodes", Level::Fails, object, ("NodeGone", words));
        let advice = "the agent that holds the Lease releases it within minutes: does any agent \
                      run? A new pod of the member takes it at once";
        Some(finding.advice(advice))
    });
    let left = reports.iter().filter(|one| !nodes.contains_key(&one.metadata.name)).map(|one| {
        let words = "it tells of a node that is gone".to_owned();
        let object = format!("NodeAttachments {}", one.metadata.name);
        let finding = Finding::new("nodes", Level::Warns, object, ("ReportLeftover", words));
        finding.advice("it goes with its Node, or delete it")
    });
    let mut findings: Vec<Finding> = lost.collect();
    findings.extend(left);
    let told: BTreeSet<&str> = reports.iter().map(|one| one.metadata.name.as_str()).collect();
    let busy: BTreeSet<&str> = held(seen).filter_map(node_of).collect();
    for node in nodes.keys().filter(|node| !told.contains(node.as_str())) {
        let (level, words) = if busy.contains(node.as_str()) {
            (Level::Fails, "members hold addresses on it, and no agent has reported of it")
        } else {
            (Level::Warns, "no agent has reported of it")
        };
        let found = ("AgentMissing", words.to_owned());
        let finding = Finding::new("agents", level, format!("node {node}"), found);
        findings.push(finding.advice("does the agents' DaemonSet run there (taints, image)?"));
    }
    findings
}

/// The agent's report knows nothing of an address that the registry has on its node.
fn silent(
    ip: &Found<StaticIPSpec>,
    cluster: &Kubernetes,
    reports: &[NodeAttachments],
) -> Option<Finding> {
    let node = node_of(ip)?;
    let is_node = cluster.nodes.known().is_none_or(|nodes| nodes.contains_key(node));
    let report = reports.iter().find(|one| one.metadata.name == node).filter(|_| is_node)?;
    let told = report.status.addresses.iter().find(|one| one.address == ip.metadata.name);
    let words = match told {
        Some(told) if told.epoch >= ip.spec.epoch => return None,
        Some(told) => {
            format!("it tells of epoch {}, the registry of {}", told.epoch, ip.spec.epoch)
        }
        None => "it does not tell of the address at all".to_owned(),
    };
    let object = format!("NodeAttachments {node}, StaticIP {}", ip.metadata.name);
    let finding = Finding::new("agents", Level::Warns, object, ("ReportStale", words));
    Some(finding.advice("wait some seconds; if it stays, read the log of that node's agent"))
}

fn not_ready(report: &NodeAttachments) -> Option<Finding> {
    let object = format!("NodeAttachments {}", report.metadata.name);
    let ready = report.status.conditions.iter().find(|one| one.kind == "Ready");
    let Some(ready) = ready else {
        let found = ("NotReady", "it has no condition Ready".to_owned());
        let finding = Finding::new("agents", Level::Warns, object, found);
        return Some(finding.advice("read the log of that node's agent"));
    };
    if ready.status == "True" {
        return None;
    }
    let level = if ready.status == "False" { Level::Fails } else { Level::Warns };
    let found = (ready.reason.as_str(), ready.message.clone());
    let finding = Finding::new("agents", level, object, found);
    Some(finding.advice(format!("firecamp node {}", report.metadata.name)))
}
