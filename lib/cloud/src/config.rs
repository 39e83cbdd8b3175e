//! Settings of the cloud clients, and their defaults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_ec2::config::SharedHttpClient;
use aws_smithy_async::time::SharedTimeSource;
use firecamp_core::contract::path;
use firecamp_core::failure::CloudFailure;

use crate::classify::NotSentReason;
use crate::credentials::Credentials;
use crate::sdk_error;

/// Settings of [`AwsCloud`](crate::AwsCloud).
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// The region for EC2; by default the metadata service's `placement/region`, never derived from
    /// the zone's name, which is wrong in Local Zones.
    pub region: Option<String>,
    /// URL of EC2's query API, instead of the region's endpoint.
    pub ec2_endpoint: Option<String>,
    /// URL of the metadata service, instead of the standard one.
    pub imds_endpoint: Option<String>,
    /// The source of the credentials.
    pub credentials: Credentials,
    /// The deadline of an [`owner`](firecamp_core::ports::Cloud::owner) lookup, for all its pages
    /// together. EC2 responds to a Describe in 400 ms at the 99th percentile.
    pub describe_within: Duration,
    /// The deadline of one read of the metadata service; an identity, which takes several rounds of
    /// reads, has three times as long.
    pub imds_within: Duration,
    /// The page size of a Describe, 5 to 1000 ENIs.
    pub page_size: i32,
    /// The file with the UID of this cluster. If it is given, an interface that FireCamp made for
    /// another cluster of the same name does not count as one of this cluster; without the file's
    /// content, that is any interface that FireCamp made.
    pub cluster_uid: Option<PathBuf>,
    /// The program's name: EC2's audit log (CloudTrail) shows it in `userAgent`.
    pub app: &'static str,
    /// The HTTP client, instead of the network: a simulator in the same process.
    pub http: Option<SharedHttpClient>,
    /// The wall clock for signatures and credentials, instead of the system's clock.
    pub clock: Option<SharedTimeSource>,
}

impl Default for CloudConfig {
    fn default() -> Self {
        Self {
            region: None,
            ec2_endpoint: None,
            imds_endpoint: None,
            credentials: Credentials::Chain,
            describe_within: Duration::from_secs(2),
            imds_within: Duration::from_secs(1),
            page_size: 100,
            cluster_uid: None,
            app: "firecamp",
            http: None,
            clock: None,
        }
    }
}

impl CloudConfig {
    /// The defaults, overridden by AWS's own variables: `AWS_REGION` before `AWS_DEFAULT_REGION`,
    /// `AWS_ENDPOINT_URL_EC2` before `AWS_ENDPOINT_URL`, `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub fn from_env() -> Self {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// The same for this program name; letters, digits and `-` only.
    #[must_use]
    pub fn named(self, app: &'static str) -> Self {
        Self { app, ..self }
    }

    /// The same for the cluster whose UID the agent writes to this run directory.
    #[must_use]
    pub fn on_node(self, run_dir: &Path) -> Self {
        Self { cluster_uid: Some(run_dir.join(path::CLUSTER_UID)), ..self }
    }

    fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        Self {
            region: set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")),
            ec2_endpoint: set("AWS_ENDPOINT_URL_EC2").or_else(|| set("AWS_ENDPOINT_URL")),
            imds_endpoint: set("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
            ..Self::default()
        }
    }

    /// The clock of signatures and credentials.
    pub(crate) fn clock(&self) -> SharedTimeSource {
        self.clock.clone().unwrap_or_default()
    }

    /// Refuses invalid settings at start, before any request.
    pub(crate) fn check(&self) -> Result<(), CloudFailure> {
        let endpoints =
            [("EC2", &self.ec2_endpoint), ("the metadata service", &self.imds_endpoint)];
        for (whose, url) in endpoints {
            if let Some(url) = url
                && !is_url(url)
            {
                return Err(refused(&format!(
                    "invalid endpoint {url:?} of {whose}: expected an http:// or https:// URL"
                )));
            }
        }
        if let Some(region) = &self.region
            && !is_region(region)
        {
            return Err(refused(&format!(
                "invalid region {region:?}: expected a name like us-east-1"
            )));
        }
        if !(5..=1000).contains(&self.page_size) {
            return Err(refused(&format!(
                "invalid page size {}: EC2 accepts 5 to 1000",
                self.page_size
            )));
        }
        Ok(())
    }
}

fn refused(text: &str) -> CloudFailure {
    sdk_error::before_sending(
        NotSentReason::Misconfigured,
        &format!("failed to configure the AWS clients: {text}"),
    )
}

/// A region is part of a host name, so only its characters are allowed.
pub(crate) fn is_region(text: &str) -> bool {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 64 && text.chars().all(ok)
}

fn is_url(text: &str) -> bool {
    let parsed: Option<http::Uri> = text.parse().ok();
    parsed.is_some_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.host().is_some_and(|host| !host.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(list: &'static [(&str, &str)]) -> CloudConfig {
        CloudConfig::from_vars(|name| {
            list.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_ec2_endpoint_variable_overrides_the_general_one() {
        let both =
            vars(&[("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_EC2", "http://ec2")]);
        assert_eq!(both.ec2_endpoint.as_deref(), Some("http://ec2"));
        let one = vars(&[("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_EC2", "")]);
        assert_eq!(one.ec2_endpoint.as_deref(), Some("http://all"));
    }

    #[test]
    fn an_empty_environment_leaves_the_defaults() {
        let config = vars(&[]);
        assert_eq!((config.region, config.ec2_endpoint, config.imds_endpoint), (None, None, None));
    }

    #[test]
    fn invalid_urls_regions_and_page_sizes_are_refused() {
        let wrong = [
            CloudConfig { ec2_endpoint: Some("ec2.local".to_owned()), ..CloudConfig::default() },
            CloudConfig { imds_endpoint: Some("ftp://x".to_owned()), ..CloudConfig::default() },
            CloudConfig { region: Some("evil/../x".to_owned()), ..CloudConfig::default() },
            CloudConfig { page_size: 4, ..CloudConfig::default() },
        ];
        for config in wrong {
            assert!(config.check().is_err(), "{config:?}");
        }
        assert!(CloudConfig::default().check().is_ok());
    }

    #[test]
    fn debug_output_has_no_secret() {
        let keys = Credentials::Fixed { key_id: "AKID".to_owned(), secret: "hush".to_owned() };
        let config = CloudConfig { credentials: keys, ..CloudConfig::default() };
        assert!(!format!("{config:?}").contains("hush"));
    }
}
