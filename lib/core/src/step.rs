//! The step boundaries of the protocol, in the order in which a machine crosses them.

/// Declares the boundaries of one machine: the number in its label, the variant, and what has been
/// done at this boundary, for people.
macro_rules! steps {
    ($(#[$doc:meta])* $steps:ident { $($number:literal $step:ident $done:literal)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(
            feature = "serde",
            derive(serde::Serialize, serde::Deserialize),
            serde(into = "u8", try_from = "u8")
        )]
        pub enum $steps {
            $(#[doc = $done] $step = $number,)+
        }

        impl $steps {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$step),+];

            fn done(self) -> &'static str {
                match self {
                    $(Self::$step => $done,)+
                }
            }
        }

        impl From<$steps> for u8 {
            fn from(step: $steps) -> Self {
                step as Self
            }
        }

        #[cfg(feature = "serde")]
        impl TryFrom<u8> for $steps {
            type Error = String;

            fn try_from(number: u8) -> Result<Self, String> {
                let found = Self::ALL.iter().find(|step| u8::from(**step) == number);
                found.copied().ok_or_else(|| format!("no boundary {number}"))
            }
        }
    };
}

steps! {
    /// The boundaries of an attach.
    AttachStep {
        0 RecordsRead "records read"
        1 NodeIdentified "instance and ENI identified"
        2 PodConfirmed "pod confirmed as the live one"
        3 ClaimWritten "claim written"
        4 AddressAllocated "address allocated"
        5 FileProbed "static-IP file is writable"
        6 LinkFound "link of the ENI found"
        7 EpochAcquired "epoch acquired"
        8 AssignSent "Assign sent"
        9 AssignAnswered "Assign answered"
        10 DataPathSwitched "data path switched"
        11 AddressAdded "address added to the kernel"
        12 RoutingAdded "rule and routes added to the kernel"
        13 KernelVerified "kernel state verified"
        14 FileStaged "static-IP file staged"
        15 FilePublished "static-IP file published"
        16 FileDurable "static-IP file durable"
        17 AttachRecorded "attach recorded"
    }
}

steps! {
    /// The boundaries of a release.
    ReleaseStep {
        0 RecordsRead "records read"
        1 PodConfirmed "pod confirmed as the holder and as terminating"
        2 DrainEnded "drain ended"
        3 AddressRemoved "address removed from the kernel"
        4 RoutingRemoved "rule and routes removed from the kernel"
        5 ReleaseRecorded "release recorded"
    }
}

steps! {
    /// The boundaries of a release that unassigns the address, after those of the kernel.
    FreeStep {
        2 UnassignPending "Unassign recorded as pending"
        3 UnassignSent "Unassign sent"
        4 UnassignAnswered "Unassign answered"
        5 ReleaseRecorded "release recorded"
    }
}

steps! {
    /// The boundaries of a withdrawal, in which a superseded holder removes its address.
    WithdrawStep {
        1 HolderSuperseded "holder confirmed as superseded"
        2 AddressRemoved "address removed from the kernel"
        3 RoutingRemoved "rule and routes removed from the kernel"
    }
}

steps! {
    /// The boundaries of a re-assert.
    ReassertStep {
        1 AssignPending "Assign recorded as pending"
        2 AssignAnswered "Assign answered"
        3 ReassertEnded "re-assert ended"
    }
}

steps! {
    /// The boundaries of a restore.
    RestoreStep {
        1 AddressAdded "address added to the kernel"
        2 RoutingAdded "rule and routes added to the kernel"
        3 KernelVerified "kernel state verified"
    }
}

steps! {
    /// The boundaries of a collection.
    CollectStep {
        1 RecordAbsent "confirmed that the address has no record"
        2 AddressRemoved "address removed from the kernel"
        3 RoutingRemoved "rule and routes removed from the kernel"
    }
}

/// A step boundary of the protocol: the named step has taken effect and nothing after it has begun.
/// Its label is the one of the failure cases (`attach.7`, `release.3`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Step {
    /// A boundary of attach.
    Attach(AttachStep),
    /// A boundary of release.
    Release(ReleaseStep),
    /// A boundary of a release that unassigns the address.
    Free(FreeStep),
    /// A boundary of a withdrawal.
    Withdraw(WithdrawStep),
    /// A boundary of a re-assert.
    Reassert(ReassertStep),
    /// A boundary of a restore.
    Restore(RestoreStep),
    /// A boundary of a collection.
    Collect(CollectStep),
}

impl Step {
    /// What has been done at this boundary, for people.
    pub fn done(self) -> &'static str {
        match self {
            Self::Attach(step) => step.done(),
            Self::Release(step) => step.done(),
            Self::Free(step) => step.done(),
            Self::Withdraw(step) => step.done(),
            Self::Reassert(step) => step.done(),
            Self::Restore(step) => step.done(),
            Self::Collect(step) => step.done(),
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (machine, number) = match *self {
            Self::Attach(step) => ("attach", u8::from(step)),
            Self::Release(step) => ("release", u8::from(step)),
            Self::Free(step) => ("free", u8::from(step)),
            Self::Withdraw(step) => ("withdraw", u8::from(step)),
            Self::Reassert(step) => ("reassert", u8::from(step)),
            Self::Restore(step) => ("restore", u8::from(step)),
            Self::Collect(step) => ("collect", u8::from(step)),
        };
        write!(f, "{machine}.{number}")
    }
}
