//! The simulator enforces the IAM policies while an interface is made: they suffice, each of their
//! actions is necessary, and they permit nothing of others.

use firecamp_checks::deploy::iam::{Place, Policy};
use firecamp_cloud::AwsCloud;
use firecamp_core::contract::tag;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::EniId;
use firecamp_core::managed_interface::{InstanceState, InterfaceFilter, NewInterface};
use firecamp_core::ports::{Cloud, CloudInterfaces};
use firecamp_sim_tests::{Cluster, FIRST};

use super::interfaces::{WITHIN, described, instance, request};

/// The policies of cluster `demo` in the simulated VPC, or in another one.
fn policy(cluster: &Cluster, vpc: Option<&str>) -> Policy {
    let world = cluster.world();
    let (account, region, own) = world.place();
    let place = Place { region, account, vpc: vpc.unwrap_or(own), cluster: "demo" };
    place.policy_with_interfaces().unwrap()
}

fn tagged(token: &str) -> NewInterface {
    request(token, &[(tag::CLUSTER, "demo"), (tag::CNI_NO_MANAGE, "true")])
}

fn denied<T: std::fmt::Debug>(answer: Result<T, CloudFailure>) -> bool {
    let failure = answer.unwrap_err();
    (failure.kind, failure.effect) == (CloudKind::Auth, Effect::None)
        && failure.detail.contains("UnauthorizedOperation")
}

/// All calls of an interface from its creation to its deletion.
async fn lifecycle(cluster: &Cluster) -> Result<(), CloudFailure> {
    let cloud = cluster.node("node-a").cloud();
    let own = instance(cluster, "node-a");
    let eni = cloud.create_interface(&tagged("a"), WITHIN).await?;
    cluster.settle().await;
    cloud.attach_interface(&eni, &own, 1, WITHIN).await?;
    cluster.settle().await;
    cloud.assign(&eni, &[FIRST], false, WITHIN).await?;
    cloud.unassign(&eni, FIRST, WITHIN).await?;
    let filter = InterfaceFilter::Id(eni.clone());
    let found = cloud.describe_interfaces(&filter).await?;
    let attachment = found.into_iter().next().unwrap().attachment.unwrap();
    cloud.detach_interface(&attachment.id, WITHIN).await?;
    cluster.settle().await;
    cloud.delete_interface(&eni, WITHIN).await?;
    assert_eq!(cloud.instance_state(&own).await?, InstanceState::Exists);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_policies_suffice_and_each_of_their_actions_is_necessary() {
    let cluster = Cluster::default();
    let all = policy(&cluster, None);
    cluster.world().set_node_policy(all.clone());
    lifecycle(&cluster).await.unwrap();
    for action in [
        "CreateNetworkInterface",
        "CreateTags",
        "AttachNetworkInterface",
        "AssignPrivateIpAddresses",
        "UnassignPrivateIpAddresses",
        "DescribeNetworkInterfaces",
        "DetachNetworkInterface",
        "DeleteNetworkInterface",
        "DescribeInstances",
    ] {
        let cluster = Cluster::default();
        cluster.world().set_node_policy(all.without(&format!("ec2:{action}")));
        assert!(denied(lifecycle(&cluster).await), "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn interfaces_are_created_only_with_the_tag_of_the_cluster_and_in_its_vpc() {
    let cluster = Cluster::default();
    let cloud = cluster.node("node-a").cloud();
    let all = policy(&cluster, None);
    cluster.world().set_node_policy(all);
    for tags in [&[][..], &[("team", "a")][..], &[(tag::CLUSTER, "test")][..]] {
        let answer = cloud.create_interface(&request("a", tags), WITHIN).await;
        assert!(denied(answer), "{tags:?}");
    }
    cloud.create_interface(&tagged("b"), WITHIN).await.unwrap();
    let elsewhere = policy(&cluster, Some("vpc-0a1b"));
    cluster.world().set_node_policy(elsewhere);
    assert!(denied(cloud.create_interface(&tagged("c"), WITHIN).await));
}

/// An interface at index 1 of node-b that was made before there was a policy.
async fn attached(cluster: &Cluster, cloud: &AwsCloud, tags: &[(&str, &str)]) -> EniId {
    let eni = cloud.create_interface(&request("at", tags), WITHIN).await.unwrap();
    cluster.settle().await;
    cloud.attach_interface(&eni, &instance(cluster, "node-b"), 1, WITHIN).await.unwrap();
    cluster.settle().await;
    eni
}

#[tokio::test(start_paused = true)]
async fn interfaces_of_others_are_neither_attached_nor_detached_nor_deleted() {
    for tags in [&[][..], &[(tag::CLUSTER, "test")][..]] {
        let cluster = Cluster::default();
        let cloud = cluster.node("node-a").cloud();
        let eni = attached(&cluster, &cloud, tags).await;
        let free = cloud.create_interface(&request("free", tags), WITHIN).await.unwrap();
        cluster.settle().await;
        let attachment = described(&cloud, &eni).await.unwrap().attachment.unwrap().id;
        let all = policy(&cluster, None);
        cluster.world().set_node_policy(all);
        let own = instance(&cluster, "node-a");
        assert!(denied(cloud.attach_interface(&free, &own, 1, WITHIN).await), "{tags:?}");
        assert!(denied(cloud.detach_interface(&attachment, WITHIN).await), "{tags:?}");
        assert!(denied(cloud.delete_interface(&free, WITHIN).await), "{tags:?}");
        assert!(denied(cloud.assign(&free, &[FIRST], false, WITHIN).await), "{tags:?}");
    }
    let cluster = Cluster::default();
    let cloud = cluster.node("node-a").cloud();
    let eni = cloud.create_interface(&tagged("own"), WITHIN).await.unwrap();
    cluster.settle().await;
    let elsewhere = policy(&cluster, Some("vpc-0a1b"));
    cluster.world().set_node_policy(elsewhere);
    assert!(denied(cloud.delete_interface(&eni, WITHIN).await), "an interface of another VPC");
}
