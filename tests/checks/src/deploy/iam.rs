//! The IAM policies under `deploy`, for a place. The VPC simulator evaluates them.

use std::collections::BTreeMap;

use firecamp_core::contract::tag;
use firecamp_core::failure::chain;
pub use firecamp_vpc::{AuthorizationRequest, Policy};

/// What is filled in for the words of the file.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The region.
    pub region: &'a str,
    /// The account.
    pub account: &'a str,
    /// The VPC.
    pub vpc: &'a str,
    /// The cluster's name.
    pub cluster: &'a str,
}

impl Place<'_> {
    /// The ARN of something in EC2.
    pub fn arn(&self, kind: &str, id: &str) -> String {
        format!("arn:aws:ec2:{}:{}:{kind}/{id}", self.region, self.account)
    }

    /// What AWS is asked by a call that names an interface of this VPC, with the cluster's tag or
    /// without it, or none.
    pub fn asks(&self, action: &str, eni: Option<(&str, bool)>) -> AuthorizationRequest {
        let mut context =
            BTreeMap::from([("aws:RequestedRegion".to_owned(), self.region.to_owned())]);
        let mut resource = "*".to_owned();
        if let Some((eni, tagged)) = eni {
            resource = self.arn("network-interface", eni);
            context.insert("ec2:Vpc".to_owned(), self.arn("vpc", self.vpc));
            if tagged {
                let key = format!("aws:ResourceTag/{}", tag::CLUSTER);
                context.insert(key, self.cluster.to_owned());
            }
        }
        AuthorizationRequest { action: format!("ec2:{action}"), resource, context }
    }

    /// The policy of a cluster whose interfaces FireCamp does not make.
    ///
    /// # Errors
    ///
    /// If the file has an element that is not supported.
    pub fn policy(&self) -> Result<Policy, String> {
        self.read("deploy/iam-policy.json")
    }

    /// The policies of a cluster whose interfaces FireCamp makes.
    ///
    /// # Errors
    ///
    /// If a file has an element that is not supported.
    pub fn policy_with_interfaces(&self) -> Result<Policy, String> {
        Ok(self.policy()?.and(self.read("deploy/iam-policy-interfaces.json")?))
    }

    fn read(&self, file: &str) -> Result<Policy, String> {
        let text = self.filled(&crate::deploy::text(file)?);
        Policy::parse(&text).map_err(|error| format!("{file}: {}", chain(&error)))
    }

    fn filled(&self, text: &str) -> String {
        let words = [
            ("REGION", self.region),
            ("ACCOUNT", self.account),
            ("VPC", self.vpc),
            ("CLUSTER", self.cluster),
        ];
        words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
    }
}
