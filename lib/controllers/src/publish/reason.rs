//! The reasons of conditions, problems and Events, and what each means. Names are stable.

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
            /// All of them.
            pub const ALL: [Self; $count] = [$(Self::$variant,)*];

            /// As it is published.
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
    /// What can be wrong with an address on this node, the worst first.
    AddressReason: 8;
    HeldByOther "EC2 shows the address on an ENI that is not this cluster's; it is never taken from there";
    NotOnEni "EC2 does not show the address on the ENI where it belongs";
    NotConfigured "The kernel lacks the address, its rule or its route, and it does not come back";
    StuckAttaching "An attach has begun and does not end";
    StuckReleasing "The address is on its way out of EC2 and does not get there";
    LeftInKernel "The kernel still has an address that no longer belongs on this node";
    ErrandFailing "What the agent does about the address fails";
    OutsidePool "No pool of the address's name hands it out any more";
}

impl AddressReason {
    /// The one of this name, which another version may have published.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// For how long it must be so before it is reported.
    pub fn patience(self) -> Duration {
        match self {
            Self::HeldByOther | Self::OutsidePool => Duration::ZERO,
            // A restore takes milliseconds; a second look comes within ten seconds.
            Self::NotConfigured | Self::LeftInKernel => Duration::from_secs(15),
            // EC2's reads lag by up to ten seconds, and the first re-assert mends it.
            Self::NotOnEni | Self::ErrandFailing => Duration::from_secs(30),
            // An init container gives up after that, and begins anew.
            Self::StuckAttaching | Self::StuckReleasing => Duration::from_mins(2),
        }
    }
}

reasons! {
    /// The reasons of Events that are not those of volumes.
    EventReason: 15;
    AddressConflict "EC2 shows the address on an ENI that is not this cluster's";
    AddressAstray "EC2 has not shown the address on its ENI for a while";
    AddressNotConfigured "The kernel has lacked a part of the address for a while";
    AddressStuck "An attach or a release that has begun does not end";
    AddressLeftover "The kernel still has an address that belongs elsewhere";
    AddressErrandFailing "What the agent does about the address fails";
    AddressOutsidePool "No pool hands the address out any more";
    AddressRecovered "What was wrong with the address is over";
    AddressRestored "Something had stripped the address; the agent put it back";
    AddressReasserted "EC2 had lost the address or moved it; the agent assigned it again";
    AddressReleased "The pod was gone and had not released; the agent did";
    AddressAdopted "EC2 had the address and nobody claimed it; it has a StaticIP now";
    VolumeRecovered "What was wrong with the volume is over";
    PreflightFailed "A check of this node does not pass";
    PreflightPassed "A check of this node passes again";
}

impl EventReason {
    /// Whether it is a warning.
    pub fn warns(self) -> bool {
        match self {
            Self::AddressConflict
            | Self::AddressAstray
            | Self::AddressNotConfigured
            | Self::AddressStuck
            | Self::AddressLeftover
            | Self::AddressErrandFailing
            | Self::AddressOutsidePool
            | Self::AddressReasserted
            | Self::PreflightFailed => true,
            Self::AddressRecovered
            | Self::AddressRestored
            | Self::AddressReleased
            | Self::AddressAdopted
            | Self::VolumeRecovered
            | Self::PreflightPassed => false,
        }
    }
}

impl From<AddressReason> for EventReason {
    fn from(reason: AddressReason) -> Self {
        match reason {
            AddressReason::HeldByOther => Self::AddressConflict,
            AddressReason::NotOnEni => Self::AddressAstray,
            AddressReason::NotConfigured => Self::AddressNotConfigured,
            AddressReason::StuckAttaching | AddressReason::StuckReleasing => Self::AddressStuck,
            AddressReason::LeftInKernel => Self::AddressLeftover,
            AddressReason::ErrandFailing => Self::AddressErrandFailing,
            AddressReason::OutsidePool => Self::AddressOutsidePool,
        }
    }
}
