//! HTTP with the delivery that the simulator requests: late, cut, or never.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use firecamp_vpc::{Answer, Cut, CutPoint, WireRequest, WireResponse};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::real_time_simulator::Driver;

/// The largest request body; EC2's own limit is lower.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// The service behind a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Ec2,
    Route53,
    Logs,
    Imds,
}

/// Why a connection is closed before the end of a response.
#[derive(Debug, thiserror::Error)]
enum Abort {
    #[error("a fault dropped the response")]
    Lost,
    #[error("failed to read the request: {0}")]
    Request(String),
    #[error("the box is ending")]
    Ending,
}

/// Serves a listener until the box ends.
pub(super) async fn accept(driver: Arc<Driver>, listener: TcpListener, endpoint: Endpoint) {
    loop {
        let (stream, source) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Only this connection is lost (reset, or no file descriptors for a moment).
                tracing::warn!(?endpoint, %error, "failed to accept a connection");
                tokio::task::yield_now().await;
                continue;
            }
        };
        if let IpAddr::V4(source) = source.ip() {
            tokio::spawn(connection(Arc::clone(&driver), stream, source, endpoint));
        }
    }
}

async fn connection(driver: Arc<Driver>, stream: TcpStream, source: Ipv4Addr, endpoint: Endpoint) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
    let service = service_fn(|request| answer(&driver, source, endpoint, request));
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(?endpoint, %source, %error, "connection ended");
    }
}

async fn answer(
    driver: &Driver,
    source: Ipv4Addr,
    endpoint: Endpoint,
    request: http::Request<Incoming>,
) -> Result<http::Response<Cuttable>, Abort> {
    let request = read(request).await?;
    let outcome = match endpoint {
        Endpoint::Ec2 => driver.ec2(source, &request).await,
        Endpoint::Route53 => {
            let hint = driver.site_of(source).await;
            driver.serve(|sim, now| sim.route53(now, hint.as_deref(), &request)).await
        }
        Endpoint::Logs => {
            let hint = driver.site_of(source).await;
            driver.serve(|sim, now| sim.logs(now, hint.as_deref(), &request)).await
        }
        Endpoint::Imds => {
            let Some(node) = driver.node_at(source).await else {
                return build(not_a_node(source), None);
            };
            driver.serve(|simulator, now| simulator.imds(now, &node, &request)).await
        }
    };
    match outcome {
        Ok(Some(Answer::Respond(response))) => build(response, None),
        Ok(Some(Answer::Cut { after: CutPoint::Nothing, then, .. })) => match then {
            Cut::Close => Err(Abort::Lost),
            Cut::Silence => std::future::pending().await,
        },
        Ok(Some(Answer::Cut { response, after: CutPoint::BodyBytes(bytes), then })) => {
            build(response, Some((bytes, then)))
        }
        // The client ends this by closing its end of the connection.
        Ok(None) => std::future::pending().await,
        Err(failure) => {
            driver.fail(&failure);
            Err(Abort::Ending)
        }
    }
}

/// Only nodes have a metadata service; explained in the body, because the request is a setup error.
fn not_a_node(source: Ipv4Addr) -> WireResponse {
    WireResponse {
        status: 404,
        headers: vec![("Content-Type".to_owned(), "text/plain".to_owned())],
        body: format!("vpcbox: no node of this box has the address {source}\n").into_bytes(),
    }
}

async fn read(request: http::Request<Incoming>) -> Result<WireRequest, Abort> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map_err(|error| Abort::Request(error.to_string()))?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let headers = parts.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    Ok(WireRequest {
        method: parts.method.as_str().to_owned(),
        path_and_query: path.to_owned(),
        headers: headers.collect(),
        body: body.to_bytes().to_vec(),
    })
}

fn build(
    response: WireResponse,
    cut: Option<(usize, Cut)>,
) -> Result<http::Response<Cuttable>, Abort> {
    let length = response.body.len();
    let mut builder = http::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        builder = builder.header(name, value);
    }
    let (sent, end) = match cut {
        None => (length, End::Whole),
        Some((bytes, Cut::Close)) => (bytes.min(length), End::Close),
        Some((bytes, Cut::Silence)) => (bytes.min(length), End::Silence),
    };
    let mut data = Bytes::from(response.body);
    data.truncate(sent);
    builder
        .header(http::header::CONTENT_LENGTH, length)
        .body(Cuttable { data: Some(data), end })
        .map_err(|error| {
            Abort::Request(format!("the simulator's response is not valid HTTP: {error}"))
        })
}

/// A body that may end before its announced length.
struct Cuttable {
    data: Option<Bytes>,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    Whole,
    Close,
    Silence,
}

impl Body for Cuttable {
    type Data = Bytes;
    type Error = Abort;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Abort>>> {
        if let Some(data) = self.data.take().filter(|data| !data.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match self.end {
            End::Whole => Poll::Ready(None),
            End::Close => Poll::Ready(Some(Err(Abort::Lost))),
            // Nothing wakes it: it is dropped when the client closes the connection.
            End::Silence => Poll::Pending,
        }
    }
}
