//! Classifies responses of the API server. A response counts as not found, already exists or
//! conflict only if it contains the API server's `Status` object: proxies and load balancers
//! respond with the same codes but know nothing about our objects.

use std::error::Error;

use firecamp_core::contract::api;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use http::StatusCode;
use serde::Deserialize;

use crate::http_request::{Answer, Call};

/// The number of characters of an unknown response that a message shows.
const SHOWN: usize = 400;

/// The fields of Kubernetes' `Status` that are used here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    kind: String,
    reason: String,
    message: String,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Details {
    name: String,
    kind: String,
    causes: Vec<Cause>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Cause {
    reason: String,
    field: String,
    message: String,
}

/// The failure of a request without a response.
pub(crate) fn not_answered(call: &Call, wrong: &kube::Error) -> RegistryFailure {
    let effect = if never_sent(wrong) { Effect::None } else { call.in_doubt() };
    call.failed(RegistryKind::Unavailable, effect, shown(&chain(wrong)))
}

/// Whether the request was certainly not sent: no connection, or no credentials.
fn never_sent(wrong: &kube::Error) -> bool {
    if matches!(wrong, kube::Error::Auth(_)) {
        return true;
    }
    let mut next: Option<&(dyn Error + 'static)> = Some(wrong);
    while let Some(error) = next {
        if error
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
        {
            return true;
        }
        next = error.source();
    }
    false
}

/// The error and its causes, each once.
fn chain(wrong: &dyn Error) -> String {
    let mut text = wrong.to_string();
    let mut next = wrong.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}

fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SHOWN).collect()
}

/// Whether the response states that exactly this object does not exist.
pub(crate) fn is_absent(answer: &Answer, plural: &str, name: &str) -> bool {
    if answer.status != StatusCode::NOT_FOUND {
        return false;
    }
    let status = parse(answer);
    let details = status.details.unwrap_or_default();
    status.reason == "NotFound" && details.kind == plural && details.name == name
}

/// The message of a PodDisruptionBudget that forbids an eviction; none if the response is about
/// something else.
pub(crate) fn budget(answer: &Answer) -> Option<String> {
    let status = parse(answer);
    let causes = status.details.unwrap_or_default().causes;
    let cause = causes.into_iter().find(|cause| cause.reason == "DisruptionBudget")?;
    Some(shown(&format!("{} {}", status.message, cause.message)))
}

fn parse(answer: &Answer) -> Status {
    let status: Status = serde_json::from_slice(&answer.body).unwrap_or_default();
    if status.kind == "Status" { status } else { Status::default() }
}

/// The failure for a response that is not a success.
pub(crate) fn refused(call: &Call, answer: &Answer) -> RegistryFailure {
    let status = parse(answer);
    let (kind, effect) = meaning(call, answer.status, &status);
    let code = answer.status.as_u16();
    let message = match (status.message.as_str(), &status.details) {
        ("", _) => shown(&String::from_utf8_lossy(&answer.body)),
        (message, Some(details)) => shown(&format!("{message}{}", causes(details, message))),
        (message, None) => shown(message),
    };
    let advice = advice(answer.status, &status, &message);
    call.failed(kind, effect, format!("{code} {}: {message}{advice}", status.reason))
}

fn causes(details: &Details, message: &str) -> String {
    let new = |cause: &&Cause| !cause.field.is_empty() && !message.contains(&cause.field);
    let text = |cause: &Cause| format!("; {}: {}", cause.field, cause.message);
    details.causes.iter().filter(new).map(text).collect()
}

/// The kind of the failure, and whether a write may have taken effect.
fn meaning(call: &Call, code: StatusCode, status: &Status) -> (RegistryKind, Effect) {
    let reason = status.reason.as_str();
    match (code.as_u16(), reason) {
        (409, "AlreadyExists") => (RegistryKind::AlreadyExists, Effect::None),
        (409, "Conflict") => (RegistryKind::Conflict, Effect::None),
        // For a create, this refers to the namespace.
        (404, "NotFound") if call.method == http::Method::POST => {
            (RegistryKind::Refused, Effect::None)
        }
        (404, "NotFound") => (RegistryKind::NotFound, Effect::None),
        // The API server responds without a Status if it does not serve the resource.
        (400 | 401 | 403 | 404 | 405 | 406 | 413 | 415 | 422, _) => {
            (RegistryKind::Refused, Effect::None)
        }
        // Rejected before processing; or the pages of a list have expired, and the list must be
        // restarted.
        (429, _) | (410, "Expired" | "Gone") => (RegistryKind::Unavailable, Effect::None),
        // 5xx: etcd may have responded too late. Any other response is not from the API server.
        _ => (RegistryKind::Unavailable, call.in_doubt()),
    }
}

fn advice(code: StatusCode, status: &Status, message: &str) -> String {
    match code {
        StatusCode::NOT_FOUND
            if status.reason.is_empty() || message.contains("the server could") =>
        {
            format!(": if the API server does not serve {}, apply deploy/crds", api::VERSION)
        }
        StatusCode::UNAUTHORIZED => {
            ": check that the service account's token is mounted and valid".into()
        }
        StatusCode::FORBIDDEN => {
            ": the service account lacks this permission: see deploy/rbac".into()
        }
        _ => String::new(),
    }
}
