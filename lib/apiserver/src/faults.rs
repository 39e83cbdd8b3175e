//! Injected faults: of single requests, and of the whole server and its watches.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ApiServer;
use crate::watch::Ending;

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

impl ApiServer {
    /// Stops responding and breaks every watch.
    pub fn go_away(&self) {
        let mut state = self.state();
        state.away = true;
        state.end_watches(Ending::Broken);
    }

    /// Responds again, with its old state.
    pub fn come_back(&self) {
        self.state().away = false;
    }

    /// The number of requests during outages.
    pub fn unanswered(&self) -> usize {
        self.state().unanswered
    }

    /// Saves the current objects for [`ApiServer::show_old_lists`].
    pub fn remember(&self) {
        let mut state = self.state();
        state.remembered = state.everything();
    }

    /// Whether lists return the saved objects instead of the current ones, like a server with a
    /// stale cache. Reads of one object are always current.
    pub fn show_old_lists(&self, old: bool) {
        self.state().shows_remembered = old;
    }

    /// The number of open watches.
    pub fn watches(&self) -> usize {
        self.state().watches()
    }

    /// Ends every open watch.
    pub fn end_watches(&self, how: Ending) {
        self.state().end_watches(how);
    }

    /// Drops the changes so far: no watch can resume from an earlier version.
    pub fn compact(&self) {
        let mut state = self.state();
        state.compacted = state.version + 1;
        // A version later than any returned one: a new list returns a version that can be watched.
        state.version += 1;
    }

    /// Makes watches lose the next changes.
    pub fn lose_events(&self, changes: usize) {
        self.state().unheard = changes;
    }

    /// Sends a bookmark to every watch.
    pub fn bookmark(&self) {
        self.state().bookmark();
    }
}
