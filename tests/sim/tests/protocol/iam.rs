//! The rights in EC2 that are deployed suffice, and none of them can be left out.

use std::collections::BTreeSet;

use firecamp_checks::deploy::iam::{Ask, Place, Policy};
use firecamp_core::machine::Release as Done;
use firecamp_sim_tests::{Cluster, Pod, Release, attached, released};
use firecamp_vpc::{Call, Service};

const PLACE: Place<'_> =
    Place { region: "us-east-1", account: "111122223333", vpc: "vpc-0a1b", cluster: "demo" };

/// As AWS would be asked: the interfaces of the nodes are tagged, the stranger's is not.
fn ask(cluster: &Cluster, call: &Call) -> Ask {
    let nodes = cluster.world().nodes();
    let tagged = |eni: &str| nodes.iter().flat_map(|node| &node.enis).any(|it| it.id == eni);
    let eni = call.parameters.get("NetworkInterfaceId");
    PLACE.asks(&call.action, eni.map(|eni| (eni.as_str(), tagged(eni))))
}

/// A member starts, moves to another node, and gives its address back.
async fn a_life(cluster: &Cluster) -> Vec<Ask> {
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
        .map(|call| ask(cluster, call))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_member_needs_what_the_policy_allows_and_all_of_it() {
    let policy = Policy::of(PLACE).expect("a policy");
    let cluster = Cluster::default();
    let asked = a_life(&cluster).await;
    for ask in &asked {
        assert!(policy.allows(ask), "denied: {ask:?}");
    }
    let mut idle = BTreeSet::new();
    for action in policy.actions() {
        let less = policy.without(action);
        if asked.iter().all(|ask| less.allows(ask)) {
            idle.insert(action.to_owned());
        }
    }
    // Volumes and room are the agents', reservations a person's.
    let agents =
        ["ec2:DescribeInstanceTypes", "ec2:DescribeVolumes", "ec2:GetSubnetCidrReservations"];
    assert_eq!(idle, BTreeSet::from(agents.map(str::to_owned)));
    cluster.audit();
}
