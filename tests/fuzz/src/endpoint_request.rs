//! Requests of clients of the agent's endpoint: the head and the body, as bytes on a connection.
//!
//! Input: the first byte selects in pieces of which length the rest arrives, and whether the client
//! then closes its side. The rest is what the client sends.

use std::cell::RefCell;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use firecamp_core::contract::endpoint::{
    LONGEST_BODY, LONGEST_HEAD, LONGEST_TOKEN, REQUEST_WITHIN,
};
use firecamp_run::endpoint::{Asked, BadRequest, ClientToken, read_request};
use http_body_util::Full;
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

type Read = Result<(Asked, ClientToken), BadRequest>;

/// No bytes make the endpoint panic, or wait longer than for a head and a body. At most one request
/// of a connection is read. A request that is read has a token that the client sent and that can be
/// one, and a body that survives writing and reading.
pub fn endpoint_request(input: &[u8]) {
    let (how, sent) = input.split_first().unwrap_or((&0, &[]));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    let (read, response, took) = runtime.block_on(exchange(*how, sent));
    assert!(took <= 2 * REQUEST_WITHIN + Duration::from_secs(1), "it took {took:?}");
    assert!(read.len() <= 1, "{} requests of one connection", read.len());
    if response.is_empty() {
        assert!(!matches!(read.first(), Some(Ok(_))), "a request without a response");
    } else {
        assert!(response.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&response));
    }
    for read in read {
        match read {
            Ok((asked, token)) => check(&asked, &token, sent),
            Err(why) => assert!(!why.to_string().is_empty()),
        }
    }
}

/// The requests that were read, the response, and how long the connection was open.
async fn exchange(how: u8, sent: &[u8]) -> (Vec<Read>, Vec<u8>, Duration) {
    let begun = Instant::now();
    let (client, server) = tokio::io::duplex(2 * LONGEST_HEAD);
    let read: RefCell<Vec<Read>> = RefCell::default();
    let service = service_fn(|request| {
        let read = &read;
        async move {
            let one = read_request(request).await;
            read.borrow_mut().push(one);
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WITHIN)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false);
    let exchange = async {
        // Dropping the connection closes it.
        http.serve_connection(TokioIo::new(server), service).await.ok();
        begun.elapsed()
    };
    let (took, response) = tokio::join!(exchange, asked(client, how, sent));
    (read.into_inner(), response, took)
}

async fn asked(client: DuplexStream, how: u8, sent: &[u8]) -> Vec<u8> {
    let (mut from, mut to) = tokio::io::split(client);
    let length = usize::from(how >> 1) * 16 + 1;
    let write = async {
        for piece in sent.chunks(length) {
            if to.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        if how & 1 == 1 {
            to.shutdown().await.ok();
        }
    };
    let mut response = Vec::new();
    let ((), read) = tokio::join!(write, from.read_to_end(&mut response));
    read.ok();
    response
}

fn check(asked: &Asked, token: &ClientToken, sent: &[u8]) {
    let token = token.as_str().as_bytes();
    assert!(!token.is_empty() && token.len() <= LONGEST_TOKEN);
    assert!(token.iter().all(u8::is_ascii_graphic), "{token:?}");
    assert!(sent.windows(token.len()).any(|part| part == token), "nobody sent {token:?}");
    match asked {
        Asked::Attach(request) => survives(request),
        Asked::Release(request) => survives(request),
        Asked::Address => {}
    }
}

fn survives<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(request: &T) {
    let body = serde_json::to_vec(request).expect("plain fields");
    assert!(body.len() <= LONGEST_BODY);
    let again: T = serde_json::from_slice(&body).expect("what was written can be read");
    assert_eq!(&again, request);
}
