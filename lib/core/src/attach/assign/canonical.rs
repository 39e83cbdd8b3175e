//! The canonical form of the EC2 part of attach: resets moments that are not used any more.

use super::{Assign, Assigned, At};
use crate::canonical::Canonical;
use crate::contract::timing;

impl Assigned {
    pub(in crate::attach) fn canonical(&mut self, canon: Canonical) {
        self.held.canonical(canon);
        Canonical::forget([&mut self.held.authorised]);
        canon.due(&mut self.unanswered);
    }
}

impl Assign {
    pub(in crate::attach) fn canonical(&mut self, canon: Canonical) {
        let mut used = false;
        match &mut self.at {
            At::Begun(begun) => canon.age([begun], timing::CALL_BOUND),
            At::Note { not_after, .. } | At::Assign { not_after, .. } => {
                canon.due([not_after]);
                used = true;
            }
            At::Unanswered(since) => canon.age([since], timing::SETTLE),
            At::Fresh { .. } => used = true,
            At::Relisted | At::Owner | At::Listed | At::Shown | At::Recheck => {}
        }
        self.held.canonical(canon);
        canon.age([&mut self.look_up_sent], timing::CALL_BOUND);
        if !used {
            Canonical::forget([&mut self.look_up_sent]);
        }
        canon.age(&mut self.assigned, timing::METADATA_PATIENCE);
        canon.age(&mut self.refused, timing::DESCRIBE_LAG);
        canon.due(&mut self.unanswered);
    }
}
