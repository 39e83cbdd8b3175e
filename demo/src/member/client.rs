//! The client: dials the member's address periodically, with a new connection each time,
//! independent of earlier attempts. It prints the outcome of each attempt, ordered by start.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use vpcbox::clock::Clock;

use crate::args::ClientArguments;
use crate::failure::Failure;
use crate::measurements::{Attempt, Outcome};

/// The maximum number of attempts that are running or not printed yet.
const QUEUE: usize = 4096;

/// Dials until it is killed.
pub(crate) async fn run(arguments: &ClientArguments) -> Result<(), Failure> {
    let ClientArguments { address, port, every_ms, patience_ms, origin_ns } = arguments;
    let at = SocketAddr::from((*address, *port));
    let patience = Duration::from_millis(*patience_ms);
    let clock = Clock::with_origin_ns(*origin_ns);
    let (sender, mut receiver) = mpsc::channel::<JoinHandle<Attempt>>(QUEUE);
    let printer = tokio::spawn(async move {
        while let Some(attempt) = receiver.recv().await {
            let attempt = attempt.await.map_err(|e| Failure::process("try", "the member", e))?;
            print(&attempt).map_err(Failure::Output)?;
        }
        Ok::<(), Failure>(())
    });
    let mut ticks = tokio::time::interval(Duration::from_millis((*every_ms).max(1)));
    // After a delay, the client does not dial in bursts.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if sender.send(tokio::spawn(dial(at, patience, clock))).await.is_err() {
            break;
        }
    }
    printer.await.map_err(|e| Failure::process("print for", "the client", e))?
}

fn print(attempt: &Attempt) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{}", serde_json::to_string(attempt)?)?;
    out.flush()
}

async fn dial(at: SocketAddr, patience: Duration, clock: Clock) -> Attempt {
    let from_us = clock.now_us();
    let outcome = match tokio::time::timeout(patience, ask(at)).await {
        Ok(Ok(answer)) => understand(&answer),
        Ok(Err(error)) => Outcome::Silent { why: error.kind().to_string() },
        Err(_elapsed) => Outcome::Silent { why: "timeout".to_owned() },
    };
    Attempt { from_us, to_us: clock.now_us(), outcome }
}

/// Size limit of a response.
const MAX_ANSWER: u64 = 512;

async fn ask(at: SocketAddr) -> io::Result<String> {
    let stream = TcpStream::connect(at).await?;
    let mut answer = Vec::new();
    let mut reader = stream.take(MAX_ANSWER);
    while !answer.ends_with(b"\n") {
        if reader.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn understand(answer: &str) -> Outcome {
    let mut words = answer.split_whitespace();
    let parsed = (words.next(), words.next(), words.next().and_then(|word| word.parse().ok()));
    let (Some(node), Some(pod), Some(sequence)) = parsed else {
        let why = format!("invalid response: {}", answer.escape_debug());
        return Outcome::Silent { why };
    };
    Outcome::Answered { node: node.to_owned(), pod: pod.to_owned(), sequence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_node_pod_and_sequence() {
        let outcome = understand("node-a pod-1 17\n");
        let (node, pod) = ("node-a".to_owned(), "pod-1".to_owned());
        assert_eq!(outcome, Outcome::Answered { node, pod, sequence: 17 });
    }

    #[test]
    fn an_invalid_response_counts_as_none() {
        for text in ["", "\n", "node-a\n", "node-a pod-1\n", "node-a pod-1 many\n"] {
            assert!(matches!(understand(text), Outcome::Silent { .. }), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_refused_connection_fails_immediately() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        drop(listener);
        let attempt = dial(at, Duration::from_secs(30), Clock::with_origin_ns(0)).await;
        assert!(matches!(attempt.outcome, Outcome::Silent { .. }), "{attempt:?}");
        assert!(attempt.to_us - attempt.from_us < 10_000_000);
    }
}
