//! Which versions of the init container, the stop container and the agent work together.
//!
//! The protocol number grows with every change of what these programs leave for each other on a
//! node or in a record. Each program also knows the oldest number that it understands. Two
//! programs are compatible if either understands the number of the other, so each version works
//! with its neighbours in both directions. The one exception is protocol 3 (decision 0024).

use std::fmt;
#[cfg(debug_assertions)]
use std::sync::OnceLock;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The protocol numbers of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocol {
    /// The number that it speaks.
    pub current: u32,
    /// The oldest number that it understands.
    pub oldest: u32,
}

impl Protocol {
    /// The numbers of this program. Protocol 3 renamed persisted names before the first release
    /// (`pendingMutations`, `excluded-enis`, `firecamp-orphaned`), so it does not understand 2.
    pub const OURS: Self = Self { current: 3, oldest: 3 };

    /// Whether two programs with these numbers are compatible.
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

/// A program, as it describes itself to others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Program {
    /// Its protocol numbers.
    pub protocol: Protocol,
    /// Its version, for people.
    pub version: String,
}

/// The program that this process claims to be, in tests of compatibility.
#[cfg(debug_assertions)]
static OVERRIDE: OnceLock<Program> = OnceLock::new();

impl Program {
    /// This program.
    pub fn this() -> Self {
        #[cfg(debug_assertions)]
        if let Some(other) = OVERRIDE.get() {
            return other.clone();
        }
        Self { protocol: Protocol::OURS, version: VERSION.to_owned() }
    }

    /// Debug builds only: from now on this process claims to be that program, so that tests can
    /// combine versions that do not exist yet. Only the first call in a process has an effect.
    #[cfg(debug_assertions)]
    pub fn override_this(other: Self) {
        OVERRIDE.get_or_init(|| other);
    }

    /// Why this program is incompatible with the other, which `part` describes in the message;
    /// none if they are compatible.
    pub fn incompatibility_with(&self, other: &Self, part: &str) -> Option<String> {
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

    /// A program that understands its predecessor, as every program but that of protocol 3 does.
    fn of(current: u32) -> Protocol {
        Protocol { current, oldest: current.saturating_sub(1).max(1) }
    }

    #[test]
    fn f097_neighbours_are_compatible_in_both_directions_and_others_are_not() {
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

    /// The rule is that a program understands its predecessor. Protocol 3 is the one exception: it
    /// renamed persisted names before the first release. From 4 on, `oldest` is at most
    /// `current - 1` again.
    #[test]
    fn f097_protocol_3_refuses_older_programs_and_works_with_the_next_one() {
        assert_eq!(Protocol::OURS, Protocol { current: 3, oldest: 3 });
        assert!(Protocol::OURS.works_with(Protocol::OURS));
        assert!(Protocol::OURS.works_with(of(4)));
        for older in [of(1), of(2)] {
            assert!(!Protocol::OURS.works_with(older), "{older}");
            assert!(!older.works_with(Protocol::OURS), "{older}");
        }
    }

    #[test]
    fn f097_an_incompatibility_names_both_versions_and_their_protocols() {
        let other = |current| Program { protocol: of(current), version: "9.8.7".to_owned() };
        let this = Program::this();
        let next = other(this.protocol.current + 1);
        assert_eq!(this.incompatibility_with(&next, "the agent"), None);
        let why = this.incompatibility_with(&other(5), "the agent of this node").unwrap();
        let wanted = format!(
            "the agent of this node is FireCamp 9.8.7, which speaks protocol 5 and understands 4 \
             and later; this is FireCamp {VERSION}, which speaks protocol 3: nothing was changed"
        );
        assert_eq!(why, wanted);
        assert_eq!(of(1).to_string(), "protocol 1");
    }
}
