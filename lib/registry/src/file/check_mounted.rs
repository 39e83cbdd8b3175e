//! Whether the directory contains a registry: one that is not mounted must not look like an empty
//! one.

use firecamp_core::failure::{RegistryFailure, RegistryKind};

use super::store::{Store, io_failed};
use crate::api::{Kind, StaticIPPoolSpec};
use crate::failure::failed;

impl Store {
    pub(super) fn check_root(&self) -> Result<(), RegistryFailure> {
        let root = self.dir().display();
        let found = std::fs::metadata(self.dir())
            .map_err(|wrong| io_failed("open the registry", &root, &wrong))?;
        if found.is_dir() {
            return Ok(());
        }
        let detail = format!("open the registry: {root} is not a directory");
        Err(failed(RegistryKind::Refused, detail))
    }

    /// Called when a file or directory is missing: fails if the whole registry is missing (not
    /// mounted, moved away), because a missing registry must not look like an empty one.
    pub(super) fn check_present(&self) -> Result<(), RegistryFailure> {
        self.check_root()?;
        let pools = self.kind_dir::<StaticIPPoolSpec>();
        if pools.is_dir() {
            return Ok(());
        }
        let detail = format!(
            "{} contains no registry: it has no directory {}; mount the registry there, or create \
             a pool there as docs/file-registry.md shows",
            self.dir().display(),
            StaticIPPoolSpec::PLURAL
        );
        Err(failed(RegistryKind::NotFound, detail))
    }
}
