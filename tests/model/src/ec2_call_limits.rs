//! S6: the maximum number of EC2 calls of an attach, checked in configurations without faults.

use firecamp_core::machine::Path;

use crate::fixture::Kind;
use crate::machines::Request;
use crate::model::ProtocolModel;
use crate::reply::Answer;
use crate::state::{ModelState, Proc, Violation};

/// The EC2 calls of a process so far, at most 3 of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallCount {
    /// Describes.
    pub(crate) describes: u8,
    /// Assigns and Unassigns.
    pub(crate) changes: u8,
    /// 1 if a listed address cannot prove an Assign of this process, which costs another Describe.
    pub(crate) proofs: u8,
}

impl CallCount {
    /// Listed before its call, or recently assigned by this node: a listed address proves nothing.
    pub(crate) fn note_reply(&mut self, reply: Answer) {
        let listed = matches!(reply, Answer::Identity { listed: true } | Answer::Listed(true));
        let recently_assigned = matches!(reply, Answer::Observed { recently_assigned: true, .. });
        if recently_assigned || listed && self.changes == 0 {
            self.proofs = 1;
        }
    }
}

impl ProtocolModel {
    /// Counts the call that the process is about to send.
    pub(crate) fn count(&self, state: &mut ModelState, slot: usize, action: Request) {
        if !self.config.calm {
            return;
        }
        let mut proc = state.proc(slot);
        let calls_sent = &mut proc.calls_sent;
        // Without time left the call is not sent.
        if matches!(action, Request::Assign { left: 1.., .. } | Request::Unassign { left: 1.., .. })
        {
            calls_sent.changes = 3.min(calls_sent.changes + 1);
        } else if matches!(action, Request::Begin | Request::Owner) {
            calls_sent.describes = 3.min(calls_sent.describes + 1);
        }
        state.procs[slot] = Some(proc);
    }

    /// Checks the calls of an attach. Same node: no mutation, and at most one Describe. Moved: one
    /// mutation and one Describe, and one more Describe if a listed address proves nothing.
    pub(crate) fn settle(&self, state: &mut ModelState, proc: Proc, path: Path) {
        if !self.config.calm || proc.kind != Kind::Init {
            return;
        }
        let CallCount { describes, changes, proofs } = proc.calls_sent;
        let kept = match path {
            Path::SameNode => changes == 0 && describes <= 1,
            Path::Moved => changes <= 1 && describes <= 1 + proofs,
        };
        if !kept {
            state.record_violation(Violation::Budget);
        }
    }
}
