//! Lists and watches the objects of one node, or of the cluster. Keeps no state, never retries,
//! and parses only the fields that are used.
//!
//! Guarantees: a list is a complete quorum read, or a failure. A watch reports each change after
//! its start version once and in order, until it ends. Caveat: a deletion event only means that
//! the object no longer matches the selector: it may belong to another node by now.

mod lines;

use std::time::Duration;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::NodeName;
use firecamp_core::record::{Pool, StaticIp};
use firecamp_registry::api::{InvalidObject, StaticIPPool, StaticIPPoolSpec, StaticIPSpec};
use http::StatusCode;
use kube::Client;
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use self::lines::Lines;
use crate::http_request::{self, Answer, Call, Stream, Timeouts};
use crate::pod::NodePod;
use crate::registry::KubeRegistry;
use crate::{classify, list, object_paths, pod};

/// Objects for each page: a pod has ten kilobytes or more, and is dropped once it is parsed.
const PAGE: usize = 50;

/// One object, reduced to the parsed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<T> {
    /// The namespace and name of the object.
    pub key: Key,
    /// The parsed value, or why it cannot be parsed.
    pub object: Result<T, String>,
}

/// The namespace and name of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace, if the kind is namespaced.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

/// A watch event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<T> {
    /// The object was added or modified.
    Set(Item<T>),
    /// The object was deleted or no longer matches the selector.
    Gone(Key),
    /// A bookmark: nothing changed, and the server reports its current version.
    Bookmark,
}

/// Why a watch cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WatchFailure {
    /// The server no longer has the events after that version: list again.
    #[error("{0}")]
    Expired(RegistryFailure),
    /// The watch was interrupted: open it again at its last version.
    #[error("{0}")]
    Broken(RegistryFailure),
}

/// A watched pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedPool {
    /// When it was created (RFC 3339 in UTC: the order of the texts is that of the times).
    pub created: Option<String>,
    /// The pool.
    pub pool: Pool,
    /// Whether FireCamp makes its interfaces.
    pub wants_interfaces: bool,
}

impl TryFrom<&StaticIPPool> for WatchedPool {
    type Error = InvalidObject;

    fn try_from(object: &StaticIPPool) -> Result<Self, InvalidObject> {
        let created = object.metadata.creation_timestamp.clone();
        let wants_interfaces = object.spec.interfaces.is_some();
        Ok(Self { created, pool: Pool::try_from(object)?, wants_interfaces })
    }
}

/// The objects of one kind that a watch selects.
pub struct Watched<T> {
    client: Client,
    timeouts: Timeouts,
    /// `StaticIPs of node-1`.
    what: String,
    path: String,
    selector: Option<String>,
    read: fn(&str) -> Result<T, String>,
}

impl KubeRegistry {
    /// The static IPs that a node holds or held last.
    pub fn static_ips_of(&self, node: &NodeName) -> Watched<StaticIp> {
        let read = object_paths::decided::<StaticIPSpec, StaticIp>;
        let path = object_paths::collection::<StaticIPSpec>();
        let selector = Some(format!("spec.attachment.nodeName={node}"));
        self.watched((format!("StaticIPs of {node}"), path), selector, read)
    }

    /// The pods of a node.
    pub fn pods_of(&self, node: &NodeName) -> Watched<NodePod> {
        let path = "/api/v1/pods".to_owned();
        let selector = Some(format!("spec.nodeName={node}"));
        self.watched((format!("pods of {node}"), path), selector, pod::read)
    }

    /// All pools.
    pub fn pools(&self) -> Watched<WatchedPool> {
        let read = object_paths::decided::<StaticIPPoolSpec, WatchedPool>;
        let path = object_paths::collection::<StaticIPPoolSpec>();
        self.watched(("StaticIPPools".to_owned(), path), None, read)
    }

    fn watched<T>(
        &self,
        (what, path): (String, String),
        selector: Option<String>,
        read: fn(&str) -> Result<T, String>,
    ) -> Watched<T> {
        Watched::new(self.connection(), (what, path), selector, read)
    }
}

#[derive(Deserialize)]
struct Head {
    metadata: HeadMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadMetadata {
    #[serde(default)]
    name: String,
    namespace: Option<String>,
    resource_version: String,
}

impl<T> Watched<T> {
    pub(crate) fn new(
        (client, timeouts): (Client, Timeouts),
        (what, path): (String, String),
        selector: Option<String>,
        read: fn(&str) -> Result<T, String>,
    ) -> Self {
        Self { client, timeouts, what, path, selector, read }
    }

    /// The name for messages: `StaticIPs of node-1`.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// All of the objects, by a quorum read, and the version to watch from.
    pub async fn list(&self) -> Result<(Vec<Item<T>>, String), RegistryFailure> {
        let mut call = Call::get(format!("list the {}", self.what), self.path.clone());
        call.query = self.query().collect();
        let mut items = Vec::new();
        let add = |object: Box<RawValue>| {
            items.push(item(object.get(), self.read)?.0);
            Ok(())
        };
        let version = list::each(&self.client, self.timeouts, (&call, PAGE), add).await?;
        Ok((items, version))
    }

    /// Opens a watch for the changes after that version. The server ends it after `lasting`.
    pub async fn watch(&self, version: &str, lasting: Duration) -> Result<Events<T>, WatchFailure> {
        let mut call = Call::get(format!("watch the {}", self.what), self.path.clone());
        let more = [
            "watch=true".to_owned(),
            "allowWatchBookmarks=true".to_owned(),
            format!("resourceVersion={}", list::escaped(version)),
            format!("timeoutSeconds={}", lasting.as_secs().max(1)),
        ];
        call.query = self.query().chain(more).collect();
        let opened = http_request::open(&self.client, &call, self.timeouts.call).await;
        match opened.map_err(WatchFailure::Broken)? {
            Stream::Open(body) => {
                let version = version.to_owned();
                Ok(Events { call, lines: Lines::new(body), version, read: self.read })
            }
            Stream::Refused(answer) => Err(not_opened(&call, &answer)),
        }
    }

    fn query(&self) -> impl Iterator<Item = String> {
        self.selector.iter().map(|text| format!("fieldSelector={}", list::escaped(text)))
    }
}

/// Why a watch could not be opened: the version has expired, or another failure.
fn not_opened(call: &Call, answer: &Answer) -> WatchFailure {
    let failure = classify::refused(call, answer);
    let ahead = failure.detail.contains("Too large resource version");
    let passing = answer.status == StatusCode::TOO_MANY_REQUESTS || answer.status.is_server_error();
    if passing && !ahead { WatchFailure::Broken(failure) } else { WatchFailure::Expired(failure) }
}

fn item<T>(text: &str, read: fn(&str) -> Result<T, String>) -> Result<(Item<T>, String), String> {
    let Head { metadata } = serde_json::from_str(text).map_err(|wrong| wrong.to_string())?;
    let HeadMetadata { name, namespace, resource_version } = metadata;
    Ok((Item { key: Key { namespace, name }, object: read(text) }, resource_version))
}

/// An open watch.
pub struct Events<T> {
    call: Call,
    lines: Lines,
    version: String,
    read: fn(&str) -> Result<T, String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

impl<T> Events<T> {
    /// The version up to which all events were returned.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Waits, without bound, for the next event; none after the regular end of the watch.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Event<T>>, WatchFailure> {
        let line = self.lines.next().await.map_err(|wrong| self.broken(&wrong))?;
        line.map(|line| self.event(&line)).transpose()
    }

    fn broken(&self, problem: &str) -> WatchFailure {
        WatchFailure::Broken(self.call.failed(RegistryKind::Unavailable, Effect::None, problem))
    }

    fn event(&mut self, line: &[u8]) -> Result<Event<T>, WatchFailure> {
        let read: Result<Line<'_>, _> = serde_json::from_slice(line);
        let Line { r#type, object } = read.map_err(|wrong| self.broken(&wrong.to_string()))?;
        if r#type == "ERROR" {
            return Err(self.ended(object.get()));
        }
        let (item, version) = item(object.get(), self.read).map_err(|wrong| self.broken(&wrong))?;
        let event = match r#type {
            "ADDED" | "MODIFIED" => Event::Set(item),
            "DELETED" => Event::Gone(item.key),
            "BOOKMARK" => Event::Bookmark,
            other => return Err(self.broken(&format!("unknown event type {other:?}"))),
        };
        self.version = version;
        Ok(event)
    }

    /// The server ended the watch with a `Status`.
    fn ended(&self, status: &str) -> WatchFailure {
        #[derive(Deserialize)]
        struct Code {
            code: u16,
        }
        let code = serde_json::from_str(status).map_or(500, |Code { code }| code);
        let status_code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = status.as_bytes().to_vec().into();
        not_opened(&self.call, &Answer { status: status_code, date: None, body })
    }
}
