//! The node-local lock: `flock` on one file per address, in a private directory.
//!
//! The lock belongs to the open file, so the kernel releases it when its holder dies. The files
//! stay: the record of a released address rejects a late write.

pub(crate) mod dir;
pub(crate) mod record;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use firecamp_core::contract::path::{LOCK_SUBDIR, ROUTING_LOCK};
use firecamp_core::ports::Holder;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, major, minor};
use nix::unistd::geteuid;
use tokio::time::Instant;

use crate::error::HostError;
use crate::kernel_snapshot;
use record::{Denied, MAX_LENGTH, Record, Recorded};

/// Interval between two attempts: short compared with the 100 ms of a release, and cheap.
const RETRY: Duration = Duration::from_millis(5);

/// The lock directory, and the maximum wait.
#[derive(Debug, Clone)]
pub(crate) struct Locks {
    run_dir: PathBuf,
    timeout: Duration,
}

/// A lock that is held until this is dropped.
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Locks {
    pub(crate) fn new(run_dir: &Path, timeout: Duration) -> Self {
        Self { run_dir: run_dir.to_owned(), timeout }
    }

    /// Waits for the lock of one address.
    pub(crate) async fn address(&self, address: Ipv4Addr) -> Result<Lock, HostError> {
        let run = dir::open_own(&self.run_dir)?;
        let path = self.run_dir.join(LOCK_SUBDIR);
        let parent = dir::open_own_at(&run, LOCK_SUBDIR, &path)?;
        self.lock(&parent, &address.to_string(), &path).await
    }

    /// Waits for the lock of the routing tables, which addresses of one ENI share. A process
    /// takes it only while it holds an address's lock, so there is no deadlock.
    pub(crate) async fn routing(&self) -> Result<Lock, HostError> {
        let run = dir::open_own(&self.run_dir)?;
        self.lock(&run, ROUTING_LOCK, &self.run_dir).await
    }

    /// The record of an address, read without the lock.
    pub(crate) fn peek(&self, address: Ipv4Addr) -> Result<Recorded, HostError> {
        let path = self.run_dir.join(LOCK_SUBDIR).join(address.to_string());
        match File::open(&path) {
            Ok(file) => read(&file).map_err(|source| failed("read", &path, source)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Recorded::Nothing),
            Err(source) => Err(failed("open", &path, source)),
        }
    }

    /// The records of all addresses, read without the locks.
    pub(crate) fn all(&self) -> Result<BTreeMap<Ipv4Addr, Recorded>, HostError> {
        let dir = self.run_dir.join(LOCK_SUBDIR);
        let found =
            kernel_snapshot::addresses(&dir).map_err(|source| failed("list", &dir, source))?;
        found.into_iter().map(|address| Ok((address, self.peek(address)?))).collect()
    }

    async fn lock(&self, dir: &OwnedFd, name: &str, parent: &Path) -> Result<Lock, HostError> {
        let path = parent.join(name);
        let file = open_file(dir, name, &path)?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { file, path }),
                Err(TryLockError::WouldBlock) if start.elapsed() < self.timeout => {
                    tokio::time::sleep(RETRY).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let holder = who_holds(&file);
                    return Err(HostError::Busy { path, waited: self.timeout, holder });
                }
                Err(TryLockError::Error(source)) => return Err(failed("lock", &path, source)),
            }
        }
    }
}

impl Lock {
    /// Reads the record.
    pub(crate) fn read(&self) -> Result<Recorded, HostError> {
        read(&self.file).map_err(|source| failed("read", &self.path, source))
    }

    /// Replaces the record. Overwrites the old lines before it truncates the file, so that a crash
    /// in between leaves the new lines and a tail that readers ignore.
    pub(crate) fn write(&self, record: &Record) -> Result<(), HostError> {
        let text = record.text();
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let written = self.file.write_all_at(text.as_bytes(), 0);
        let done = written.and_then(|()| self.file.set_len(length));
        done.map_err(|source| failed("record the holder in", &self.path, source))
    }

    /// The error for a holder that may not act.
    pub(crate) fn denied(&self, denied: Denied, holder: &Holder) -> HostError {
        let path = self.path.clone();
        match denied {
            Denied::Torn => HostError::Torn { path },
            Denied::Apart(why) => HostError::Apart { path, why },
            Denied::Superseded(record) => {
                HostError::Superseded { path, pod: holder.pod.clone(), record }
            }
        }
    }
}

fn open_file(dir: &OwnedFd, name: &str, path: &Path) -> Result<File, HostError> {
    let flags =
        OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = openat(dir, name, flags, Mode::S_IRUSR | Mode::S_IWUSR);
    let file = File::from(opened.map_err(|errno| failed("open", path, errno.into()))?);
    let meta = file.metadata().map_err(|source| failed("stat", path, source))?;
    let untrusted = |why: &str| HostError::Untrusted { path: path.to_owned(), why: why.to_owned() };
    if !meta.is_file() {
        return Err(untrusted("it is not a regular file"));
    }
    if meta.uid() != geteuid().as_raw() {
        return Err(untrusted("another user owns it"));
    }
    Ok(file)
}

fn read(file: &File) -> io::Result<Recorded> {
    let mut bytes = [0_u8; MAX_LENGTH];
    let length = file.read_at(&mut bytes, 0)?;
    Ok(Recorded::parse(bytes.get(..length).unwrap_or_default()))
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> HostError {
    HostError::File { operation, path: path.to_owned(), source }
}

/// The lock's holder, for error messages. `/proc/locks` is reliable but shows only processes of
/// this PID namespace; the record names the last writer.
fn who_holds(file: &File) -> String {
    let recorded = match read(file) {
        Ok(Recorded::This(record) | Recorded::Apart(record, _)) => format!("; on record: {record}"),
        Ok(Recorded::Nothing | Recorded::Torn | Recorded::Later) | Err(_) => String::new(),
    };
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    match file.metadata().ok().and_then(|meta| pid_in(&locks, meta.dev(), meta.ino())) {
        Some(pid) => format!("process {pid} holds it{recorded}"),
        None => format!("a process outside this PID namespace holds it{recorded}"),
    }
}

/// Finds the holder of a flock in the text of `/proc/locks`
/// (`1: FLOCK ADVISORY WRITE 4711 00:1b:99 0 EOF`). Small inode numbers occur on many filesystems,
/// but the device differs from stat's on some: it only decides between several holders. Waiters
/// have an arrow in the second place.
fn pid_in(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let device = format!("{:02x}:{:02x}", major(device), minor(device));
    let holder = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        (words.next()? == "FLOCK").then_some(())?;
        let pid: u32 = words.nth(2)?.parse().ok()?;
        let (on, number) = words.next()?.rsplit_once(':')?;
        (number.parse() == Ok(inode)).then_some((on == device, pid))
    };
    let found = locks.lines().filter_map(holder).max_by_key(|(same, _)| *same);
    found.map(|(_, pid)| pid).filter(|pid| *pid != 0)
}

#[cfg(test)]
#[path = "lock/lock_tests.rs"]
mod tests;
