//! The static-IP file on the member's data volume.
//!
//! The volume is not trusted: the member's user owns its directories once an entry point has run
//! `chown -R`. So all operations are relative to open directories, follow no link and open no
//! existing file that is not regular, and the content only decides whether to write it again.

mod atomic_write;
pub(crate) mod parse;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use firecamp_core::contract::path::STATIC_IP_FILE;
use firecamp_core::failure::{FileFailure, chain};
use firecamp_core::ports::MemberFile;

use atomic_write::{ConfDir, Staged, WriteError};

/// How a [`StaticIpFile`] behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileOptions {
    /// Refuse to write unless the directory above the configuration directory (the data
    /// directory) is a mount point: otherwise the file would be lost with the container's
    /// writable layer (F086).
    pub require_mount: bool,
    /// Timeout of one operation. Its thread cannot be stopped while a disk hangs, so a runtime that
    /// must end in time needs a shutdown in the background.
    pub within: Duration,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { require_mount: false, within: Duration::from_secs(10) }
    }
}

/// [`MemberFile`] in a configuration directory.
///
/// # Guarantees
/// * The file is absent, completely old or completely new, also after a power failure.
/// * A file with the right content is not rewritten; only a wrong mode is corrected.
/// * A link, directory, fifo, socket or device in the place of the configuration directory, the
///   file or its temporary file is refused by name and never followed, opened or waited for.
/// * The published file is the staged one.
///
/// # Assumptions
/// * The path above the configuration directory is not under a member's control.
#[derive(Debug, Clone)]
pub struct StaticIpFile {
    dir: Arc<ConfDir>,
    within: Duration,
    staged: Arc<Mutex<Option<Staged>>>,
}

impl StaticIpFile {
    /// The file `firecamp-service-staticip` in `conf_dir` (`/data/conf`), which is created if
    /// only its last part is missing.
    pub fn new(conf_dir: &Path, options: FileOptions) -> Self {
        Self::named(conf_dir, STATIC_IP_FILE, options)
    }

    /// The file with this name in the directory.
    pub fn named(dir: &Path, name: &str, options: FileOptions) -> Self {
        let dir = ConfDir::new(dir, name, options.require_mount);
        Self { dir: Arc::new(dir), within: options.within, staged: Arc::new(Mutex::new(None)) }
    }

    /// Where the file is.
    pub fn path(&self) -> PathBuf {
        self.dir.path()
    }

    /// Runs a disk operation, which may block, on its own thread.
    async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&ConfDir) -> Result<T, WriteError> + Send + 'static,
    ) -> Result<T, FileFailure> {
        let dir = Arc::clone(&self.dir);
        let task = tokio::task::spawn_blocking(move || operation(&dir));
        let failure = |why: String| FileFailure {
            detail: format!("failed to write {}: {why}", self.dir.path().display()),
        };
        match tokio::time::timeout(self.within, task).await {
            Ok(Ok(result)) => result.map_err(|error| FileFailure { detail: chain(&error) }),
            Ok(Err(stopped)) => Err(failure(stopped.to_string())),
            Err(_elapsed) => {
                Err(failure(format!("the disk did not respond within {:?}", self.within)))
            }
        }
    }

    fn staged(&self) -> Option<Staged> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_staged(&self, staged: Option<Staged>) {
        *self.staged.lock().unwrap_or_else(PoisonError::into_inner) = staged;
    }
}

impl MemberFile for StaticIpFile {
    async fn probe(&self) -> Result<(), FileFailure> {
        self.run(ConfDir::probe).await
    }

    async fn stage(&self, address: Ipv4Addr) -> Result<bool, FileFailure> {
        self.set_staged(None);
        let staged = self.run(move |dir| dir.stage(address)).await?;
        let changed = staged.is_some();
        self.set_staged(staged);
        Ok(changed)
    }

    async fn publish(&self) -> Result<(), FileFailure> {
        let Some(staged) = self.staged() else {
            let path = self.dir.path();
            return Err(FileFailure {
                detail: format!("no new content was written for {}", path.display()),
            });
        };
        self.run(move |dir| dir.publish(&staged)).await?;
        self.set_staged(None);
        Ok(())
    }

    async fn sync(&self) -> Result<(), FileFailure> {
        self.run(ConfDir::sync).await
    }
}
