//! Whether EC2 answers the leader at all.
//!
//! Guarantees: only consecutive unanswered calls that follow each other closely count, and any
//! answer resets the count. Reads and changes are counted separately, because a role may allow one
//! and not the other.

use firecamp_core::failure::CloudKind;
use firecamp_core::time::Moment;

use crate::leader::timing;

/// The kind of an EC2 call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Call {
    /// A call that only reads.
    Read,
    /// A call that may change something.
    Change,
}

/// The calls that EC2 has not answered since its last answer. Calls to the metadata service do not
/// count.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ec2Reachability {
    reads: Option<Unanswered>,
    changes: Option<Unanswered>,
}

/// When the first and the last unanswered call were sent.
#[derive(Debug, Clone, Copy)]
struct Unanswered {
    first: Moment,
    last: Moment,
}

impl Ec2Reachability {
    /// A call is sent. It may be cancelled before its answer.
    pub fn sent(&mut self, call: Call, now: Moment) {
        let unanswered = self.of(call);
        // An old call shows nothing about the time since.
        let lasting = unanswered.filter(|before| now.since(before.last) < timing::EC2_CALL_GAP);
        let first = lasting.map_or(now, |before| before.first);
        *unanswered = Some(Unanswered { first, last: now });
    }

    /// A call has ended, with this failure if any.
    pub fn ended(&mut self, call: Call, failure: Option<CloudKind>) {
        if failure.is_none_or(is_answer) {
            *self.of(call) = None;
        }
    }

    /// Whether EC2 has left calls unanswered for [`timing::EC2_UNREACHABLE`].
    pub fn is_unreachable(&self) -> bool {
        let lasts =
            |Unanswered { first, last }: Unanswered| last.since(first) >= timing::EC2_UNREACHABLE;
        [self.reads, self.changes].into_iter().flatten().any(lasts)
    }

    fn of(&mut self, call: Call) -> &mut Option<Unanswered> {
        match call {
            Call::Read => &mut self.reads,
            Call::Change => &mut self.changes,
        }
    }
}

/// Whether the failure is an answer of EC2 to an authenticated request.
fn is_answer(kind: CloudKind) -> bool {
    match kind {
        // An unknown error often comes from a proxy instead of EC2.
        CloudKind::Auth | CloudKind::Transient | CloudKind::Unknown => false,
        CloudKind::HeldElsewhere
        | CloudKind::NotOnInterface
        | CloudKind::CapacityExceeded
        | CloudKind::SubnetExhausted
        | CloudKind::AttachmentLimitExceeded
        | CloudKind::DeviceIndexTaken
        | CloudKind::InterfaceInUse
        | CloudKind::QuotaExceeded
        | CloudKind::BadAddress
        | CloudKind::NotFound
        // Another agent of the account would get the same answer.
        | CloudKind::Throttled => true,
    }
}
