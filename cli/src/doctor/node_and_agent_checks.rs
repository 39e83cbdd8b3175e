//! Checks of a cluster's nodes and of the reports of their agents. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_kube::ObservedNode;
use firecamp_node::preflight::Reason;
use firecamp_registry::api::{
    AttachmentState, Kind, NodeAttachments, NodeAttachmentsSpec, StaticIPSpec,
};

use super::finding::{Finding, Level};
use super::gather::{Kubernetes, RegistrySnapshot};
use crate::common::known_or_unknown::Answer;
use crate::common::registry_reader::Found;

/// The nodes of a cluster, by name.
type Nodes = BTreeMap<String, ObservedNode>;

/// Every node with an attached address exists, and its agent reports the address.
pub(super) fn agents(seen: &RegistrySnapshot) -> Vec<Finding> {
    let Some(cluster) = &seen.cluster else { return Vec::new() };
    let reports = match &cluster.reports {
        Answer::Known(reports) => reports,
        Answer::Unknown(why) => {
            return vec![Finding::unknown("agents", NodeAttachmentsSpec::KIND, why)];
        }
    };
    let unread = reports.unread.iter().map(|one| Finding::unknown("agents", &one.what, &one.why));
    let mut findings: Vec<Finding> = unread.collect();
    match &cluster.nodes {
        Answer::Known(nodes) => {
            findings.extend(addressed(seen, nodes));
            findings.extend(gone(seen, nodes, &reports.found));
        }
        Answer::Unknown(why) => findings.push(Finding::unknown("nodes", "all nodes", why)),
    }
    findings.extend(held(seen).filter_map(|ip| stale(ip, cluster, &reports.found)));
    findings.extend(reports.found.iter().filter_map(not_ready));
    if findings.is_empty() {
        let words = format!("{} agents report; all are ready", reports.found.len());
        findings.push(Finding::ok("agents", NodeAttachmentsSpec::KIND, words));
    }
    findings
}

/// Addresses that are attached, being attached or being released.
fn held(seen: &RegistrySnapshot) -> impl Iterator<Item = &Found<StaticIPSpec>> {
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

/// Nodes whose InternalIP is a member's address: unreachable once the member moves.
fn addressed(seen: &RegistrySnapshot, nodes: &Nodes) -> Vec<Finding> {
    let addresses = seen.addresses.known().map(|listing| listing.found.as_slice());
    let taken = |address: &&Ipv4Addr| {
        let text = address.to_string();
        addresses.unwrap_or_default().iter().any(|one| one.metadata.name == text)
    };
    let of_member = nodes.iter().filter_map(|(name, node)| {
        let address = node.internal.iter().find(taken)?;
        let reason = Reason::NodeAddressOfPool;
        let found = (reason.name(), format!("its InternalIP {address} is a StaticIP"));
        let finding = Finding::new("nodes", Level::Failed, format!("node {name}"), found);
        Some(finding.advice(reason.remedy()))
    });
    of_member.collect()
}

fn gone(seen: &RegistrySnapshot, nodes: &Nodes, reports: &[NodeAttachments]) -> Vec<Finding> {
    let lost = held(seen).filter_map(|ip| {
        let node = node_of(ip).filter(|node| !nodes.contains_key(*node))?;
        let owner = &ip.spec.claim_ref;
        let words = format!(
            "recorded for {}/{} on node {node}, which does not exist",
            owner.namespace, owner.name
        );
        let object = format!("StaticIP {}", ip.metadata.name);
        let finding = Finding::new("nodes", Level::Failed, object, ("NodeNotFound", words));
        let advice = "the leader releases it within minutes: check that agents run; a new pod \
                      of the member acquires it immediately";
        Some(finding.advice(advice))
    });
    let left = reports.iter().filter(|one| !nodes.contains_key(&one.metadata.name)).map(|one| {
        let words = "its node does not exist any more".to_owned();
        let object = format!("NodeAttachments {}", one.metadata.name);
        let finding = Finding::new("nodes", Level::Warning, object, ("ReportOrphaned", words));
        finding.advice("Kubernetes deletes it with its Node; if it remains, delete it")
    });
    let mut findings: Vec<Finding> = lost.collect();
    findings.extend(left);
    let reported: BTreeSet<&str> = reports.iter().map(|one| one.metadata.name.as_str()).collect();
    let busy: BTreeSet<&str> = held(seen).filter_map(node_of).collect();
    for node in nodes.keys().filter(|node| !reported.contains(node.as_str())) {
        let (level, words) = if busy.contains(node.as_str()) {
            (Level::Failed, "addresses are attached to it, but no agent reports for it")
        } else {
            (Level::Warning, "no agent reports for it")
        };
        let found = ("AgentMissing", words.to_owned());
        let finding = Finding::new("agents", level, format!("node {node}"), found);
        findings.push(
            finding.advice("check that the agent's DaemonSet runs on the node (taints, image)"),
        );
    }
    findings
}

/// The agent's report lacks an address that the registry has on its node, or is outdated.
fn stale(
    ip: &Found<StaticIPSpec>,
    cluster: &Kubernetes,
    reports: &[NodeAttachments],
) -> Option<Finding> {
    let node = node_of(ip)?;
    let is_node = cluster.nodes.known().is_none_or(|nodes| nodes.contains_key(node));
    let report = reports.iter().find(|one| one.metadata.name == node).filter(|_| is_node)?;
    let reported = report.status.addresses.iter().find(|one| one.address == ip.metadata.name);
    let words = match reported {
        Some(reported) if reported.epoch >= ip.spec.epoch => return None,
        Some(reported) => {
            format!("it reports epoch {}; the registry has {}", reported.epoch, ip.spec.epoch)
        }
        None => "it does not report the address".to_owned(),
    };
    let object = format!("NodeAttachments {node}, StaticIP {}", ip.metadata.name);
    let finding = Finding::new("agents", Level::Warning, object, ("ReportStale", words));
    Some(finding.advice("wait a few seconds; if this persists, read the log of that node's agent"))
}

fn not_ready(report: &NodeAttachments) -> Option<Finding> {
    let object = format!("NodeAttachments {}", report.metadata.name);
    let ready = report.status.conditions.iter().find(|one| one.kind == "Ready");
    let Some(ready) = ready else {
        let found = ("NotReady", "it has no Ready condition".to_owned());
        let finding = Finding::new("agents", Level::Warning, object, found);
        return Some(finding.advice("read the log of that node's agent"));
    };
    if ready.status == "True" {
        return None;
    }
    let level = if ready.status == "False" { Level::Failed } else { Level::Warning };
    let found = (ready.reason.as_str(), ready.message.clone());
    let finding = Finding::new("agents", level, object, found);
    Some(finding.advice(format!("firecamp node {}", report.metadata.name)))
}
