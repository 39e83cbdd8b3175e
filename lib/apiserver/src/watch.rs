//! Watches: the changes after a version, as lines of a streamed response.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Sleep, sleep};

use crate::answer::{About, Answer};
use crate::objects::ServerState;
use crate::route::Route;
use crate::serve::Reset;

/// A recorded change.
#[derive(Debug)]
pub(crate) struct Reported {
    version: u64,
    plural: &'static str,
    namespace: Option<String>,
    old: Option<Value>,
    new: Option<Value>,
}

/// Selects objects of a kind.
#[derive(Debug, Clone)]
pub(crate) struct Selector {
    plural: &'static str,
    namespace: Option<String>,
    /// The path of a field, and its required value.
    field: Option<(String, String)>,
    /// A label, and its required value; without one, any value.
    label: Option<(String, Option<String>)>,
}

/// The selectable fields of a real server.
const FIELDS: [(&str, &[&str]); 5] = [
    ("pods", &["metadata.name", "spec.nodeName", "status.phase"]),
    (
        "staticips",
        &[
            "metadata.name",
            "spec.attachment.nodeName",
            "spec.claimRef.name",
            "spec.claimRef.namespace",
            "spec.pool",
        ],
    ),
    ("staticipclaims", &["metadata.name"]),
    ("staticippools", &["metadata.name"]),
    ("nodeinterfaces", &["metadata.name", "spec.nodeName"]),
];

impl Selector {
    pub(crate) fn of(route: &Route, query: &BTreeMap<String, String>) -> Result<Self, Answer> {
        let field = query.get("fieldSelector").map(|text| field(route, text)).transpose()?;
        let label = query.get("labelSelector").map(|text| match text.split_once('=') {
            Some((label, value)) => (label.to_owned(), Some(value.to_owned())),
            None => (text.clone(), None),
        });
        Ok(Self { plural: route.plural, namespace: route.namespace.clone(), field, label })
    }

    pub(crate) fn wants(&self, object: &Value) -> bool {
        let is = |pointer: &str, wanted: &str| {
            let found = object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            found == wanted
        };
        self.namespace.as_ref().is_none_or(|namespace| is("/metadata/namespace", namespace))
            && self.field.as_ref().is_none_or(|(pointer, wanted)| is(pointer, wanted))
            && self.label.as_ref().is_none_or(|(label, wanted)| {
                let value = object.pointer("/metadata/labels").and_then(|all| all.get(label));
                let value = value.and_then(Value::as_str);
                value.is_some_and(|it| wanted.as_ref().is_none_or(|wanted| it == wanted))
            })
    }

    /// The line of a change, if the selector matches it.
    fn line(&self, reported: &Reported) -> Option<Bytes> {
        let here = self.namespace.is_none() || self.namespace == reported.namespace;
        if reported.plural != self.plural || !here {
            return None;
        }
        let wanted = |object: &&Value| self.wants(object);
        let old = reported.old.as_ref().filter(wanted);
        let new = reported.new.as_ref().filter(wanted);
        let (kind, object) = match (old, new) {
            (None, Some(new)) => ("ADDED", new.clone()),
            (Some(_), Some(new)) => ("MODIFIED", new.clone()),
            (Some(old), None) => ("DELETED", at_version(old.clone(), reported.version)),
            (None, None) => return None,
        };
        Some(line(kind, &object))
    }
}

fn field(route: &Route, text: &str) -> Result<(String, String), Answer> {
    let about = About { plural: route.plural, name: "" };
    let known = FIELDS.iter().find(|(plural, _)| *plural == route.plural);
    let known = known.map(|(_, fields)| *fields).unwrap_or_default();
    match text.split_once('=') {
        Some((name, wanted)) if known.contains(&name) => {
            Ok((format!("/{}", name.replace('.', "/")), wanted.to_owned()))
        }
        _ => Err(Answer::bad_request(&format!("field label not supported: {text}"), about)),
    }
}

/// Like a real server, a deletion reports the last state of the object at the deletion's version.
fn at_version(mut object: Value, version: u64) -> Value {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
    }
    object
}

/// Like a real server, with the type first.
fn line(kind: &str, object: &Value) -> Bytes {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n").into()
}

fn expired(problem: &str) -> Bytes {
    let status = Answer::status(410, "Expired", problem, About { plural: "", name: "" });
    line("ERROR", &serde_json::from_str(&status.body).unwrap_or_default())
}

/// An open watch.
#[derive(Debug)]
pub(crate) struct Watcher {
    selector: Selector,
    kind: &'static str,
    lines: UnboundedSender<Result<Bytes, Reset>>,
}

/// The response of a watch.
pub(crate) struct Stream {
    lines: UnboundedReceiver<Result<Bytes, Reset>>,
    end: Pin<Box<Sleep>>,
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Reset;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Reset>>> {
        if let Poll::Ready(line) = self.lines.poll_recv(context) {
            return Poll::Ready(line.map(|line| line.map(Frame::data)));
        }
        self.end.as_mut().poll(context).map(|()| None)
    }
}

/// How the open watches end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Regularly, after the timeout.
    Regular,
    /// The connection breaks.
    Broken,
    /// The response ends in the middle of a line.
    MidLine,
    /// The server reports that their version has expired.
    Expired,
}

impl ServerState {
    /// Records a change and reports it to the watches.
    pub(crate) fn report(
        &mut self,
        (plural, namespace): (&'static str, Option<String>),
        old: Option<Value>,
        new: Option<Value>,
    ) {
        let reported = Reported { version: self.version, plural, namespace, old, new };
        if self.unheard > 0 {
            self.unheard -= 1;
        } else {
            self.watchers.retain(|watcher| match watcher.selector.line(&reported) {
                Some(line) => watcher.lines.send(Ok(line)).is_ok(),
                None => !watcher.lines.is_closed(),
            });
        }
        self.history.push(reported);
    }

    /// Opens a watch.
    pub(crate) fn watch(
        &mut self,
        route: &Route,
        query: &BTreeMap<String, String>,
    ) -> Result<Stream, Answer> {
        let about = About { plural: route.plural, name: "" };
        let number = |name: &str| query.get(name).and_then(|text| text.parse::<u64>().ok());
        let (Some(from), Some(seconds)) = (number("resourceVersion"), number("timeoutSeconds"))
        else {
            return Err(Answer::bad_request("a watch without a version or a deadline", about));
        };
        let selector = Selector::of(route, query)?;
        if from > self.version {
            let problem = format!("Too large resource version: {from}, current: {}", self.version);
            return Err(Answer::status(504, "Timeout", &problem, about));
        }
        let (lines, received) = unbounded_channel();
        let end = Box::pin(sleep(Duration::from_secs(seconds)));
        if from < self.compacted {
            // Like a real server, which has begun its response by then.
            let problem = format!("too old resource version: {from} ({})", self.version);
            lines.send(Ok(expired(&problem))).ok();
            return Ok(Stream { lines: received, end });
        }
        let later = self.history.iter().filter(|reported| reported.version > from);
        for line in later.filter_map(|reported| selector.line(reported)) {
            // The receiver is still in this function.
            lines.send(Ok(line)).ok();
        }
        self.watchers.push(Watcher { selector, kind: route.kind, lines });
        Ok(Stream { lines: received, end })
    }

    /// Sends a bookmark to every watch.
    pub(crate) fn bookmark(&mut self) {
        let metadata = json!({ "resourceVersion": self.version.to_string() });
        self.watchers.retain(|watcher| {
            let object = json!({ "apiVersion": "v1", "kind": watcher.kind, "metadata": metadata });
            watcher.lines.send(Ok(line("BOOKMARK", &object))).is_ok()
        });
    }

    /// Ends every watch.
    pub(crate) fn end_watches(&mut self, how: Ending) {
        let last = match how {
            Ending::Regular => None,
            Ending::Broken => Some(Err(Reset)),
            Ending::MidLine => Some(Ok(Bytes::from_static(b"{\"type\":\"ADD"))),
            Ending::Expired => Some(Ok(expired("too old resource version"))),
        };
        for watcher in std::mem::take(&mut self.watchers) {
            if let Some(last) = &last {
                watcher.lines.send(last.clone()).ok();
            }
        }
    }

    /// The number of open watches.
    pub(crate) fn watches(&mut self) -> usize {
        self.watchers.retain(|watcher| !watcher.lines.is_closed());
        self.watchers.len()
    }
}
