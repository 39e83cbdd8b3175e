//! Reasons of the Events that the containers write: stable, as the exit codes are.

/// Why a container writes an Event. A table in `docs/exit-codes.md` is generated from this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Notice {
    /// The init container has ended well.
    AddressAttached,
    /// The init container has failed.
    AddressAttachFailed,
    /// The stop container has released an address that sockets still used.
    AddressStillUsed,
    /// The stop container has failed.
    AddressReleaseFailed,
}

impl Notice {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::AddressAttached,
        Self::AddressAttachFailed,
        Self::AddressStillUsed,
        Self::AddressReleaseFailed,
    ];

    /// The stable reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::AddressAttached => "AddressAttached",
            Self::AddressAttachFailed => "AddressAttachFailed",
            Self::AddressStillUsed => "AddressStillUsed",
            Self::AddressReleaseFailed => "AddressReleaseFailed",
        }
    }

    /// What was tried, in one stable word.
    pub fn action(self) -> &'static str {
        match self {
            Self::AddressAttached | Self::AddressAttachFailed => "Attach",
            Self::AddressStillUsed | Self::AddressReleaseFailed => "Release",
        }
    }

    /// Whether it is a warning.
    pub fn warns(self) -> bool {
        match self {
            Self::AddressAttached => false,
            Self::AddressAttachFailed | Self::AddressStillUsed | Self::AddressReleaseFailed => true,
        }
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::AddressAttached => "the init container ended with 0: the address works",
            Self::AddressAttachFailed => {
                "the init container failed; the message begins with the reason of its exit code"
            }
            Self::AddressStillUsed => {
                "released, while sockets still used the address when the time to drain was over"
            }
            Self::AddressReleaseFailed => {
                "the stop container failed, so the release is left to the agents; the message \
                 begins with the reason of its exit code"
            }
        }
    }
}
