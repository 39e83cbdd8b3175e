//! What goes wrong on purpose.

use std::collections::VecDeque;

/// What one request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before the server has looked at the request.
    LostRequest,
    /// It takes effect, and the connection breaks before the answer.
    LostAnswer,
    /// Nothing happens and nothing is answered.
    Silence,
    /// It takes effect, and nothing is answered.
    SilenceAfter,
    /// It takes effect, and the answer ends in its middle.
    Cut,
    /// It takes effect, and the answer is longer than anybody should read.
    Flood,
    /// No effect: the server's own answer, with this code and reason.
    Code(u16, &'static str),
    /// No effect: a load balancer's answer, which has no `Status`.
    Proxy(u16),
    /// No effect: nobody serves that path, as before the CRDs are there. The 404 has no `Status`.
    Unserved,
}

/// The faults that are set and not met yet.
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
