//! Where an object lies. Names were validated when they were parsed: none contains a slash or
//! begins with a dot, so no path leaves the registry's directory.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, PoolName};

use crate::api::{Kind, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec};
use crate::failure::failed;

/// The end of every object's file name.
pub(super) const SUFFIX: &str = ".yaml";
/// Linux' limit for a file name is 255 bytes; the longest one made here is `.NAME.new`.
const MAX_NAME: usize = 250;
/// Directory of the lock files. They stay, because a lock file that is deleted while somebody
/// waits for it is no lock.
const LOCKS: &str = ".locks";

/// The paths of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The object as people call it.
    pub(super) label: String,
    /// Its directory.
    pub(super) dir: PathBuf,
    /// The object.
    pub(super) file: PathBuf,
    /// Where its next state is written before it is published. Only who holds the lock touches
    /// it, so what is found there has been left by a crash.
    pub(super) staged: PathBuf,
    /// The lock of the object.
    pub(super) lock: PathBuf,
}

impl Place {
    pub(super) fn pool(root: &Path, name: &PoolName) -> Result<Self, RegistryFailure> {
        Self::at::<StaticIPPoolSpec>(root, None, name.as_str())
    }

    pub(super) fn static_ip(root: &Path, address: Ipv4Addr) -> Result<Self, RegistryFailure> {
        Self::at::<StaticIPSpec>(root, None, &address.to_string())
    }

    pub(super) fn claim(root: &Path, member: &Member) -> Result<Self, RegistryFailure> {
        Self::at::<StaticIPClaimSpec>(root, Some(member.namespace()), member.name())
    }

    pub(super) fn at<S: Kind>(
        root: &Path,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Self, RegistryFailure> {
        let below = |root: PathBuf| match namespace {
            Some(namespace) => root.join(S::PLURAL).join(namespace),
            None => root.join(S::PLURAL),
        };
        let label = match namespace {
            Some(namespace) => format!("{} {namespace}/{name}", S::KIND),
            None => format!("{} {name}", S::KIND),
        };
        if name.len() > MAX_NAME {
            let detail =
                format!("{label}: a file registry takes names of at most {MAX_NAME} characters");
            return Err(failed(RegistryKind::Refused, detail));
        }
        let dir = below(root.to_path_buf());
        Ok(Self {
            label,
            file: dir.join(format!("{name}{SUFFIX}")),
            staged: dir.join(format!(".{name}.new")),
            lock: below(root.join(LOCKS)).join(name),
            dir,
        })
    }
}
