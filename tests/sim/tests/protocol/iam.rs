//! The deployed IAM policy suffices, and contains nothing that FireCamp does not use.

use std::collections::BTreeSet;

use firecamp_checks::deploy::iam::{AuthorizationRequest, Place};
use firecamp_core::machine::Release as Done;
use firecamp_sim_tests::{Cluster, Pod, Release, attached, released};
use firecamp_vpc::{Call, Service};

const PLACE: Place<'_> =
    Place { region: "us-east-1", account: "111122223333", vpc: "vpc-0a1b", cluster: "demo" };

/// The call as an IAM request: the nodes' ENIs have the cluster's tag, foreign ENIs do not.
fn iam_request(cluster: &Cluster, call: &Call) -> AuthorizationRequest {
    let nodes = cluster.world().nodes();
    let tagged = |eni: &str| nodes.iter().flat_map(|node| &node.enis).any(|it| it.id == eni);
    let eni = call.parameters.get("NetworkInterfaceId");
    PLACE.asks(&call.action, eni.map(|eni| (eni.as_str(), tagged(eni))))
}

/// The requests of a member that starts, moves to another node, and unassigns its address.
async fn lifecycle(cluster: &Cluster) -> Vec<AuthorizationRequest> {
    attached(Pod::new("uid-1", "node-a").init(cluster).await);
    cluster.settle().await;
    let next = Pod::new("uid-2", "node-b");
    attached(next.init(cluster).await);
    cluster.settle().await;
    let gone = released(next.stop(cluster, Release { unassign: true }).await);
    assert_eq!(gone, Done::Unassigned);
    let calls = cluster.world().calls(0);
    calls
        .iter()
        .filter(|call| call.service == Service::Ec2)
        .map(|call| iam_request(cluster, call))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn iam_policy_covers_a_member_lifecycle_and_agents_use_the_rest() {
    let policy = PLACE.policy().expect("a policy");
    let cluster = Cluster::default();
    let requests = lifecycle(&cluster).await;
    for request in &requests {
        assert!(policy.allows(request), "the policy denies {request:?}");
    }
    let mut unused = BTreeSet::new();
    for action in policy.actions() {
        let less = policy.without(action);
        if requests.iter().all(|request| less.allows(request)) {
            unused.insert(action.to_owned());
        }
    }
    // Agents read volumes and capacity; `firecamp` reads subnet reservations.
    let agents =
        ["ec2:DescribeInstanceTypes", "ec2:DescribeVolumes", "ec2:GetSubnetCidrReservations"];
    assert_eq!(unused, BTreeSet::from(agents.map(str::to_owned)));
    cluster.audit();
}
