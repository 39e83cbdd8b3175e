//! The HTTP endpoints of the agent: `/livez`, `/readyz`, `/metrics`, `/v1/node` and `/v1/log` on
//! loopback, and `/metrics` alone on `--metrics-listen`.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::status::Status;

/// Maximum number of concurrent connections; others wait.
const AT_ONCE: usize = 8;
/// Time limit of a connection: it requests one small page.
const WITHIN: Duration = Duration::from_secs(5);
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const TEXT: &str = "text/plain; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The pages that a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// All pages, on loopback.
    All,
    /// Only the metrics, to other hosts.
    Metrics,
}

/// Serves until `end`.
pub(crate) async fn serve(
    (listener, pages): (TcpListener, Pages),
    status: &Status,
    end: &CancellationToken,
) {
    let lanes = std::iter::repeat_with(|| lane(&listener, pages, status)).take(AT_ONCE);
    let all = join_all(lanes.collect());
    tokio::select! {
        () = end.cancelled() => {}
        () = all => {}
    }
}

/// Serves one connection after the other.
async fn lane(listener: &TcpListener, pages: Pages, status: &Status) {
    loop {
        match listener.accept().await {
            Ok((stream, _from)) => connection(stream, pages, status).await,
            Err(why) => {
                tracing::warn!(error = %why, "failed to accept connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn join_all(lanes: Vec<impl Future<Output = ()>>) {
    let mut lanes: Vec<_> = lanes.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for lane in &mut lanes {
            pending |= lane.as_mut().poll(context).is_pending();
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
}

async fn connection(stream: TcpStream, pages: Pages, status: &Status) {
    let service = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(answer(pages, request.method(), request.uri().path(), status))
    });
    let mut http = http1::Builder::new();
    // One request per connection, so that an idle client cannot occupy a lane.
    let exchange = http.keep_alive(false).serve_connection(TokioIo::new(stream), service);
    match timeout(WITHIN, exchange).await {
        Ok(Ok(())) => {}
        Ok(Err(why)) => tracing::debug!(error = %why, "connection failed"),
        Err(_elapsed) => tracing::debug!("connection timed out"),
    }
}

fn answer(pages: Pages, method: &Method, path: &str, status: &Status) -> Response<Full<Bytes>> {
    if method != Method::GET {
        return page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is allowed\n".to_owned());
    }
    if pages == Pages::Metrics && path != "/metrics" {
        return page(
            StatusCode::NOT_FOUND,
            TEXT,
            "not found; this listener serves only /metrics\n".to_owned(),
        );
    }
    match path {
        "/livez" => {
            probe(status.health.is_live(), "the loop has completed no iteration for 30 s\n")
        }
        "/readyz" => probe(
            status.health.is_ready(),
            "registry and kernel have not both been read yet; working from the last snapshot\n",
        ),
        "/metrics" => status.metrics().map_or_else(
            |why| page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{why}\n")),
            |text| page(StatusCode::OK, OPENMETRICS, text),
        ),
        "/v1/node" => node(status),
        "/v1/log" => page(StatusCode::OK, LINES, status.log()),
        _ => {
            let known = "not found; try /livez, /readyz, /metrics, /v1/node or /v1/log\n";
            page(StatusCode::NOT_FOUND, TEXT, known.to_owned())
        }
    }
}

/// The `NodeAttachments` that the agent would publish now, with the age of its data.
fn node(status: &Status) -> Response<Full<Bytes>> {
    let Some(report) = status.report() else {
        let text = "no observation yet\n".to_owned();
        return page(StatusCode::SERVICE_UNAVAILABLE, TEXT, text);
    };
    serde_json::to_string(&report).map_or_else(
        |why| page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{why}\n")),
        |text| page(StatusCode::OK, JSON, text),
    )
}

fn probe(passed: bool, failure: &str) -> Response<Full<Bytes>> {
    if passed {
        page(StatusCode::OK, TEXT, "ok\n".to_owned())
    } else {
        page(StatusCode::SERVICE_UNAVAILABLE, TEXT, failure.to_owned())
    }
}

fn page(code: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use firecamp_registry::api::{NodeAttachments, NodeAttachmentsStatus};
    use firecamp_run::recent_log::Recent;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;

    fn code(method: &Method, path: &str, status: &Status) -> u16 {
        answer(Pages::All, method, path, status).status().as_u16()
    }

    #[test]
    fn metrics_listener_serves_only_metrics() {
        let status = Status::default();
        status.health.is_ready_now();
        for (path, wanted) in [
            ("/metrics", 200),
            ("/livez", 404),
            ("/readyz", 404),
            ("/v1/node", 404),
            ("/v1/log", 404),
        ] {
            let given = answer(Pages::Metrics, &Method::GET, path, &status).status().as_u16();
            assert_eq!(given, wanted, "{path}");
        }
    }

    #[test]
    fn agent_is_ready_after_it_has_reconciled() {
        let status = Status::default();
        assert_eq!(code(&Method::GET, "/livez", &status), 200);
        assert_eq!(code(&Method::GET, "/readyz", &status), 503);
        status.health.is_ready_now();
        assert_eq!(code(&Method::GET, "/readyz", &status), 200);
    }

    #[tokio::test]
    async fn log_page_redacts_secrets() {
        let log = Recent::default();
        let error = "Authorization: Bearer hush";
        let line = json!({ "message": "query sent", "error": error, "token": "hush" }).to_string();
        log.push(line.as_bytes());
        let status = Status::new(log);
        let reported = answer(Pages::All, &Method::GET, "/v1/log", &status);
        assert_eq!(reported.headers()[CONTENT_TYPE], LINES);
        let body = reported.into_body().collect().await.unwrap().to_bytes();
        let object: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(object["message"], "query sent");
        assert_eq!(object["error"], "Authorization: Bearer REDACTED");
        assert_eq!(object["token"], "REDACTED");
    }

    #[test]
    fn only_known_pages_and_only_get_are_served() {
        let status = Status::default();
        assert_eq!(code(&Method::GET, "/metrics", &status), 200);
        assert_eq!(code(&Method::GET, "/v1/node", &status), 503, "no observation yet");
        let object = NodeAttachments::new("node-1", None, NodeAttachmentsStatus::default());
        status.publishing.would_publish(object);
        assert_eq!(code(&Method::GET, "/v1/node", &status), 200);
        assert_eq!(code(&Method::GET, "/", &status), 404);
        assert_eq!(code(&Method::POST, "/metrics", &status), 405);
    }
}
