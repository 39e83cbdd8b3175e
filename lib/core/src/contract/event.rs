//! Reasons of the Events that the containers write: as stable as the exit codes.

/// Why a container writes an Event. A table in `docs/exit-codes.md` is generated from this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Notice {
    /// The init container succeeded.
    AddressAttached,
    /// The init container failed.
    AddressAttachFailed,
    /// The stop container released an address while sockets still used it.
    AddressStillUsed,
    /// The stop container failed.
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

    /// What was attempted, in one stable word.
    pub fn action(self) -> &'static str {
        match self {
            Self::AddressAttached | Self::AddressAttachFailed => "Attach",
            Self::AddressStillUsed | Self::AddressReleaseFailed => "Release",
        }
    }

    /// Whether the Event is a warning.
    pub fn warns(self) -> bool {
        match self {
            Self::AddressAttached => false,
            Self::AddressAttachFailed | Self::AddressStillUsed | Self::AddressReleaseFailed => true,
        }
    }

    /// A description for users.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::AddressAttached => "the init container succeeded: the address works",
            Self::AddressAttachFailed => {
                "the init container failed; the message begins with the reason of its exit code"
            }
            Self::AddressStillUsed => {
                "the stop container released the address while sockets still used it, because the \
                 drain time was over"
            }
            Self::AddressReleaseFailed => {
                "the stop container failed, so an agent will release the address; the message \
                 begins with the reason of its exit code"
            }
        }
    }
}
