//! Deliberate bugs that the model, the histories and the crash enumeration must find.
//!
//! Without the feature `deliberate-bugs`, which nothing that is shipped enables, [`planted`] is
//! `false` at compile time. With it, `FIRECAMP_BUG` names the one bug of this process.

macro_rules! bugs {
    ($(#[doc = $about:literal] $bug:ident = $name:literal,)*) => {
        /// A deliberate bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $(#[doc = $about] $bug,)*
        }

        impl Bug {
            /// All bugs.
            pub const ALL: &[Self] = &[$(Self::$bug,)*];

            /// The value of `FIRECAMP_BUG` that selects it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)*
                }
            }

            /// What it breaks, in one sentence.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$bug => $about.trim_ascii(),)*
                }
            }
        }
    };
}

bugs! {
    /// An Assign is sent and repeated without a fresh read of the record, however late.
    NoFreshRead = "no-fresh-read",
    /// A claimant does not wait for pending calls of others.
    NoBarrier = "no-barrier",
    /// The barrier considers Assigns to other ENIs, but not Unassigns from this one.
    BarrierIgnoresUnassign = "barrier-ignores-unassign",
    /// An attach does not record its Assign as pending when it acquires the epoch.
    NoTakeMark = "no-take-mark",
    /// A re-assert does not record its Assign as pending.
    NoReassertMark = "no-reassert-mark",
    /// A clean release clears every pending mutation.
    ReleaseClearsMarks = "release-clears-marks",
    /// A completion does not wait until its own unanswered calls have expired.
    GiveUpClearsMark = "give-up-clears-mark",
    /// A record with pending mutations counts as settled.
    SettledIgnoresMarks = "settled-ignores-marks",
    /// An address in IMDS proves an Assign even if IMDS listed it before the call.
    PresenceIsProof = "presence-is-proof",
    /// An address in IMDS proves an Assign however recently this node sent an earlier one.
    ForgetEarlierAssign = "forget-earlier-assign",
    /// Attach succeeds right after the answer to Assign, before the data path has switched.
    SuccessBeforeSwitch = "success-before-switch",
    /// A call whose answer was lost counts as a failure without effect.
    LostIsFailure = "lost-is-failure",
    /// Attach assigns by force whoever holds the address, and ignores the owner's look-up.
    ForceWithoutLook = "force-without-look",
    /// The node-local lock's record is compared before the lock is acquired.
    CheckOutsideLock = "check-outside-lock",
    /// A release compares only the pod's UID, not its epoch.
    NoReleaseEpoch = "no-release-epoch",
    /// The pod's UID stands for the epoch: a second run of one pod acquires no new epoch.
    UidForEpoch = "uid-for-epoch",
    /// The pod is checked before the record is read.
    PodCheckFirst = "pod-check-first",
    /// A stop container does not check whether its pod is terminating.
    NoStopPodCheck = "no-stop-pod-check",
    /// An Unassign runs under the epoch of the attachment that it ends.
    UnassignKeepsEpoch = "unassign-keeps-epoch",
    /// The static-IP file is published before the kernel has the address.
    FileBeforeKernel = "file-before-kernel",
    /// A release whose reads fail removes the address from the kernel all the same.
    DeleteOnFailedRead = "delete-on-failed-read",
    /// Removing an address also removes all addresses whose text begins with it.
    PrefixMatch = "prefix-match",
    /// An address's object is written whether or not one exists.
    AllocateWithoutCas = "allocate-without-cas",
    /// The agent re-asserts by an old read, without a compare-and-swap or a fresh read.
    ReassertUnchecked = "reassert-unchecked",
    /// The agent takes an address from any owner.
    ReassertFromForeign = "reassert-from-foreign",
    /// The agent withdraws by its own snapshot, without a fresh read.
    DropBySnapshot = "drop-by-snapshot",
    /// The agent releases for a pod that still runs.
    ReleaseLivePod = "release-live-pod",
    /// The agent trusts the status that it last reported for an address, and does not check again.
    StatusIsTruth = "status-is-truth",
    /// The agent restores what the lock says was held here, wherever the record has it now.
    RestoreMovedEpoch = "restore-moved-epoch",
    /// The agent restores what a stop container has removed: it ignores the lock's release.
    RestoreReleased = "restore-released",
    /// The agent re-asserts at every observation, without a pause.
    ReassertWithoutLimit = "reassert-without-limit",
    /// A record that could not be read counts as gone, and the agent collects its address.
    CollectOnFailedRead = "collect-on-failed-read",
    /// An empty list of records counts as complete, and the agent collects what the node has.
    DeleteOnEmptyList = "delete-on-empty-list",
    /// The agent releases by an old observation of the pod, without a fresh read.
    ReleaseBySnapshot = "release-by-snapshot",
    /// The agent collects what has no record in the first pass that finds it.
    CollectAtOnce = "collect-at-once",
    /// The agent collects what has no record even if another program created it.
    CollectForeign = "collect-foreign",
    /// A device is identified by its place in the order of EC2's device names, not by its serial.
    VolumeByName = "volume-by-name",
    /// Volumes of a node that could not be read count as absent.
    VolumeUnreadIsAbsent = "volume-unread-is-absent",
    /// A problem of a volume is reported at its first observation and cleared at the next.
    VolumeAtOnce = "volume-at-once",
    /// An agent that restarts forgets what it published about its node's volumes.
    VolumeForgotten = "volume-forgotten",
    /// An address without a record is adopted after the first read that shows it.
    AdoptAtOnce = "adopt-at-once",
    /// A record that could not be read counts as missing, and its address is adopted.
    AdoptOnFailedRead = "adopt-on-failed-read",
    /// An address is adopted although a claim names it.
    AdoptClaimed = "adopt-claimed",
    /// An address is adopted although its node uses it or may still use it.
    AdoptUsed = "adopt-used",
}

impl std::fmt::Display for Bug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether this process has this bug.
#[cfg(not(feature = "deliberate-bugs"))]
#[inline]
pub const fn planted(_bug: Bug) -> bool {
    false
}

/// Whether this process has this bug.
#[cfg(feature = "deliberate-bugs")]
pub fn planted(bug: Bug) -> bool {
    static PLANTED: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    let found = PLANTED.get_or_init(|| {
        let name = std::env::var(crate::contract::env::BUG).ok()?;
        Bug::ALL.iter().copied().find(|bug| bug.name() == name)
    });
    *found == Some(bug)
}

#[cfg(all(feature = "deliberate-bugs", not(debug_assertions)))]
compile_error!("deliberate bugs are for tests and need a build with debug assertions");
