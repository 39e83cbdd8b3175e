//! The SDK's client: no retries, no default HTTP client, credentials loaded lazily.

use std::time::Duration;

use aws_config::{AppName, BehaviorVersion, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::{
    Builder, IdentityCache, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use firecamp_core::failure::CloudFailure;

use super::used_endpoint::UsedEndpoint;
use crate::config::{CloudConfig, check_endpoint};
use crate::credentials;
use crate::metadata::{self, Metadata};

/// Connecting inside a VPC takes milliseconds; with TLS and one lost packet, more than a second.
pub(super) const CONNECT: Duration = Duration::from_secs(2);

/// A client, and the credentials that it signs with.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) client: Client,
    pub(super) keys: SharedCredentialsProvider,
}

/// What all clients of AWS have in common. The only request that this may send is for the region.
pub(crate) async fn shared(
    config: &CloudConfig,
    transport: &SharedHttpClient,
    metadata: &Metadata,
) -> Result<(SdkConfig, SharedCredentialsProvider), CloudFailure> {
    let region = credentials::region(config, metadata).await?;
    // A separate client: a refused token must not outlive a credentials failure.
    let imds = metadata::client(config, metadata.skews(), config.imds_within)?;
    let keys = credentials::provider(config, transport, region.clone(), imds).await;
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(keys.clone())
        .identity_cache(IdentityCache::no_cache())
        .http_client(transport.clone())
        .sleep_impl(TokioSleep::new())
        .time_source(config.clock())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts())
        // Our own deadline also covers the body, which is not streamed.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .load()
        .await;
    Ok((shared, keys))
}

/// Builds the client of EC2.
pub(super) async fn build(
    config: &CloudConfig,
    transport: &SharedHttpClient,
    metadata: &Metadata,
    used: &UsedEndpoint,
) -> Result<Signed, CloudFailure> {
    let (shared, keys) = shared(config, transport, metadata).await?;
    // The environment was checked at the start; this finds what the configuration file says.
    let url = config.ec2_endpoint.as_deref().or(shared.endpoint_url());
    let fips = (shared.use_fips() == Some(true)).then_some("use_fips_endpoint");
    let dual_stack = (shared.use_dual_stack() == Some(true)).then_some("use_dualstack_endpoint");
    check_endpoint(url, fips.or(dual_stack))?;
    let mut builder = Builder::from(&shared);
    builder.set_app_name(AppName::new(config.app).ok());
    builder.set_http_client(Some(used.watch(transport.clone())));
    if let Some(url) = &config.ec2_endpoint {
        builder.set_endpoint_url(Some(url.clone()));
    }
    Ok(Signed { client: Client::from_conf(builder.build()), keys })
}

/// The SDK limits only the connection; our bounds limit everything else.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).build()
}
