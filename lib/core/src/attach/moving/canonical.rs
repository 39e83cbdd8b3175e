//! The canonical form of a move: moments that nobody asks for any more are forgotten.

use super::{At, Move, Moved};
use crate::canonical::Canonical;
use crate::contract::timing;

impl Moved {
    pub(in crate::attach) fn canonical(&mut self, canon: Canonical) {
        self.held.canonical(canon);
        Canonical::forget([&mut self.held.authorised]);
        canon.due(&mut self.unanswered);
    }
}

impl Move {
    pub(in crate::attach) fn canonical(&mut self, canon: Canonical) {
        let mut looked = false;
        match &mut self.at {
            At::Begun(begun) => canon.age([begun], timing::CALL_BOUND),
            At::Note { not_after, .. } | At::Assign { not_after, .. } => {
                canon.due([not_after]);
                looked = true;
            }
            At::Unanswered(since) => canon.age([since], timing::SETTLE),
            At::Fresh { .. } => looked = true,
            At::Relisted | At::Owner | At::Listed | At::Shown | At::Recheck => {}
        }
        self.held.canonical(canon);
        canon.age([&mut self.looked], timing::CALL_BOUND);
        if !looked {
            Canonical::forget([&mut self.looked]);
        }
        canon.age(&mut self.assigned, timing::METADATA_PATIENCE);
        canon.age(&mut self.refused, timing::DESCRIBE_LAG);
        canon.due(&mut self.unanswered);
    }
}
