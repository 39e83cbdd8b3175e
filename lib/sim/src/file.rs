//! A member's data volume in memory: what is visible, and what would survive a power loss.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use firecamp_core::failure::FileFailure;
use firecamp_core::outside::MemberFile;

/// The state of the disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disk {
    /// The content of the static-IP file, as a reader sees it.
    pub visible: Option<String>,
    /// What a power loss would leave.
    pub durable: Option<String>,
    /// The temporary file.
    pub staged: Option<String>,
    /// Every operation fails with this text.
    pub broken: Option<String>,
}

/// The static-IP file on a volume in memory. Clones share the volume, as the pods of one member
/// do one after the other.
#[derive(Debug, Clone, Default)]
pub struct SimFile {
    disk: Arc<Mutex<Disk>>,
}

impl SimFile {
    /// The volume as it is now.
    pub fn disk(&self) -> Disk {
        self.lock().clone()
    }

    /// Changes the volume from outside.
    pub fn change(&self, change: impl FnOnce(&mut Disk)) {
        change(&mut self.lock());
    }

    /// The power fails: what was not synced is gone.
    pub fn lose_power(&self) {
        let mut disk = self.lock();
        let durable = disk.durable.clone();
        disk.visible = durable;
        disk.staged = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work<T>(&self, work: impl FnOnce(&mut Disk) -> T) -> Result<T, FileFailure> {
        let mut disk = self.lock();
        match &disk.broken {
            Some(text) => Err(FileFailure { detail: text.clone() }),
            None => Ok(work(&mut disk)),
        }
    }
}

impl MemberFile for SimFile {
    async fn probe(&self) -> Result<(), FileFailure> {
        self.work(|_| ())
    }

    async fn stage(&self, address: Ipv4Addr) -> Result<bool, FileFailure> {
        self.work(|disk| {
            let content = address.to_string();
            let changed = disk.visible.as_ref() != Some(&content);
            disk.staged = changed.then_some(content);
            changed
        })
    }

    async fn publish(&self) -> Result<(), FileFailure> {
        self.work(|disk| {
            if let Some(content) = disk.staged.take() {
                disk.visible = Some(content);
            }
        })
    }

    async fn sync(&self) -> Result<(), FileFailure> {
        self.work(|disk| disk.durable = disk.visible.clone())
    }
}
