//! What tells that a file is the one that was read before, without reading it. No I/O but a stat.
//!
//! Guarantees: a file that has changed in any way since it was read is not taken for the same, as
//! long as its filesystem tells times apart that are [`GRAIN`] from each other, and its clock is
//! not behind ours. Who cannot rely on that reads everything every so often.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The coarsest step of a filesystem's times (FAT): within it a file may change again and show no
/// other time.
const GRAIN: Duration = Duration::from_secs(2);

/// A state of a file, from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    file: (u64, u64),
    size: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    /// The same of its inode: who sets the other one back cannot set this one.
    changed: (i64, i64),
}

impl Stamp {
    /// None if it cannot be had. A link is looked at, not followed.
    pub(super) fn of(path: &Path) -> Option<Self> {
        std::fs::symlink_metadata(path).ok().map(|meta| Self::from(&meta))
    }

    /// Whether a file that has this stamp at that time will have another one once it changes.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return false };
        let (seconds, nanoseconds) = self.modified.max(self.changed);
        let (Ok(seconds), Ok(nanoseconds)) = (seconds.try_into(), nanoseconds.try_into()) else {
            return false;
        };
        // A time to come is of another clock, about which nothing is known.
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
    fn a_stamp_is_believed_once_a_change_would_show() {
        assert!(!settled(at(0, 0)), "in this very moment");
        assert!(!settled(at(-2, 0)), "as old as the coarsest step");
        assert!(settled(at(-3, 999_999_999)));
        assert!(settled(at(-1_000_000, 0)));
    }

    #[test]
    fn a_stamp_of_a_time_to_come_or_of_none_is_never_believed() {
        assert!(!settled(at(3600, 0)));
        assert!(!settled(at(-2 * i64::try_from(NOW).unwrap(), 0)));
        assert!(!at(-10, 0).is_settled(SystemTime::UNIX_EPOCH - Duration::from_secs(1)));
    }

    #[test]
    fn the_later_of_the_two_times_counts() {
        let set_back = Stamp { changed: at(0, 0).changed, ..at(-1_000_000, 0) };
        assert!(!settled(set_back));
    }
}
