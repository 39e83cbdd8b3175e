//! The reasons of conditions, problems and Events, and their meanings. Names are public and stable.

use std::fmt;
use std::time::Duration;

macro_rules! reasons {
    ($(#[$about:meta])* $name:ident: $count:literal; $($variant:ident $doc:literal;)*) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = $doc] $variant,)*
        }

        impl $name {
            /// All reasons.
            pub const ALL: [Self; $count] = [$(Self::$variant,)*];

            /// The name that is published.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)*
                }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $doc,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

reasons! {
    /// The problems of an address on this node, the worst first.
    AddressReason: 8;
    HeldByForeignInterface "EC2 shows the address on an ENI without this cluster's tag; FireCamp \
        never takes it from there";
    Misplaced "EC2 does not show the address on its recorded ENI";
    MissingInKernel "The address, its rule or its route is missing from the kernel, and the \
        agent could not restore it";
    StuckAttaching "An attach has started and does not finish";
    StuckReleasing "A release has started, and EC2 has not yet unassigned the address";
    LeftoverInKernel "The kernel still has an address that no longer belongs to this node";
    OperationFailing "The agent's operation on the address fails; the agent retries it";
    OutsidePool "No range of the address's pool contains it any more";
}

impl AddressReason {
    /// The reason of this name; none for a name that only another version knows.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// For how long the problem must last before it is reported.
    pub fn patience(self) -> Duration {
        match self {
            Self::HeldByForeignInterface | Self::OutsidePool => Duration::ZERO,
            // A restore takes milliseconds; the next full resync comes within ten seconds.
            Self::MissingInKernel | Self::LeftoverInKernel => Duration::from_secs(15),
            // EC2's reads lag by up to ten seconds, and the first re-assert repairs it.
            Self::Misplaced | Self::OperationFailing => Duration::from_secs(30),
            // An init container times out after that, and starts over.
            Self::StuckAttaching | Self::StuckReleasing => Duration::from_mins(2),
        }
    }
}

reasons! {
    /// The reasons of Events, except those of volumes.
    EventReason: 18;
    AddressHeldByForeignInterface "EC2 shows the address on an ENI without this cluster's tag";
    AddressMisplaced "EC2 has not shown the address on its recorded ENI for at least 30 s";
    AddressMissingInKernel "The address, its rule or its route has been missing from the \
        kernel for at least 15 s";
    AddressStuck "An attach or a release has started and does not finish";
    AddressLeftoverInKernel "The kernel still has an address that no longer belongs to this node";
    AddressOperationFailing "The agent's operation on the address fails; the agent retries it";
    AddressOutsidePool "No range of the address's pool contains it any more";
    AddressRecovered "The address has recovered from its last problem";
    AddressRestored "Another program removed the address from the kernel; the agent restored it";
    AddressReasserted "The address was missing from its ENI in EC2; the agent assigned it again";
    AddressReleased "The pod ended without releasing the address; the agent released it";
    AddressAdopted "EC2 had the address on an ENI of the cluster and no StaticIP recorded it; \
        the agent created one";
    AddressEvicted "A pod of this node needs the slot of the parked address; the agent unassigned \
        it, and its member gets it again at its next start";
    AddressNotReserved "A pod of this node needs the slot of a parked address, and no CIDR \
        reservation of type explicit would keep that address for its pool";
    PodWithoutAddress "A pod runs with the label of a pool and has no address: it was created \
        without the init container, as while the admission policies were away";
    VolumeRecovered "The volume has recovered from a problem";
    PreflightFailed "A check of this node fails";
    PreflightPassed "A check of this node passes again";
}

impl EventReason {
    /// Whether it is a warning.
    pub fn warns(self) -> bool {
        match self {
            Self::AddressHeldByForeignInterface
            | Self::AddressMisplaced
            | Self::AddressMissingInKernel
            | Self::AddressStuck
            | Self::AddressLeftoverInKernel
            | Self::AddressOperationFailing
            | Self::AddressOutsidePool
            | Self::AddressReasserted
            | Self::AddressNotReserved
            | Self::PodWithoutAddress
            | Self::PreflightFailed => true,
            Self::AddressRecovered
            | Self::AddressRestored
            | Self::AddressReleased
            | Self::AddressAdopted
            | Self::AddressEvicted
            | Self::VolumeRecovered
            | Self::PreflightPassed => false,
        }
    }
}

impl From<AddressReason> for EventReason {
    fn from(reason: AddressReason) -> Self {
        match reason {
            AddressReason::HeldByForeignInterface => Self::AddressHeldByForeignInterface,
            AddressReason::Misplaced => Self::AddressMisplaced,
            AddressReason::MissingInKernel => Self::AddressMissingInKernel,
            AddressReason::StuckAttaching | AddressReason::StuckReleasing => Self::AddressStuck,
            AddressReason::LeftoverInKernel => Self::AddressLeftoverInKernel,
            AddressReason::OperationFailing => Self::AddressOperationFailing,
            AddressReason::OutsidePool => Self::AddressOutsidePool,
        }
    }
}
