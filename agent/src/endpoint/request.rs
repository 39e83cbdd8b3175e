//! Finds out which pod a request comes from, and whether it is served.

use std::net::IpAddr;
use std::rc::Rc;

use firecamp_core::contract::exit::Exit;
use firecamp_core::endpoint::{Arrival, Request, admit};
use firecamp_core::failure::{HostFailure, RegistryFailure, RegistryKind, chain};
use firecamp_core::ids::{Member, PoolName};
use firecamp_core::machine::Failure;
use firecamp_core::ports::{AskingPod, PodAuthority as _, Review, ReviewedPod};
use firecamp_run::connect::{AnyRegistry, OpenRegistry};
use firecamp_run::endpoint::{Asked, BadRequest, Outcome, ResponseLine, read_request};
use firecamp_run::report::Report;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::connection::Body;
use super::{Endpoint, Peer, Served};
use crate::kernel::PodKernel as _;
use crate::ports::Environment;

/// The media type of all responses.
pub(super) const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// A request that is served.
pub(super) struct Admitted<W: Environment<Registry = AnyRegistry>> {
    pub(super) asked: Asked,
    pub(super) by: ReviewedPod,
    /// The pod; none if it is gone.
    pub(super) pod: Option<AskingPod>,
    /// The pool that may give an address to a member that asks to attach one; otherwise that of the
    /// pod's label.
    pub(super) pool: Option<PoolName>,
    pub(super) turn: Turn<W>,
}

/// One of the requests that a pod may have at once, until this is dropped.
pub(super) struct Turn<W: Environment<Registry = AnyRegistry>> {
    endpoint: Rc<Endpoint<W>>,
    by: ReviewedPod,
}

impl<W: Environment<Registry = AnyRegistry>> Drop for Turn<W> {
    fn drop(&mut self) {
        self.endpoint.limits.borrow_mut().end(&self.by.pod);
    }
}

/// Why a request is not served.
pub(super) struct Refusal {
    status: StatusCode,
    pub(super) report: Report,
    /// Which request, and whose, once that is known.
    request_of: Option<(Request, ReviewedPod)>,
}

impl Refusal {
    fn new(status: StatusCode, exit: Exit, message: impl Into<String>) -> Self {
        Self::of(status, Report::new(exit, message))
    }

    fn of(status: StatusCode, report: Report) -> Self {
        Self { status, report, request_of: None }
    }

    /// Whose request it was, unless the pod is not known or the same run asks again.
    pub(super) fn into_final(self) -> Option<(Request, ReviewedPod, Report)> {
        let is_final = [StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST].contains(&self.status);
        let (request, by) = self.request_of.filter(|_| is_final)?;
        Some((request, by, self.report))
    }

    /// It cannot be served, whoever asks.
    fn bad(why: &BadRequest) -> Self {
        let (status, exit) = match why {
            BadRequest::NotServed => (StatusCode::NOT_FOUND, Exit::VersionMismatch),
            BadRequest::NoToken | BadRequest::LongToken | BadRequest::NotAToken => {
                (StatusCode::UNAUTHORIZED, Exit::TokenRefused)
            }
            BadRequest::Incomplete | BadRequest::Unread(_) | BadRequest::Invalid(_) => {
                (StatusCode::BAD_REQUEST, Exit::Usage)
            }
        };
        Self::new(status, exit, chain(why))
    }

    /// A read failed. If the API server could not be asked, the client repeats the request.
    pub(super) fn unread(why: &RegistryFailure) -> Self {
        let status = if why.kind == RegistryKind::Unavailable {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::FORBIDDEN
        };
        Self::of(status, Report::from(why))
    }

    /// The client repeats a request that comes too early, and for some seconds one from a pod about
    /// which the API may be behind.
    fn not_admitted(Failure { exit, message, .. }: Failure) -> Self {
        let status = if exit == Exit::AgentUnavailable {
            StatusCode::SERVICE_UNAVAILABLE
        } else if exit == Exit::TokenRefused {
            StatusCode::UNAUTHORIZED
        } else {
            StatusCode::FORBIDDEN
        };
        Self::new(status, exit, message)
    }

    fn busy(message: &str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Exit::AgentUnavailable, message)
    }

    pub(super) fn response(&self) -> Response<Body> {
        let line = ResponseLine::Outcome(Outcome::from(&self.report)).to_bytes();
        complete(self.status, line)
    }
}

/// A complete response.
pub(super) fn complete(status: StatusCode, line: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(line)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, LINES);
    response
}

/// Reads the request and decides whether it is served. Only what can be a token is reviewed.
pub(super) async fn admitted<W: Environment<Registry = AnyRegistry>>(
    endpoint: &Rc<Endpoint<W>>,
    request: hyper::Request<Incoming>,
    from: Peer,
) -> Result<Admitted<W>, Refusal> {
    let (asked, token) = read_request(request).await.map_err(|why| Refusal::bad(&why))?;
    if !endpoint.limits.borrow_mut().review(from.source, endpoint.now()) {
        return Err(Refusal::busy("this source shows too many tokens"));
    }
    let registry = &endpoint.systems.registry;
    let by = match registry.review(token.as_str()).await.map_err(|why| Refusal::unread(&why))? {
        Review::Pod(pod) => pod,
        Review::Refused(why) => {
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, Exit::TokenRefused, why));
        }
    };
    let request_of = (asked.request(), by.clone());
    let served = Box::pin(served(endpoint, asked, by, from)).await;
    served.map_err(|refusal| Refusal { request_of: Some(request_of), ..refusal })
}

/// Decides whether the request of this pod is served.
async fn served<W: Environment<Registry = AnyRegistry>>(
    endpoint: &Rc<Endpoint<W>>,
    asked: Asked,
    by: ReviewedPod,
    from: Peer,
) -> Result<Admitted<W>, Refusal> {
    let kind = asked.request();
    let registry = &endpoint.systems.registry;
    let held = async {
        if kind == Request::Attach { pool_of_holder(registry, &by.member).await } else { Ok(None) }
    };
    let (pod, held) = tokio::join!(registry.asking_pod(&by.member), held);
    let pod = pod.map_err(|why| Refusal::unread(&why))?;
    let Served { node, pod_networks, .. } = &endpoint.served;
    let [its, own] = [from.ends.0, from.ends.1].map(|end| IpAddr::V4(*end.ip()));
    let at = Arrival { node, endpoint: own, from: its, pod_networks: *pod_networks };
    admit(kind, &by, pod.as_ref(), at).map_err(Refusal::not_admitted)?;
    let labelled = pod.as_ref().map_or(Ok(None), |pod| pod.pool.clone());
    if kind == Request::Attach && !endpoint.shared_status.node_is_read() {
        let why = "the agent has just started and does not know the interfaces of its node yet";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Exit::AgentUnavailable, why));
    }
    let pool = if kind == Request::Attach {
        let wrong = |why| Refusal::new(StatusCode::BAD_REQUEST, Exit::Usage, why);
        let labelled = labelled.map_err(wrong)?;
        match held.map_err(|why| Refusal::unread(&why))? {
            Some(pool) => Some(pool),
            None => Some(approved_pool(registry, &by.member, labelled.as_ref()).await?),
        }
    } else {
        labelled.ok().flatten()
    };
    if !endpoint.limits.borrow_mut().begin(&by.pod) {
        return Err(Refusal::busy("this pod has too many requests"));
    }
    let turn = Turn { endpoint: Rc::clone(endpoint), by: by.clone() };
    let pod = pod.filter(|pod| pod.pod == by.pod);
    if kind == Request::Attach && pod.as_ref().is_some_and(|pod| !pod.host_network) {
        let found = endpoint.systems.host.find_pod_network(&by.pod, from.ends).await;
        let refused = |status, why| Refusal::new(status, Exit::KernelRefused, why);
        let unread = |why: HostFailure| refused(StatusCode::SERVICE_UNAVAILABLE, why.detail);
        let unclear = |why| refused(StatusCode::FORBIDDEN, why);
        found.map_err(unread)?.map_err(unclear)?;
    }
    Ok(Admitted { asked, by, pod, pool, turn })
}

/// The pool of a member that has an address, which it may keep. This is read beside the pod: most
/// requests are of such members.
async fn pool_of_holder(
    registry: &AnyRegistry,
    member: &Member,
) -> Result<Option<PoolName>, RegistryFailure> {
    match registry.get().await? {
        OpenRegistry::Kube(registry) => Box::pin(registry.pool_of_holder(member)).await,
        OpenRegistry::File(_) => Ok(None),
    }
}

/// The pool that may give an address to a member without one.
async fn approved_pool(
    registry: &AnyRegistry,
    member: &Member,
    labelled: Option<&PoolName>,
) -> Result<PoolName, Refusal> {
    let approved = registry.approved_pool(member, labelled).await;
    let forbidden = |why| Refusal::new(StatusCode::FORBIDDEN, Exit::NamespaceNotAllowed, why);
    approved.map_err(|why| Refusal::unread(&why))?.map_err(forbidden)
}
