//! CloudWatch Logs: log groups that nobody needs any more.

use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::operation::delete_log_group::DeleteLogGroupError;
use aws_sdk_ec2::config::SharedHttpClient;
use firecamp_core::failure::CloudFailure;
use tokio::time::timeout;

use crate::classify::Operation;
use crate::clock_skew::ClockSkews;
use crate::config::CloudConfig;
use crate::ec2::client;
use crate::metadata::Metadata;
use crate::sdk_error;
use crate::transport::Transport;

/// The answer is empty, or an error.
const BODY_MAX: usize = 64 * 1024;
/// Credentials, the connection and the answer.
const WITHIN: Duration = Duration::from_secs(20);

/// Deletes a log group with all its streams. Returns whether there was one. One request, which may
/// have taken effect if it fails without an answer; it can be repeated.
///
/// *Errors.* No region or credentials, no answer within 20 s, or what CloudWatch Logs answers.
pub async fn delete_log_group(config: CloudConfig, group: &str) -> Result<bool, CloudFailure> {
    config.check()?;
    let what = format!("DeleteLogGroup {group}");
    let deleted = timeout(WITHIN, Box::pin(deleted(&config, group, &what))).await;
    deleted
        .unwrap_or_else(|_elapsed| Err(sdk_error::timed_out_call(Operation::Delete, &what, WITHIN)))
}

async fn deleted(config: &CloudConfig, group: &str, what: &str) -> Result<bool, CloudFailure> {
    let skews = ClockSkews::new(config.clock());
    let metadata = Metadata::new(config, skews)?;
    let network = || SharedHttpClient::new(Transport::new(BODY_MAX));
    let transport = config.http.clone().unwrap_or_else(network);
    let (shared, _keys) = client::shared(config, &transport, &metadata).await?;
    let sent = Client::new(&shared).delete_log_group().log_group_name(group).send().await;
    let Err(error) = sent else { return Ok(true) };
    let answer = error.as_service_error();
    if answer.is_some_and(DeleteLogGroupError::is_resource_not_found_exception) {
        return Ok(false);
    }
    Err(sdk_error::from_sdk(Operation::Delete, what, &error))
}
