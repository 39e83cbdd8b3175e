//! One HTTP request to the API server: bounded in time and size, never retried.

use std::fmt::Display;
use std::iter;
use std::time::Duration;

use bytes::Bytes;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use http::header::{ACCEPT, CONTENT_TYPE, DATE, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::Client;
use kube::client::Body;

use crate::classify;

/// How long requests to the API server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// One request. The API server gets the same deadline.
    pub call: Duration,
    /// A list, with all of its pages.
    pub list: Duration,
}

impl Default for Timeouts {
    /// A request takes milliseconds; an API server needs seconds to restart.
    fn default() -> Self {
        Self { call: Duration::from_secs(5), list: Duration::from_secs(20) }
    }
}

/// etcd stores no object larger than 1.5 MiB; a page of names is smaller.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The user agent in the API server's audit log.
const AGENT: &str = concat!("firecamp/", env!("CARGO_PKG_VERSION"));

/// Requests only metadata, for lists of many objects.
const NAMES_ONLY: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// A request and its name in messages.
#[derive(Clone)]
pub(crate) struct Call {
    /// `create StaticIP 10.0.0.9`.
    pub(crate) what: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Further query parameters, each as `name=value`.
    pub(crate) query: Vec<String>,
    pub(crate) accept: &'static str,
    /// The content type and the body.
    pub(crate) body: Option<(&'static str, Vec<u8>)>,
}

impl Call {
    pub(crate) fn get(what: impl Display, path: String) -> Self {
        Self {
            what: what.to_string(),
            method: Method::GET,
            path,
            query: Vec::new(),
            accept: "application/json",
            body: None,
        }
    }

    pub(crate) fn list(what: impl Display, path: String, query: Vec<String>) -> Self {
        Self { accept: NAMES_ONLY, query, ..Self::get(what, path) }
    }

    pub(crate) fn write(method: Method, what: String, path: String) -> Self {
        Self { method, ..Self::get(what, path) }
    }

    /// The possible effect of a request without a response.
    pub(crate) fn in_doubt(&self) -> Effect {
        if self.method == Method::GET { Effect::None } else { Effect::Unknown }
    }

    pub(crate) fn failed(
        &self,
        kind: RegistryKind,
        effect: Effect,
        problem: impl Display,
    ) -> RegistryFailure {
        RegistryFailure { kind, effect, detail: format!("{}: {problem}", self.what) }
    }

    /// Adds the deadline to the query.
    fn request(&self, within: Duration) -> Result<Request<Body>, http::Error> {
        let within = format!("timeout={}s", within.as_secs().max(1));
        let query: Vec<_> = iter::once(within).chain(self.query.iter().cloned()).collect();
        let uri = format!("{}?{}", self.path, query.join("&"));
        let request = Request::builder()
            .method(self.method.clone())
            .uri(uri)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, self.accept);
        match &self.body {
            Some((kind, bytes)) => {
                request.header(CONTENT_TYPE, *kind).body(Body::from(bytes.clone()))
            }
            None => request.body(Body::empty()),
        }
    }
}

/// The response of the API server.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The server's clock, from the `Date` header.
    pub(crate) date: Option<String>,
    pub(crate) body: Bytes,
}

/// Sends the request once and reads the response.
pub(crate) async fn send(
    client: &Client,
    call: &Call,
    within: Duration,
) -> Result<Answer, RegistryFailure> {
    send_bounded(client, call, within).await?.ok_or_else(|| too_large(call))
}

/// The same; none if the response is too large.
pub(crate) async fn send_bounded(
    client: &Client,
    call: &Call,
    within: Duration,
) -> Result<Option<Answer>, RegistryFailure> {
    let exchange = async { read(call, begun(client, call, within).await?).await };
    tokio::time::timeout(within, exchange).await.unwrap_or_else(|_elapsed| {
        let problem = format!("no answer within {} s", within.as_secs_f32());
        Err(call.failed(RegistryKind::Unavailable, call.in_doubt(), problem))
    })
}

async fn begun(
    client: &Client,
    call: &Call,
    within: Duration,
) -> Result<Response<Body>, RegistryFailure> {
    let request = call
        .request(within)
        .map_err(|wrong| call.failed(RegistryKind::Refused, Effect::None, wrong))?;
    client.send(request).await.map_err(|wrong| classify::not_answered(call, &wrong))
}

/// The failure of a request whose response is too large.
pub(crate) fn too_large(call: &Call) -> RegistryFailure {
    let problem = format!("the response is larger than {MAX_BYTES} bytes");
    call.failed(RegistryKind::Unavailable, call.in_doubt(), problem)
}

/// None if it is too large.
async fn read(call: &Call, response: Response<Body>) -> Result<Option<Answer>, RegistryFailure> {
    let status = response.status();
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
    match Limited::new(response.into_body(), MAX_BYTES).collect().await {
        Ok(body) => Ok(Some(Answer { status, date, body: body.to_bytes() })),
        Err(wrong) if wrong.is::<LengthLimitError>() => Ok(None),
        Err(wrong) => {
            let problem = format!("the response with status {status} was interrupted: {wrong}");
            Err(call.failed(RegistryKind::Unavailable, call.in_doubt(), problem))
        }
    }
}
