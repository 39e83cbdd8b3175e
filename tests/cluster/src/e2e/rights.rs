//! What was asked of EC2, by its call log, while all of the other scenarios went on: does the
//! policy that is deployed allow it? The box itself denies nothing by a policy.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_checks::deploy::iam::{Ask, Place, Policy};
use vpcbox::protocol::Call;

use super::scene::{Scene, ensure};
use super::set::Set;
use crate::Outcome;
use crate::cli::say;
use crate::topology::{CLUSTER, REGION};

/// Account and VPC are names only here: the box has one of each.
const PLACE: Place<'_> =
    Place { region: REGION, account: "111122223333", vpc: "vpc-0a1b", cluster: CLUSTER };
const ASSIGN: &str = "ec2:AssignPrivateIpAddresses";

/// Every call to EC2 since the cluster began, with what AWS would be asked.
fn asked(scene: &Scene<'_>) -> Outcome<Vec<(Call, Ask)>> {
    let truth = scene.vpc(vpcbox::client::Client::truth)?;
    // What topology::spec tags: the interfaces of the nodes.
    let tagged: BTreeSet<&str> =
        truth.nodes.iter().flat_map(|node| &node.enis).map(|eni| eni.id.as_str()).collect();
    let mut all = scene.vpc(|vpc| vpc.calls(0))?;
    let first = all.first().map(|call| call.seq);
    ensure(first == Some(1), || format!("the log begins with call {first:?}"))?;
    all.retain(|call| call.service == "ec2");
    let with_ask = |call: Call| {
        let eni = call.parameters.get("NetworkInterfaceId");
        let eni = eni.map(|eni| (eni.as_str(), tagged.contains(eni.as_str())));
        let ask = PLACE.asks(&call.action, eni);
        (call, ask)
    };
    Ok(all.into_iter().map(with_ask).collect())
}

pub(super) async fn every_call_to_ec2_is_one_that_the_policy_allows(scene: &Scene<'_>) -> Outcome {
    // Whatever was chosen to go before.
    let set = Set::new("allowed", 1);
    scene.started(&set).await?;
    let policy = Policy::of(PLACE)?;
    let all = asked(scene)?;
    let mut counts = BTreeMap::<&str, u32>::new();
    for (call, ask) in &all {
        ensure(call.app.contains("firecamp-"), || format!("whose call is this? {call:?}"))?;
        ensure(policy.allows(ask), || format!("{ask:?} is denied to {}", call.app))?;
        *counts.entry(&ask.action).or_default() += 1;
    }
    say(&format!("        allowed: {counts:?}"))?;
    ensure(counts.contains_key(ASSIGN), || "nothing was assigned".to_owned())?;
    for action in counts.keys() {
        let less = policy.without(action);
        let denied = all.iter().any(|(_call, ask)| !less.allows(ask));
        ensure(denied, || format!("{action} is allowed by no right of its own"))?;
    }
    let untagged = PLACE.asks("AssignPrivateIpAddresses", Some(("eni-0a1b", false)));
    ensure(!policy.allows(&untagged), || format!("{untagged:?} is allowed"))?;
    scene.delete(&set).await
}
