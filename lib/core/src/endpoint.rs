//! Whether the agent serves a request at its endpoint. Nothing that a client says is believed but
//! its token.

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

/// Whether this node's agent serves the request of the pod that the token was issued for. `found`
/// is the pod of that name, read after the review.
///
/// The machines of attach and release then read the pod themselves, as everywhere, and check that
/// it may start or that it ends.
pub fn admit(
    request: Request,
    reviewed: &ReviewedPod,
    found: Option<&AskingPod>,
    node: &NodeName,
) -> Result<(), Failure> {
    let ReviewedPod { member, pod, .. } = reviewed;
    let own = found.filter(|found| found.pod == *pod);
    if request == Request::Attach && own.is_none() {
        let text = format!("pod {member} with UID {pod} is gone");
        return Err(refused(Exit::Superseded, text));
    }
    // A pod never changes its node, so both agree unless one of them is wrong.
    let nodes = [reviewed.node.as_ref(), own.and_then(|pod| pod.node.as_ref())];
    let known = nodes.iter().any(Option::is_some);
    if !known || nodes.iter().flatten().any(|its| *its != node) {
        let its = nodes.iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
        let its = if known { its.join(" or ") } else { "an unknown node".to_owned() };
        let text = format!("pod {member} is on {its}, and this is the agent of {node}");
        return Err(refused(Exit::TokenRefused, text));
    }
    if own.is_some_and(|pod| !pod.host_network) {
        let text = format!(
            "pod {member} has a network of its own, and the endpoint serves only pods with \
             hostNetwork: true"
        );
        return Err(refused(Exit::NodeUnsuitable, text));
    }
    Ok(())
}

fn refused(exit: Exit, message: String) -> Failure {
    Failure { exit, message, address: None }
}

#[cfg(test)]
mod tests {
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
            pool: Ok(None),
            grace: Duration::from_secs(30),
        }
    }

    fn ends(request: Request, on: Option<&str>, found: Option<&AskingPod>) -> Option<Exit> {
        admit(request, &reviewed(on), found, &node("n1")).err().map(|failure| failure.exit)
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
    fn a_pod_with_a_network_of_its_own_is_refused() {
        let own = AskingPod { host_network: false, ..pod("uid-1", Some("n1")) };
        for request in ALL {
            assert_eq!(ends(request, Some("n1"), Some(&own)), Some(Exit::NodeUnsuitable));
        }
    }
}
