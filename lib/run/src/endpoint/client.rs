//! The client of the agent's endpoint.
//!
//! A request that ends without an outcome is asked again until the deadline: the agent is not
//! there yet, is rolled to another version, or was killed. Every attach takes a new epoch, so
//! asking again is as safe as starting the container again.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use firecamp_core::contract::endpoint;
use firecamp_core::contract::exit::Exit;
use firecamp_core::endpoint::{Asking, NoOutcome};
use firecamp_core::failure::chain;
use firecamp_core::ids::NodeName;
use firecamp_core::time::Moment;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::protocol::{AddressResponse, AttachRequest, ReleaseRequest};
use super::response::{LONGEST_LINE, LongLine, ResponseReader};
use crate::report::Report;

/// A connection to this node's own agent takes less than a millisecond.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// The time of [`Asking`] counts from the first request.
const START: Moment = Moment(Duration::ZERO);

/// A client of the endpoint with the token of its pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointClient {
    /// Where the agent listens.
    pub endpoint: SocketAddr,
    /// The pod's token. Read again for each request, because the kubelet renews it.
    pub token_file: PathBuf,
    /// The node of the pod, if its variables name it: for messages alone.
    pub node: Option<NodeName>,
}

/// Why a request has no outcome.
#[derive(Debug, Error)]
enum Failed {
    #[error("failed to read the token in {}", path.display())]
    Token {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to connect")]
    Connect(#[source] io::Error),
    #[error("no connection within {CONNECT_WITHIN:?}")]
    Silent,
    #[error("the agent has accepted the connection and does not answer")]
    Unanswered,
    #[error("failed to send the request")]
    Request(#[from] hyper::http::Error),
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
    #[error("the response ended before the outcome")]
    Cut,
    #[error("no outcome within the deadline")]
    Late,
    #[error("{}", .0.message)]
    Busy(Report),
    #[error("{}", .0.message)]
    Refused(Report),
}

impl Failed {
    fn kind(&self) -> NoOutcome {
        match self {
            Self::Token { .. } | Self::Late => NoOutcome::Final,
            Self::Refused(_) => NoOutcome::Refused,
            Self::Cut => NoOutcome::Cut,
            Self::Connect(_)
            | Self::Silent
            | Self::Unanswered
            | Self::Request(_)
            | Self::Broken(_)
            | Self::Busy(_) => NoOutcome::NoAnswer,
        }
    }
}

impl EndpointClient {
    /// Attaches the pod's address. The agent gets what is left of the timeout.
    pub async fn attach(&self, within: Duration) -> Report {
        let request =
            |left| self.post(endpoint::ATTACH, &AttachRequest { timeout_ms: millis(left) });
        let asked = self.ask(Asking::attach(within, START), request, outcome).await;
        asked.unwrap_or_else(|failed| failed)
    }

    /// Releases the pod's address. Waits only briefly for an agent that is not there.
    pub async fn release(&self, request: &ReleaseRequest, within: Duration) -> Report {
        let request = |_left| self.post(endpoint::RELEASE, request);
        let asked = self.ask(Asking::release(within, START), request, outcome).await;
        asked.unwrap_or_else(|failed| failed)
    }

    /// The epoch that the pod holds; none if it holds none. Asks until the agent says it.
    pub async fn epoch(&self) -> Result<Option<u64>, Report> {
        let request = |_left| self.request(Method::GET, endpoint::ADDRESS, Bytes::new());
        self.ask(Asking::epoch(START), request, held_epoch).await
    }

    async fn ask<T>(
        &self,
        mut asking: Asking,
        request: impl Fn(Duration) -> Result<Request<Full<Bytes>>, Failed>,
        read: impl AsyncFn(Response<Incoming>) -> Result<T, Failed>,
    ) -> Result<T, Report> {
        let begun = Instant::now();
        loop {
            let now = Moment(begun.elapsed());
            let request = request(asking.time_for_agent(now));
            let asked = self.attempt(request, begun + asking.answer_by(now).0, &read);
            let asked = timeout_at(begun + asking.outcome_by().0, asked).await;
            let failed = match asked.unwrap_or(Err(Failed::Late)) {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let Some(pause) = asking.again(failed.kind(), Moment(begun.elapsed())) else {
                return Err(self.given_up(failed, asking.patience()));
            };
            tracing::info!(
                endpoint = %self.endpoint,
                error = chain(&failed),
                waited_seconds = begun.elapsed().as_secs_f64(),
                at_most_seconds = asking.patience().as_secs_f64(),
                "waiting for the agent of this node"
            );
            sleep(pause).await;
        }
    }

    /// The report of a request without an outcome.
    fn given_up(&self, failed: Failed, patience: Duration) -> Report {
        let why = chain(&failed);
        let (agent, at) = (self.agent(), self.endpoint);
        let text = match failed {
            Failed::Busy(report) | Failed::Refused(report) => return report,
            Failed::Token { .. } => return Report::new(Exit::TokenRefused, why),
            Failed::Connect(_) | Failed::Silent | Failed::Unanswered => format!(
                "{agent} did not answer at {at} within {patience:?}: {why}; it may not run on this \
                 node, or a NetworkPolicy or a service mesh of this pod blocks its endpoint"
            ),
            Failed::Request(_) | Failed::Broken(_) | Failed::Cut | Failed::Late => {
                format!("{agent}, asked at {at}, did not finish: {why}")
            }
        };
        Report::new(Exit::AgentUnavailable, text)
    }

    fn agent(&self) -> String {
        self.node.as_ref().map_or_else(
            || "the agent of this node".to_owned(),
            |node| format!("the agent of node {node}"),
        )
    }

    /// One request, which must be answered by then; its outcome may come later.
    async fn attempt<T>(
        &self,
        request: Result<Request<Full<Bytes>>, Failed>,
        answer_by: Instant,
        read: impl AsyncFn(Response<Incoming>) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let request = request?;
        let connected = timeout(CONNECT_WITHIN, TcpStream::connect(self.endpoint)).await;
        let stream = connected.map_err(|_elapsed| Failed::Silent)?.map_err(Failed::Connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut exchange = pin!(async move {
            let answered = timeout_at(answer_by, sender.send_request(request)).await;
            read(answered.map_err(|_elapsed| Failed::Unanswered)??).await
        });
        tokio::select! {
            biased;
            ended = &mut exchange => ended,
            // What has arrived is still read.
            _closed = connection => exchange.await,
        }
    }

    fn post(&self, path: &str, body: &impl Serialize) -> Result<Request<Full<Bytes>>, Failed> {
        // Serialization of plain fields cannot fail.
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.request(Method::POST, path, Bytes::from(body))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Failed> {
        let token = std::fs::read_to_string(&self.token_file)
            .map_err(|source| Failed::Token { path: self.token_file.clone(), source })?;
        Ok(Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.endpoint.to_string())
            .header(AUTHORIZATION, format!("Bearer {}", token.trim()))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))?)
    }
}

/// Reads which epoch the pod holds. Whatever else the agent says, it is asked again.
async fn held_epoch(response: Response<Incoming>) -> Result<Option<u64>, Failed> {
    let is_known = response.status().is_success();
    let body = Limited::new(response.into_body(), LONGEST_LINE).collect().await;
    let body = body.map_err(|_long_or_cut| Failed::Cut)?.to_bytes();
    let held = AddressResponse::from_bytes(&body).ok_or(Failed::Cut)?;
    if is_known { Ok(held.epoch) } else { Err(Failed::Cut) }
}

/// Reads the lines of a response up to the outcome.
async fn outcome(response: Response<Incoming>) -> Result<Report, Failed> {
    let status = response.status().as_u16();
    let (mut body, mut reader) = (response.into_body(), ResponseReader::default());
    while let Some(Ok(frame)) = body.frame().await {
        let part: &[u8] = frame.data_ref().map_or(&[], |data| data);
        let Some(outcome) = reader.read(part).map_err(|LongLine| Failed::Cut)? else { continue };
        let report = Report::from(outcome);
        return match status {
            429 | 503 => Err(Failed::Busy(report)),
            401 => Err(Failed::Refused(report)),
            _ => Ok(report),
        };
    }
    Err(Failed::Cut)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3);

    fn report() -> Report {
        Report::new(Exit::RegistryUnavailable, "cause")
    }

    #[test]
    fn a_busy_agents_own_reason_is_reported_and_a_lost_agent_is_named_by_its_node() {
        let endpoint = "127.0.0.1:1".parse().unwrap();
        let client = EndpointClient { endpoint, token_file: PathBuf::new(), node: None };
        assert_eq!(client.given_up(Failed::Busy(report()), PATIENCE), report());
        let lost = client.given_up(Failed::Cut, PATIENCE);
        assert_eq!(lost.exit, Exit::AgentUnavailable);
        assert!(!lost.message.contains("NetworkPolicy"), "{}", lost.message);
        assert!(lost.message.starts_with("the agent of this node, asked"), "{}", lost.message);
        let named = EndpointClient { node: Some(NodeName::new("node-a").unwrap()), ..client };
        let lost = named.given_up(Failed::Cut, PATIENCE);
        assert!(lost.message.starts_with("the agent of node node-a, asked"), "{}", lost.message);
    }
}
