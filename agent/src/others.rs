//! The metrics for others than this machine, at a port that something else may have. Members
//! matter more than who looks on: an agent that cannot listen there keeps addresses true all the
//! same, says so, and tries again.

use std::net::SocketAddr;
use std::time::Duration;

use firecamp_engine::Dice;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::http::{self, Pages};
use crate::status::Status;

/// After the first failure it rests so long, then twice as long each time.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_mins(1);

/// Serves them there until the end.
pub(crate) async fn serve(at: SocketAddr, status: &Status, end: &CancellationToken) {
    let listener = tokio::select! {
        () = end.cancelled() => return,
        listener = listen(at, status) => listener,
    };
    http::serve((listener, Pages::Metrics), status, end).await;
}

async fn listen(at: SocketAddr, status: &Status) -> TcpListener {
    let (mut rest, dice) = (FIRST_REST, Dice::default());
    loop {
        match TcpListener::bind(at).await {
            Ok(listener) => {
                tracing::info!(%at, "The metrics are served to others");
                return listener;
            }
            Err(why) if status.unheard.inc() == 0 => {
                tracing::warn!(%at, error = %why,
                    "The metrics cannot be served to others: it is tried again");
            }
            Err(why) => tracing::debug!(%at, error = %why, "They still cannot"),
        }
        sleep(rest.mul_f64(1.0 + dice.part() / 2.0)).await;
        rest = rest.saturating_mul(2).min(LONGEST_REST);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::{Instant, timeout};

    use super::*;

    /// An address of this machine that no other test uses.
    const ALONE: &str = "127.0.23.1:0";
    const DEADLINE: Duration = Duration::from_mins(1);

    async fn ask(at: SocketAddr) -> Option<String> {
        let mut stream = TcpStream::connect(at).await.ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        Some(text)
    }

    #[tokio::test]
    async fn a_port_that_is_taken_ends_nothing_and_is_listened_at_once_it_is_free() {
        let taken = std::net::TcpListener::bind(ALONE).unwrap();
        let (at, status) = (taken.local_addr().unwrap(), Status::default());
        let end = CancellationToken::new();
        let served = serve(at, &status, &end);
        let body = async {
            while status.unheard.get() == 0 {
                sleep(Duration::from_millis(10)).await;
            }
            drop(taken);
            let text = loop {
                if let Some(text) = ask(at).await {
                    break text;
                }
                sleep(Duration::from_millis(50)).await;
            };
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
            assert!(!text.contains("firecamp_agent_failed_listens_total 0"), "{text}");
            end.cancel();
        };
        let both = async { tokio::join!(served, body) };
        timeout(DEADLINE, both).await.expect("it is served within the deadline");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_tried_ever_more_rarely_and_never_more_than_a_minute_and_a_half_apart() {
        let taken = std::net::TcpListener::bind(ALONE).unwrap();
        let (at, status) = (taken.local_addr().unwrap(), Status::default());
        let end = CancellationToken::new();
        let begun = Instant::now();
        let body = async {
            sleep(Duration::from_hours(1)).await;
            end.cancel();
        };
        tokio::join!(serve(at, &status, &end), body);
        let tries = status.unheard.get();
        assert!((40..=70).contains(&tries), "{tries} in {:?}", begun.elapsed());
    }
}
