//! When an Assign for an address was last about to be sent from this node: one small file for each
//! address. Times are of the boot clock, which no correction of the wall clock moves and which all
//! processes of the node share; the files are gone with a reboot, like the kernel's addresses.

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

/// Digits of a note: milliseconds of the boot clock, always as many, so that a new note covers an
/// old one in one write.
const DIGITS: usize = 20;

/// The notes of this node.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    run_dir: PathBuf,
}

impl Notes {
    pub(crate) fn new(run_dir: &Path) -> Self {
        Self { run_dir: run_dir.to_owned() }
    }

    /// Notes an Assign as of now.
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
        let now = up_for().map_err(|source| failed("read the clock for", &path, source))?;
        let text = format!("{:0width$}\n", now.as_millis(), width = DIGITS);
        file.write_all_at(text.as_bytes(), 0).map_err(|source| failed("write", &path, source))
    }

    /// How long ago an Assign was noted, or else the node booted. A note that cannot be understood
    /// was written just now, for all that is known.
    pub(crate) fn age(&self, address: Ipv4Addr) -> Result<Duration, HostError> {
        let path = self.run_dir.join(NOTE_SUBDIR).join(address.to_string());
        let now = up_for().map_err(|source| failed("read the clock for", &path, source))?;
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

/// How long this node has been up, the time that it was suspended included.
fn up_for() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_BOOTTIME)?.into())
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> HostError {
    HostError::File { operation, path: path.to_owned(), source }
}
