//! Deliberate bugs: what the model, the histories and the crash enumeration must find.
//!
//! Without the feature `deliberate-bugs`, which nothing that is shipped enables, [`planted`] is
//! `false` at compile time. With it, `FIRECAMP_BUG` names the one bug of this process.

macro_rules! bugs {
    ($(#[doc = $about:literal] $bug:ident = $name:literal,)*) => {
        /// One deliberate bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $(#[doc = $about] $bug,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug,)*];

            /// The name that `FIRECAMP_BUG` takes.
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
    /// A taker does not wait for marked calls.
    NoBarrier = "no-barrier",
    /// The barrier looks at Assigns elsewhere, not at Unassigns here.
    BarrierIgnoresUnassign = "barrier-ignores-unassign",
    /// A take does not mark the Assign that follows.
    NoTakeMark = "no-take-mark",
    /// A re-assert does not mark its Assign.
    NoReassertMark = "no-reassert-mark",
    /// A clean release clears every mark.
    ReleaseClearsMarks = "release-clears-marks",
    /// A completion does not wait until its own calls without an answer are out of the way.
    GiveUpClearsMark = "give-up-clears-mark",
    /// A record with marks counts as settled.
    SettledIgnoresMarks = "settled-ignores-marks",
    /// Presence in IMDS proves an Assign though the address was listed before it.
    PresenceIsProof = "presence-is-proof",
    /// Presence in IMDS proves an Assign however lately an earlier one was sent from this node.
    ForgetEarlierAssign = "forget-earlier-assign",
    /// Success right after the answer to Assign, before the data path has switched.
    SuccessBeforeSwitch = "success-before-switch",
    /// A lost answer is taken for a failure without effect.
    LostIsFailure = "lost-is-failure",
    /// By force, whoever holds it: the owner's answer is not heeded.
    ForceWithoutLook = "force-without-look",
    /// The node-local lock's comparison is made before the lock is taken.
    CheckOutsideLock = "check-outside-lock",
    /// A release looks at the pod's UID only, at none of its epochs.
    NoReleaseEpoch = "no-release-epoch",
    /// The pod's UID stands for the epoch: a second run of one pod takes no new one.
    UidForEpoch = "uid-for-epoch",
    /// The pod is checked before the record is read.
    PodCheckFirst = "pod-check-first",
    /// A stop does not ask whether its pod is ending.
    NoStopPodCheck = "no-stop-pod-check",
    /// An Unassign runs under the epoch of the attachment that it ends.
    UnassignKeepsEpoch = "unassign-keeps-epoch",
    /// The static-IP file is published before the kernel has the address.
    FileBeforeKernel = "file-before-kernel",
    /// A release whose reads fail removes the address all the same.
    DeleteOnFailedRead = "delete-on-failed-read",
    /// An address is removed together with all whose text it is a prefix of.
    PrefixMatch = "prefix-match",
    /// An address's object is written whether or not one is there.
    AllocateWithoutCas = "allocate-without-cas",
    /// The agent re-asserts by what it read once, without a compare-and-swap or a fresh read.
    ReassertUnchecked = "reassert-unchecked",
    /// The agent takes an address from whoever holds it.
    ReassertFromForeign = "reassert-from-foreign",
    /// The agent drops by its own snapshot, without a fresh read.
    DropBySnapshot = "drop-by-snapshot",
    /// The agent releases for a pod that still lives.
    ReleaseLivePod = "release-live-pod",
    /// The agent takes for true what it last said of an address, and looks no more.
    StatusIsTruth = "status-is-truth",
    /// The agent restores what the lock says was held here, wherever the record has it now.
    RestoreMovedEpoch = "restore-moved-epoch",
    /// What a stop container has removed is restored: the lock's release is not heeded.
    RestoreReleased = "restore-released",
    /// The agent re-asserts at every look, without a pause.
    ReassertWithoutLimit = "reassert-without-limit",
    /// A record that could not be read counts as gone, and what it claims is collected.
    CollectOnFailedRead = "collect-on-failed-read",
    /// An empty list of records counts as all of them, and what the node has is collected.
    DeleteOnEmptyList = "delete-on-empty-list",
    /// The agent releases by what it saw of the pod, without a fresh look at it.
    ReleaseBySnapshot = "release-by-snapshot",
    /// What has no record is collected in the first pass that sees it.
    CollectAtOnce = "collect-at-once",
    /// What has no record is collected whoever made it.
    CollectForeign = "collect-foreign",
    /// A device is known by its place in the order of EC2's labels, not by its serial.
    VolumeByName = "volume-by-name",
    /// What could not be read of a node's volumes counts as empty.
    VolumeUnreadIsAbsent = "volume-unread-is-absent",
    /// What is wrong with a volume is told at first sight, and not told any more at the next.
    VolumeAtOnce = "volume-at-once",
    /// An agent that begins anew forgets what was published of its node's volumes.
    VolumeForgotten = "volume-forgotten",
    /// What has no record is adopted after the first look that shows it.
    AdoptAtOnce = "adopt-at-once",
    /// A record that could not be read counts as none, and what it claims is to be adopted.
    AdoptOnFailedRead = "adopt-on-failed-read",
    /// What a claim names is adopted all the same.
    AdoptClaimed = "adopt-claimed",
    /// What its node uses, or may still use, is adopted all the same.
    AdoptUsed = "adopt-used",
}

impl std::fmt::Display for Bug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether this bug is planted in this process.
#[cfg(not(feature = "deliberate-bugs"))]
#[inline]
pub const fn planted(_bug: Bug) -> bool {
    false
}

/// Whether this bug is planted in this process.
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
compile_error!("deliberate bugs are for tests: no build without debug assertions has them");
