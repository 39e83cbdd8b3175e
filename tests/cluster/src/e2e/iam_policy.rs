//! Checks EC2 calls against IAM policies: those of all scenarios against the deployed one. The box
//! itself does not evaluate policies.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_checks::deploy::iam::{AuthorizationRequest, Place, Policy};
use vpcbox::protocol::Call;

use super::set::Set;
use super::test_cluster::{TestCluster, ensure};
use crate::Outcome;
use crate::cli::print_line;
use crate::topology::{CLUSTER, REGION};

/// Placeholders for account and VPC: the box has one of each.
const PLACE: Place<'_> =
    Place { region: REGION, account: "111122223333", vpc: "vpc-0a1b", cluster: CLUSTER };
const ASSIGN: &str = "ec2:AssignPrivateIpAddresses";
/// The actions whose requests name more than an interface of the cluster; `lib/vpc` evaluates them.
const MAKES_INTERFACES: [&str; 5] = [
    "ec2:CreateNetworkInterface",
    "ec2:CreateTags",
    "ec2:AttachNetworkInterface",
    "ec2:DetachNetworkInterface",
    "ec2:DeleteNetworkInterface",
];

/// Every EC2 call since the cluster started, with the request that IAM would evaluate.
fn calls_with_requests(
    cluster: &TestCluster<'_>,
    place: &Place<'_>,
) -> Outcome<Vec<(Call, AuthorizationRequest)>> {
    let truth = cluster.vpc(vpcbox::client::Client::truth)?;
    // The box tags the ENIs of the nodes.
    let tagged: BTreeSet<&str> =
        truth.nodes.iter().flat_map(|node| &node.enis).map(|eni| eni.id.as_str()).collect();
    let mut all = cluster.vpc(|vpc| vpc.calls(0))?;
    let first = all.first().map(|call| call.seq);
    ensure(first == Some(1), || format!("the call log starts with call {first:?}"))?;
    all.retain(|call| call.service == "ec2");
    let with_ask = |call: Call| {
        let eni = call.parameters.get("NetworkInterfaceId");
        let eni = eni.map(|eni| (eni.as_str(), tagged.contains(eni.as_str())));
        let ask = place.asks(&call.action, eni);
        (call, ask)
    };
    Ok(all.into_iter().map(with_ask).collect())
}

impl TestCluster<'_> {
    /// Checks that a policy allows every EC2 call of FireCamp since the cluster started, among them
    /// these actions.
    pub(super) fn verify_allowed(
        &self,
        policy: &Policy,
        place: &Place<'_>,
        wanted: &[&str],
    ) -> Outcome {
        let named = policy.actions();
        let mut seen = BTreeSet::new();
        for (call, ask) in calls_with_requests(self, place)? {
            if !call.app.contains("firecamp-") {
                continue;
            }
            let makes = MAKES_INTERFACES.contains(&ask.action.as_str());
            let allowed = if makes { named.contains(&*ask.action) } else { policy.allows(&ask) };
            ensure(allowed, || format!("the policy denies {ask:?} of {}", call.app))?;
            seen.insert(ask.action);
        }
        let missing = wanted.iter().find(|action| !seen.contains(**action));
        ensure(missing.is_none(), || format!("{missing:?} is not among {seen:?}"))
    }
}

pub(super) async fn every_ec2_call_is_allowed_by_the_iam_policy(
    cluster: &TestCluster<'_>,
) -> Outcome {
    // At least one Assign must happen, whichever scenarios are selected.
    let set = Set::new("allowed", 1);
    cluster.start_members(&set).await?;
    let policy = PLACE.policy()?;
    let all = calls_with_requests(cluster, &PLACE)?;
    let mut counts = BTreeMap::<&str, u32>::new();
    for (call, ask) in &all {
        ensure(call.app.contains("firecamp-"), || {
            format!("EC2 call of an unknown program: {call:?}")
        })?;
        ensure(policy.allows(ask), || format!("the policy denies {ask:?} of {}", call.app))?;
        *counts.entry(&ask.action).or_default() += 1;
    }
    print_line(&format!("        allowed: {counts:?}"))?;
    ensure(counts.contains_key(ASSIGN), || "no address was assigned".to_owned())?;
    for action in counts.keys() {
        let less = policy.without(action);
        let denied = all.iter().any(|(_call, ask)| !less.allows(ask));
        ensure(denied, || format!("removing {action} from the policy denies no call"))?;
    }
    let untagged = PLACE.asks("AssignPrivateIpAddresses", Some(("eni-0a1b", false)));
    ensure(!policy.allows(&untagged), || format!("the policy allows {untagged:?}"))?;
    cluster.delete(&set).await
}
