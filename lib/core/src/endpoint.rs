//! Whether the agent serves a request at its endpoint. Nothing that a client says is believed but
//! its token.

mod asking;
pub mod batches;

pub use asking::{Asking, NoOutcome};

use std::net::IpAddr;

use crate::contract::exit::Exit;
use crate::ids::NodeName;
use crate::machine::Failure;
use crate::ports::{AskingPod, ReviewedPod};

/// What a pod asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// To attach its address.
    Attach,
    /// To release its address.
    Release,
    /// Which address it has.
    Address,
}

/// Where a request arrives.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The node of the agent.
    pub node: &'a NodeName,
    /// The endpoint's address. Connections from the node's own network have it as their source.
    pub endpoint: IpAddr,
    /// The source address of the connection.
    pub from: IpAddr,
    /// Whether the agent serves pods with a network of their own.
    pub pod_networks: bool,
}

/// Whether this node's agent serves the request of the pod that the token was issued for. `found`
/// is the pod of that name, read after the review.
///
/// The machines of attach and release then read the pod themselves, as everywhere, and check that
/// it may start or that it ends.
pub fn admit(
    request: Request,
    reviewed: &ReviewedPod,
    found: Option<&AskingPod>,
    at: Arrival<'_>,
) -> Result<(), Failure> {
    let ReviewedPod { member, pod, .. } = reviewed;
    let own = found.filter(|found| found.pod == *pod);
    if request == Request::Attach && own.is_none() {
        let text = format!("pod {member} with UID {pod} is gone");
        return Err(refused(Exit::Superseded, text));
    }
    on_this_node(reviewed, own, at.node)?;
    own.map_or(Ok(()), |own| from_its_network(reviewed, own, at))
}

fn on_this_node(
    reviewed: &ReviewedPod,
    own: Option<&AskingPod>,
    node: &NodeName,
) -> Result<(), Failure> {
    // A pod never changes its node, so both agree unless one of them is wrong.
    let nodes = [reviewed.node.as_ref(), own.and_then(|pod| pod.node.as_ref())];
    let known = nodes.iter().any(Option::is_some);
    if !known || nodes.iter().flatten().any(|its| *its != node) {
        let its = nodes.iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
        let its = if known { its.join(" or ") } else { "an unknown node".to_owned() };
        let member = &reviewed.member;
        let text = format!("pod {member} is on {its}, and this is the agent of {node}");
        return Err(refused(Exit::TokenRefused, text));
    }
    Ok(())
}

/// A token that another pod shows is refused: its connection comes from another network.
fn from_its_network(
    ReviewedPod { member, .. }: &ReviewedPod,
    own: &AskingPod,
    Arrival { endpoint, from, pod_networks, .. }: Arrival<'_>,
) -> Result<(), Failure> {
    if own.host_network {
        let text = format!(
            "pod {member} has hostNetwork, and the request is from {from} instead of {endpoint}: \
             it comes from another pod, or a rule of the node rewrites its source"
        );
        return if from == endpoint { Ok(()) } else { Err(refused(Exit::TokenRefused, text)) };
    }
    if !pod_networks {
        let text = format!(
            "pod {member} has a network of its own, which this agent may not enter: set \
             hostNetwork: true, or the chart's value endpoint.podNetworks.clusterCIDRs"
        );
        return Err(refused(Exit::NodeUnsuitable, text));
    }
    if own.ips.is_empty() {
        let text = format!("the kubelet has not reported the address of pod {member} yet");
        return Err(refused(Exit::AgentUnavailable, text));
    }
    if !own.ips.contains(&from) {
        let its = own.ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let text = format!("pod {member} has the address {its}, and the request is from {from}");
        return Err(refused(Exit::TokenRefused, text));
    }
    Ok(())
}

fn refused(exit: Exit, message: String) -> Failure {
    Failure { exit, message, address: None }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::ids::Member;

    const ALL: [Request; 3] = [Request::Attach, Request::Release, Request::Address];

    fn node(name: &str) -> NodeName {
        NodeName::new(name).unwrap()
    }

    fn reviewed(on: Option<&str>) -> ReviewedPod {
        let member = Member::new("prod", "redis-0").unwrap();
        ReviewedPod { member, pod: "uid-1".parse().unwrap(), node: on.map(node) }
    }

    fn pod(uid: &str, on: Option<&str>) -> AskingPod {
        AskingPod {
            pod: uid.parse().unwrap(),
            node: on.map(node),
            host_network: true,
            ips: Vec::new(),
            pool: Ok(None),
            grace: Duration::from_secs(30),
        }
    }

    const ENDPOINT: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 196, 96));
    const ITS_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 1, 5));

    fn ends(request: Request, on: Option<&str>, found: Option<&AskingPod>) -> Option<Exit> {
        ends_with(request, &reviewed(on), found, true)
    }

    fn ends_with(
        request: Request,
        reviewed: &ReviewedPod,
        found: Option<&AskingPod>,
        pod_networks: bool,
    ) -> Option<Exit> {
        let from = if found.is_some_and(|pod| !pod.host_network) { ITS_IP } else { ENDPOINT };
        ends_from(request, reviewed, found, (from, pod_networks))
    }

    fn ends_from(
        request: Request,
        reviewed: &ReviewedPod,
        found: Option<&AskingPod>,
        (from, pod_networks): (IpAddr, bool),
    ) -> Option<Exit> {
        let at = Arrival { node: &node("n1"), endpoint: ENDPOINT, from, pod_networks };
        admit(request, reviewed, found, at).err().map(|failure| failure.exit)
    }

    #[test]
    fn a_pod_of_this_node_is_served() {
        for request in ALL {
            for on in [Some("n1"), None] {
                assert_eq!(ends(request, on, Some(&pod("uid-1", Some("n1")))), None, "{request:?}");
            }
        }
    }

    #[test]
    fn f122_a_token_of_another_nodes_pod_is_refused() {
        for request in ALL {
            for (on, seen) in [(Some("n2"), "n1"), (Some("n1"), "n2"), (None, "n2")] {
                let found = pod("uid-1", Some(seen));
                assert_eq!(ends(request, on, Some(&found)), Some(Exit::TokenRefused), "{on:?}");
            }
        }
    }

    #[test]
    fn f122_a_pod_that_is_gone_or_replaced_attaches_nothing_but_may_release() {
        for found in [None, Some(pod("uid-2", Some("n1")))] {
            let ends = |request, on| ends(request, on, found.as_ref());
            assert_eq!(ends(Request::Attach, Some("n1")), Some(Exit::Superseded));
            assert_eq!(ends(Request::Release, Some("n1")), None);
            assert_eq!(ends(Request::Address, Some("n1")), None);
            // Nothing says that it was on this node: another one's kernel may have the address.
            assert_eq!(ends(Request::Release, None), Some(Exit::TokenRefused));
        }
    }

    #[test]
    fn a_pod_with_a_network_of_its_own_is_served_only_where_that_is_switched_on() {
        let ips = vec!["2001:db8::5".parse().unwrap(), ITS_IP];
        let own = AskingPod { host_network: false, ips, ..pod("uid-1", Some("n1")) };
        for request in ALL {
            let ends = |on| ends_with(request, &reviewed(Some("n1")), Some(&own), on);
            assert_eq!(ends(true), None);
            assert_eq!(ends(false), Some(Exit::NodeUnsuitable));
        }
    }

    #[test]
    fn f127_a_token_of_a_pod_with_host_network_is_refused_from_any_other_network() {
        let found = pod("uid-1", Some("n1"));
        for request in ALL {
            for pod_networks in [false, true] {
                let ends =
                    |from| ends_from(request, &reviewed(None), Some(&found), (from, pod_networks));
                assert_eq!(ends(ITS_IP), Some(Exit::TokenRefused), "{request:?}");
                assert_eq!(ends(ENDPOINT), None, "{request:?}");
            }
        }
    }

    #[test]
    fn f127_a_token_that_another_pod_shows_is_refused() {
        let its = |ips: &[IpAddr]| {
            let own =
                AskingPod { host_network: false, ips: ips.into(), ..pod("uid-1", Some("n1")) };
            ends(Request::Attach, Some("n1"), Some(&own))
        };
        assert_eq!(its(&["10.244.1.6".parse().unwrap()]), Some(Exit::TokenRefused));
        // Before the kubelet has reported the address nobody knows; the client asks again.
        assert_eq!(its(&[]), Some(Exit::AgentUnavailable));
        assert_eq!(its(&[ITS_IP]), None);
    }
}
