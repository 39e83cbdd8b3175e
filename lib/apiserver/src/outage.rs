//! Outages of the server and of its watches.

use crate::ApiServer;
use crate::watch::Ending;

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
