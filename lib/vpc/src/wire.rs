//! HTTP messages, independent of a transport.

use std::time::Duration;

use serde::Serialize;

/// One HTTP request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireRequest {
    /// The method, in upper case.
    pub method: String,
    /// Path and query, as on the request line.
    pub path_and_query: String,
    /// The headers in order; names in any case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl WireRequest {
    /// A request without headers and body.
    pub fn new(method: &str, path_and_query: &str) -> Self {
        Self {
            method: method.to_owned(),
            path_and_query: path_and_query.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The same request with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same request with this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The value of the first header with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The program, according to `app/NAME` in its User-Agent; empty without one.
    pub fn app(&self) -> String {
        let words = self.header("user-agent").unwrap_or_default().split_whitespace();
        words
            .filter_map(|word| word.strip_prefix("app/"))
            .next_back()
            .unwrap_or_default()
            .to_owned()
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }
}

/// An HTTP response. The driver adds `Content-Length`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireResponse {
    /// The status.
    pub status: u16,
    /// The headers, without `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl WireResponse {
    /// The value of the first header with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// A call, valid until its response was taken. Equal to [`Call::seq`](crate::Call::seq).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CallId(pub u64);

/// An accepted call. It takes effect by itself as time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// The call, for [`Simulator::answer`](crate::Simulator::answer).
    pub call: CallId,
    /// When the response is sent. `None`: never; the connection stays open and silent until the
    /// client closes it.
    pub respond_at: Option<Duration>,
}

/// What the caller receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The whole response.
    Respond(WireResponse),
    /// A truncated response.
    Cut {
        /// The complete response. Its `Content-Length` is that of the whole body.
        response: WireResponse,
        /// How much of it is sent.
        after: CutPoint,
        /// What follows.
        then: Cut,
    },
}

impl Answer {
    /// The complete response.
    pub fn response(&self) -> &WireResponse {
        match self {
            Self::Respond(response) | Self::Cut { response, .. } => response,
        }
    }
}

/// How much of a response is sent before it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutPoint {
    /// Nothing, not even the status line.
    Nothing,
    /// The headers and this many bytes of the body.
    BodyBytes(usize),
}

/// What follows the sent part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The connection is closed.
    Close,
    /// The connection stays open and silent until the client closes it.
    Silence,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_read_from_the_user_agent() {
        let mut request = WireRequest::new("POST", "/");
        assert_eq!(request.app(), "");
        let agent = "aws-sdk-rust/1.3 ua/2.1 api/ec2/1.2 os/linux lang/rust/1.95 app/firecamp-init";
        request.headers.push(("User-Agent".to_owned(), agent.to_owned()));
        assert_eq!(request.app(), "firecamp-init");
    }
}
