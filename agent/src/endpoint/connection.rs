//! One connection of a pod: one request, bounded in size and time.

use std::cell::RefCell;
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
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::{Endpoint, Peer, perform, request};
use crate::ports::Environment;

/// The body of a response: complete, or lines that follow.
pub(super) type Body = Either<Full<Bytes>, Channel<Bytes>>;

/// What runs beside its response.
pub(super) type Job = Pin<Box<dyn Future<Output = ()>>>;

/// A request that waits for the API server is answered within this time, with its failure if need
/// be: the review and the read of the pod have timeouts of their own.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Serves the connection until its response is sent or the client is gone. A run for a client that
/// is gone ends.
pub(super) async fn serve<W: Environment<Registry = AnyRegistry>>(
    endpoint: &Rc<Endpoint<W>>,
    stream: TcpStream,
    from: Peer,
) {
    let begun: RefCell<Option<Job>> = RefCell::new(None);
    let service = service_fn(|request| {
        let begun = &begun;
        async move {
            let (response, job) = respond(endpoint, request, from).await;
            *begun.borrow_mut() = job;
            Ok::<_, Infallible>(response)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WITHIN)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false);
    let mut exchange = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let answered = std::future::poll_fn(|context| {
        // The job exists once the service has responded, which happens while this is polled.
        let ended = exchange.as_mut().poll(context).map(Some);
        if ended.is_pending() && begun.borrow().is_some() {
            return std::task::Poll::Ready(None);
        }
        ended
    });
    let first = tokio::select! {
        first = answered => first,
        () = sleep(ANSWER_WITHIN) => return tracing::debug!(from = %from.ends.0, "connection timed out"),
    };
    let job = begun.borrow_mut().take();
    let ended = match (first, job) {
        (Some(ended), _) => ended,
        (None, None) => return,
        (None, Some(job)) => {
            let work = async {
                job.await;
                sleep(RESPONSE_WITHIN).await;
            };
            tokio::select! {
                ended = exchange => ended,
                () = work => return tracing::debug!(from = %from.ends.0, "response not read"),
            }
        }
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
