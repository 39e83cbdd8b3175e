//! Injected faults.

use std::collections::VecDeque;
use std::time::Duration;

/// A fault of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No effect: the connection breaks before the server processes the request.
    LostRequest,
    /// The request takes effect, and the connection breaks before the response.
    LostAnswer,
    /// No effect and no response.
    Silence,
    /// The request takes effect, without a response.
    SilenceAfter,
    /// The request takes effect, and the response comes after this time.
    LateAnswer(Duration),
    /// The request takes effect, and the response is truncated.
    Cut,
    /// The request takes effect, and the response exceeds every size limit.
    Flood,
    /// No effect: a `Status` of the server with this code and reason.
    Code(u16, &'static str),
    /// No effect: a load balancer's response, without a `Status`.
    Proxy(u16),
    /// No effect: the path is not served, as without the CRDs. The 404 has no `Status`.
    Unserved,
}

/// The faults that no request has triggered yet.
#[derive(Debug, Default)]
pub(crate) struct Faults(VecDeque<(&'static str, &'static str, Fault)>);

impl Faults {
    pub(crate) fn add(&mut self, verb: &'static str, plural: &'static str, fault: Fault) {
        self.0.push_back((verb, plural, fault));
    }

    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn take(&mut self, verb: &str, plural: &str) -> Option<Fault> {
        let at = self.0.iter().position(|(v, p, _)| *v == verb && *p == plural)?;
        self.0.remove(at).map(|(_, _, fault)| fault)
    }
}
