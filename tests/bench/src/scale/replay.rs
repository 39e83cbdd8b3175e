//! Agents that are replayed: each sends the recorded requests for its own node, with a client of
//! its own, and holds the watches open.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use firecamp_testkit::kubernetes::{Answer, Api};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::arrivals::Arrivals;
use super::control;
use super::fleet::Node;
use super::load::{Created, good};
use super::trace::{CONTINUE, Names, Request, Trace, VERSION, set_version};
use crate::failure::Failure;

/// The first and the longest pause after a refused request, or before a watch that follows the last
/// one too soon. An agent waits for 0.1 to 30 s before it reads, and for 1 s to 7 min before it
/// writes.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// A watch that follows the last one sooner than this waits first, as in the agent.
const APART: Duration = Duration::from_secs(10);
/// The response of a busy API server.
const TOO_MANY_REQUESTS: u16 = 429;
/// A watch that is silent for longer is opened again, as by the agent.
const QUIET: Duration = Duration::from_secs(90);

/// Nodes for which is published at once: more would only wait for the processors, and a request of
/// an agent that waits for five seconds fails.
const AT_ONCE: usize = 8;

/// What all replayed agents count.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Agents that have sent their first requests, up to their watches.
    pub(super) synced: AtomicU64,
    /// Requests, and those that were refused.
    pub(super) sent: AtomicU64,
    pub(super) refused: AtomicU64,
    /// Watch events of StaticIPs.
    pub(super) arrivals: Arrivals,
}

/// Replayed agents. Dropping it ends them all.
pub(super) struct Replays {
    pub(super) counts: Arc<Counts>,
    _agents: JoinSet<()>,
}

impl Replays {
    /// Starts an agent for each of these nodes, one after the other.
    pub(super) async fn start(
        nodes: Vec<(Node, &Created)>,
        trace: &Arc<Trace>,
        every: Duration,
    ) -> Result<Self, Failure> {
        let counts = Arc::new(Counts::default());
        let mut agents = JoinSet::new();
        let begun = Instant::now();
        for (number, (node, created)) in (0_u32..).zip(nodes) {
            let agent = Agent::new(&created.kubeconfig, created.names(node), &counts).await?;
            let at = begun + every.saturating_mul(number);
            agents.spawn(agent.run(Arc::clone(trace), at));
        }
        Ok(Self { counts, _agents: agents })
    }
}

/// Sends what the agents of these nodes write about their objects at their first start, for a few
/// nodes at once. When all of 1,000 agents did so themselves within a minute, an API server on two
/// processors, which they shared, had accepted a seventh of it after 22 minutes.
pub(super) async fn publish(
    nodes: Vec<(Node, &Created)>,
    trace: &Arc<Trace>,
    done: &Arc<AtomicU64>,
) -> Result<(), Failure> {
    let (counts, gate) = (Arc::new(Counts::default()), Arc::new(Semaphore::new(AT_ONCE)));
    let mut agents = JoinSet::new();
    for (node, created) in nodes {
        let agent = Agent::new(&created.kubeconfig, created.names(node), &counts).await?;
        let (trace, done, gate) = (Arc::clone(trace), Arc::clone(done), Arc::clone(&gate));
        agents.spawn(async move {
            // Nobody closes it.
            let _permit = gate.acquire().await.ok();
            let published = agent.publish(&trace).await;
            done.fetch_add(1, Ordering::Relaxed);
            published
        });
    }
    while let Some(ended) = agents.join_next().await {
        ended.map_err(Failure::of("publish"))??;
    }
    Ok(())
}

/// One replayed agent.
struct Agent {
    api: Api,
    names: Arc<Names>,
    counts: Arc<Counts>,
    /// The last version of each selection, and of each object.
    versions: HashMap<String, String>,
    /// The next page of each selection.
    pages: HashMap<String, String>,
    watches: HashSet<String>,
    running: JoinSet<()>,
}

#[derive(Deserialize)]
struct Page {
    metadata: Head,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Head {
    name: String,
    resource_version: String,
    r#continue: String,
}

#[derive(Deserialize)]
struct Line {
    r#type: String,
    object: Page,
}

impl Agent {
    async fn new(kubeconfig: &Path, names: Names, counts: &Arc<Counts>) -> Result<Self, Failure> {
        Ok(Self {
            api: control::client(kubeconfig).await?,
            names: Arc::new(names),
            counts: Arc::clone(counts),
            versions: HashMap::new(),
            pages: HashMap::new(),
            watches: HashSet::new(),
            running: JoinSet::new(),
        })
    }

    /// Sends the first part once, and the second one again and again.
    async fn run(mut self, trace: Arc<Trace>, begin: Instant) {
        let wanted = trace.start.iter().filter(|one| one.watches()).map(Request::selection);
        let wanted = wanted.collect::<BTreeSet<_>>().len();
        let mut synced = false;
        for request in &trace.start {
            sleep_until(begin + Duration::from_millis(request.at_ms)).await;
            self.try_send(request).await;
            if !synced && self.watches.len() >= wanted {
                synced = true;
                self.counts.synced.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut begin = begin + Duration::from_millis(trace.start_ms);
        while !trace.rest.is_empty() {
            for request in &trace.rest {
                sleep_until(begin + Duration::from_millis(request.at_ms)).await;
                self.try_send(request).await;
            }
            begin += Duration::from_millis(trace.rest_ms);
        }
        // Keeps the watches open.
        std::future::pending::<()>().await;
    }

    /// Sends the requests that publish, one after the other.
    async fn publish(mut self, trace: &Trace) -> Result<(), Failure> {
        for request in trace.start.iter().filter(|it| it.publishes()) {
            self.send(request).await?;
        }
        Ok(())
    }

    /// An agent goes on after a refusal.
    async fn try_send(&mut self, request: &Request) {
        if self.send(request).await.is_err() {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn send(&mut self, request: &Request) -> Result<(), Failure> {
        let key = self.names.show(&request.selection());
        if request.watches() {
            self.watch(key, request);
            return Ok(());
        }
        let from_page = request.parameter(CONTINUE).is_some_and(|token| !token.is_empty());
        let page = self.pages.remove(&key);
        if from_page && page.is_none() {
            // This node has fewer objects.
            return Ok(());
        }
        let uri = uri(&self.names, request, [(CONTINUE, page.as_deref())]);
        let object = self.names.show(&request.path).trim_end_matches("/status").to_owned();
        let body = request.body.as_ref().and_then(|(kind, body)| {
            let mut body: Value = serde_json::from_str(&self.names.show(&body.to_string())).ok()?;
            set_version(&mut body, self.versions.get(&object).map(String::as_str));
            Some((kind.as_str(), body))
        });
        let answer = self.answer(request, &uri, body).await;
        // The recorded agent also asked for objects that do not exist.
        if answer.as_ref().is_ok_and(|it| it.code == 404 && request.method == "GET") {
            return Ok(());
        }
        self.keep(key, object, &good(&uri, answer)?.text);
        Ok(())
    }

    /// Sends a request until the API server is not too busy for it.
    async fn answer(
        &self,
        request: &Request,
        uri: &str,
        body: Option<(&str, Value)>,
    ) -> Result<Answer, String> {
        let mut pause = PAUSE;
        loop {
            let answer = match (request.method.as_str(), &body) {
                ("PATCH", Some((kind, body))) => self.api.patch_as(kind, uri, body).await,
                ("POST", Some((_, body))) => self.api.post(uri, body).await,
                ("PUT", Some((_, body))) => self.api.put(uri, body).await,
                ("DELETE", _) => self.api.delete(uri).await,
                _ => self.api.get(uri).await,
            };
            self.counts.sent.fetch_add(1, Ordering::Relaxed);
            match answer {
                Ok(busy) if busy.code == TOO_MANY_REQUESTS => {}
                answer => return answer,
            }
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// Keeps the version and the next page of an answer.
    fn keep(&mut self, key: String, object: String, text: &str) {
        let Ok(Page { metadata }) = serde_json::from_str(text) else { return };
        if !metadata.r#continue.is_empty() {
            self.pages.insert(key.clone(), metadata.r#continue);
        }
        let key = if metadata.name.is_empty() { key } else { object };
        self.versions.insert(key, metadata.resource_version);
    }

    /// Opens a watch, once for each selection.
    fn watch(&mut self, key: String, request: &Request) {
        if self.watches.contains(&key) {
            return;
        }
        let follow = Follow {
            api: self.api.clone(),
            names: Arc::clone(&self.names),
            counts: Arc::clone(&self.counts),
            request: request.clone(),
            version: self.versions.get(&key).cloned(),
        };
        self.watches.insert(key);
        self.running.spawn(follow.run());
    }
}

/// The path and query of a request. These parameters have other values, or are removed.
fn uri<const N: usize>(
    names: &Names,
    request: &Request,
    other: [(&str, Option<&str>); N],
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (key, value) in &request.query {
        match other.iter().find(|(name, _)| name == key) {
            Some((_, Some(value))) => {
                query.append_pair(key, value);
            }
            Some((_, None)) => {}
            None => {
                query.append_pair(key, &names.show(value));
            }
        }
    }
    format!("{}?{}", names.show(&request.path), query.finish())
}

/// A watch that is opened again whenever it ends, as by the agent.
struct Follow {
    api: Api,
    names: Arc<Names>,
    counts: Arc<Counts>,
    request: Request,
    version: Option<String>,
}

impl Follow {
    async fn run(mut self) {
        let mut pause = PAUSE;
        loop {
            let begun = Instant::now();
            if self.version.is_none() {
                self.version = self.now().await;
            }
            let uri = uri(&self.names, &self.request, [(VERSION, self.version.as_deref())]);
            self.counts.sent.fetch_add(1, Ordering::Relaxed);
            match self.api.watch(&uri).await {
                Ok(mut watch) => {
                    while let Ok(Ok(Some(line))) = timeout(QUIET, watch.line()).await {
                        self.arrived(&line);
                    }
                }
                Err(_refused) => {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                    self.version = None;
                }
            }
            if begun.elapsed() < APART {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            } else {
                pause = PAUSE;
            }
        }
    }

    fn arrived(&mut self, line: &[u8]) {
        let Ok(Line { r#type, object }) = serde_json::from_slice(line) else { return };
        if r#type == "ERROR" {
            self.version = None;
            return;
        }
        self.version = Some(object.metadata.resource_version.clone());
        if r#type != "BOOKMARK" && self.request.path.ends_with("/staticips") {
            let Head { name, resource_version, .. } = object.metadata;
            self.counts.arrivals.add(self.names.show("{@node}"), name, resource_version);
        }
    }

    /// The present version, by the smallest list.
    async fn now(&self) -> Option<String> {
        let mut list = self.request.clone();
        list.query.retain(|(key, _)| key.ends_with("Selector"));
        list.query.push(("limit".to_owned(), "1".to_owned()));
        let answer = self.api.get(&uri(&self.names, &list, [])).await.ok()?;
        let page: Page = serde_json::from_str(&answer.text).ok()?;
        Some(page.metadata.resource_version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_gets_another_value_or_disappears() {
        let request = Request {
            at_ms: 0,
            method: "GET".to_owned(),
            path: "/api/v1/pods".to_owned(),
            query: [("fieldSelector", "spec.nodeName={@node}"), (VERSION, "7"), (CONTINUE, "x")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            body: None,
        };
        let mut names = Names::default();
        names.add("node", "node-0002");
        let uri = uri(&names, &request, [(VERSION, Some("9")), (CONTINUE, None)]);
        let wanted = "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-0002&resourceVersion=9";
        assert_eq!(uri, wanted);
    }

    #[test]
    fn the_version_of_a_watch_event_is_that_of_its_object() {
        let line = br#"{"type":"ADDED","object":{"kind":"StaticIP","metadata":{"name":"10.0.4.1",
            "resourceVersion":"12"},"spec":{}}}"#;
        let Line { r#type, object } = serde_json::from_slice(line).unwrap();
        assert_eq!((r#type.as_str(), object.metadata.resource_version.as_str()), ("ADDED", "12"));
    }
}
