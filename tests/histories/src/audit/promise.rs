//! The invariants (promises) of the protocol, and their violations.

use firecamp_core::time::Moment;

/// An invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// One claim per address and per member, and epochs only grow.
    S1,
    /// Ready means that EC2, data path, kernel, file and record agree.
    S2,
    /// No step of a superseded run changes what its successor holds.
    S3,
    /// Nothing foreign is changed.
    S4,
    /// Unknown is not absent: a failed read never leads to a removal.
    K5,
    /// No address is lost.
    S5,
    /// EC2 calls stay within their budget.
    S6,
    /// Every process ends by its deadline.
    S7,
    /// Only orphans are adopted: no member has the address or is about to acquire it, nothing uses
    /// it, and the pool's policy says so.
    S8,
    /// The exit code of every failure fits its cause.
    S9,
    /// An agent serves the pods of its node alone, and an attach acquires the address only for a
    /// pod that the last fresh read showed there, not terminating.
    S10,
    /// After healing: every wanted member is ready.
    L1,
    /// After healing: no kernel has an address without a holder.
    L2,
    /// After healing: no process is stuck.
    L3,
    /// After healing: the agents have nothing to do, twice in a row.
    L4,
    /// After healing: nothing changes EC2.
    L5,
    /// After healing: every orphan is adopted and reclaimed as the pool's policy says.
    L6,
}

/// A violation of an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub promise: Promise,
    /// When.
    pub at: Moment,
    /// How.
    pub text: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at {:.6} s: {}", self.promise, self.at.0.as_secs_f64(), self.text)
    }
}
