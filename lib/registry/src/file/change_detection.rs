//! Detects by one `stat` whether a file has changed since it was read.
//!
//! Guarantees: every change of a file since it was read is detected, provided that its filesystem
//! distinguishes times that are [`GRAIN`] apart and that its clock is not behind ours. A caller
//! that cannot rely on this must read every file periodically.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The coarsest time resolution of a filesystem (FAT): a file may change twice within it and
/// show the same time.
const GRAIN: Duration = Duration::from_secs(2);

/// The identity, size and times of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    file: (u64, u64),
    size: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    /// The inode's change time, which, unlike `modified`, no process can set.
    changed: (i64, i64),
}

impl Stamp {
    /// None if `stat` fails. Does not follow a link.
    pub(super) fn of(path: &Path) -> Option<Self> {
        std::fs::symlink_metadata(path).ok().map(|meta| Self::from(&meta))
    }

    /// Whether any change after `now` alters this stamp.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return false };
        let (seconds, nanoseconds) = self.modified.max(self.changed);
        let (Ok(seconds), Ok(nanoseconds)) = (seconds.try_into(), nanoseconds.try_into()) else {
            return false;
        };
        // A time in the future is from another clock, so it proves nothing.
        now.checked_sub(Duration::new(seconds, nanoseconds)).is_some_and(|age| age > GRAIN)
    }
}

impl From<&Metadata> for Stamp {
    fn from(meta: &Metadata) -> Self {
        Self {
            file: (meta.dev(), meta.ino()),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn at(seconds: i64, nanoseconds: i64) -> Stamp {
        let time = (i64::try_from(NOW).unwrap() + seconds, nanoseconds);
        Stamp { file: (1, 2), size: 3, modified: time, changed: time }
    }

    fn settled(stamp: Stamp) -> bool {
        stamp.is_settled(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[test]
    fn a_stamp_is_settled_once_any_change_would_alter_it() {
        assert!(!settled(at(0, 0)), "changed right now");
        assert!(!settled(at(-2, 0)), "as old as the coarsest resolution");
        assert!(settled(at(-3, 999_999_999)));
        assert!(settled(at(-1_000_000, 0)));
    }

    #[test]
    fn a_stamp_of_the_future_or_before_1970_is_never_settled() {
        assert!(!settled(at(3600, 0)));
        assert!(!settled(at(-2 * i64::try_from(NOW).unwrap(), 0)));
        assert!(!at(-10, 0).is_settled(SystemTime::UNIX_EPOCH - Duration::from_secs(1)));
    }

    #[test]
    fn the_later_of_the_two_times_counts() {
        let back_dated = Stamp { changed: at(0, 0).changed, ..at(-1_000_000, 0) };
        assert!(!settled(back_dated));
    }
}
