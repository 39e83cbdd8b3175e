//! A member's data volume in memory: its visible contents, and what would survive a power loss.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use firecamp_core::failure::FileFailure;
use firecamp_core::ports::MemberFile;

/// The state of the disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disk {
    /// The content of the static-IP file, as a reader sees it.
    pub visible: Option<String>,
    /// What would survive a power loss.
    pub durable: Option<String>,
    /// The temporary file.
    pub staged: Option<String>,
    /// Every operation fails with this text.
    pub broken: Option<String>,
}

impl Disk {
    /// Implements [`MemberFile::probe`].
    pub fn probe(&self) -> Result<(), FileFailure> {
        match &self.broken {
            Some(text) => Err(FileFailure { detail: text.clone() }),
            None => Ok(()),
        }
    }

    /// Implements [`MemberFile::stage`].
    pub fn stage(&mut self, address: Ipv4Addr) -> Result<bool, FileFailure> {
        self.probe()?;
        let content = address.to_string();
        let changed = self.visible.as_ref() != Some(&content);
        self.staged = changed.then_some(content);
        Ok(changed)
    }

    /// Implements [`MemberFile::publish`].
    pub fn publish(&mut self) -> Result<(), FileFailure> {
        self.probe()?;
        if let Some(content) = self.staged.take() {
            self.visible = Some(content);
        }
        Ok(())
    }

    /// Implements [`MemberFile::sync`].
    pub fn sync(&mut self) -> Result<(), FileFailure> {
        self.probe()?;
        self.durable = self.visible.clone();
        Ok(())
    }

    /// A power loss: unsynced data is lost.
    pub fn lose_power(&mut self) {
        self.visible = self.durable.clone();
        self.staged = None;
    }
}

/// The static-IP file on a volume in memory. Clones share the volume, like the successive pods of
/// one member.
#[derive(Debug, Clone, Default)]
pub struct SimFile {
    disk: Arc<Mutex<Disk>>,
}

impl SimFile {
    /// The current state of the volume.
    pub fn disk(&self) -> Disk {
        self.lock().clone()
    }

    /// Changes the volume from outside.
    pub fn change(&self, change: impl FnOnce(&mut Disk)) {
        change(&mut self.lock());
    }

    /// A power loss: unsynced data is lost.
    pub fn lose_power(&self) {
        self.lock().lose_power();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemberFile for SimFile {
    async fn probe(&self) -> Result<(), FileFailure> {
        self.lock().probe()
    }

    async fn stage(&self, address: Ipv4Addr) -> Result<bool, FileFailure> {
        self.lock().stage(address)
    }

    async fn publish(&self) -> Result<(), FileFailure> {
        self.lock().publish()
    }

    async fn sync(&self) -> Result<(), FileFailure> {
        self.lock().sync()
    }
}
