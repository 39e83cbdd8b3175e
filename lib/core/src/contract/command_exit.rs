//! How the commands of `firecamp` end, besides an [`Exit`].

use super::exit::Exit;

/// How a command that only reads (`firecamp status`, `explain`, `doctor`) ends: its result. If it
/// cannot run at all, it ends with an [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckExit {
    /// All checks ran and found no problem.
    Fine,
    /// There is a problem, whether or not all checks ran.
    Problems,
    /// No problem was found, but some checks could not run.
    Unchecked,
}

impl CheckExit {
    /// All results, in ascending order of their codes.
    pub const ALL: [Self; 3] = [Self::Fine, Self::Problems, Self::Unchecked];

    /// The exit code. It differs from those of all failures.
    pub fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Problems => 20,
            Self::Unchecked => 21,
        }
    }

    /// A description for users.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Fine => "all checks ran and found no problem",
            Self::Problems => "there is a problem; the output describes it and what to do",
            Self::Unchecked => "no problem was found, but some checks could not run",
        }
    }

    /// The result of both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Problems, _) | (_, Self::Problems) => Self::Problems,
            (Self::Unchecked, _) | (_, Self::Unchecked) => Self::Unchecked,
            (Self::Fine, Self::Fine) => Self::Fine,
        }
    }
}

/// How `firecamp cleanup` ends; with `--dry-run`, how it would end. If it cannot read or remove,
/// it ends with an [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cleaned {
    /// The node's kernel has no object of FireCamp any more.
    All,
    /// Some objects remain because they are in use.
    InUse,
    /// Some objects remain because it is unknown whether they are in use, or who owns them.
    NotKnown,
}

impl Cleaned {
    /// All results, in ascending order of their codes.
    pub const ALL: [Self; 3] = [Self::All, Self::InUse, Self::NotKnown];

    /// The exit code: the same as that of the corresponding [`CheckExit`].
    pub fn code(self) -> u8 {
        match self {
            Self::All => CheckExit::Fine.code(),
            Self::InUse => CheckExit::Problems.code(),
            Self::NotKnown => CheckExit::Unchecked.code(),
        }
    }

    /// A description for users.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::All => "the node's kernel has no object of FireCamp any more",
            Self::InUse => "some objects remain because they are in use; the output says by whom",
            Self::NotKnown => {
                "some objects remain because their use or their owner could not be determined"
            }
        }
    }
}

/// How `firecamp import` ends; without `--apply`, how it would end. If it cannot read or write,
/// it ends with an [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Imported {
    /// Every address of the original FireCamp has its objects.
    All,
    /// Some addresses were refused.
    Refused,
    /// For some addresses it is unknown whether they can be imported now.
    NotKnown,
}

impl Imported {
    /// All results, in ascending order of their codes.
    pub const ALL: [Self; 3] = [Self::All, Self::Refused, Self::NotKnown];

    /// The exit code: the same as that of the corresponding [`CheckExit`].
    pub fn code(self) -> u8 {
        match self {
            Self::All => CheckExit::Fine.code(),
            Self::Refused => CheckExit::Problems.code(),
            Self::NotKnown => CheckExit::Unchecked.code(),
        }
    }

    /// A description for users.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::All => "every address of the original FireCamp has its StaticIP",
            Self::Refused => "some addresses are not imported; the output says which and why",
            Self::NotKnown => {
                "some addresses are not imported because their pods could not be read; run it again"
            }
        }
    }
}

/// How `firecamp wait` ends. If it cannot read, it ends with an [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Waited {
    /// The condition was reached.
    Reached,
    /// The condition was not reached within the timeout.
    TimedOut,
}

impl Waited {
    /// All results, in ascending order of their codes.
    pub const ALL: [Self; 2] = [Self::Reached, Self::TimedOut];

    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Reached => Exit::Success.code(),
            Self::TimedOut => Exit::TimedOut.code(),
        }
    }

    /// A description for users.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Reached => "the condition was reached",
            Self::TimedOut => {
                "the timeout expired first; the output says what is missing, where, since when and \
                 what to do"
            }
        }
    }
}

/// How `firecamp uninstall` ends; with `--dry-run`, how it would begin. If it cannot read or write,
/// it ends with an [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Uninstalled {
    /// No address and no interface of FireCamp is left in EC2 and in the registry.
    All,
    /// Something is left after the timeout.
    TimedOut,
    /// Nothing more is removed, because addresses are in use or objects cannot be read.
    InUse,
}

impl Uninstalled {
    /// All results, in ascending order of their codes.
    pub const ALL: [Self; 3] = [Self::All, Self::TimedOut, Self::InUse];

    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::All => Exit::Success.code(),
            Self::TimedOut => Exit::TimedOut.code(),
            Self::InUse => CheckExit::Problems.code(),
        }
    }

    /// A description for users.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::All => "no address, interface, claim or pool of FireCamp is left",
            Self::TimedOut => {
                "the timeout expired first; the output says what is left; run it again to continue"
            }
            Self::InUse => {
                "nothing more was removed, because members use addresses, or objects cannot be \
                 read; the output says which"
            }
        }
    }
}

/// How `firecamp verify-ec2` ends. If it cannot begin, or a signal interrupts it, it ends with an
/// [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verified {
    /// Every fact that can be observed holds.
    All,
    /// A fact differs, or something of a run is left in EC2.
    Differs,
    /// Some facts could not be tried.
    NotTried,
}

impl Verified {
    /// All results, in ascending order of their codes.
    pub const ALL: [Self; 3] = [Self::All, Self::Differs, Self::NotTried];

    /// The exit code: the same as that of the corresponding [`CheckExit`].
    pub fn code(self) -> u8 {
        match self {
            Self::All => CheckExit::Fine.code(),
            Self::Differs => CheckExit::Problems.code(),
            Self::NotTried => CheckExit::Unchecked.code(),
        }
    }

    /// A description for users.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::All => "every fact that can be observed holds, and nothing is left in EC2",
            Self::Differs => {
                "a fact differs, or an interface of a run is left in EC2; the output says which"
            }
            Self::NotTried => "no fact differs, but some could not be tried; the output says why",
        }
    }
}

/// How `firecamp service restart` ends. If it cannot begin, it ends with an [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Restarted {
    /// All members are restarted and back.
    All,
    /// A member is not back in time, or the next one could not be restarted.
    Stopped,
    /// Another command performs the restart.
    Busy,
    /// A signal interrupted the command.
    Interrupted,
}

impl Restarted {
    /// All results, in ascending order of their codes.
    pub const ALL: [Self; 4] = [Self::All, Self::Stopped, Self::Busy, Self::Interrupted];

    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::All => Exit::Success.code(),
            Self::Stopped => Exit::TimedOut.code(),
            Self::Busy => CheckExit::Problems.code(),
            Self::Interrupted => Exit::Interrupted.code(),
        }
    }

    /// A description for users.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::All => "all members are restarted and back",
            Self::Stopped => {
                "a member is not back in time, or a budget forbids the next eviction; the output \
                 says which and why; --resume goes on and --undo returns"
            }
            Self::Busy => "another command performs the restart; the output says where it runs",
            Self::Interrupted => "a signal ended the command; --resume goes on",
        }
    }
}

/// The commands of `firecamp` that have exit codes of their own, with what these mean.
pub fn by_command() -> [(&'static str, Vec<(u8, &'static str)>); 6] {
    [
        ("cleanup", Cleaned::ALL.map(|end| (end.code(), end.meaning())).to_vec()),
        ("wait", Waited::ALL.map(|end| (end.code(), end.meaning())).to_vec()),
        ("import", Imported::ALL.map(|end| (end.code(), end.meaning())).to_vec()),
        ("uninstall", Uninstalled::ALL.map(|end| (end.code(), end.meaning())).to_vec()),
        ("verify-ec2", Verified::ALL.map(|end| (end.code(), end.meaning())).to_vec()),
        ("service restart", Restarted::ALL.map(|end| (end.code(), end.meaning())).to_vec()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_of_a_check_is_the_code_of_a_failure() {
        for look in CheckExit::ALL {
            let taken = Exit::ALL.iter().any(|exit| exit.code() == look.code());
            assert_eq!(taken, look == CheckExit::Fine, "{look:?}");
        }
    }

    #[test]
    fn a_problem_outweighs_unchecked_and_unchecked_outweighs_fine() {
        assert_eq!(CheckExit::Fine.and(CheckExit::Unchecked), CheckExit::Unchecked);
        assert_eq!(CheckExit::Unchecked.and(CheckExit::Problems), CheckExit::Problems);
        assert_eq!(CheckExit::Problems.and(CheckExit::Fine), CheckExit::Problems);
        assert_eq!(CheckExit::Fine.and(CheckExit::Fine), CheckExit::Fine);
    }
}
