//! Where the credentials and the region for EC2 come from.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::default_provider::{use_dual_stack, use_fips};
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials as Keys;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_ec2::config::SharedHttpClient;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_types::retry::RetryConfig;
use firecamp_core::failure::CloudFailure;
use tokio::sync::Mutex;

use crate::config::CloudConfig;
use crate::ec2::client;
use crate::identity;
use crate::metadata::Metadata;

/// The source of the credentials.
#[derive(Clone, Default)]
pub enum Credentials {
    /// The standard chain: environment, profile, web identity (IRSA), container (Pod Identity), and
    /// finally the instance's role.
    #[default]
    Chain,
    /// Only the instance's role, whatever the environment contains.
    InstanceRole,
    /// These keys, for test doubles.
    Fixed {
        /// The access key id.
        key_id: String,
        /// The secret access key.
        secret: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chain => "Chain",
            Self::InstanceRole => "InstanceRole",
            Self::Fixed { .. } => "Fixed",
        })
    }
}

/// The configured region, or else that of this instance by the metadata service.
pub(crate) async fn region(
    config: &CloudConfig,
    metadata: &Metadata,
) -> Result<Region, CloudFailure> {
    let region = match &config.region {
        Some(region) => region.clone(),
        None => identity::region(metadata).await?,
    };
    Ok(Region::new(region))
}

/// Credentials that expire sooner are loaded again.
const VALID_FOR: Duration = Duration::from_mins(1);

/// Credentials that are loaded when they are needed, and kept while they are valid. The SDK's own
/// cache would load them while it sends a request, within the bound of the answer.
#[derive(Debug)]
struct KeptKeys {
    source: SharedCredentialsProvider,
    clock: SharedTimeSource,
    kept: Mutex<Option<Keys>>,
}

impl KeptKeys {
    async fn keys(&self) -> Result<Keys, CredentialsError> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        let left = |until: SystemTime| until.duration_since(now).unwrap_or_default();
        let is_valid = |keys: &&Keys| keys.expiry().is_none_or(|until| left(until) > VALID_FOR);
        if let Some(keys) = kept.as_ref().filter(is_valid) {
            return Ok(keys.clone());
        }
        let keys = self.source.provide_credentials().await?;
        *kept = Some(keys.clone());
        Ok(keys)
    }
}

impl ProvideCredentials for KeptKeys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.keys())
    }
}

/// The provider of the credentials. Sends no request yet.
pub(crate) async fn provider(
    config: &CloudConfig,
    transport: &SharedHttpClient,
    region: Region,
    imds: aws_config::imds::Client,
) -> SharedCredentialsProvider {
    let source = source(config, transport, region, imds).await;
    let (clock, kept) = (config.clock(), Mutex::new(None));
    SharedCredentialsProvider::new(KeptKeys { source, clock, kept })
}

async fn source(
    config: &CloudConfig,
    transport: &SharedHttpClient,
    region: Region,
    imds: aws_config::imds::Client,
) -> SharedCredentialsProvider {
    let provider = ProviderConfig::empty()
        .with_http_client(transport.clone())
        .with_sleep_impl(TokioSleep::new())
        .with_time_source(config.clock())
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_retry_config(RetryConfig::disabled())
        .with_timeout_config(client::timeouts())
        .with_region(Some(region.clone()));
    let provider = endpoints(provider).await;
    match &config.credentials {
        Credentials::Chain => {
            let chain = DefaultCredentialsChain::builder().region(region).configure(provider);
            SharedCredentialsProvider::new(chain.imds_client(imds).build().await)
        }
        Credentials::InstanceRole => {
            let role = ImdsCredentialsProvider::builder().configure(&provider).imds_client(imds);
            SharedCredentialsProvider::new(role.build())
        }
        Credentials::Fixed { key_id, secret } => {
            let keys = Keys::new(key_id.as_str(), secret.as_str(), None, None, "firecamp");
            SharedCredentialsProvider::new(keys)
        }
    }
}

/// As the client of EC2: `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT` hold for STS too.
async fn endpoints(provider: ProviderConfig) -> ProviderConfig {
    let fips = use_fips::use_fips_provider(&provider).await;
    let dual_stack = use_dual_stack::use_dual_stack_provider(&provider).await;
    provider.with_use_fips(fips).with_use_dual_stack(dual_stack)
}
