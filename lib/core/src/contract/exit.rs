//! Exit codes: one per kind of cause, the same for both containers.

/// How a process of ours ends. `docs/exit-codes.md` is generated from this table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Exit {
    /// Done, or there was nothing to do.
    Success,
    /// A flag, a variable or their combination is wrong.
    Usage,
    /// Another pod holds the member now.
    Superseded,
    /// The address cannot be had: held by something foreign, reserved, or in another zone.
    AddressUnavailable,
    /// The ENI or the pool is full.
    NoCapacity,
    /// EC2 refuses: credentials, permissions, or a request it does not understand.
    CloudRefused,
    /// The deadline passed.
    TimedOut,
    /// The registry cannot be reached.
    RegistryUnavailable,
    /// An object in the registry is garbled, missing or contradicts another.
    RegistryInvalid,
    /// This node has no ENI or link that can carry the address.
    NodeUnsuitable,
    /// The static-IP file cannot be written.
    DiskRefused,
    /// The kernel refuses an address, a rule or a route.
    KernelRefused,
    /// The registry refuses a request: rights, an admission policy, or its own rules.
    RegistryRefused,
    /// The agent of this node is too new or too old for this program.
    VersionMismatch,
    /// The claim is bound to a StatefulSet, and that does not control the pod.
    ControllerMismatch,
    /// A bug of ours.
    Internal,
    /// A signal asked us to end.
    Interrupted,
}

impl Exit {
    /// All of them, in the order of their codes.
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

    /// The number that the process ends with.
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

    /// The stable reason, as in the termination message, Events and conditions.
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

    /// Whether running again may succeed without anybody changing anything.
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

    /// What a person can do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Success => "nothing",
            Self::Usage => "correct the flag or variable that the message names; see --help",
            Self::Superseded => {
                "nothing: a newer pod of this member has the address; delete this pod if it stays"
            }
            Self::AddressUnavailable => {
                "look up the holder that the message names; release the address there, or give \
                 the member another one"
            }
            Self::NoCapacity => {
                "free an address on the ENI or enlarge the pool; or let the member run on \
                 another node of its zone"
            }
            Self::CloudRefused => {
                "check the identity's EC2 permissions, its credentials and the node's clock"
            }
            Self::TimedOut => {
                "nothing at first: it is tried again; then look at what it waited for"
            }
            Self::RegistryUnavailable => "check that the registry can be reached from this node",
            Self::RegistryInvalid => "repair the object that the message names; nothing was lost",
            Self::NodeUnsuitable => {
                "attach an ENI of the address's subnet to this node, or name it with --eni"
            }
            Self::DiskRefused => "check that the data volume is mounted, writable and not full",
            Self::KernelRefused => "check that the container has NET_ADMIN in the host's network",
            Self::RegistryRefused => {
                "give the identity the right that the message names, or change what is against \
                 the registry's rules"
            }
            Self::VersionMismatch => {
                "bring the node's agent and this pod's containers to versions that are neighbours: \
                 upgrade both one version at a time"
            }
            Self::ControllerMismatch => {
                "let that StatefulSet start the member; or, to give its address to something else, \
                 remove the annotation firecamp.io/statefulset from the claim"
            }
            Self::Internal => "report it with the log",
            Self::Interrupted => "nothing: it is run again if the pod still lives",
        }
    }
}

/// How a command that only looks ends (`firecamp status`, `explain`, `doctor`): what it has found.
/// What keeps it from looking at all ends it with an [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Look {
    /// Everything was looked at, and nothing is wrong.
    Fine,
    /// Something is wrong, whatever else could not be looked at.
    Problems,
    /// Nothing that was seen is wrong, and something could not be looked at.
    Unchecked,
}

impl Look {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Fine, Self::Problems, Self::Unchecked];

    /// The number that the process ends with. None is the number of a failure.
    pub fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Problems => 20,
            Self::Unchecked => 21,
        }
    }

    /// What it means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Fine => "everything was looked at, and nothing is wrong",
            Self::Problems => "something is wrong; what is printed says what and what to do",
            Self::Unchecked => "nothing that was seen is wrong, and something could not be seen",
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Problems, _) | (_, Self::Problems) => Self::Problems,
            (Self::Unchecked, _) | (_, Self::Unchecked) => Self::Unchecked,
            (Self::Fine, Self::Fine) => Self::Fine,
        }
    }
}

/// How `firecamp cleanup` ends; with `--dry-run`, how it would end. What keeps it from looking or
/// from removing ends it with an [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cleaned {
    /// Nothing of FireCamp's is in the node's kernel any more.
    All,
    /// Something stays, because it is used.
    InUse,
    /// Something stays, because nobody can tell whether it is used, or whose it is.
    NotKnown,
}

impl Cleaned {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::All, Self::InUse, Self::NotKnown];

    /// The number that the process ends with: as that of a [`Look`].
    pub fn code(self) -> u8 {
        match self {
            Self::All => Look::Fine.code(),
            Self::InUse => Look::Problems.code(),
            Self::NotKnown => Look::Unchecked.code(),
        }
    }

    /// What it means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::All => "nothing of FireCamp's is in the node's kernel any more",
            Self::InUse => "something stays, because it is used; what is printed says by whom",
            Self::NotKnown => {
                "something stays, because nobody can tell whether it is used, or whose it is"
            }
        }
    }
}

/// How `firecamp import` ends; without `--apply`, how it would end. What keeps it from reading or
/// from writing ends it with an [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Imported {
    /// Every address of the original has its objects.
    All,
    /// Something was refused.
    Refused,
    /// Of something nobody can tell whether it may be imported now.
    NotKnown,
}

impl Imported {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::All, Self::Refused, Self::NotKnown];

    /// The number that the process ends with: as that of a [`Look`].
    pub fn code(self) -> u8 {
        match self {
            Self::All => Look::Fine.code(),
            Self::Refused => Look::Problems.code(),
            Self::NotKnown => Look::Unchecked.code(),
        }
    }

    /// What it means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::All => "every address of the original has its StaticIP",
            Self::Refused => "something is not imported; what is printed says what and why",
            Self::NotKnown => {
                "something is not imported, because its pod could not be asked; run it again"
            }
        }
    }
}

/// How `firecamp wait` ends. What keeps it from looking ends it with an [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Waited {
    /// What was waited for is so.
    Reached,
    /// It was not within the time.
    TimedOut,
}

impl Waited {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 2] = [Self::Reached, Self::TimedOut];

    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Reached => Exit::Success.code(),
            Self::TimedOut => Exit::TimedOut.code(),
        }
    }

    /// What it means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Reached => "it is as it was waited for",
            Self::TimedOut => {
                "the time was over before; what is printed says what is missing, where, since when \
                 and what to do"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_of_a_look_is_that_of_a_failure() {
        for look in Look::ALL {
            let taken = Exit::ALL.iter().any(|exit| exit.code() == look.code());
            assert_eq!(taken, look == Look::Fine, "{look:?}");
        }
    }

    #[test]
    fn a_problem_outweighs_what_could_not_be_seen_and_that_outweighs_nothing_wrong() {
        assert_eq!(Look::Fine.and(Look::Unchecked), Look::Unchecked);
        assert_eq!(Look::Unchecked.and(Look::Problems), Look::Problems);
        assert_eq!(Look::Problems.and(Look::Fine), Look::Problems);
        assert_eq!(Look::Fine.and(Look::Fine), Look::Fine);
    }
}
