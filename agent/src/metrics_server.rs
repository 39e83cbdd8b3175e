//! Serves `/metrics` on `--metrics-listen`, for other hosts. Another process may use that port. An
//! agent that cannot listen there logs it, keeps working and tries again.

use std::net::SocketAddr;
use std::time::Duration;

use firecamp_engine::Rng;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::http::{self, Pages};
use crate::status::Status;

/// Backoff after the first failure; it doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);

/// Serves the metrics on `at` until `end`.
pub(crate) async fn serve(at: SocketAddr, status: &Status, end: &CancellationToken) {
    let listener = tokio::select! {
        () = end.cancelled() => return,
        listener = listen(at, status) => listener,
    };
    http::serve((listener, Pages::Metrics), status, end).await;
}

async fn listen(at: SocketAddr, status: &Status) -> TcpListener {
    let (mut backoff, rng) = (FIRST_BACKOFF, Rng::default());
    loop {
        match TcpListener::bind(at).await {
            Ok(listener) => {
                tracing::info!(%at, "metrics listener started");
                return listener;
            }
            Err(why) if status.listen_failures.inc() == 0 => {
                tracing::warn!(%at, error = %why,
                    "failed to start metrics listener; will retry");
            }
            Err(why) => {
                tracing::debug!(%at, error = %why, "failed to start metrics listener again");
            }
        }
        sleep(backoff.mul_f64(1.0 + rng.part() / 2.0)).await;
        backoff = backoff.saturating_mul(2).min(LONGEST_BACKOFF);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::{Instant, timeout};

    use super::*;

    /// A loopback address that no other test uses.
    const LISTEN: &str = "127.0.23.1:0";
    const DEADLINE: Duration = Duration::from_mins(1);

    async fn scrape(at: SocketAddr) -> Option<String> {
        let mut stream = TcpStream::connect(at).await.ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        Some(text)
    }

    #[tokio::test]
    async fn a_port_in_use_does_not_stop_the_agent_and_is_bound_once_it_is_free() {
        let taken = std::net::TcpListener::bind(LISTEN).unwrap();
        let (at, status) = (taken.local_addr().unwrap(), Status::default());
        let end = CancellationToken::new();
        let served = serve(at, &status, &end);
        let body = async {
            while status.listen_failures.get() == 0 {
                sleep(Duration::from_millis(10)).await;
            }
            drop(taken);
            let text = loop {
                if let Some(text) = scrape(at).await {
                    break text;
                }
                sleep(Duration::from_millis(50)).await;
            };
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
            assert!(!text.contains("firecamp_agent_metrics_listen_failures_total 0"), "{text}");
            end.cancel();
        };
        let both = async { tokio::join!(served, body) };
        timeout(DEADLINE, both).await.expect("it is served within the deadline");
    }

    #[tokio::test(start_paused = true)]
    async fn listen_attempts_back_off_up_to_ninety_seconds() {
        let taken = std::net::TcpListener::bind(LISTEN).unwrap();
        let (at, status) = (taken.local_addr().unwrap(), Status::default());
        let end = CancellationToken::new();
        let begun = Instant::now();
        let body = async {
            sleep(Duration::from_hours(1)).await;
            end.cancel();
        };
        tokio::join!(serve(at, &status, &end), body);
        let tries = status.listen_failures.get();
        assert!((40..=70).contains(&tries), "{tries} in {:?}", begun.elapsed());
    }
}
