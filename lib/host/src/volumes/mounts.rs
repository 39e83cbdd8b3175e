//! `/proc/self/mountinfo`.

use std::fs;
use std::io;
use std::path::Path;

use procfs::process::MountInfo;

use super::Failed;
use firecamp_node::volumes::observation::Mount;

/// Filesystem options that refuse writes: mounted read-only, or after an error.
const REFUSING: [&str; 3] = ["ro", "emergency_ro", "shutdown"];

/// Reads all mounts, or fails.
pub(super) fn read(path: &Path) -> Result<Vec<Mount>, Failed> {
    let failed = |source| Failed {
        operation: "read the mounts in",
        object: path.display().to_string(),
        source,
    };
    parse(&fs::read(path).map_err(failed)?).map_err(failed)
}

/// Names need not be UTF-8. Others are shown with replacement characters, and their free space
/// cannot be read.
fn parse(bytes: &[u8]) -> io::Result<Vec<Mount>> {
    let text = String::from_utf8_lossy(bytes);
    text.split('\n').filter(|line| !line.is_empty()).map(mount).collect()
}

fn mount(line: &str) -> io::Result<Mount> {
    let wrong = |why: String| {
        io::Error::new(io::ErrorKind::InvalidData, format!("the line {line:?}: {why}"))
    };
    let info = MountInfo::from_line(line).map_err(|error| wrong(error.to_string()))?;
    let device = info.majmin.parse().map_err(|error| wrong(format!("{error}")))?;
    let refuses = |option| info.super_options.contains_key(option);
    Ok(Mount {
        device,
        root: unescaped(&info.root),
        point: unescaped(&info.mount_point.to_string_lossy()),
        fstype: unescaped(&info.fs_type),
        source: unescaped(info.mount_source.as_deref().unwrap_or("none")),
        read_only: info.mount_options.contains_key("ro"),
        filesystem_read_only: REFUSING.into_iter().any(refuses),
    })
}

/// The kernel escapes spaces, newlines and backslashes as three octal digits.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if let Some(byte) = octal(rest) {
            bytes.push(byte);
            rest = rest.get(4..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn octal(bytes: &[u8]) -> Option<u8> {
    let [b'\\', digits @ ..] = bytes.get(..4)? else { return None };
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| u8::from_str_radix(digits, 8).ok())?
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
