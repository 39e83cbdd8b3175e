//! One connection of a pod: one request, bounded in size and time.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use firecamp_core::contract::endpoint::{LONGEST_HEAD, REQUEST_WITHIN, RESPONSE_WITHIN};
use firecamp_run::connect::AnyRegistry;
use http_body_util::channel::Channel;
use http_body_util::{Either, Full};
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

use super::{Endpoint, Peer, perform, request};
use crate::ports::Environment;

/// The body of a response: complete, or lines that follow.
pub(super) type Body = Either<Full<Bytes>, Channel<Bytes>>;

/// What runs beside its response. It fails if the client does not read.
pub(super) type Job = Pin<Box<dyn Future<Output = Result<(), Elapsed>>>>;

/// A request that waits for the API server is answered within this time, with its failure if need
/// be: the review and the read of the pod have timeouts of their own.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Serves the connection until its response is sent or the client is gone or too slow. A run for
/// such a client ends.
pub(super) async fn serve<W: Environment<Registry = AnyRegistry>>(
    endpoint: &Rc<Endpoint<W>>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    from: Peer,
) {
    let (start, started) = oneshot::channel();
    let start = Cell::new(Some(start));
    let service = service_fn(|request| {
        let start = &start;
        async move {
            let (response, job) = respond(endpoint, request, from).await;
            if let Some(start) = start.take() {
                start.send(job).ok();
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WITHIN)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false);
    let exchange = http.serve_connection(TokioIo::new(stream), service);
    let work = async {
        if let Ok(Some(job)) = timeout(ANSWER_WITHIN, started).await? {
            job.await?;
        }
        sleep(RESPONSE_WITHIN).await;
        Ok::<_, Elapsed>(())
    };
    let ended = tokio::select! {
        ended = exchange => ended,
        _late = work => return tracing::debug!(from = %from.ends.0, "connection timed out"),
    };
    if let Err(why) = ended {
        tracing::debug!(from = %from.ends.0, error = %why, "connection failed");
    }
}

async fn respond<W: Environment<Registry = AnyRegistry>>(
    endpoint: &Rc<Endpoint<W>>,
    request: hyper::Request<hyper::body::Incoming>,
    from: Peer,
) -> (Response<Body>, Option<Job>) {
    match request::admitted(endpoint, request, from).await {
        Ok(admitted) => perform::begin(endpoint, admitted).await,
        Err(refusal) => {
            let reason = refusal.report.exit.reason();
            tracing::info!(from = %from.ends.0, reason, error = refusal.report.message, "request refused");
            endpoint.metrics.refused(reason);
            let response = refusal.response();
            endpoint.refused(refusal);
            (response, None)
        }
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
