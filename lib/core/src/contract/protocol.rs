//! Which versions work together: a number that grows with everything that init, stop and agent
//! leave for each other on a node or in a record, and the oldest number that is still understood.
//!
//! Two programs work together if one of them understands the number of the other, so that each
//! version works with its neighbours in both directions, and says so before anything else if not.

use std::fmt;
#[cfg(debug_assertions)]
use std::sync::OnceLock;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a program speaks and understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocol {
    /// What it speaks.
    pub current: u32,
    /// The oldest that it understands.
    pub oldest: u32,
}

impl Protocol {
    /// This program's.
    pub const OURS: Self = Self { current: 2, oldest: 1 };
    /// That of a program which does not say: only the first one did not.
    pub const UNSAID: Self = Self { current: 1, oldest: 1 };

    /// Whether programs of these two may meet.
    pub fn works_with(self, other: Self) -> bool {
        self.current.min(other.current) >= self.oldest.max(other.oldest)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { current, oldest } = self;
        if current == oldest {
            write!(f, "protocol {current}")
        } else {
            write!(f, "protocol {current} and understands {oldest} and later")
        }
    }
}

/// A program, as it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Program {
    /// What it speaks.
    pub protocol: Protocol,
    /// Its version, for people.
    pub version: String,
}

/// What this process passes for.
#[cfg(debug_assertions)]
static PASSES_FOR: OnceLock<Program> = OnceLock::new();

impl Program {
    /// This one.
    pub fn this() -> Self {
        #[cfg(debug_assertions)]
        if let Some(other) = PASSES_FOR.get() {
            return other.clone();
        }
        Self { protocol: Protocol::OURS, version: VERSION.to_owned() }
    }

    /// Debug builds only: from now on this process passes for that program, so that versions meet
    /// in tests which do not exist yet. It happens once in the life of a process.
    #[cfg(debug_assertions)]
    pub fn pass_for(other: Self) {
        PASSES_FOR.get_or_init(|| other);
    }

    /// Why this program and the other, which has this part, must not meet; none if they may.
    pub fn apart_from(&self, other: &Self, part: &str) -> Option<String> {
        if self.protocol.works_with(other.protocol) {
            return None;
        }
        Some(format!(
            "{part} is FireCamp {}, which speaks {}; this is FireCamp {}, which speaks {}: nothing \
             was changed",
            other.version, other.protocol, self.version, self.protocol
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of each version: the number that it speaks, and its own neighbour's.
    fn of(current: u32) -> Protocol {
        Protocol { current, oldest: current.saturating_sub(1).max(1) }
    }

    #[test]
    fn f097_neighbours_work_together_in_both_directions_and_others_do_not() {
        for mine in 1..=9_u32 {
            for theirs in 1..=9 {
                let works = of(mine).works_with(of(theirs));
                assert_eq!(works, mine.abs_diff(theirs) <= 1, "{mine} and {theirs}");
                assert_eq!(works, of(theirs).works_with(of(mine)), "{mine} and {theirs}");
            }
        }
    }

    #[test]
    fn f097_a_version_may_understand_more_than_its_neighbour_and_never_less_than_itself() {
        let long = Protocol { current: 5, oldest: 2 };
        let works = |current, oldest| long.works_with(Protocol { current, oldest });
        assert!(works(2, 1) && works(3, 3) && works(6, 5) && works(9, 5));
        assert!(!works(1, 1) && !works(6, 6) && !works(9, 6));
    }

    #[test]
    fn f097_this_version_works_with_itself_and_with_the_one_that_said_nothing() {
        let Protocol { current, oldest } = Protocol::OURS;
        assert_eq!(oldest, current - 1);
        assert!(Protocol::OURS.works_with(Protocol::OURS));
        assert!(Protocol::OURS.works_with(Protocol::UNSAID));
    }

    #[test]
    fn f097_what_must_not_meet_is_told_with_both_versions_and_what_they_speak() {
        let other = |current| Program { protocol: of(current), version: "9.8.7".to_owned() };
        let this = Program::this();
        assert_eq!(this.apart_from(&other(this.protocol.current + 1), "the agent"), None);
        let why = this.apart_from(&other(4), "the agent of this node").unwrap();
        let wanted = format!(
            "the agent of this node is FireCamp 9.8.7, which speaks protocol 4 and understands 3 \
             and later; this is FireCamp {VERSION}, which speaks protocol 2 and understands 1 and \
             later: nothing was changed"
        );
        assert_eq!(why, wanted);
        assert_eq!(Protocol::UNSAID.to_string(), "protocol 1");
    }
}
