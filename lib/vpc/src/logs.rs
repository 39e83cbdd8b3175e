//! CloudWatch Logs: groups, their streams, and the events that a collector of logs puts there.
//!
//! Sources: the API Reference (2014-03-28) for messages, limits and errors, "CloudWatch Logs quotas"
//! for rates.

mod messages;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ec2::ApiError;
use crate::immediate::{Api, Operation};
use crate::log::Service;
use crate::simulator::Simulator;
use crate::token_buckets::Size;
use crate::wire::{Exchange, WireRequest};

pub(crate) use store::Groups;

const API: Api = Api {
    service: Service::Logs,
    region: None,
    name: "logs",
    content_type: "application/x-amz-json-1.1",
    error_body: messages::error_body,
    // As all services with this protocol; the second is an error of PutLogEvents in the Reference.
    unsigned: (400, "MissingAuthenticationTokenException"),
    unknown_key: (400, "UnrecognizedClientException"),
    denied: (400, "AccessDeniedException"),
    throttled: "ThrottlingException",
};

/// The prefix of the header `X-Amz-Target`.
const TARGET: &str = "Logs_20140328.";

/// An action: its name, whether it changes something, and the requests of an account in a second.
struct Action(&'static str, bool, u32);

const ACTIONS: [Action; 9] = [
    Action("CreateLogGroup", true, 10),
    Action("DeleteLogGroup", true, 10),
    Action("PutRetentionPolicy", true, 10),
    Action("TagResource", true, 5),
    Action("CreateLogStream", true, 50),
    Action("PutLogEvents", true, 1_500),
    Action("DescribeLogGroups", false, 10),
    Action("DescribeLogStreams", false, 25),
    Action("GetLogEvents", false, 25),
];

/// A request: its action, and its body.
struct Request {
    action: &'static Action,
    body: Value,
}

impl Request {
    fn of(request: &WireRequest) -> Result<Self, ApiError> {
        let target = request.header("x-amz-target").unwrap_or_default();
        let name = target.strip_prefix(TARGET).unwrap_or_default();
        let action = ACTIONS.iter().find(|Action(known, ..)| *known == name).ok_or_else(|| {
            ApiError::new(400, "UnknownOperationException", format!("{target:?} is not served"))
        })?;
        let body = serde_json::from_slice(&request.body)
            .map_err(|problem| ApiError::new(400, "SerializationException", problem.to_string()))?;
        Ok(Self { action, body })
    }

    fn operation(&self, region: &str) -> Operation {
        let Action(action, mutating, rate) = *self.action;
        let group = self.body.get("logGroupName").and_then(Value::as_str).unwrap_or_default();
        Operation {
            action,
            resource: group.to_owned(),
            arn: messages::arn(region, group),
            mutating,
            bucket: (format!("Logs {action}"), Size { capacity: rate, refill: f64::from(rate) }),
        }
    }

    /// The body as the message of the action. Fields that the simulator does not know are refused.
    fn message<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_value(self.body.clone())
            .map_err(|problem| messages::invalid(problem.to_string()))
    }
}

impl Simulator {
    /// A request to CloudWatch Logs' API; `hint` as for [`Self::ec2`].
    pub fn logs(&mut self, now: Duration, hint: Option<&str>, request: &WireRequest) -> Exchange {
        self.advance(now);
        let asked = Request::of(request);
        let operation = asked.as_ref().map(|it| it.operation(&self.topology.region));
        let operation = operation.map_err(Clone::clone);
        self.serve_at_once(hint, request, &API, operation, |this, _| this.perform_logs(&asked?))
    }

    /// Creates a log group without a request. Returns whether it is new.
    pub fn create_log_group(&mut self, name: &str) -> bool {
        let (log_group_name, now) = (name.to_owned(), self.wall_clock());
        let group = messages::CreateLogGroup { log_group_name, tags: BTreeMap::new() };
        self.log_groups.create(group, now).is_ok()
    }

    fn perform_logs(&mut self, request: &Request) -> Result<Vec<u8>, ApiError> {
        let now = self.wall_clock();
        let region = self.topology.region.as_str();
        let groups = &mut self.log_groups;
        let answer = match request.action.0 {
            "CreateLogGroup" => groups.create(request.message()?, now)?,
            "DeleteLogGroup" => groups.delete(&request.message()?)?,
            "PutRetentionPolicy" => groups.retain(&request.message()?)?,
            "TagResource" => groups.tag(request.message()?, region)?,
            "CreateLogStream" => groups.create_stream(request.message()?, now)?,
            "PutLogEvents" => groups.put(request.message()?, now)?,
            "DescribeLogGroups" => groups.described(&request.message()?, region)?,
            "DescribeLogStreams" => groups.streams(&request.message()?, region)?,
            _ => groups.events(&request.message()?)?,
        };
        Ok(answer.map_or_else(Vec::new, |answer| answer.to_string().into_bytes()))
    }
}
