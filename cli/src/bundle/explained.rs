//! `firecamp explain` of the members that a bundle is about.

use std::time::Duration;

use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::ids::{Member, NodeName};
use firecamp_registry::api::StaticIPSpec;
use tokio::time::Instant;

use super::BundleArguments;
use super::gather::Bundle;
use crate::explain::{Around, explain, gather, people};
use crate::failure::Failure;
use crate::look::agent::Agent;
use crate::look::book::Book;
use crate::look::here;

/// A node has room for fewer; so many are explained.
const MOST: usize = 250;
/// All of them together may take so long.
const WITHIN: Duration = Duration::from_mins(1);
/// Why EC2 is not asked for all members of a node: its budget is also the agent's.
const SPARED: &str =
    "EC2 is asked only for members that are named; the node's agent asks it anyway";

/// What there is around this process. EC2 is asked for members that somebody has named alone.
pub(super) fn around(arguments: &BundleArguments) -> Result<Around<AwsCloud>, Failure> {
    let spared = arguments.members.is_empty().then(|| SPARED.to_owned());
    Ok(Around {
        cloud: AwsCloud::connect(CloudConfig::from_env()).map_err(|why| why.to_string()),
        spared: spared.or_else(|| arguments.no_ec2.then(|| "--no-ec2".to_owned())),
        here: here::node_name(arguments.node_name.as_deref())?,
        run_dir: arguments.run_dir.clone(),
        conf_dir: None,
        agent: Agent::at(&arguments.agent)?,
    })
}

impl Bundle {
    /// Explains the members that are named, or those of this node.
    pub(super) async fn explanations(
        &mut self,
        book: &Book,
        named: Vec<Member>,
        around: &Around<AwsCloud>,
    ) {
        let mut members = named;
        if let (true, Some(here)) = (members.is_empty(), &around.here) {
            members = self.members_of(book, here).await;
        }
        let begun = Instant::now();
        for (done, member) in members.iter().enumerate() {
            let left = WITHIN.saturating_sub(begun.elapsed());
            let left = if done < MOST { left } else { Duration::ZERO };
            let facts = tokio::time::timeout(left, Box::pin(gather(book, member, around)));
            let Ok(facts) = facts.await else {
                let rest = members.len().saturating_sub(done);
                let why = format!("more than {MOST} members, or more than {WITHIN:?}");
                return self.missing(&format!("explain, of {rest} members from {member} on"), why);
            };
            let explanation = explain(&facts);
            self.add(format!("explain/{member}.txt"), &people(&explanation));
            self.json(&format!("explain/{member}.json"), &explanation);
        }
    }

    /// The members whose addresses are on record as on this node.
    async fn members_of(&mut self, book: &Book, here: &NodeName) -> Vec<Member> {
        let listed = match book.all::<StaticIPSpec>().await {
            Ok(listed) => listed,
            Err(why) => {
                self.missing("explain, of the members of this node", why);
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
