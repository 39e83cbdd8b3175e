//! Exit codes: one per kind of cause, the same for both containers.

pub use super::command_exit::{
    CheckExit, Cleaned, Imported, Restarted, Uninstalled, Verified, Waited, by_command,
};

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
    /// The endpoint of this node's agent does not answer.
    AgentUnavailable,
    /// The agent does not accept the pod's token.
    TokenRefused,
    /// The pool does not allow the pod's namespace.
    NamespaceNotAllowed,
    /// A bug in FireCamp.
    Internal,
    /// The process received a signal to end.
    Interrupted,
}

impl Exit {
    /// All exit codes, in ascending order.
    pub const ALL: [Self; 20] = [
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
        Self::AgentUnavailable,
        Self::TokenRefused,
        Self::NamespaceNotAllowed,
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
            Self::AgentUnavailable => 25,
            Self::TokenRefused => 26,
            Self::NamespaceNotAllowed => 27,
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
            Self::AgentUnavailable => "AgentUnavailable",
            Self::TokenRefused => "TokenRefused",
            Self::NamespaceNotAllowed => "NamespaceNotAllowed",
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
            | Self::NoCapacity
            | Self::AgentUnavailable
            | Self::TokenRefused => true,
            Self::Success
            | Self::Usage
            | Self::Superseded
            | Self::AddressUnavailable
            | Self::RegistryInvalid
            | Self::VersionMismatch
            | Self::ControllerMismatch
            | Self::NamespaceNotAllowed
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
                "use a node in the address's zone; attach an ENI in its subnet, or select one with \
                 --eni; pods without hostNetwork need endpoint.podNetworks.clusterCIDRs (chart)"
            }
            Self::DiskRefused => "check that the data volume is mounted, writable and not full",
            Self::KernelRefused => {
                "read what the kernel refused; in direct mode the container needs NET_ADMIN and hostNetwork"
            }
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
            Self::AgentUnavailable => {
                "check that FireCamp's agent runs on this node, and that no NetworkPolicy and no \
                 service mesh of this pod blocks its endpoint"
            }
            Self::TokenRefused => {
                "nothing at first: a token that expired is renewed; otherwise project a \
                 ServiceAccount token with the audience firecamp.io into the container"
            }
            Self::NamespaceNotAllowed => {
                "allow the namespace in spec.allowedNamespaces of the pool; or delete the member's \
                 claim, if it has one, and label the pod with a pool that allows it"
            }
            Self::Internal => "this is a bug in FireCamp: report it with the log",
            Self::Interrupted => "nothing: the container runs again if the pod still exists",
        }
    }
}
