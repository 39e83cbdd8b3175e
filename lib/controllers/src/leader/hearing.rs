//! Whether EC2 answers whoever holds the Lease at all.
//!
//! Guarantees: only silence between calls that follow each other closely counts, and any answer
//! ends it. Questions and changes are told apart: a role may allow the one and not the other.

use firecamp_core::failure::CloudKind;
use firecamp_core::time::Moment;

use crate::leader::timing;

/// What EC2 was called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Call {
    /// It only reads.
    Question,
    /// It may change something.
    Change,
}

/// What EC2 has left without an answer since it last gave one. The metadata service is another
/// one, and not counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hearing {
    questions: Option<Unheard>,
    changes: Option<Unheard>,
}

/// When the first of them was sent, and when the last.
#[derive(Debug, Clone, Copy)]
struct Unheard {
    first: Moment,
    last: Moment,
}

impl Hearing {
    /// A call is sent. It may be given up before its answer.
    pub fn sent(&mut self, call: Call, now: Moment) {
        let unheard = self.of(call);
        // What was sent long ago says nothing of the time between.
        let lasting = unheard.filter(|before| now.since(before.last) < timing::UNHEARD_GAP);
        let first = lasting.map_or(now, |before| before.first);
        *unheard = Some(Unheard { first, last: now });
    }

    /// A call has ended, with this failure if it failed.
    pub fn ended(&mut self, call: Call, failure: Option<CloudKind>) {
        if failure.is_none_or(is_answer) {
            *self.of(call) = None;
        }
    }

    /// It has called again and again for long, and heard nothing.
    pub fn is_deaf(&self) -> bool {
        let lasts = |Unheard { first, last }: Unheard| last.since(first) >= timing::UNHEARD;
        [self.questions, self.changes].into_iter().flatten().any(lasts)
    }

    fn of(&mut self, call: Call) -> &mut Option<Unheard> {
        match call {
            Call::Question => &mut self.questions,
            Call::Change => &mut self.changes,
        }
    }
}

/// EC2 has understood who asks, and said something about what was asked.
fn is_answer(kind: CloudKind) -> bool {
    match kind {
        // What nobody has listed is often not EC2's: a proxy's.
        CloudKind::Auth | CloudKind::Transient | CloudKind::Unknown => false,
        CloudKind::HeldElsewhere
        | CloudKind::NotOurs
        | CloudKind::CapacityExceeded
        | CloudKind::SubnetExhausted
        | CloudKind::BadAddress
        | CloudKind::Gone
        // Another agent of the account would hear the same.
        | CloudKind::Throttled => true,
    }
}
