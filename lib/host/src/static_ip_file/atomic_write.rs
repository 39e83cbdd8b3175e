//! The atomic write of the static-IP file: a synced temporary file is renamed into place, and the
//! directory is synced. All operations are relative to open directories.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};
use thiserror::Error;

use super::parse::parse;

/// The member's user may be any user, and must be able to read the file (F101).
const FILE_MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o755;
/// The file that a probe writes and removes.
const PROBE: &str = ".firecamp-probe";
/// More bytes than any valid content has.
const READ_LIMIT: u64 = 64;
/// Maximum number of attempts to create a file that reappears after its removal.
const ATTEMPTS: u32 = 8;

/// Why an operation on the file or its directory failed.
#[derive(Debug, Error)]
pub(crate) enum WriteError {
    #[error("failed to {operation} {}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is {what}, which may be an attack; remove it from the volume", path.display())]
    Planted { path: PathBuf, what: &'static str },
    #[error("{} is not the file that this process wrote: another process replaced it", path.display())]
    Replaced { path: PathBuf },
    #[error(
        "{} is not a mount point, so the file would be lost with the container; mount the \
         member's data volume there",
        path.display()
    )]
    NotMounted { path: PathBuf },
}

/// A written file, whatever its name. It stays open, because the inode number of a deleted file is
/// soon reused and would prove nothing.
#[derive(Debug, Clone)]
pub(crate) struct Staged(Arc<File>);

impl Staged {
    fn is(&self, found: FileStat) -> io::Result<bool> {
        let own = self.0.metadata()?;
        Ok((own.dev(), own.ino()) == (found.st_dev, found.st_ino))
    }
}

/// The directory of the file, which is opened again for each operation.
#[derive(Debug)]
pub(crate) struct ConfDir {
    conf: PathBuf,
    /// The file's name in the directory.
    name: String,
    require_mount: bool,
}

impl ConfDir {
    pub(crate) fn new(conf: &Path, name: &str, require_mount: bool) -> Self {
        Self { conf: conf.to_owned(), name: name.to_owned(), require_mount }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.conf.join(&self.name)
    }

    fn tmp_name(&self) -> String {
        format!("{}.tmp", self.name)
    }

    /// Creates the directory, and verifies that a file can be created, written, synced and removed
    /// and that only regular files have the names that FireCamp uses.
    pub(crate) fn probe(&self) -> Result<(), WriteError> {
        let data = self.open_data()?;
        if self.require_mount && !is_mount_point(&data).map_err(io_at("stat", &self.data()))? {
            return Err(WriteError::NotMounted { path: self.data() });
        }
        let dir = self.open_conf(&data)?;
        self.regular_or_absent(&dir, &self.name)?;
        self.regular_or_absent(&dir, &self.tmp_name())?;
        let content = Ipv4Addr::BROADCAST.to_string();
        drop(self.create(&dir, PROBE, content.as_bytes())?);
        self.remove(&dir, PROBE)
    }

    /// Writes and syncs the temporary file, unless the file is already correct.
    pub(crate) fn stage(&self, address: Ipv4Addr) -> Result<Option<Staged>, WriteError> {
        let dir = self.open_conf(&self.open_data()?)?;
        let content = address.to_string();
        if self.is_right(&dir, content.as_bytes())? {
            return Ok(None);
        }
        self.create(&dir, &self.tmp_name(), content.as_bytes()).map(Some)
    }

    /// Renames the staged file into place.
    pub(crate) fn publish(&self, staged: &Staged) -> Result<(), WriteError> {
        let dir = self.open_conf(&self.open_data()?)?;
        let tmp = self.tmp_name();
        self.same(&dir, &tmp, staged)?;
        self.regular_or_absent(&dir, &self.name)?;
        let renamed = renameat(&dir, tmp.as_str(), &dir, self.name.as_str());
        renamed.map_err(self.errno("publish", &self.name))?;
        // The owner of the directory may have swapped it between the check and the rename.
        self.same(&dir, &self.name, staged)
    }

    /// Syncs the directory.
    pub(crate) fn sync(&self) -> Result<(), WriteError> {
        let dir = self.open_conf(&self.open_data()?)?;
        fsync(&dir).map_err(|errno| io_at("sync directory", &self.conf)(errno.into()))
    }

    /// The directory above the configuration directory.
    fn data(&self) -> PathBuf {
        let parent = self.conf.parent().filter(|path| !path.as_os_str().is_empty());
        parent.unwrap_or(Path::new(".")).to_owned()
    }

    fn open_data(&self) -> Result<OwnedFd, WriteError> {
        let data = self.data();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        open(&data, flags, Mode::empty()).map_err(|errno| io_at("open", &data)(errno.into()))
    }

    fn open_conf(&self, data: &OwnedFd) -> Result<OwnedFd, WriteError> {
        let name = self.conf.file_name().unwrap_or(self.conf.as_os_str());
        let failed = |operation| move |errno: Errno| io_at(operation, &self.conf)(errno.into());
        let mkdir = mkdirat(data, name, Mode::from_bits_truncate(DIR_MODE));
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let dir = match (openat(data, name, flags, Mode::empty()), mkdir) {
            (Ok(dir), _there_or_new) => dir,
            (Err(Errno::ELOOP | Errno::ENOTDIR), _there) => {
                let what = "a symbolic link or not a directory";
                return Err(WriteError::Planted { path: self.conf.clone(), what });
            }
            (Err(Errno::ENOENT), Err(why)) => return Err(failed("create directory")(why)),
            (Err(errno), _there) => return Err(failed("open directory")(errno)),
        };
        if mkdir.is_ok() {
            let mode = Mode::from_bits_truncate(DIR_MODE);
            fchmod(&dir, mode).map_err(failed("set permissions of"))?;
            fsync(data).map_err(failed("sync the directory above"))?;
        }
        Ok(dir)
    }

    /// Whether the file has exactly this content. If so, corrects its mode.
    fn is_right(&self, dir: &OwnedFd, content: &[u8]) -> Result<bool, WriteError> {
        if self.regular_or_absent(dir, &self.name)?.is_none() {
            return Ok(false);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let opened = openat(dir, self.name.as_str(), flags, Mode::empty());
        let mut file = File::from(opened.map_err(self.errno("open", &self.name))?);
        let failed = |operation| io_at(operation, &self.path());
        let meta = file.metadata().map_err(failed("stat"))?;
        let mut found = Vec::new();
        Read::by_ref(&mut file).take(READ_LIMIT).read_to_end(&mut found).map_err(failed("read"))?;
        // A file with several hard links may be anything: replace it, never change it.
        if !meta.is_file() || meta.nlink() != 1 || found != content || parse(&found).is_err() {
            return Ok(false);
        }
        if meta.mode() & 0o7777 != FILE_MODE {
            let mode = Mode::from_bits_truncate(FILE_MODE);
            fchmod(&file, mode).map_err(self.errno("set permissions of", &self.name))?;
        }
        Ok(true)
    }

    /// Creates the file exclusively, replacing a stale regular one, and syncs it.
    fn create(&self, dir: &OwnedFd, name: &str, content: &[u8]) -> Result<Staged, WriteError> {
        let mode = Mode::from_bits_truncate(FILE_MODE);
        let mut file = self.create_empty(dir, name, mode)?;
        let path = self.conf.join(name);
        fchmod(&file, mode).map_err(self.errno("set permissions of", name))?;
        match file.write_all(content).and_then(|()| file.sync_all()) {
            Ok(()) => Ok(Staged(Arc::new(file))),
            Err(source) => {
                // Report the first error; the next attempt replaces a stale file.
                drop(self.remove(dir, name));
                Err(io_at("write", &path)(source))
            }
        }
    }

    fn create_empty(&self, dir: &OwnedFd, name: &str, mode: Mode) -> Result<File, WriteError> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        for _attempt in 0..ATTEMPTS {
            match openat(dir, name, flags, mode) {
                Ok(fd) => return Ok(File::from(fd)),
                Err(Errno::EEXIST) => {
                    if self.regular_or_absent(dir, name)?.is_some() {
                        self.remove(dir, name)?;
                    }
                }
                Err(errno) => return Err(self.errno("create", name)(errno)),
            }
        }
        Err(self.errno("create", name)(Errno::EEXIST))
    }

    fn remove(&self, dir: &OwnedFd, name: &str) -> Result<(), WriteError> {
        match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(self.errno("remove", name)(errno)),
        }
    }

    fn same(&self, dir: &OwnedFd, name: &str, staged: &Staged) -> Result<(), WriteError> {
        let path = self.conf.join(name);
        let found = self.regular_or_absent(dir, name)?;
        let same = found.map(|found| staged.is(found)).transpose();
        if same.map_err(io_at("stat", &path))? == Some(true) {
            Ok(())
        } else {
            Err(WriteError::Replaced { path })
        }
    }

    /// The regular file with this name, if any; refuses anything else.
    fn regular_or_absent(&self, dir: &OwnedFd, name: &str) -> Result<Option<FileStat>, WriteError> {
        let stat = match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(self.errno("stat", name)(errno)),
        };
        match kind_of(&stat) {
            None => Ok(Some(stat)),
            Some(what) => Err(WriteError::Planted { path: self.conf.join(name), what }),
        }
    }

    fn errno(
        &self,
        operation: &'static str,
        name: &str,
    ) -> impl FnOnce(Errno) -> WriteError + use<> {
        let failed = io_at(operation, &self.conf.join(name));
        move |errno| failed(errno.into())
    }
}

fn io_at(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError + use<> {
    let path = path.to_owned();
    move |source| WriteError::Io { operation, path, source }
}

/// The kind of the file, unless it is regular.
fn kind_of(stat: &FileStat) -> Option<&'static str> {
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    let names = [
        (SFlag::S_IFLNK, "a symbolic link"),
        (SFlag::S_IFDIR, "a directory"),
        (SFlag::S_IFIFO, "a fifo"),
        (SFlag::S_IFSOCK, "a socket"),
    ];
    if kind == SFlag::S_IFREG {
        return None;
    }
    let known = names.iter().find(|(flag, _)| *flag == kind).map(|(_, name)| *name);
    Some(known.unwrap_or("a device"))
}

/// Whether this directory is a mount point: its parent then belongs to another mount. The device
/// number does not tell, because a bind mount keeps it.
fn is_mount_point(dir: &OwnedFd) -> io::Result<bool> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let above = openat(dir, "..", flags, Mode::empty())?;
    Ok(mount_id(dir)? != mount_id(&above)?)
}

fn mount_id(dir: &OwnedFd) -> io::Result<u64> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", dir.as_raw_fd()))?;
    let line = info.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    let missing = || io::Error::other("fdinfo has no mnt_id");
    line.and_then(|number| number.trim().parse().ok()).ok_or_else(missing)
}
