//! The policy for this command suffices, and each of its actions is necessary.

use std::collections::BTreeSet;

use firecamp_cli::verify_ec2::{Ec2, Outcome, Reassign};
use firecamp_core::failure::CloudKind;
use firecamp_vpc::Policy;

use crate::vpc::{NODE_ENI, SUBNET, TestVpc};

const POLICY: &str = include_str!("../../../deploy/iam-policy-verify-ec2.json");

fn policy(vpc: &TestVpc) -> Policy {
    let world = vpc.world();
    let (account, region, _vpc) = world.place();
    let text = POLICY.replace("REGION", region).replace("ACCOUNT", account);
    Policy::parse(&text.replace("SUBNET", SUBNET)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_policy_suffices() {
    let vpc = TestVpc::fast();
    let before = vpc.owners();
    let own = policy(&vpc);
    vpc.world().set_node_policy(own);
    let (report, _) = vpc.run(&[]).await.unwrap();
    assert_eq!(report.code(), 0, "{report:#?}");
    let hidden = report.facts.iter().filter(|fact| fact.outcome == Outcome::NotObservable);
    let hidden: BTreeSet<&str> = hidden.map(|fact| fact.id).collect();
    assert!(hidden.contains("deleted-interface"), "the tag is gone with the interface: {hidden:?}");
    assert_eq!(vpc.owners(), before);
}

#[tokio::test(start_paused = true)]
async fn each_action_is_necessary_and_is_in_the_help() {
    let all = policy(&TestVpc::fast());
    let help = firecamp_cli::documents::cli();
    assert_eq!(all.actions().len(), 8);
    for action in all.actions() {
        assert!(help.contains(action), "the help lacks {action}");
        let vpc = TestVpc::fast();
        vpc.world().set_node_policy(all.without(action));
        let ended = vpc.run(&[]).await;
        assert_ne!(ended.map_or(13, |(report, _)| report.code()), 0, "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_policy_permits_nothing_on_interfaces_of_others() {
    let vpc = TestVpc::fast();
    let own = policy(&vpc);
    vpc.world().set_node_policy(own);
    let (cloud, eni) = (vpc.cloud(), NODE_ENI.parse().unwrap());
    let address = [10, 0, 1, 200].into();
    for answer in [
        cloud.assign(&eni, &[address], Reassign::Refuse).await,
        cloud.unassign(&eni, address).await,
        cloud.delete(&eni).await,
    ] {
        assert_eq!(answer.unwrap_err().kind, CloudKind::Auth);
    }
}
