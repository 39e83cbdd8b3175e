//! Atomic replacement of small files on a tmpfs.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces the file atomically: a reader sees the old text or the new one. Only one process may
/// write the file.
pub fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let staged = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&staged)?.write_all(text.as_bytes())?;
    std::fs::rename(&staged, path)
}
