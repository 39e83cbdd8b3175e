//! The output of `firecamp explain` in a bundle.

use std::time::Duration;

use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::ids::{Member, NodeName};
use firecamp_registry::api::StaticIPSpec;
use tokio::time::Instant;

use super::BundleArguments;
use super::gather::Bundle;
use crate::common::agent_client::Agent;
use crate::common::local_node;
use crate::common::registry_reader::RegistryReader;
use crate::explain::{Environment, explain, gather, people};
use crate::failure::Failure;

/// The most members to explain; a node has fewer.
const MOST: usize = 250;
/// The timeout for all members together.
const WITHIN: Duration = Duration::from_mins(1);
/// Why addresses are not looked up for all members of a node: the agent shares the EC2 budget.
const SKIPPED: &str =
    "EC2 is queried only for members given by name; the node's agent queries it regularly";

/// The environment. EC2 is queried only for members given by name.
pub(super) fn around(arguments: &BundleArguments) -> Result<Environment<AwsCloud>, Failure> {
    let skipped = arguments.members.is_empty().then(|| SKIPPED.to_owned());
    Ok(Environment {
        cloud: AwsCloud::connect(CloudConfig::from_env()).map_err(|why| why.to_string()),
        ec2_skipped: skipped.or_else(|| arguments.no_ec2.then(|| "--no-ec2".to_owned())),
        here: local_node::node_name(arguments.node_name.as_deref())?,
        run_dir: arguments.run_dir.clone(),
        conf_dir: None,
        agent: Agent::at(&arguments.agent)?,
    })
}

impl Bundle {
    /// Explains the given members, or those of this node.
    pub(super) async fn explanations(
        &mut self,
        reader: &RegistryReader,
        named: Vec<Member>,
        around: &Environment<AwsCloud>,
    ) {
        let mut members = named;
        if let (true, Some(here)) = (members.is_empty(), &around.here) {
            members = self.members_of(reader, here).await;
        }
        let begun = Instant::now();
        for (done, member) in members.iter().enumerate() {
            let left = WITHIN.saturating_sub(begun.elapsed());
            let left = if done < MOST { left } else { Duration::ZERO };
            let facts = tokio::time::timeout(left, Box::pin(gather(reader, member, around)));
            let Ok(facts) = facts.await else {
                let rest = members.len().saturating_sub(done);
                let why = format!("more than {MOST} members, or more than {WITHIN:?}");
                return self
                    .missing(&format!("explain of {rest} members, beginning with {member}"), why);
            };
            let explanation = explain(&facts);
            self.add(format!("explain/{member}.txt"), &people(&explanation));
            self.json(&format!("explain/{member}.json"), &explanation);
        }
    }

    /// The members whose addresses are recorded on this node.
    async fn members_of(&mut self, reader: &RegistryReader, here: &NodeName) -> Vec<Member> {
        let listed = match reader.all::<StaticIPSpec>().await {
            Ok(listed) => listed,
            Err(why) => {
                self.missing("explain of the members of this node", why);
                return Vec::new();
            }
        };
        let on_this_node = |spec: &&StaticIPSpec| {
            spec.attachment.as_ref().is_some_and(|it| it.node_name == here.as_str())
        };
        let specs = listed.found.iter().map(|found| &found.spec).filter(on_this_node);
        let members = specs
            .filter_map(|spec| Member::new(&spec.claim_ref.namespace, &spec.claim_ref.name).ok());
        members.collect()
    }
}
