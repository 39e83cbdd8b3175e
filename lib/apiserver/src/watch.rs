//! Watches: what changes after a version, as lines of an answer that goes on.

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
use crate::objects::World;
use crate::route::Route;
use crate::serve::Reset;

/// A change, as the server remembers it.
#[derive(Debug)]
pub(crate) struct Told {
    version: u64,
    plural: &'static str,
    namespace: Option<String>,
    old: Option<Value>,
    new: Option<Value>,
}

/// Which objects of a kind are meant.
#[derive(Debug, Clone)]
pub(crate) struct Selector {
    plural: &'static str,
    namespace: Option<String>,
    /// The path of a field, and what it must be.
    field: Option<(String, String)>,
}

/// The fields that a real server can select by.
const FIELDS: [(&str, &[&str]); 4] = [
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
];

impl Selector {
    pub(crate) fn of(route: &Route, query: &BTreeMap<String, String>) -> Result<Self, Answer> {
        let field = query.get("fieldSelector").map(|text| field(route, text)).transpose()?;
        Ok(Self { plural: route.plural, namespace: route.namespace.clone(), field })
    }

    pub(crate) fn wants(&self, object: &Value) -> bool {
        let is = |pointer: &str, wanted: &str| {
            let found = object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            found == wanted
        };
        self.namespace.as_ref().is_none_or(|namespace| is("/metadata/namespace", namespace))
            && self.field.as_ref().is_none_or(|(pointer, wanted)| is(pointer, wanted))
    }

    /// The line of a change, if it is any of this selector's business.
    fn line(&self, told: &Told) -> Option<Bytes> {
        let here = self.namespace.is_none() || self.namespace == told.namespace;
        if told.plural != self.plural || !here {
            return None;
        }
        let wanted = |object: &&Value| self.wants(object);
        let old = told.old.as_ref().filter(wanted);
        let new = told.new.as_ref().filter(wanted);
        let (kind, object) = match (old, new) {
            (None, Some(new)) => ("ADDED", new.clone()),
            (Some(_), Some(new)) => ("MODIFIED", new.clone()),
            (Some(old), None) => ("DELETED", at_version(old.clone(), told.version)),
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

/// As a real server does: the object as it was, at the version of its end.
fn at_version(mut object: Value, version: u64) -> Value {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
    }
    object
}

fn line(kind: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({ "type": kind, "object": object })).into()
}

/// Somebody who watches.
#[derive(Debug)]
pub(crate) struct Watcher {
    selector: Selector,
    kind: &'static str,
    lines: UnboundedSender<Result<Bytes, Reset>>,
}

/// The answer of a watch.
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

/// How the watches that are open end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As they do every few minutes.
    Whole,
    /// The connection breaks.
    Broken,
    /// In the middle of a line.
    MidLine,
    /// The server says that it cannot go on from their version.
    Expired,
}

impl World {
    /// Remembers a change and tells whoever watches.
    pub(crate) fn tell(
        &mut self,
        (plural, namespace): (&'static str, Option<String>),
        old: Option<Value>,
        new: Option<Value>,
    ) {
        let told = Told { version: self.version, plural, namespace, old, new };
        if self.unheard > 0 {
            self.unheard -= 1;
        } else {
            self.watchers.retain(|watcher| match watcher.selector.line(&told) {
                Some(line) => watcher.lines.send(Ok(line)).is_ok(),
                None => !watcher.lines.is_closed(),
            });
        }
        self.history.push(told);
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
        if from < self.compacted {
            let problem = format!("too old resource version: {from} ({})", self.version);
            return Err(Answer::status(410, "Expired", &problem, about));
        }
        if from > self.version {
            let problem = format!("Too large resource version: {from}, current: {}", self.version);
            return Err(Answer::status(504, "Timeout", &problem, about));
        }
        let (lines, received) = unbounded_channel();
        let later = self.history.iter().filter(|told| told.version > from);
        for line in later.filter_map(|told| selector.line(told)) {
            // Its other end is in this function.
            lines.send(Ok(line)).ok();
        }
        self.watchers.push(Watcher { selector, kind: route.kind, lines });
        let end = Box::pin(sleep(Duration::from_secs(seconds)));
        Ok(Stream { lines: received, end })
    }

    /// Tells whoever watches how far the server is.
    pub(crate) fn bookmark(&mut self) {
        let metadata = json!({ "resourceVersion": self.version.to_string() });
        self.watchers.retain(|watcher| {
            let object = json!({ "kind": watcher.kind, "metadata": metadata });
            watcher.lines.send(Ok(line("BOOKMARK", &object))).is_ok()
        });
    }

    /// Ends every watch.
    pub(crate) fn end_watches(&mut self, how: Ending) {
        let last = match how {
            Ending::Whole => None,
            Ending::Broken => Some(Err(Reset)),
            Ending::MidLine => Some(Ok(Bytes::from_static(b"{\"type\":\"ADD"))),
            Ending::Expired => {
                let about = About { plural: "", name: "" };
                let status = Answer::status(410, "Expired", "too old resource version", about);
                let status = serde_json::from_str(&status.body).unwrap_or_default();
                Some(Ok(line("ERROR", &status)))
            }
        };
        for watcher in std::mem::take(&mut self.watchers) {
            if let Some(last) = &last {
                watcher.lines.send(last.clone()).ok();
            }
        }
    }

    /// How many watch.
    pub(crate) fn watches(&mut self) -> usize {
        self.watchers.retain(|watcher| !watcher.lines.is_closed());
        self.watchers.len()
    }
}
