//! What the cluster says.

use std::net::Ipv4Addr;

use crate::preflight::condition::Condition;
use crate::preflight::facts::{Chain, Fact, Facts, KubeNode, Snat};
use crate::preflight::judge::enis::chosen;
use crate::preflight::reason::{Kind, Reason};

/// Left out where nobody was to ask.
pub(super) fn node_address(facts: &Facts) -> Option<Condition> {
    let say = |reason, found: String| Some(Condition::new(Kind::NodeAddressFixed, reason, found));
    let node = match &facts.in_cluster.node {
        Fact::Known(Some(node)) => node,
        Fact::Known(None) => {
            return say(Reason::NotKnown, "No Node of the cluster is this instance".to_owned());
        }
        Fact::Failed(why) => return say(Reason::NotKnown, why.clone()),
        Fact::NotAsked => return None,
    };
    let identity = facts.identity.known()?;
    let first = identity.enis.iter().find(|eni| eni.device_index == 0 && eni.network_card == 0);
    let Some(first) = first else {
        return say(Reason::NotKnown, "The primary interface is not known".to_owned());
    };
    let own = first.primary_address;
    let KubeNode { name, internal, fixed } = node;
    let others = || internal.iter().filter(|address| **address != own);
    if let Some(taken) = others().find(|address| facts.purpose.hands_out(**address)) {
        return say(Reason::NodeAddressOfPool, format!("Node {name} has InternalIP {taken}"));
    }
    if internal.is_empty() || others().next().is_some() {
        let all: Vec<String> = internal.iter().map(Ipv4Addr::to_string).collect();
        let found =
            format!("Node {name} has InternalIP {}, its primary address is {own}", list(&all));
        return say(Reason::NodeAddressForeign, found);
    }
    let shared = chosen(facts, identity).iter().any(|eni| eni.id == first.id);
    let reason = if !fixed && shared { Reason::NodeAddressFree } else { Reason::Fixed };
    say(reason, format!("Node {name} has InternalIP {own}"))
}

fn list(all: &[String]) -> String {
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// The VPC CNI's chains, whichever of them there are.
const OF_THE_CNI: &str = "AWS-SNAT-CHAIN";

/// Whether it is kube-proxy's, in its mode iptables or nftables: it rewrites only what kube-proxy
/// has marked.
fn is_kube_proxys(chain: &Chain) -> bool {
    chain.name == "KUBE-POSTROUTING" || chain.table == "kube-proxy"
}

/// What the VPC CNI is told says most; what the kernel has says it without a cluster. Left out
/// where nobody was to look at either.
pub(super) fn sources(facts: &Facts) -> Option<Condition> {
    let say = |reason, found: &str| Some(Condition::new(Kind::SourceKept, reason, found));
    let (snat, nat) = (&facts.in_cluster.snat, &facts.node.nat);
    if let Fact::Known(Some(snat)) = snat
        && !snat.external
    {
        let but = if snat.excluded.is_empty() { "none" } else { snat.excluded.as_str() };
        let found = format!(
            "AWS_VPC_K8S_CNI_EXTERNALSNAT is not true; ranges outside the VPC that are spared: {but}"
        );
        return say(Reason::SourcesRewritten, &found);
    }
    let nat = match nat {
        Fact::Known(nat) => nat,
        Fact::Failed(why) => return say(Reason::NotKnown, why),
        Fact::NotAsked => return (*snat != Fact::NotAsked).then(|| told(snat)),
    };
    if let Some(chain) = nat.chains.iter().find(|chain| chain.name.starts_with(OF_THE_CNI)) {
        return say(Reason::SourcesRewritten, &format!("nf_tables has {chain}"));
    }
    let others = nat.chains.iter().filter(|chain| !is_kube_proxys(chain));
    let others: Vec<String> = others.map(ToString::to_string).collect();
    if !others.is_empty() {
        return say(Reason::SourceNatFound, &format!("nf_tables has {}", others.join(", ")));
    }
    if nat.legacy {
        return say(Reason::NotKnown, "The older form of iptables has a table nat");
    }
    Some(told(snat))
}

/// Of a kernel that rewrites nothing, or that was not looked at.
fn told(snat: &Fact<Option<Snat>>) -> Condition {
    let (reason, found) = match snat {
        Fact::Failed(why) => (Reason::NotKnown, why.as_str()),
        Fact::Known(Some(_external)) => {
            (Reason::SourcesKept, "AWS_VPC_K8S_CNI_EXTERNALSNAT is true")
        }
        Fact::Known(None) => (Reason::SourcesKept, "There is no DaemonSet aws-node"),
        Fact::NotAsked => (Reason::SourcesKept, "No chain of nf_tables rewrites sources"),
    };
    Condition::new(Kind::SourceKept, reason, found)
}
