//! What happens to the server as a whole, and to whoever watches it.

use crate::ApiServer;
use crate::watch::Ending;

impl ApiServer {
    /// Nobody answers from now on, and every watch breaks.
    pub fn go_away(&self) {
        let mut world = self.world();
        world.away = true;
        world.end_watches(Ending::Broken);
    }

    /// It answers again, and has all that it had.
    pub fn come_back(&self) {
        self.world().away = false;
    }

    /// How often somebody asked while nobody answered.
    pub fn unanswered(&self) -> usize {
        self.world().unanswered
    }

    /// Remembers what is there now, for [`ApiServer::show_old_lists`].
    pub fn remember(&self) {
        let mut world = self.world();
        world.remembered = world.everything();
    }

    /// Whether lists show what was remembered instead of what is there: the server's cache has
    /// stopped, or it is another server's, that is behind. Reads of one object stay fresh.
    pub fn show_old_lists(&self, old: bool) {
        self.world().shows_remembered = old;
    }

    /// How many watches are open.
    pub fn watches(&self) -> usize {
        self.world().watches()
    }

    /// Ends every watch that is open.
    pub fn end_watches(&self, how: Ending) {
        self.world().end_watches(how);
    }

    /// The changes so far are forgotten: no watch goes on from a version before this one.
    pub fn compact(&self) {
        let mut world = self.world();
        world.compacted = world.version + 1;
        // Later versions than any that was given out: whoever lists gets one that is kept.
        world.version += 1;
    }

    /// Whoever watches does not hear of the next changes.
    pub fn lose_news(&self, changes: usize) {
        self.world().unheard = changes;
    }

    /// Tells whoever watches how far the server is.
    pub fn bookmark(&self) {
        self.world().bookmark();
    }
}
