//! Reads a request of a client. Nothing in it is trusted.
//!
//! Guarantees: a request that is read has a token that can be one, and a body that is within its
//! limit. Whatever else arrives is refused within the limit of time, and without a panic. Caveats:
//! the HTTP server that parses the head limits its size and its time.

use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;
use firecamp_core::contract::endpoint::{
    ADDRESS, ATTACH, LONGEST_BODY, LONGEST_TOKEN, RELEASE, REQUEST_WITHIN,
};
use firecamp_core::endpoint::Request;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::{HeaderMap, Method};
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::time::timeout;

use super::protocol::{AttachRequest, ReleaseRequest};

/// What a pod asks for, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Attach its address.
    Attach(AttachRequest),
    /// Release its address.
    Release(ReleaseRequest),
    /// Read its address.
    Address,
}

impl Asked {
    /// Which request it is.
    pub fn request(&self) -> Request {
        match self {
            Self::Attach(_) => Request::Attach,
            Self::Release(_) => Request::Release,
            Self::Address => Request::Address,
        }
    }
}

/// The token that a client shows. The API server decides whether it is valid.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientToken(String);

impl ClientToken {
    /// The text of the token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Without the secret.
impl fmt::Debug for ClientToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ClientToken({} bytes)", self.0.len())
    }
}

/// Why a request cannot be served.
#[derive(Debug, Error)]
pub enum BadRequest {
    /// Another version or path, or another method.
    #[error("this agent serves only POST {ATTACH}, POST {RELEASE} or GET {ADDRESS}")]
    NotServed,
    /// No token.
    #[error("the request has no bearer token")]
    NoToken,
    /// Longer than any token.
    #[error("the token is too long")]
    LongToken,
    /// It cannot be a token, so nobody has to review it.
    #[error("the token has a character that no bearer token has")]
    NotAToken,
    /// The client was too slow.
    #[error("the request is not complete")]
    Incomplete,
    /// The body is too long, or the connection broke.
    #[error("failed to read the request")]
    Unread(#[source] Box<dyn StdError + Send + Sync>),
    /// The body is not that of this request.
    #[error("invalid request")]
    Invalid(#[source] serde_json::Error),
}

/// Reads what the client asks for, and its token.
pub async fn read_request<B>(request: hyper::Request<B>) -> Result<(Asked, ClientToken), BadRequest>
where
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let kind = kind(&head.method, head.uri.path())?;
    let token = token(&head.headers)?;
    let read = timeout(REQUEST_WITHIN, Limited::new(body, LONGEST_BODY).collect()).await;
    let read = read.map_err(|_elapsed| BadRequest::Incomplete)?;
    let body = read.map_err(BadRequest::Unread)?.to_bytes();
    let asked = match kind {
        Request::Attach => Asked::Attach(parsed(&body)?),
        Request::Release => Asked::Release(parsed(&body)?),
        Request::Address => Asked::Address,
    };
    Ok((asked, token))
}

fn kind(method: &Method, path: &str) -> Result<Request, BadRequest> {
    match (method, path) {
        (&Method::POST, ATTACH) => Ok(Request::Attach),
        (&Method::POST, RELEASE) => Ok(Request::Release),
        (&Method::GET, ADDRESS) => Ok(Request::Address),
        _ => Err(BadRequest::NotServed),
    }
}

fn token(headers: &HeaderMap<HeaderValue>) -> Result<ClientToken, BadRequest> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    match token {
        None | Some("") => Err(BadRequest::NoToken),
        Some(token) if token.len() > LONGEST_TOKEN => Err(BadRequest::LongToken),
        Some(token) if !is_bearer_token(token) => Err(BadRequest::NotAToken),
        Some(token) => Ok(ClientToken(token.to_owned())),
    }
}

/// The syntax of RFC 6750 (`b64token`), which the API server's tokens have.
fn is_bearer_token(text: &str) -> bool {
    let text = text.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

fn parsed<T: DeserializeOwned>(body: &Bytes) -> Result<T, BadRequest> {
    serde_json::from_slice(body).map_err(BadRequest::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &[u8]) -> Result<ClientToken, BadRequest> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        token(&headers)
    }

    #[test]
    fn f123_only_what_can_be_a_token_is_reviewed() {
        for token in ["a", "aA0-._~+/=", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "a=="] {
            assert_eq!(read(format!("Bearer {token}").as_bytes()).unwrap().as_str(), token);
        }
        for wrong in ["a b", "a,b", "=", "==", "a=b", "a\"", "a\tb", "{}", "a;b", "a%20b", "a:b"] {
            let refused = read(format!("Bearer {wrong}").as_bytes());
            assert!(matches!(refused, Err(BadRequest::NotAToken)), "{wrong}: {refused:?}");
        }
        for none in [&b"Bearer "[..], b"Bearer", b"bearer a", b"Basic YTpi", b"a", b"Bearer \xff"] {
            let refused = read(none);
            assert!(matches!(refused, Err(BadRequest::NoToken)), "{none:?}: {refused:?}");
        }
        assert!(matches!(token(&HeaderMap::new()), Err(BadRequest::NoToken)));
        let long = format!("Bearer {}", "a".repeat(LONGEST_TOKEN + 1));
        assert!(matches!(read(long.as_bytes()), Err(BadRequest::LongToken)));
    }

    #[test]
    fn f106_a_token_is_not_printed() {
        let token = read(b"Bearer secret").unwrap();
        assert!(!format!("{token:?}").contains("secret"));
    }
}
