//! One lock for each object, so that one thread of one process writes it at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;

/// The interval between attempts to acquire a held lock. Writes take about a millisecond.
const RETRY: Duration = Duration::from_millis(2);
/// A pid has at most 7 digits; the error message shows no other content of the file.
const MAX_PID_TEXT: u64 = 16;

/// The lock of one object. The kernel releases it when this is dropped or the process dies.
#[derive(Debug)]
pub(super) struct ObjectLock(#[expect(dead_code, reason = "held for its effect")] File);

/// Why the lock could not be acquired.
#[derive(Debug)]
pub(super) enum LockFailure {
    /// Another writer held it the whole time.
    Busy {
        /// The pid that the holder wrote, as seen in its own pid namespace.
        holder: Option<u32>,
    },
    /// The lock file cannot be used.
    Io(io::Error),
}

/// Acquires the lock, waiting at most `patience`.
pub(super) fn acquire(path: &Path, patience: Duration) -> Result<ObjectLock, LockFailure> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(LockFailure::Io)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
        .map_err(LockFailure::Io)?;
    // Counts the waits instead of reading the clock: a test may have paused it.
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => {
                sign(&mut file).map_err(LockFailure::Io)?;
                return Ok(ObjectLock(file));
            }
            Err(TryLockError::WouldBlock) if waited < patience => {
                std::thread::sleep(RETRY);
                waited += RETRY;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(LockFailure::Busy { holder: holder(&mut file) });
            }
            Err(TryLockError::Error(wrong)) => return Err(LockFailure::Io(wrong)),
        }
    }
}

/// Writes the pid of the holder, for the error message of a process that waits in vain.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(std::process::id().to_string().as_bytes())
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(MAX_PID_TEXT).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acquiring_a_held_lock_fails_after_the_wait_and_names_the_pid() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kind/10.0.0.9");
        let held = acquire(&path, Duration::ZERO).unwrap();
        match acquire(&path, Duration::from_millis(20)) {
            Err(LockFailure::Busy { holder }) => assert_eq!(holder, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(held);
        acquire(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_lock_file_that_is_a_link_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(matches!(acquire(&path, Duration::ZERO), Err(LockFailure::Io(_))));
    }
}
