//! The time of this node's last Assign request for each address, in one small file per address.
//! Times are of the boot clock, which is independent of the wall clock and common to all processes
//! of the node. A reboot deletes the files, like the kernel's addresses.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firecamp_core::contract::path::NOTE_SUBDIR;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};

use crate::error::HostError;
use crate::lock::dir;

/// Digits of a time: milliseconds of the boot clock with a fixed width, so that one write replaces
/// the old time.
const DIGITS: usize = 20;

/// The Assign times of this node.
#[derive(Debug, Clone)]
pub(crate) struct AssignTimes {
    run_dir: PathBuf,
}

impl AssignTimes {
    pub(crate) fn new(run_dir: &Path) -> Self {
        Self { run_dir: run_dir.to_owned() }
    }

    /// Records an Assign now.
    pub(crate) fn write(&self, address: Ipv4Addr) -> Result<(), HostError> {
        let run = dir::open_own(&self.run_dir)?;
        let path = self.run_dir.join(NOTE_SUBDIR);
        let parent = dir::open_own_at(&run, NOTE_SUBDIR, &path)?;
        let path = path.join(address.to_string());
        let flags = OFlag::O_WRONLY
            | OFlag::O_CREAT
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_CLOEXEC;
        let name = address.to_string();
        let opened = openat(&parent, name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR);
        let file = File::from(opened.map_err(|errno| failed("open", &path, errno.into()))?);
        let now = uptime().map_err(|source| failed("read the clock for", &path, source))?;
        let text = format!("{:0width$}\n", now.as_millis(), width = DIGITS);
        file.write_all_at(text.as_bytes(), 0).map_err(|source| failed("write", &path, source))
    }

    /// Time since the last recorded Assign, or else since boot. An invalid file counts as just
    /// written.
    pub(crate) fn age(&self, address: Ipv4Addr) -> Result<Duration, HostError> {
        let path = self.run_dir.join(NOTE_SUBDIR).join(address.to_string());
        let now = uptime().map_err(|source| failed("read the clock for", &path, source))?;
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text
                .trim_end()
                .parse()
                .map_or(Duration::ZERO, |then| now.saturating_sub(Duration::from_millis(then)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(now),
            Err(source) => Err(failed("read", &path, source)),
        }
    }
}

/// Uptime of this node, including suspended time.
fn uptime() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_BOOTTIME)?.into())
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> HostError {
    HostError::File { operation, path: path.to_owned(), source }
}
