//! Checks of the Node object and of source NAT.

use std::net::Ipv4Addr;

use crate::preflight::condition::Condition;
use crate::preflight::facts::{Chain, Fact, Facts, KubeNode, Snat};
use crate::preflight::judge::interfaces::carriers;
use crate::preflight::reason::{Kind, Reason};

/// None where the Kubernetes API was not queried.
pub(super) fn node_address(facts: &Facts) -> Option<Condition> {
    let report =
        |reason, found: String| Some(Condition::new(Kind::NodeAddressPinned, reason, found));
    let node = match &facts.in_cluster.node {
        Fact::Known(Some(node)) => node,
        Fact::Known(None) => {
            return report(
                Reason::Unknown,
                "No Node of the cluster has this instance's ID".to_owned(),
            );
        }
        Fact::Failed(why) => return report(Reason::Unknown, why.clone()),
        Fact::NotChecked => return None,
    };
    let identity = facts.identity.known()?;
    let first = identity.enis.iter().find(|eni| eni.device_index == 0 && eni.network_card == 0);
    let Some(first) = first else {
        return report(
            Reason::Unknown,
            "The metadata service lists no primary interface".to_owned(),
        );
    };
    let own = first.primary_address;
    let KubeNode { name, internal, fixed } = node;
    let others = || internal.iter().filter(|address| **address != own);
    if let Some(taken) = others().find(|address| facts.purpose.hands_out(**address)) {
        let found = format!("Node {name} has InternalIP {taken}, an address of a pool");
        return report(Reason::NodeAddressOfPool, found);
    }
    if internal.is_empty() || others().next().is_some() {
        let all: Vec<String> = internal.iter().map(Ipv4Addr::to_string).collect();
        let found =
            format!("Node {name} has InternalIP {}; its primary address is {own}", list(&all));
        return report(Reason::NodeAddressForeign, found);
    }
    let shared = carriers(facts, identity).iter().any(|eni| eni.id == first.id);
    if !fixed && shared {
        let found = format!(
            "Node {name} has InternalIP {own} on an interface that members also get, and its \
             kubelet runs without --node-ip"
        );
        return report(Reason::NodeAddressNotPinned, found);
    }
    report(Reason::Pinned, format!("Node {name} has InternalIP {own}"))
}

fn list(all: &[String]) -> String {
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// The prefix of the names of the VPC CNI's chains.
const CNI_CHAIN: &str = "AWS-SNAT-CHAIN";

/// Whether kube-proxy made the chain, in its mode iptables or nftables: the chain rewrites only
/// packets that kube-proxy has marked.
fn is_of_kube_proxy(chain: &Chain) -> bool {
    chain.name == "KUBE-POSTROUTING" || chain.table == "kube-proxy"
}

/// The VPC CNI's settings are the best source; without a cluster the kernel's chains decide. None
/// where neither was read.
pub(super) fn sources(facts: &Facts) -> Option<Condition> {
    let report =
        |reason, found: &str| Some(Condition::new(Kind::SourceAddressPreserved, reason, found));
    let (snat, nat) = (&facts.in_cluster.snat, &facts.node.nat);
    if let Fact::Known(Some(snat)) = snat
        && !snat.external
    {
        let but = if snat.excluded.is_empty() { "none" } else { snat.excluded.as_str() };
        let found = format!(
            "AWS_VPC_K8S_CNI_EXTERNALSNAT is not true; ranges outside the VPC without SNAT: {but}"
        );
        return report(Reason::SourceAddressRewritten, &found);
    }
    let nat = match nat {
        Fact::Known(nat) => nat,
        Fact::Failed(why) => return report(Reason::Unknown, why),
        Fact::NotChecked => return (*snat != Fact::NotChecked).then(|| preserved(snat)),
    };
    if let Some(chain) = nat.chains.iter().find(|chain| chain.name.starts_with(CNI_CHAIN)) {
        let found = format!("nf_tables has the VPC CNI's SNAT chain {chain}");
        return report(Reason::SourceAddressRewritten, &found);
    }
    let others = nat.chains.iter().filter(|chain| !is_of_kube_proxy(chain));
    let others: Vec<String> = others.map(ToString::to_string).collect();
    if !others.is_empty() {
        let found = format!("nf_tables applies SNAT in {}", others.join(", "));
        return report(Reason::SourceNatFound, &found);
    }
    if nat.legacy {
        return report(
            Reason::Unknown,
            "iptables-legacy has a nat table, which this check cannot read",
        );
    }
    Some(preserved(snat))
}

/// Without source NAT in the kernel, or where the kernel was not read.
fn preserved(snat: &Fact<Option<Snat>>) -> Condition {
    let (reason, found) = match snat {
        Fact::Failed(why) => (Reason::Unknown, why.as_str()),
        Fact::Known(Some(_external)) => (Reason::Preserved, "AWS_VPC_K8S_CNI_EXTERNALSNAT is true"),
        Fact::Known(None) => (Reason::Preserved, "The cluster has no DaemonSet aws-node"),
        Fact::NotChecked => (Reason::Preserved, "No nf_tables chain applies SNAT"),
    };
    Condition::new(Kind::SourceAddressPreserved, reason, found)
}
