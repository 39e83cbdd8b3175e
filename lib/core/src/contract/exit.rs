//! Exit codes: one per kind of cause, the same for both containers.

/// How a process ends. `docs/exit-codes.md` is generated from this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Exit {
    /// Done, or there was nothing to do.
    Success,
    /// A flag, a variable or their combination is wrong.
    Usage,
    /// Another pod holds the member's address now.
    Superseded,
    /// The address is not available: a foreign interface holds it, or it is reserved, or in another
    /// zone.
    AddressUnavailable,
    /// The ENI or the pool is full.
    NoCapacity,
    /// EC2 refused a request: credentials, permissions, or a request that it does not understand.
    CloudRefused,
    /// The deadline passed.
    TimedOut,
    /// The registry cannot be reached.
    RegistryUnavailable,
    /// An object in the registry is malformed, missing or contradicts another.
    RegistryInvalid,
    /// This node has no ENI or link that can carry the address.
    NodeUnsuitable,
    /// The static-IP file could not be written.
    DiskRefused,
    /// The kernel refused an address, a rule or a route.
    KernelRefused,
    /// The registry refused a request: permissions, an admission policy, or validation.
    RegistryRefused,
    /// This program is incompatible with the agent of this node.
    VersionMismatch,
    /// The claim is bound to a StatefulSet that does not control the pod.
    ControllerMismatch,
    /// A bug in FireCamp.
    Internal,
    /// The process received a signal to end.
    Interrupted,
}

impl Exit {
    /// All exit codes, in ascending order.
    pub const ALL: [Self; 17] = [
        Self::Success,
        Self::Usage,
        Self::Superseded,
        Self::AddressUnavailable,
        Self::NoCapacity,
        Self::CloudRefused,
        Self::TimedOut,
        Self::RegistryUnavailable,
        Self::RegistryInvalid,
        Self::NodeUnsuitable,
        Self::DiskRefused,
        Self::KernelRefused,
        Self::RegistryRefused,
        Self::VersionMismatch,
        Self::ControllerMismatch,
        Self::Internal,
        Self::Interrupted,
    ];

    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Usage => 2,
            Self::Superseded => 10,
            Self::AddressUnavailable => 11,
            Self::NoCapacity => 12,
            Self::CloudRefused => 13,
            Self::TimedOut => 14,
            Self::RegistryUnavailable => 15,
            Self::RegistryInvalid => 16,
            Self::NodeUnsuitable => 17,
            Self::DiskRefused => 18,
            Self::KernelRefused => 19,
            Self::RegistryRefused => 22,
            Self::VersionMismatch => 23,
            Self::ControllerMismatch => 24,
            Self::Internal => 70,
            Self::Interrupted => 143,
        }
    }

    /// The stable reason, as used in the termination message, Events and conditions.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Usage => "UsageError",
            Self::Superseded => "Superseded",
            Self::AddressUnavailable => "AddressUnavailable",
            Self::NoCapacity => "NoCapacity",
            Self::CloudRefused => "CloudRefused",
            Self::TimedOut => "TimedOut",
            Self::RegistryUnavailable => "RegistryUnavailable",
            Self::RegistryInvalid => "RegistryInvalid",
            Self::NodeUnsuitable => "NodeUnsuitable",
            Self::DiskRefused => "DiskRefused",
            Self::KernelRefused => "KernelRefused",
            Self::RegistryRefused => "RegistryRefused",
            Self::VersionMismatch => "VersionMismatch",
            Self::ControllerMismatch => "ControllerMismatch",
            Self::Internal => "InternalError",
            Self::Interrupted => "Interrupted",
        }
    }

    /// Whether another run may succeed although nothing has been changed.
    pub fn retryable(self) -> bool {
        match self {
            Self::TimedOut
            | Self::RegistryUnavailable
            | Self::DiskRefused
            | Self::KernelRefused
            | Self::RegistryRefused
            | Self::Interrupted
            | Self::CloudRefused
            | Self::NodeUnsuitable
            | Self::NoCapacity => true,
            Self::Success
            | Self::Usage
            | Self::Superseded
            | Self::AddressUnavailable
            | Self::RegistryInvalid
            | Self::VersionMismatch
            | Self::ControllerMismatch
            | Self::Internal => false,
        }
    }

    /// What a user can do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Success => "nothing",
            Self::Usage => "correct the flag or variable that the message names; see --help",
            Self::Superseded => {
                "nothing: a newer pod of this member has the address; delete this pod if it remains"
            }
            Self::AddressUnavailable => {
                "release the address from the holder that the message names, or give the member \
                 another address"
            }
            Self::NoCapacity => {
                "free an address on the ENI, enlarge the pool, or let the member run on another \
                 node of its zone"
            }
            Self::CloudRefused => {
                "check the identity's EC2 permissions, its credentials and the node's clock"
            }
            Self::TimedOut => {
                "nothing at first: it is retried; if it times out again, its log says what it \
                 waited for"
            }
            Self::RegistryUnavailable => "check that the registry can be reached from this node",
            Self::RegistryInvalid => "repair the object that the message names; nothing was lost",
            Self::NodeUnsuitable => {
                "use a node in the zone of the address; attach an ENI in the address's subnet to \
                 it, or select one with --eni"
            }
            Self::DiskRefused => "check that the data volume is mounted, writable and not full",
            Self::KernelRefused => "check that the container has NET_ADMIN and uses hostNetwork",
            Self::RegistryRefused => {
                "grant the identity the permission that the message names, or correct what the \
                 registry rejects"
            }
            Self::VersionMismatch => {
                "use compatible versions of the node's agent and this pod's containers: upgrade \
                 both one version at a time"
            }
            Self::ControllerMismatch => {
                "let that StatefulSet start the member; or, to give its address to something else, \
                 remove the annotation firecamp.io/statefulset from the claim"
            }
            Self::Internal => "this is a bug in FireCamp: report it with the log",
            Self::Interrupted => "nothing: the container runs again if the pod still exists",
        }
    }
}

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
