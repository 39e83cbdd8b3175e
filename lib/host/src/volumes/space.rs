//! The free space of a filesystem.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::{major, minor};
use nix::sys::statvfs::{Statvfs, fstatvfs};

use super::Failed;
use firecamp_node::volumes::observation::{Amount, DeviceNumber, Mount, Usage};

/// Reads the usage, and verifies that the mount still has the expected filesystem.
pub(super) fn read(root: &Path, mount: &Mount) -> Result<Usage, Failed> {
    let path = root.join(mount.point.trim_start_matches('/'));
    let failed = |operation| {
        let object = path.display().to_string();
        move |source| Failed { operation, object, source }
    };
    let mut options = OpenOptions::new();
    let flags = (OFlag::O_PATH | OFlag::O_NOFOLLOW).bits();
    let place = options.read(true).custom_flags(flags).open(&path).map_err(failed("open"))?;
    let dev = place.metadata().map_err(failed("stat"))?.dev();
    if !same(mount, dev) {
        let other = io::Error::new(io::ErrorKind::NotFound, "another filesystem is mounted there");
        return Err(failed("read the free space of")(other));
    }
    let answer = fstatvfs(&place).map_err(io::Error::from).map_err(failed("statvfs"))?;
    Ok(usage(&answer))
}

/// A filesystem with its own device numbers may have different ones for its parts (btrfs).
fn same(mount: &Mount, dev: u64) -> bool {
    let number = |part: u64| u32::try_from(part).unwrap_or(u32::MAX);
    let found = DeviceNumber { major: number(major(dev)), minor: number(minor(dev)) };
    found == mount.device || (mount.device.major == 0 && mount.source.starts_with("/dev/"))
}

fn usage(answer: &Statvfs) -> Usage {
    let unit = answer.fragment_size();
    Usage {
        bytes: Amount {
            total: answer.blocks().saturating_mul(unit),
            free: answer.blocks_available().saturating_mul(unit),
        },
        inodes: Amount { total: answer.files(), free: answer.files_available() },
    }
}
