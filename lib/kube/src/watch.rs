//! Lists and watches the objects of one node, or of the cluster, by `kube::runtime`. Keeps no
//! state, and parses only the fields that are used.
//!
//! Guarantees: a list is a complete quorum read. A watch reports each change after its list, in
//! order; if it ends, it goes on where it ended. Caveat: a deletion only means that the object no
//! longer matches the selector: it may belong to another node by now.

mod bounded;
mod item;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use firecamp_core::contract::api;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::NodeName;
use firecamp_core::record::{Pool, StaticIp};
use firecamp_registry::api::{InvalidObject, Kind, StaticIPPool, StaticIPPoolSpec, StaticIPSpec};
use futures_util::{Stream, StreamExt};
use http::StatusCode;
use kube::core::Status;
use kube::runtime::watcher::{Config, Error, Event, watcher};
use kube::{Api, Client};
use serde_json::json;
use thiserror::Error;
use tokio::sync::Notify;

pub use self::bounded::backoff;
pub use self::item::{Collection, Item, Watchable};
use crate::http_request::{Answer, Call, Timeouts};
use crate::pod::NodePod;
use crate::registry::KubeRegistry;
use crate::{classify, object_paths, pod};

/// Duration of a watch; the server ends it.
const WATCH: Duration = Duration::from_mins(5);

/// Objects for each page, like client-go's pager.
const PAGE: u32 = 500;
/// The reason that `kube` gives to a response without a `Status`.
const NOT_A_STATUS: &str = "Failed to parse error data";

/// An interruption of lists and watches. The next event follows by itself, after a pause.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{failure}")]
pub struct Interrupted {
    /// What failed, and why.
    pub failure: RegistryFailure,
    /// The watch cannot go on: drop these events and begin anew, with a list.
    pub is_lost: bool,
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

impl Watchable for StaticIp {
    const COLLECTION: Collection = Collection::ours(StaticIPSpec::PLURAL);

    fn parse(text: &str) -> Result<Self, String> {
        object_paths::decided::<StaticIPSpec, Self>(text)
    }
}

impl Watchable for NodePod {
    const COLLECTION: Collection = Collection { api_version: "v1", plural: "pods" };

    fn parse(text: &str) -> Result<Self, String> {
        pod::read(text)
    }
}

impl Watchable for WatchedPool {
    const COLLECTION: Collection = Collection::ours(StaticIPPoolSpec::PLURAL);

    fn parse(text: &str) -> Result<Self, String> {
        object_paths::decided::<StaticIPPoolSpec, Self>(text)
    }
}

impl Collection {
    /// One of our kinds.
    pub(crate) const fn ours(plural: &'static str) -> Self {
        Self { api_version: api::VERSION, plural }
    }
}

/// The objects of one kind that a watch selects.
pub struct Watched<T> {
    api: Api<Item<T>>,
    config: Config,
    opened: Arc<Notify>,
    /// `StaticIPs of node-1`.
    what: String,
}

impl KubeRegistry {
    /// The static IPs that a node holds or held last.
    pub fn static_ips_of(&self, node: &NodeName) -> Watched<StaticIp> {
        let selector = format!("spec.attachment.nodeName={node}");
        Watched::new(self.connection(), format!("StaticIPs of {node}")).of(&selector)
    }

    /// The pods of a node.
    pub fn pods_of(&self, node: &NodeName) -> Watched<NodePod> {
        let selector = format!("spec.nodeName={node}");
        Watched::new(self.connection(), format!("pods of {node}")).of(&selector)
    }

    /// All pools.
    pub fn pools(&self) -> Watched<WatchedPool> {
        Watched::new(self.connection(), "StaticIPPools".to_owned())
    }
}

impl<T: Watchable> Watched<T> {
    /// All objects of the kind. They are read in one page, which the API server serves from memory:
    /// before Kubernetes 1.34 it reads pages from etcd, and decodes all objects for each.
    pub(crate) fn new((client, timeouts): (Client, Timeouts), what: String) -> Self {
        let opened = Arc::new(Notify::new());
        let client = bounded::bounded(client, timeouts.call, opened.clone());
        let seconds = u32::try_from(WATCH.as_secs()).unwrap_or(u32::MAX);
        let config = Config { page_size: None, ..Config::default().timeout(seconds) };
        Self { api: Api::all(client), config, opened, what }
    }

    /// Lists in pages: all objects of a large cluster at once would need much memory.
    pub(crate) fn in_pages(self) -> Self {
        Self { config: self.config.page_size(PAGE), ..self }
    }

    /// Only those that the field selector selects.
    pub(crate) fn of(self, selector: &str) -> Self {
        Self { config: self.config.fields(selector), ..self }
    }

    /// Only those that the label selector selects.
    pub(crate) fn labelled(self, selector: &str) -> Self {
        Self { config: self.config.labels(selector), ..self }
    }

    /// The name for messages: `StaticIPs of node-1`.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// A complete list, and each change after it, until they are dropped. Cancel-safe.
    pub fn events(&self) -> impl Stream<Item = Result<Event<Item<T>>, Interrupted>> + Send {
        let events = watcher(self.api.clone(), self.config.clone());
        events.map(|event| event.map_err(|wrong| self.interrupted(&wrong)))
    }

    /// A complete list, or the first failure.
    pub async fn list(&self) -> Result<Vec<Item<T>>, RegistryFailure> {
        let mut events = pin!(self.events());
        let mut items = Vec::new();
        while let Some(event) = events.next().await {
            match event.map_err(|interrupted| interrupted.failure)? {
                Event::InitApply(item) => items.push(item),
                Event::InitDone => break,
                Event::Init | Event::Apply(_) | Event::Delete(_) => {}
            }
        }
        Ok(items)
    }

    /// Waits until the server has opened another watch. Cancel-safe.
    pub async fn opened(&self) {
        self.opened.notified().await;
    }

    fn interrupted(&self, wrong: &Error) -> Interrupted {
        let (verb, cause) = match wrong {
            Error::InitialListFailed(cause) => ("list", Some(cause)),
            Error::WatchStartFailed(cause) | Error::WatchFailed(cause) => ("watch", Some(cause)),
            Error::WatchError(_) | Error::NoResourceVersion => ("watch", None),
        };
        let call = Call::get(format!("{verb} the {}", self.what), String::new());
        let status = match (wrong, cause) {
            (Error::WatchError(status), _) | (_, Some(kube::Error::Api(status))) => status,
            (_, Some(cause)) => {
                return Interrupted {
                    failure: classify::not_answered(&call, cause),
                    is_lost: false,
                };
            }
            (_, None) => {
                let failure = call.failed(RegistryKind::Invalid, Effect::None, wrong);
                return Interrupted { failure, is_lost: true };
            }
        };
        let answer = answer(status);
        let failure = classify::refused(&call, &answer);
        let is_listing = matches!(wrong, Error::InitialListFailed(_));
        let is_lost = !is_listing && is_lost(&answer, &failure.detail);
        Interrupted { failure, is_lost }
    }
}

/// The response of which `kube` kept this.
fn answer(status: &Status) -> Answer {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let Status { reason, message, details, .. } = status;
    let body = if reason == NOT_A_STATUS {
        message.clone().into_bytes()
    } else {
        let status = json!({ "kind": "Status", "reason": reason, "message": message,
            "details": details });
        status.to_string().into_bytes()
    };
    Answer { status: code, date: None, body: body.into() }
}

/// Whether only a list helps. `kube::runtime` lists again by itself only after an event with code
/// 410; a watch that does not open for such a reason it would open for ever.
fn is_lost(answer: &Answer, detail: &str) -> bool {
    let passing = answer.status == StatusCode::TOO_MANY_REQUESTS || answer.status.is_server_error();
    !passing || detail.contains("Too large resource version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_from_the_future_is_lost_although_its_status_is_a_server_error() {
        for (code, reason, message, lost) in [
            (504, "Timeout", "Too large resource version: 9, current: 3", true),
            (504, "Timeout", "request did not complete in time", false),
            (502, NOT_A_STATUS, "<html>no upstream</html>", false),
        ] {
            let status = Status::failure(message, reason).with_code(code);
            let answer = answer(&status);
            let failure = classify::refused(&Call::get("watch", String::new()), &answer);
            assert_eq!(is_lost(&answer, &failure.detail), lost, "{failure:?}");
        }
    }
}
