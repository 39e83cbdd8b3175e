//! What is promised, and that it was broken.

use firecamp_core::time::Moment;

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// One claim per address and per member, and epochs only grow.
    S1,
    /// Ready means that EC2, data path, kernel, file and record agree.
    S2,
    /// No step of a superseded run changes what its successor holds.
    S3,
    /// Nothing foreign is touched.
    S4,
    /// Unknown is not absent: nothing is removed by what was not read.
    K5,
    /// No address is lost.
    S5,
    /// EC2 calls keep within their budget.
    S6,
    /// Every process ends by its deadline.
    S7,
    /// What is adopted is nobody's: no member has it or is about to, nobody uses it, and the pool
    /// says so.
    S8,
    /// Every failure's exit code fits its cause.
    S9,
    /// After healing: every member that is wanted is ready.
    L1,
    /// After healing: no kernel holds what nobody holds.
    L2,
    /// After healing: no process is stuck.
    L3,
    /// After healing: the agents have nothing to do, twice in a row.
    L4,
    /// After healing: EC2 is not changed any more.
    L5,
    /// After healing: what nobody claims is adopted where the pool says so, and goes where the pool
    /// says that.
    L6,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
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
