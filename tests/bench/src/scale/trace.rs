//! The recorded requests of one real agent, with placeholders for what is its node's own, so that
//! they can be sent for another node.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::audit::Event;

/// The requests of an agent from its start on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Trace {
    /// The requests until it has settled.
    pub(super) start: Vec<Request>,
    /// The later ones, which are repeated.
    pub(super) rest: Vec<Request>,
    /// How long the second part lasts, and how long the first.
    pub(super) rest_ms: u64,
    pub(super) start_ms: u64,
}

/// A request. Its texts contain placeholders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    /// Milliseconds since the begin of its part.
    pub(super) at_ms: u64,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    /// The content type and the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<(String, Value)>,
}

/// The query parameters that depend on earlier answers.
pub(super) const VERSION: &str = "resourceVersion";
pub(super) const CONTINUE: &str = "continue";

/// A node's own names, each with its placeholder: `{@address.3}`.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    by_placeholder: BTreeMap<String, String>,
}

impl Names {
    /// `key` is `address.3`. An empty value has no placeholder.
    pub(super) fn add(&mut self, key: impl std::fmt::Display, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.by_placeholder.insert(format!("{{@{key}}}"), value);
        }
    }

    /// Replaces the names by their placeholders, the longest first.
    fn hide(&self, text: &str) -> String {
        let mut names: Vec<(&String, &String)> = self.by_placeholder.iter().collect();
        names.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        let hide = |text: String, (placeholder, value): (&String, &String)| {
            if text.contains(value.as_str()) { text.replace(value, placeholder) } else { text }
        };
        names.into_iter().fold(text.to_owned(), hide)
    }

    /// Replaces the placeholders by the names. One without a name stays.
    pub(super) fn show(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{@") {
            shown.push_str(before);
            let end = after.find('}').map_or(after.len(), |end| end.saturating_add(1));
            let (key, later) = after.split_at(end);
            let placeholder = format!("{{@{key}");
            shown.push_str(self.by_placeholder.get(&placeholder).unwrap_or(&placeholder));
            rest = later;
        }
        shown.push_str(rest);
        shown
    }

    fn hide_all(&self, value: &Value) -> Value {
        // Placeholders need no escape in JSON, and neither do the names.
        let hidden = self.hide(&value.to_string());
        serde_json::from_str(&hidden).unwrap_or_else(|_invalid| value.clone())
    }
}

impl Trace {
    /// The requests of the agent with these names, which was started at `from` and had settled
    /// after `start_ms`.
    pub(super) fn of(
        events: &[Event],
        names: &Names,
        from: Timestamp,
        [start_ms, rest_ms]: [u64; 2],
    ) -> Self {
        let mut trace = Self { rest_ms, start_ms, ..Self::default() };
        for event in events {
            let Some(mut request) = request(event, names) else { continue };
            let at = event.at.duration_since(from).as_millis();
            request.at_ms = u64::try_from(at).unwrap_or_default();
            if request.at_ms < start_ms {
                trace.start.push(request);
            } else if request.at_ms < start_ms.saturating_add(rest_ms) {
                request.at_ms = request.at_ms.saturating_sub(start_ms);
                trace.rest.push(request);
            }
        }
        trace
    }
}

fn request(event: &Event, names: &Names) -> Option<Request> {
    let (path, query) = event.uri.split_once('?').unwrap_or((event.uri.as_str(), ""));
    let pairs = form_urlencoded::parse(query.as_bytes());
    let query = pairs.map(|(key, value)| (key.into_owned(), names.hide(&value))).collect();
    let method = match event.verb.as_str() {
        "get" | "list" | "watch" => "GET",
        "create" => "POST",
        "update" => "PUT",
        "patch" => "PATCH",
        "delete" | "deletecollection" => "DELETE",
        _ => return None,
    };
    let kind = match &event.body {
        Some(Value::Array(_)) => "application/json-patch+json",
        // The audit log does not contain the type. The agents send no other patches.
        Some(_) if method == "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let body = event.body.as_ref().map(|body| (kind.to_owned(), names.hide_all(body)));
    let path = names.hide(path);
    Some(Request { at_ms: 0, method: method.to_owned(), path, query, body })
}

impl Request {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it reads or writes an object whose status the agent publishes.
    pub(super) fn publishes(&self) -> bool {
        self.path.contains("/staticips/") || self.path.contains("/nodeattachments")
    }

    pub(super) fn watches(&self) -> bool {
        matches!(self.parameter("watch"), Some("true" | "1"))
    }

    /// What a list and its watch have in common.
    pub(super) fn selection(&self) -> String {
        let selects = |(key, _): &&(String, String)| key.ends_with("Selector");
        let selectors: Vec<String> = self
            .query
            .iter()
            .filter(selects)
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        format!("{}?{}", self.path, selectors.join("&"))
    }
}

/// Sets the version of the object in the body of an update. Removes it if it is not known.
pub(super) fn set_version(body: &mut Value, version: Option<&str>) {
    if let Some(metadata) = body.pointer_mut("/metadata").and_then(Value::as_object_mut)
        && metadata.remove(VERSION).is_some()
        && let Some(version) = version
    {
        metadata.insert(VERSION.to_owned(), version.into());
    }
    let is_version = |one: &Value| {
        one.pointer("/path").and_then(Value::as_str) == Some("/metadata/resourceVersion")
    };
    if let Some(operations) = body.as_array_mut() {
        match version {
            None => operations.retain(|one| !is_version(one)),
            Some(version) => {
                for one in operations.iter_mut().filter(|one| is_version(one)) {
                    one.pointer_mut("/value").into_iter().for_each(|value| *value = version.into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(node: u32) -> Names {
        let mut names = Names::default();
        names.add("node", format!("node-{node}"));
        names.add("address.1", format!("10.0.{node}.1"));
        names.add("address.10", format!("10.0.{node}.10"));
        names
    }

    fn event(second: u32, verb: &str, uri: &str, body: Option<Value>) -> Event {
        let at: Timestamp = format!("2026-11-20T15:00:{second:02}Z").parse().unwrap();
        let (node, verb) = ("node-1".to_owned(), verb.to_owned());
        let (uri, resource) = (uri.to_owned(), String::new());
        Event { at, answered: at, node, verb, uri, resource, code: 200, body }
    }

    #[test]
    fn requests_of_one_node_become_those_of_another() {
        let list = "/api/v1/pods?fieldSelector=spec%2EnodeName%3Dnode%2D1&limit=50";
        let body = json!({ "metadata": { "resourceVersion": "7" }, "a": "10.0.1.10, 10.0.1.1" });
        let events = [
            event(1, "list", list, None),
            event(12, "patch", "/apis/x/10.0.1.10/status", Some(body)),
            event(40, "get", "/late", None),
        ];
        let from = "2026-11-20T15:00:00Z".parse().unwrap();
        let trace = Trace::of(&events, &names(1), from, [10_000, 20_000]);
        let ([list], [patch]) = (trace.start.as_slice(), trace.rest.as_slice()) else {
            panic!("{trace:?}");
        };
        assert_eq!(list.at_ms, 1000);
        let selector = list.parameter("fieldSelector").unwrap();
        assert_eq!(selector, "spec.nodeName={@node}");
        assert_eq!(names(2).show(selector), "spec.nodeName=node-2");
        assert_eq!(list.selection(), "/api/v1/pods?fieldSelector=spec.nodeName={@node}");
        assert_eq!((patch.at_ms, patch.path.as_str()), (2000, "/apis/x/{@address.10}/status"));
        let (kind, body) = patch.body.clone().unwrap();
        assert_eq!(kind, "application/merge-patch+json");
        let shown = names(2).show(&body.to_string());
        assert!(shown.contains("10.0.2.10, 10.0.2.1"), "{shown}");
    }

    #[test]
    fn a_placeholder_without_a_name_stays() {
        assert_eq!(names(1).show("a {@pod.3} b {@node}{"), "a {@pod.3} b node-1{");
    }

    #[test]
    fn the_version_in_an_update_is_that_of_the_object() {
        let mut merge = json!({ "metadata": { "resourceVersion": "1" }, "status": {} });
        set_version(&mut merge, Some("9"));
        assert_eq!(merge.pointer("/metadata/resourceVersion"), Some(&json!("9")));
        set_version(&mut merge, None);
        assert_eq!(merge, json!({ "metadata": {}, "status": {} }));
        let test = json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": "1" });
        let mut patch = json!([test, { "op": "add", "path": "/status", "value": {} }]);
        set_version(&mut patch, Some("9"));
        assert_eq!(patch.pointer("/0/value"), Some(&json!("9")));
        set_version(&mut patch, None);
        assert_eq!(patch.as_array().unwrap().len(), 1);
        let mut create = json!({ "metadata": { "name": "a" } });
        set_version(&mut create, Some("9"));
        assert_eq!(create, json!({ "metadata": { "name": "a" } }));
    }
}
