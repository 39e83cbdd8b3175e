//! S6: what an attach may cost in EC2 calls, counted where nothing is broken.

use firecamp_core::machine::Path;

use crate::cast::Kind;
use crate::machines::Ask;
use crate::model::Small;
use crate::seen::Seen;
use crate::state::{Proc, World, Wrong};

/// What a process has asked of EC2 so far, at most 3 of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spent {
    /// Describes.
    pub(crate) looks: u8,
    /// Assigns and Unassigns.
    pub(crate) changes: u8,
    /// 1 if presence in IMDS cannot prove an Assign of this process, which costs a Describe more.
    pub(crate) proofs: u8,
}

impl Spent {
    /// Listed before its call, or assigned from here lately: presence proves nothing.
    pub(crate) fn heed(&mut self, seen: Seen) {
        let listed = matches!(seen, Seen::Identity { listed: true } | Seen::Listed(true));
        let lately = matches!(seen, Seen::Observed { lately: true, .. });
        if lately || listed && self.changes == 0 {
            self.proofs = 1;
        }
    }
}

impl Small {
    /// Counts what the process is about to ask for.
    pub(crate) fn count(&self, world: &mut World, slot: usize, ask: Ask) {
        if !self.config.calm {
            return;
        }
        let mut proc = world.proc(slot);
        let spent = &mut proc.spent;
        // Without time left it is not sent.
        if matches!(ask, Ask::Assign { left: 1.., .. } | Ask::Unassign { left: 1.., .. }) {
            spent.changes = 3.min(spent.changes + 1);
        } else if matches!(ask, Ask::Begin | Ask::Owner) {
            spent.looks = 3.min(spent.looks + 1);
        }
        world.procs[slot] = Some(proc);
    }

    /// Looks at what an attach has cost. Same node: nothing is changed, and EC2 is asked once at
    /// most. Moved: one change and two calls, and one more where presence proves nothing.
    pub(crate) fn settle(&self, world: &mut World, proc: Proc, path: Path) {
        if !self.config.calm || proc.kind != Kind::Init {
            return;
        }
        let Spent { looks, changes, proofs } = proc.spent;
        let kept = match path {
            Path::SameNode => changes == 0 && looks <= 1,
            Path::Moved => changes <= 1 && looks <= 1 + proofs,
        };
        if !kept {
            world.blame(Wrong::Budget);
        }
    }
}
