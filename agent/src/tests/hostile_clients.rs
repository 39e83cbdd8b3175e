//! Hostile clients of the endpoint, on real sockets: a seeded mass of bytes that are no requests,
//! or nearly. Each connection must end within its limit, and pods that behave are served meanwhile.

use std::net::SocketAddr;
use std::time::Duration;

use firecamp_core::contract::endpoint::{
    CONNECTIONS, LONGEST_BODY, LONGEST_HEAD, REQUEST_WITHIN, REQUESTS_OF_POD, REVIEWS,
    REVIEWS_A_SECOND,
};
use firecamp_core::contract::exit::Exit;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::asking::{Asking, TOKEN, asking};

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
/// Frames of the mass, and how many of them have a connection at once: fewer than the limit, so
/// that others have one, too.
const FRAMES: usize = 400;
const AT_ONCE: usize = 200;
/// A head, a body, and what a busy machine needs.
const LIMIT: Duration = Duration::from_secs(REQUEST_WITHIN.as_secs() * 2 + 5);
/// What the kernel may take from a client before the endpoint closes the connection.
const KERNEL_BUFFERS: usize = 16 << 20;

/// What can be no token.
const NO_TOKENS: [&[u8]; 10] = [
    b"Bearer ",
    b"Bearer a b",
    b"Bearer {}",
    b"Bearer a,b",
    b"Bearer \"a\"",
    b"Bearer a=b",
    b"Bearer \xff\xfe",
    b"Basic YTpi",
    b"bearer a",
    b"a.b.c",
];

/// Starts of connections that are of another protocol or version.
const OTHERS: [&[u8]; 10] = [
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    b"GET /v1/address\r\n\r\n",
    b"GET /v1/address HTTP/0.9\r\n\r\n",
    b"GET /v1/address HTTP/9.9\r\n\r\n",
    b"PUT /v1/attach HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    b"POST /v2/attach HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\n\r\n",
    b"SSH-2.0-x\r\n\r\n",
];

/// A generator of frames (xorshift).
struct Frames(u64);

impl Frames {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % bound as u64).unwrap()
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most);
        (0..length).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }

    /// A request without a token.
    fn request(&mut self) -> Vec<u8> {
        let all = [
            request("POST /v1/attach", b"", b"{\"timeoutMs\":9}"),
            request("POST /v1/release", b"", b"{\"scope\":\"all\",\"graceMs\":9}"),
            request("GET /v1/address", b"", b""),
        ];
        all[self.below(all.len())].clone()
    }

    /// The same with one to eight changes.
    fn changed(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _change in 0..=self.below(8) {
            let at = self.below(bytes.len().max(1));
            let end = bytes.len().min(at + self.below(16));
            let range = at.min(end)..end;
            match self.below(4) {
                0 => drop(bytes.splice(range, self.bytes(4))),
                1 => drop(bytes.drain(range)),
                2 => {
                    let piece = bytes[range].to_vec();
                    bytes.splice(at.min(bytes.len())..at.min(bytes.len()), piece);
                }
                _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x20),
            }
        }
        bytes
    }

    /// A frame of which no part can be a token.
    fn without_token(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 => self.bytes(3_000),
            1 => {
                let token = NO_TOKENS[self.below(NO_TOKENS.len())];
                request("POST /v1/attach", &header(token), b"{\"timeoutMs\":9}")
            }
            2 => {
                let request = self.request();
                self.changed(request)
            }
            3 => {
                let request = self.request();
                let end = self.below(request.len());
                request[..end].to_vec()
            }
            4 => {
                let long = vec![b'x'; LONGEST_HEAD + self.below(50_000)];
                request("GET /v1/address", &[b"x: ", &long[..], b"\r\n"].concat(), b"")
            }
            5 => request("POST /v1/attach", b"", &vec![b' '; LONGEST_BODY + self.below(50_000)]),
            6 => (0..5).flat_map(|_| self.request()).collect(),
            _ => OTHERS[self.below(OTHERS.len())].to_vec(),
        }
    }
}

fn header(token: &[u8]) -> Vec<u8> {
    [b"authorization: ", token, b"\r\n"].concat()
}

fn request(start: &str, headers: &[u8], body: &[u8]) -> Vec<u8> {
    let length = format!("content-length: {}\r\n\r\n", body.len());
    let start = format!("{start} HTTP/1.1\r\nhost: a\r\n");
    [start.as_bytes(), headers, length.as_bytes(), body].concat()
}

/// Sends a frame and waits for the end of the connection, which must come in time. Returns the
/// response.
async fn sent(at: SocketAddr, frame: Vec<u8>) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let mut response = Vec::new();
    let exchange = async {
        // The endpoint may close it before everything is sent.
        stream.write_all(&frame).await.ok();
        stream.read_to_end(&mut response).await.ok();
    };
    let ended = timeout(LIMIT, exchange).await;
    let start = String::from_utf8_lossy(&frame[..frame.len().min(200)]).into_owned();
    assert!(ended.is_ok(), "still open: {start:?}");
    response
}

/// Sends pieces until the endpoint closes the connection, which must happen in time.
async fn endless(at: SocketAddr, start: Vec<u8>, piece: Vec<u8>, pause: Duration) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let mut taken = 0;
    let writes = async {
        stream.write_all(&start).await.ok();
        while stream.write_all(&piece).await.is_ok() {
            taken += piece.len();
            assert!(taken < KERNEL_BUFFERS, "it read {taken} bytes");
            sleep(pause).await;
        }
    };
    assert!(timeout(LIMIT, writes).await.is_ok(), "still open: {start:?}");
}

/// The member attaches again and again until the others are done. Returns how often.
async fn behaves(asking: &Asking<'_>, others: &mut JoinSet<Vec<u8>>) -> (usize, Vec<Vec<u8>>) {
    let (mut attached, mut responses) = (0, Vec::new());
    while !others.is_empty() {
        let report = asking.attach(TOKEN).await;
        assert_eq!(report.exit, Exit::Success, "{report:?}");
        attached += 1;
        while let Some(ended) = others.try_join_next() {
            responses.push(ended.unwrap());
        }
        sleep(Duration::from_millis(100)).await;
    }
    (attached, responses)
}

fn reviews(asking: &Asking<'_>) -> usize {
    let requests = asking.node.server.requests();
    requests.iter().filter(|line| line.contains("tokenreviews")).count()
}

fn connections(asking: &Asking<'_>) -> u64 {
    asking.metric("firecamp_agent_endpoint_connections")
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, met).await.expect("met in time");
}

fn is_refusal(response: &[u8]) -> bool {
    response.is_empty()
        || response.starts_with(b"HTTP/1.1 4")
        || response.starts_with(b"HTTP/1.0 4")
}

#[tokio::test]
async fn f123_a_mass_of_garbage_is_refused_in_time_and_without_a_review() {
    asking(async |asking| {
        let mut frames = Frames(SEED);
        let mut attached = 0;
        for _batch in 0..FRAMES / AT_ONCE {
            let mut open = JoinSet::new();
            for _frame in 0..AT_ONCE {
                open.spawn_local(sent(asking.at, frames.without_token()));
            }
            let (times, responses) = behaves(&asking, &mut open).await;
            attached += times;
            for response in responses {
                assert!(is_refusal(&response), "{:?}", String::from_utf8_lossy(&response));
            }
        }
        assert_eq!(reviews(&asking), attached, "only the member's token was reviewed");
        assert_eq!(asking.attach(TOKEN).await.exit, Exit::Success);
    })
    .await;
}

#[tokio::test]
async fn f123_changed_requests_cause_no_more_reviews_than_their_limit() {
    asking(async |asking| {
        let begun = Instant::now();
        let mut frames = Frames(!SEED);
        let mut open = JoinSet::new();
        for _frame in 0..AT_ONCE {
            let whole = request("POST /v1/attach", &header(b"Bearer a.b.c"), b"{\"timeoutMs\":9}");
            open.spawn_local(sent(asking.at, frames.changed(whole)));
        }
        let responses = open.join_all().await;
        let granted = REVIEWS + REVIEWS_A_SECOND * begun.elapsed().as_secs_f64();
        let reviewed = u32::try_from(reviews(&asking)).unwrap();
        assert!(reviewed > 0 && f64::from(reviewed) <= granted, "{reviewed} of {granted}");
        for response in responses {
            assert!(is_refusal(&response), "{:?}", String::from_utf8_lossy(&response));
        }
        let report = asking.attach(TOKEN).await;
        assert_eq!(report.exit, Exit::Success, "its client asks again: {report:?}");
    })
    .await;
}

#[tokio::test]
async fn f123_endless_and_slow_clients_are_cut_off() {
    let test = asking(async |asking| {
        let attach = || b"POST /v1/attach HTTP/1.1\r\nauthorization: Bearer a b\r\n".to_vec();
        let body = |header: &[u8]| {
            [b"POST /v1/attach HTTP/1.1\r\nauthorization: Bearer a.b.c\r\n", header].concat()
        };
        let line = || [b"x: ", &[b'y'; 1000][..], b"\r\n"].concat();
        let chunk = || [b"400\r\n", &[b' '; 1024][..], b"\r\n"].concat();
        let (now, slowly) = (Duration::ZERO, Duration::from_millis(300));
        let at = asking.at;
        let clients = async {
            tokio::join!(
                endless(at, attach(), line(), now),
                endless(at, Vec::new(), vec![0; 1000], now),
                endless(at, Vec::new(), b"\r\n".to_vec(), slowly),
                endless(at, body(b"content-length: 999999999\r\n\r\n"), vec![b' '; 1000], now),
                endless(at, body(b"transfer-encoding: chunked\r\n\r\n"), chunk(), now),
                endless(at, attach(), b"x: y\r\n".to_vec(), slowly),
                endless(at, b"P".to_vec(), b"O".to_vec(), slowly),
                endless(at, body(b"content-length: 4000\r\n\r\n"), b" ".to_vec(), slowly),
                endless(
                    at,
                    body(b"transfer-encoding: chunked\r\n\r\n"),
                    b"1\r\n \r\n".to_vec(),
                    slowly
                ),
            )
        };
        let (_ended, report) = tokio::join!(Box::pin(clients), asking.attach(TOKEN));
        assert_eq!(report.exit, Exit::Success, "{report:?}");
        assert_eq!(reviews(&asking), 1, "no other request was complete");
    });
    Box::pin(test).await;
}

#[tokio::test]
async fn f123_connections_beyond_the_limit_are_closed_and_the_others_end() {
    asking(async |asking| {
        let beyond = 40;
        let mut open = JoinSet::new();
        for _client in 0..CONNECTIONS + beyond {
            open.spawn_local(sent(asking.at, b"POST /v1/attach HTTP/1.1\r\n".to_vec()));
        }
        until(|| connections(&asking) >= CONNECTIONS as u64).await;
        let (_attached, responses) = behaves(&asking, &mut open).await;
        assert_eq!(responses.len(), CONNECTIONS + beyond);
        let refused = asking.metric("firecamp_agent_endpoint_refused_connections_total");
        assert!(refused >= beyond as u64, "{refused} were closed at once");
        until(|| connections(&asking) == 0).await;
    })
    .await;
}

#[tokio::test]
async fn clients_that_do_not_read_their_responses_hold_no_connection() {
    asking(async |asking| {
        let token = header(format!("Bearer {TOKEN}").as_bytes());
        let mut silent = Vec::new();
        for _client in 0..REQUESTS_OF_POD {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(1).unwrap();
            let mut stream = socket.connect(asking.at).await.unwrap();
            let whole = request("POST /v1/attach", &token, b"{\"timeoutMs\":9000}");
            stream.write_all(&whole).await.unwrap();
            silent.push(stream);
        }
        until(|| reviews(&asking) == silent.len() && connections(&asking) == 0).await;
        assert_eq!(asking.attach(TOKEN).await.exit, Exit::Success);
    })
    .await;
}
