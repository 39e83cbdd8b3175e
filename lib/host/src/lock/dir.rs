//! Private directories.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use firecamp_core::failure::HostFailure;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::geteuid;

use crate::error::HostError;

/// Permissions of a private directory.
const PRIVATE: u32 = 0o700;

/// Creates the run directory that FireCamp's processes share, or verifies that it is private.
pub fn own_directory(path: &Path) -> Result<(), HostFailure> {
    open_own(path)?;
    Ok(())
}

/// Opens the directory and creates it if it is missing. Its parent must exist.
pub(crate) fn open_own(path: &Path) -> Result<OwnedFd, HostError> {
    open_own_in(AT_FDCWD, path, path)
}

/// The same for a name in an open directory.
pub(crate) fn open_own_at(dir: &OwnedFd, name: &str, path: &Path) -> Result<OwnedFd, HostError> {
    open_own_in(dir, Path::new(name), path)
}

/// Refuses a link, another owner or other permissions, because another user could have planted the
/// content. Makes only an empty directory private that others can read but not write: kubelet
/// creates a missing hostPath directory with 0755.
fn open_own_in<Fd: std::os::fd::AsFd>(
    parent: Fd,
    name: &Path,
    path: &Path,
) -> Result<OwnedFd, HostError> {
    let failed = |operation: &'static str, source: io::Error| HostError::File {
        operation,
        path: path.to_owned(),
        source,
    };
    match mkdirat(&parent, name, Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(failed("create directory", errno.into())),
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fd = match openat(&parent, name, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::ELOOP | Errno::ENOTDIR) => {
            return Err(untrusted(path, "it is a symbolic link or not a directory".to_owned()));
        }
        Err(errno) => return Err(failed("open directory", errno.into())),
    };
    let file = File::from(fd);
    let meta = file.metadata().map_err(|source| failed("stat", source))?;
    check(&file, &meta, path)?;
    Ok(OwnedFd::from(file))
}

fn check(file: &File, meta: &std::fs::Metadata, path: &Path) -> Result<(), HostError> {
    let us = geteuid().as_raw();
    if meta.uid() != us {
        let why = format!("user {} owns it, not user {us}", meta.uid());
        return Err(untrusted(path, why));
    }
    let mode = meta.mode() & 0o7777;
    if mode == PRIVATE {
        return Ok(());
    }
    let readable_only = mode & 0o022 == 0 && mode & PRIVATE == PRIVATE;
    if readable_only && is_empty(file).map_err(|errno| io_error(path, errno))? {
        return fchmod(file, Mode::S_IRWXU).map_err(|errno| io_error(path, errno));
    }
    Err(untrusted(path, format!("its permissions are {mode:04o}, not {PRIVATE:04o}")))
}

fn is_empty(file: &File) -> nix::Result<bool> {
    let mut dir = Dir::openat(file, ".", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let dots = |name: &std::ffi::CStr| name == c"." || name == c"..";
    for entry in dir.iter() {
        if !dots(entry?.file_name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn io_error(path: &Path, errno: Errno) -> HostError {
    HostError::File { operation: "check", path: path.to_owned(), source: errno.into() }
}

fn untrusted(path: &Path, why: String) -> HostError {
    HostError::Untrusted { path: path.to_owned(), why }
}
