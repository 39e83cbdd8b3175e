//! A client for the agent's read-only pages, which each agent serves on its own node only.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::progress;
use crate::failure::Failure;

/// The default address of an agent.
pub const DEFAULT: &str = "http://127.0.0.1:9810";

/// The page with the agent's report of its node.
pub const NODE: &str = "/v1/node";

/// Timeout for one page.
const WITHIN: Duration = Duration::from_secs(5);

/// Size limit of a page; every page is much shorter.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The address of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    authority: String,
}

impl Agent {
    /// Parses a URL `http://HOST:PORT`.
    pub fn at(url: &str) -> Result<Self, Failure> {
        let wrong = || Failure::Usage(format!("--agent {url:?}: expected http://HOST:PORT"));
        let parsed: Uri = url.parse().map_err(|_malformed| wrong())?;
        let authority = parsed.authority().filter(|place| place.port().is_some());
        let bare = parsed.scheme_str() == Some("http") && matches!(parsed.path(), "" | "/");
        match authority {
            Some(authority) if bare => Ok(Self { authority: authority.to_string() }),
            Some(_) | None => Err(wrong()),
        }
    }

    /// Reads one page.
    pub async fn page(&self, path: &str) -> Result<Bytes, Failure> {
        let what = format!("read {path} from the agent at {}", self.authority);
        let answer = tokio::time::timeout(WITHIN, self.exchange(path));
        let failed = match progress::during(&what, answer).await {
            Ok(Ok(page)) => return Ok(page),
            Ok(Err(why)) => why,
            Err(_elapsed) => format!("no response within {} s", WITHIN.as_secs()),
        };
        Err(Failure::Agent { what, why: failed })
    }

    async fn exchange(&self, path: &str) -> Result<Bytes, String> {
        let stream = TcpStream::connect(&self.authority).await.map_err(|why| why.to_string())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|why| why.to_string())?;
        let request = Request::get(path)
            .header(HOST, &self.authority)
            .body(Empty::<Bytes>::new())
            .map_err(|why| why.to_string())?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(|why| why.to_string())?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
            let body = body.map_err(|why| why.to_string())?.to_bytes();
            if status == StatusCode::OK { Ok(body) } else { Err(refusal(status, &body)) }
        };
        let mut connection = std::pin::pin!(connection);
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            answered = &mut answer => answered,
            // The connection may close at the moment at which the response is complete.
            ended = &mut connection => match ended {
                Ok(()) => answer.await,
                Err(why) => Err(why.to_string()),
            },
        }
    }
}

fn refusal(status: StatusCode, body: &Bytes) -> String {
    let text: String = String::from_utf8_lossy(body).trim().chars().take(200).collect();
    format!("HTTP {status}: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_address_is_an_http_url_with_a_port() {
        assert_eq!(Agent::at(DEFAULT).unwrap().authority, "127.0.0.1:9810");
        assert_eq!(Agent::at("http://[::1]:80/").unwrap().authority, "[::1]:80");
        for wrong in ["127.0.0.1:9810", "https://a:1", "http://a", "http://a:1/x", "", "http://"] {
            assert!(matches!(Agent::at(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
    }
}
