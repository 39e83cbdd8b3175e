//! The agent's endpoint: pods of this node ask here for their address, without any privilege
//! (docs/endpoint.md specifies the protocol).
//!
//! The agent runs the machines of attach and release that the containers run in direct mode. A
//! client that closes its connection ends its run, as the kubelet ends a container.

mod connection;
mod limits;
mod look_ahead;
mod perform;
mod request;

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use firecamp_core::choose_interface::EniRule;
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::{ClusterName, NodeName};
use firecamp_core::time::Moment;
use firecamp_engine::{Queues, Rng};
use firecamp_run::connect::AnyRegistry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::limits::{Limits, Source};
use self::look_ahead::EarlyLookUps;
use self::perform::PodEvent;
use crate::kernel::PodKernel as _;
use crate::ports::{Environment, SystemsOf};
use crate::publish::SharedStatus;
use crate::source::BoundPod;
use crate::status::EndpointMetrics;

/// Pause after a failure to listen.
const LISTEN_PAUSE: Duration = Duration::from_secs(5);
/// Pause between two looks at the endpoint's link.
const LINK_PAUSE: Duration = Duration::from_secs(10);
/// Failures in a row after which the node's condition shows them: one may only be a busy kernel.
const LINK_FAILURES: u32 = 3;
/// Pause after a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Events that wait to be written; more are dropped.
const EVENTS: usize = 64;

/// What the endpoint serves: the members of this node.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) node: NodeName,
    pub(crate) cluster: ClusterName,
    pub(crate) rule: EniRule,
    /// The directory with the agent's lists of ENIs.
    pub(crate) run_dir: PathBuf,
    /// Whether pods with a network of their own are served.
    pub(crate) pod_networks: bool,
}

/// A connection of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    source: Source,
    /// Its end, and the agent's.
    ends: (SocketAddrV4, SocketAddrV4),
}

/// The endpoint of a node.
pub(crate) struct Endpoint<W: Environment<Registry = AnyRegistry>> {
    systems: Arc<SystemsOf<W>>,
    queues: Queues,
    served: Served,
    at: Ipv4Addr,
    metrics: EndpointMetrics,
    shared_status: SharedStatus,
    limits: RefCell<Limits>,
    origin: Instant,
    events: mpsc::Sender<PodEvent>,
    early: EarlyLookUps,
}

impl<W: Environment<Registry = AnyRegistry>> Endpoint<W> {
    /// Serves until `end`. If it cannot listen, tries again: the agent works without it. For pods
    /// that are bound to this node it looks up the owner before they ask.
    pub(crate) async fn serve(
        at: SocketAddrV4,
        served: Served,
        systems: Arc<SystemsOf<W>>,
        metrics: EndpointMetrics,
        shared_status: SharedStatus,
        bound: mpsc::Receiver<BoundPod>,
        end: &CancellationToken,
    ) {
        let (events, due) = mpsc::channel(EVENTS);
        let (limits, early, origin) = (RefCell::default(), EarlyLookUps::default(), Instant::now());
        let written = perform::write_events(systems.registry.clone(), served.node.clone(), due);
        let (queues, calls) = Queues::new(Rng::default());
        let shared = Arc::clone(&systems);
        let sent = Box::pin(calls.send(&shared.cloud));
        let endpoint = Rc::new(Self {
            systems,
            queues,
            served,
            at: *at.ip(),
            metrics,
            shared_status,
            limits,
            origin,
            events,
            early,
        });
        let accepted = async {
            let listener = endpoint.listen(at).await;
            tokio::join!(endpoint.accept(&listener), endpoint.keep_link(at));
        };
        let ahead = Box::pin(endpoint.look_ahead(bound));
        let accepted = async { tokio::join!(accepted, ahead) };
        tokio::select! {
            () = end.cancelled() => {}
            ((), ()) = accepted => {}
            () = written => {}
            () = sent => {}
        }
    }

    async fn listen(&self, at: SocketAddrV4) -> TcpListener {
        loop {
            match self.bind(at).await {
                Ok(listener) => {
                    tracing::info!(%at, "endpoint for pods started");
                    self.shared_status.set_endpoint(Ok(true));
                    return listener;
                }
                Err(why) => {
                    self.metrics.listen_failures.inc();
                    tracing::warn!(%at, error = why, "failed to start endpoint; will retry");
                    let why = format!("the agent does not listen at {at}: {why}");
                    self.shared_status.set_endpoint(Err(why));
                }
            }
            sleep(LISTEN_PAUSE).await;
        }
    }

    async fn bind(&self, at: SocketAddrV4) -> Result<TcpListener, String> {
        self.ensure_link(at).await?;
        TcpListener::bind(at).await.map_err(|why| why.to_string())
    }

    async fn ensure_link(&self, at: SocketAddrV4) -> Result<bool, String> {
        if at.ip().is_loopback() {
            return Ok(false);
        }
        let ensured = self.systems.host.ensure_endpoint(*at.ip()).await;
        ensured.map_err(|HostFailure { detail, .. }| detail)
    }

    /// Restores the link and its address if something else removes them; never returns.
    async fn keep_link(&self, at: SocketAddrV4) {
        let mut failures = 0_u32;
        loop {
            sleep(LINK_PAUSE).await;
            match self.ensure_link(at).await {
                Ok(restored) => {
                    if restored {
                        tracing::warn!(%at, "endpoint's link or address restored");
                    }
                    failures = 0;
                    self.shared_status.set_endpoint(Ok(true));
                }
                Err(why) => {
                    failures = failures.saturating_add(1);
                    self.metrics.listen_failures.inc();
                    tracing::warn!(%at, error = why, "failed to restore endpoint's link");
                    if failures >= LINK_FAILURES {
                        let why = format!("failed to check or restore the link of {at}: {why}");
                        self.shared_status.set_endpoint(Err(why));
                    }
                }
            }
        }
    }

    /// Accepts connections; never returns.
    async fn accept(self: &Rc<Self>, listener: &TcpListener) {
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) => self.accepted(stream, from, &mut open),
                    Err(why) => {
                        tracing::warn!(error = %why, "failed to accept connection of a pod");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(closed) = open.join_next() => self.closed(closed),
            }
        }
    }

    fn accepted(self: &Rc<Self>, stream: TcpStream, from: SocketAddr, open: &mut JoinSet<Source>) {
        // Otherwise a line may wait until the client has acknowledged the one before.
        stream.set_nodelay(true).ok();
        let (SocketAddr::V4(its), Ok(SocketAddr::V4(own))) = (from, stream.local_addr()) else {
            return tracing::debug!(%from, "connection is gone");
        };
        let peer = Peer { source: self.source(from.ip()), ends: (its, own) };
        self.connected(stream, peer, open);
    }

    fn connected(
        self: &Rc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        peer: Peer,
        open: &mut JoinSet<Source>,
    ) {
        if !self.limits.borrow_mut().connect(peer.source) {
            self.metrics.refused_connections.inc();
            tracing::debug!(from = %peer.ends.0, "too many connections; closed");
            return;
        }
        self.count_connections();
        let endpoint = Rc::clone(self);
        open.spawn_local(async move {
            if endpoint.is_of_this_node(peer).await {
                connection::serve(&endpoint, stream, peer).await;
            }
            peer.source
        });
    }

    async fn is_of_this_node(&self, from: Peer) -> bool {
        let from = from.ends.0;
        match self.systems.host.is_elsewhere(*from.ip()).await {
            Ok(false) => return true,
            Ok(true) => tracing::debug!(%from, "connection from another machine closed"),
            Err(why) => tracing::warn!(%from, error = %why, "connection of unknown origin closed"),
        }
        self.metrics.refused_connections.inc();
        false
    }

    /// Whose limits a connection counts against: pods with hostNetwork reach the endpoint from its
    /// own address, pods with their own network from theirs. Those who are not served share what is
    /// left.
    fn source(&self, from: IpAddr) -> Source {
        match from {
            own if own == IpAddr::V4(self.at) => Source::Node,
            pod if self.served.pod_networks => Source::Pod(pod),
            _other => Source::Other,
        }
    }

    fn closed(&self, closed: Result<Source, JoinError>) {
        match closed {
            Ok(from) => self.limits.borrow_mut().disconnect(from),
            // A bug: let it end the process like any other panic.
            Err(why) if why.is_panic() => std::panic::resume_unwind(why.into_panic()),
            Err(why) => tracing::error!(error = %why, "connection cancelled"),
        }
        self.count_connections();
    }

    fn count_connections(&self) {
        let open = self.limits.borrow().open();
        self.metrics.connections.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }
}
