//! The messages of CloudWatch Logs' API that clients send, and its errors.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::ec2::ApiError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateLogGroup {
    pub(super) log_group_name: String,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DeleteLogGroup {
    pub(super) log_group_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PutRetentionPolicy {
    pub(super) log_group_name: String,
    pub(super) retention_in_days: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TagResource {
    pub(super) resource_arn: String,
    pub(super) tags: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateLogStream {
    pub(super) log_group_name: String,
    pub(super) log_stream_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PutLogEvents {
    pub(super) log_group_name: String,
    pub(super) log_stream_name: String,
    pub(super) log_events: Vec<InputLogEvent>,
    /// Ignored since 2023.
    #[serde(default, rename = "sequenceToken")]
    pub(super) _sequence_token: Option<String>,
    #[serde(default, rename = "entity")]
    pub(super) _entity: Option<serde_json::Value>,
}

/// An event; its time in milliseconds since 1970.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct InputLogEvent {
    pub(super) timestamp: u64,
    pub(super) message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DescribeLogGroups {
    #[serde(default)]
    pub(super) log_group_name_prefix: String,
    pub(super) limit: Option<usize>,
    pub(super) next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DescribeLogStreams {
    pub(super) log_group_name: String,
    #[serde(default)]
    pub(super) log_stream_name_prefix: String,
    pub(super) limit: Option<usize>,
    pub(super) next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GetLogEvents {
    pub(super) log_group_name: String,
    pub(super) log_stream_name: String,
    #[serde(default)]
    pub(super) start_from_head: bool,
    pub(super) limit: Option<usize>,
    pub(super) next_token: Option<String>,
}

/// An error document.
pub(super) fn error_body(error: &ApiError, _request_id: &str) -> Vec<u8> {
    json!({ "__type": error.code, "message": error.message }).to_string().into_bytes()
}

/// The ARN of a group. The simulator's account has the number of the documentation.
pub(super) fn arn(region: &str, group: &str) -> String {
    format!("arn:aws:logs:{region}:123456789012:log-group:{group}")
}

pub(super) fn invalid(text: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidParameterException", text)
}

pub(super) fn exists(what: &str) -> ApiError {
    let text = format!("The specified log {what} already exists");
    ApiError::new(400, "ResourceAlreadyExistsException", text)
}

pub(super) fn missing(what: &str) -> ApiError {
    let text = format!("The specified log {what} does not exist.");
    ApiError::new(400, "ResourceNotFoundException", text)
}
