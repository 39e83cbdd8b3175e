//! The paths of an object. Names were validated when they were parsed: none contains a slash or
//! begins with a dot, so every path stays inside the registry's directory.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, PoolName};

use crate::api::{Kind, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec};
use crate::failure::failed;

/// The suffix of every object's file name.
pub(super) const SUFFIX: &str = ".yaml";
/// Linux limits a file name to 255 bytes; the longest name here is `.NAME.new`.
const MAX_NAME: usize = 250;
/// Directory of the lock files. They are never deleted: if one is deleted while a process waits
/// for it, two processes can hold the lock.
const LOCKS: &str = ".locks";

/// The paths of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Kind and name of the object, for messages.
    pub(super) label: String,
    /// The directory of the object.
    pub(super) dir: PathBuf,
    /// The file of the object.
    pub(super) file: PathBuf,
    /// The file that the next state is written to before it is published. Only the holder of the
    /// lock touches it, so an existing one is left over from a crash.
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
                format!("{label}: a name in a file registry has at most {MAX_NAME} characters");
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
