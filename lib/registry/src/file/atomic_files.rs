//! File operations that leave the old or the new state after a crash.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::api::MAX_BYTES;

/// What the path of an object contains.
#[derive(Debug)]
pub(super) enum Content {
    /// No file.
    Absent,
    /// A regular file: its content, truncated one byte after the size limit of an object.
    Bytes(Vec<u8>),
    /// A link, a directory, a device.
    NotAFile,
}

/// Reads a regular file up to the size limit of an object. Does not follow links or wait for
/// pipes.
pub(super) fn read(path: &Path) -> io::Result<Content> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(wrong) if wrong.kind() == io::ErrorKind::NotFound => return Ok(Content::Absent),
        // A link (O_NOFOLLOW) or a socket cannot even be opened.
        Err(_) if is_special(path) => return Ok(Content::NotAFile),
        Err(wrong) => return Err(wrong),
    };
    if !file.metadata()?.is_file() {
        return Ok(Content::NotAFile);
    }
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(Content::Bytes(bytes))
}

fn is_special(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file())
}

/// Writes and syncs a staged file that readers ignore. Replaces a file that a crash left there.
pub(super) fn stage(path: &Path, bytes: &[u8]) -> io::Result<()> {
    forget(path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes a staged file, if there is one.
pub(super) fn forget(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(wrong) if wrong.kind() != io::ErrorKind::NotFound => Err(wrong),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Syncs a directory, so that its links and renames survive a power loss.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Creates `dir` and its missing parents.
pub(super) fn make_dirs(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)
}

/// Syncs `dir` and every directory above it up to `root`. Creating an object requires this even if
/// the directories existed: another process may have created them without having synced them yet.
pub(super) fn sync_dirs_up_to(dir: &Path, root: &Path) -> io::Result<()> {
    for above in dir.ancestors() {
        sync_dir(above)?;
        if above == root {
            break;
        }
    }
    Ok(())
}
