//! Reading and publishing files so that a crash leaves the old state or the new one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::api::MAX_BYTES;

/// What stands at an object's path.
#[derive(Debug)]
pub(super) enum Content {
    /// Nothing.
    Absent,
    /// A regular file: its first bytes, at most one more than an object may have.
    Bytes(Vec<u8>),
    /// A link, a directory, a device.
    NotAFile,
}

/// Reads a regular file, following no link, waiting for no pipe, and never more than an object
/// may have.
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

/// Writes a file that nobody sees yet, replacing what a crash left there, and syncs it.
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

/// Syncs a directory: what was linked or renamed in it stays after a power loss.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes `dir`, which lies below `root`, and all between.
pub(super) fn make_dirs(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)
}

/// Syncs `dir` and every directory above it up to `root`. Who creates an object does so even if
/// the directories were there: another process may have made them and not have synced yet.
pub(super) fn sync_dirs_up_to(dir: &Path, root: &Path) -> io::Result<()> {
    for above in dir.ancestors() {
        sync_dir(above)?;
        if above == root {
            break;
        }
    }
    Ok(())
}
