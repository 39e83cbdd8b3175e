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

const FIPS: &str = "AWS_USE_FIPS_ENDPOINT";
const DUAL_STACK: &str = "AWS_USE_DUALSTACK_ENDPOINT";
const IGNORE_URLS: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";

/// Settings of [`AwsCloud`](crate::AwsCloud).
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// The region for EC2; by default the metadata service's `placement/region`, never derived from
    /// the zone's name, which is wrong in Local Zones.
    pub region: Option<String>,
    /// URL of EC2's query API, instead of the region's endpoint.
    pub ec2_endpoint: Option<String>,
    /// The setting that selects AWS's endpoints for FIPS or dual stack, if one does. The SDK
    /// refuses it beside a URL.
    pub aws_endpoint: Option<&'static str>,
    /// A URL of STS that the environment says to ignore and that the SDK would use nevertheless.
    pub ignored_sts_endpoint: Option<String>,
    /// URL of the metadata service, instead of the standard one.
    pub imds_endpoint: Option<String>,
    /// The source of the credentials.
    pub credentials: Credentials,
    /// How long loading the region and the credentials may take before a call.
    pub credentials_within: Duration,
    /// How long the answer to a read may take, for all its pages together and without connecting;
    /// up to four times as long in a brown-out. EC2 responds to a Describe in 400 ms at the 99th
    /// percentile.
    pub answer_within: Duration,
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
            aws_endpoint: None,
            ignored_sts_endpoint: None,
            imds_endpoint: None,
            credentials: Credentials::Chain,
            credentials_within: Duration::from_secs(5),
            answer_within: Duration::from_secs(2),
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
    /// `AWS_ENDPOINT_URL_EC2` before `AWS_ENDPOINT_URL`, neither of them with
    /// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true`, and `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
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
        let is_true = |name: &str| set(name).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let ignores_urls = is_true(IGNORE_URLS);
        let url = |name: &str| set(name).or_else(|| set("AWS_ENDPOINT_URL"));
        let calls_sts = set("AWS_WEB_IDENTITY_TOKEN_FILE").is_some();
        Self {
            region: set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")),
            ec2_endpoint: url("AWS_ENDPOINT_URL_EC2").filter(|_| !ignores_urls),
            aws_endpoint: [FIPS, DUAL_STACK].into_iter().find(|name| is_true(name)),
            ignored_sts_endpoint: url("AWS_ENDPOINT_URL_STS").filter(|_| ignores_urls && calls_sts),
            imds_endpoint: set("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
            ..Self::default()
        }
    }

    /// The clock of signatures and credentials.
    pub(crate) fn clock(&self) -> SharedTimeSource {
        self.clock.clone().unwrap_or_default()
    }

    /// Refuses invalid settings at start, before any request.
    ///
    /// *Errors.* `Auth`, with advice.
    pub fn check(&self) -> Result<(), CloudFailure> {
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
        check_endpoint(self.ec2_endpoint.as_deref(), self.aws_endpoint)?;
        if let Some(url) = &self.ignored_sts_endpoint {
            return Err(refused(&format!(
                "{IGNORE_URLS} is true, but the AWS SDK would use the endpoint {url:?} of STS \
                 nevertheless: unset AWS_ENDPOINT_URL_STS and AWS_ENDPOINT_URL"
            )));
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

/// Refuses a URL of EC2 beside a setting that selects AWS's endpoints: the SDK refuses it only when
/// it sends a request, and does not say what to do.
pub(crate) fn check_endpoint(url: Option<&str>, aws: Option<&str>) -> Result<(), CloudFailure> {
    let (Some(url), Some(setting)) = (url, aws) else { return Ok(()) };
    Err(refused(&format!(
        "{setting} selects an endpoint of AWS, and the endpoint {url:?} of EC2 is configured as \
         well: remove one of them ({IGNORE_URLS}=true ignores URLs of the environment)"
    )))
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

    fn vars(list: &[(&str, &str)]) -> CloudConfig {
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
    fn ignored_endpoint_urls_of_the_environment_are_not_used() {
        let ignores = |value: &'static str| {
            let all = [
                ("AWS_ENDPOINT_URL", "http://all"),
                ("AWS_ENDPOINT_URL_EC2", "http://ec2"),
                ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://imds"),
                (IGNORE_URLS, value),
            ];
            let config = vars(&all);
            assert_eq!(config.imds_endpoint.as_deref(), Some("http://imds"), "it is not one");
            config.check().unwrap();
            config.ec2_endpoint.is_none()
        };
        assert_eq!(
            ["true", "TRUE", "false", "", "1"].map(ignores),
            [true, true, false, false, false]
        );
    }

    #[test]
    fn an_ignored_endpoint_that_the_sdk_would_use_for_sts_is_refused() {
        let of_sts = vars(&[
            (IGNORE_URLS, "true"),
            ("AWS_ENDPOINT_URL_STS", "http://sts"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
        ]);
        let refused = of_sts.check().unwrap_err();
        assert!(refused.detail.contains("unset AWS_ENDPOINT_URL_STS"), "{refused}");
        let without_sts = vars(&[(IGNORE_URLS, "true"), ("AWS_ENDPOINT_URL", "http://all")]);
        without_sts.check().unwrap();
    }

    #[test]
    fn an_endpoint_url_is_refused_beside_the_endpoints_for_fips_and_dual_stack() {
        let url = ("AWS_ENDPOINT_URL_EC2", "http://ec2");
        for setting in [FIPS, DUAL_STACK] {
            let alone = CloudConfig { aws_endpoint: Some(setting), ..vars(&[]) };
            alone.check().unwrap();
            let both = CloudConfig { ec2_endpoint: Some(url.1.to_owned()), ..alone };
            let refused = both.check().unwrap_err();
            for part in [setting, url.1, "remove one of them"] {
                assert!(refused.detail.contains(part), "{refused}");
            }
        }
        assert!(vars(&[("AWS_ENDPOINT_URL", "http://all"), (FIPS, "True")]).check().is_err());
        vars(&[url, (FIPS, "false"), (DUAL_STACK, "")]).check().unwrap();
        vars(&[url, (FIPS, "true"), (IGNORE_URLS, "true")]).check().unwrap();
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
