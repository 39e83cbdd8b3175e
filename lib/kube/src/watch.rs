//! What concerns one node, listed and watched. The watch tells what changes; nothing is kept here,
//! nothing is repeated, and of each object only what decides is read.
//!
//! Guarantees: a list is a quorum read and whole, or a failure. A watch tells each change after the
//! version that it was opened with once and in order, until it ends. Caveats: that an object left
//! what is watched is all that its end means: it may belong to another node by now.

mod lines;

use std::time::Duration;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::NodeName;
use firecamp_core::outside::PodView;
use firecamp_core::record::{Pool, StaticIp};
use firecamp_registry::api::{StaticIPPoolSpec, StaticIPSpec};
use http::StatusCode;
use kube::Client;
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use self::lines::Lines;
use crate::call::{self, Answer, Call, Stream, Timeouts};
use crate::registry::KubeRegistry;
use crate::{classify, list, object, pod};

/// Objects on a page: pods are of ten kilobytes and more, and are dropped once they are read.
const PAGE: usize = 50;

/// One object, as little of it as decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<T> {
    /// Where it is.
    pub key: Key,
    /// What it says, or why it cannot be read.
    pub object: Result<T, String>,
}

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its namespace, if its kind has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<T> {
    /// The object is there now, or is another one.
    Set(Item<T>),
    /// It is not among what is watched any more.
    Gone(Key),
    /// Nothing has changed: the server tells how far it is.
    Bookmark,
}

/// Why a watch cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Lost {
    /// The server does not tell what came after that version: list anew.
    #[error("{0}")]
    Expired(RegistryFailure),
    /// It broke: it may be opened again where it ended.
    #[error("{0}")]
    Broken(RegistryFailure),
}

/// The objects of one kind that concern a node.
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
    /// The static IPs that a node holds, or held last.
    pub fn static_ips_of(&self, node: &NodeName) -> Watched<StaticIp> {
        let read = object::decided::<StaticIPSpec, StaticIp>;
        let path = object::collection::<StaticIPSpec>();
        let selector = Some(format!("spec.attachment.nodeName={node}"));
        self.watched((format!("StaticIPs of {node}"), path), selector, read)
    }

    /// The pods of a node.
    pub fn pods_of(&self, node: &NodeName) -> Watched<PodView> {
        let path = "/api/v1/pods".to_owned();
        let selector = Some(format!("spec.nodeName={node}"));
        self.watched((format!("pods of {node}"), path), selector, pod::read)
    }

    /// All pools.
    pub fn pools(&self) -> Watched<Pool> {
        let read = object::decided::<StaticIPPoolSpec, Pool>;
        let path = object::collection::<StaticIPPoolSpec>();
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

    /// As people call it: `StaticIPs of node-1`.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// All of them, by a quorum read, and the version to watch from.
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

    /// What changes after that version. The server ends the watch after `lasting`.
    pub async fn watch(&self, version: &str, lasting: Duration) -> Result<Events<T>, Lost> {
        let mut call = Call::get(format!("watch the {}", self.what), self.path.clone());
        let more = [
            "watch=true".to_owned(),
            "allowWatchBookmarks=true".to_owned(),
            format!("resourceVersion={}", list::escaped(version)),
            format!("timeoutSeconds={}", lasting.as_secs().max(1)),
        ];
        call.query = self.query().chain(more).collect();
        let opened = call::open(&self.client, &call, self.timeouts.call).await;
        match opened.map_err(Lost::Broken)? {
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

/// An answer says what becomes of that version, unless it is about the server's own troubles.
fn not_opened(call: &Call, answer: &Answer) -> Lost {
    let failure = classify::refused(call, answer);
    let ahead = failure.detail.contains("Too large resource version");
    let passing = answer.status == StatusCode::TOO_MANY_REQUESTS || answer.status.is_server_error();
    if passing && !ahead { Lost::Broken(failure) } else { Lost::Expired(failure) }
}

fn item<T>(text: &str, read: fn(&str) -> Result<T, String>) -> Result<(Item<T>, String), String> {
    let Head { metadata } = serde_json::from_str(text).map_err(|wrong| wrong.to_string())?;
    let HeadMetadata { name, namespace, resource_version } = metadata;
    Ok((Item { key: Key { namespace, name }, object: read(text) }, resource_version))
}

/// A watch under way.
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
    /// How far it has told everything.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Waits, without bound, for the next change; none after a watch that ended as it should.
    /// Cancelling it loses nothing.
    pub async fn next(&mut self) -> Result<Option<Event<T>>, Lost> {
        let line = self.lines.next().await.map_err(|wrong| self.broken(&wrong))?;
        line.map(|line| self.event(&line)).transpose()
    }

    fn broken(&self, problem: &str) -> Lost {
        Lost::Broken(self.call.failed(RegistryKind::Unavailable, Effect::None, problem))
    }

    fn event(&mut self, line: &[u8]) -> Result<Event<T>, Lost> {
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
            other => return Err(self.broken(&format!("{other:?} is no kind of event"))),
        };
        self.version = version;
        Ok(event)
    }

    /// The server ends it with a `Status`.
    fn ended(&self, status: &str) -> Lost {
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
