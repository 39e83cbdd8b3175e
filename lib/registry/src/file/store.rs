//! Reads, creates and replaces one object. All functions block.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::Version;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::atomic_files::{self, Content};
use super::object_lock::{self, LockFailure, ObjectLock};
use super::object_paths::Place;
use crate::api::{self, Kind, Object};
use crate::failure::{failed, in_doubt};

/// The kernel's source of random UUIDs.
const UUID_SOURCE: &str = "/proc/sys/kernel/random/uuid";

/// A directory that holds a registry.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    lock_patience: Duration,
}

/// An object and the version that was read.
#[derive(Debug)]
pub(super) struct Found<S> {
    pub(super) object: Object<S>,
    pub(super) version: Version,
    writes: u64,
}

impl Store {
    pub(super) fn open(root: PathBuf, lock_patience: Duration) -> Result<Self, RegistryFailure> {
        let store = Self { root, lock_patience };
        store.check_root()?;
        Ok(store)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.root
    }

    /// The directory of a kind.
    pub(super) fn kind_dir<S: Kind>(&self) -> PathBuf {
        self.root.join(S::PLURAL)
    }

    /// Reads an object.
    pub(super) fn read<S>(&self, place: &Place) -> Result<Option<Found<S>>, RegistryFailure>
    where
        S: Kind + DeserializeOwned,
    {
        let path = place.file.display();
        let content = atomic_files::read(&place.file)
            .map_err(|wrong| io_failed(&format!("read {}", place.label), &path, &wrong))?;
        let bytes = match content {
            Content::Bytes(bytes) => bytes,
            Content::Absent => {
                self.check_present()?;
                return Ok(None);
            }
            Content::NotAFile => {
                return Err(invalid(place, "is not a regular file (links are not followed)"));
            }
        };
        let object: Object<S> = api::parse(&bytes).map_err(|wrong| invalid(place, wrong))?;
        if object.label() != place.label {
            let problem = format!("contains {}, which does not match its path", object.label());
            return Err(invalid(place, problem));
        }
        let writes = writes_of(&object).map_err(|problem| invalid(place, problem))?;
        let version = version(writes, &bytes).map_err(|wrong| invalid(place, wrong))?;
        Ok(Some(Found { object, version, writes }))
    }

    /// Creates an object, unless the file exists, whatever it contains.
    pub(super) fn create<S>(
        &self,
        place: &Place,
        mut object: Object<S>,
        by: Instant,
    ) -> Result<Version, RegistryFailure>
    where
        S: Kind + Serialize + DeserializeOwned + PartialEq,
    {
        let what = format!("create {}", place.label);
        self.check_root()?;
        let path = place.file.display();
        let exists =
            || failed(RegistryKind::AlreadyExists, format!("{what}: {path} already exists"));
        // Only saves work; the hard link below decides.
        if std::fs::symlink_metadata(&place.file).is_ok() {
            return Err(exists());
        }
        let _lock = self.lock(&what, place)?;
        object.metadata.uid = Some(new_uid(&what)?);
        object.metadata.resource_version = Some("1".to_owned());
        let (bytes, version) = rendered(&what, &object, 1)?;
        let wrong = |wrong: io::Error| io_failed(&what, &path, &wrong);
        atomic_files::make_dirs(&place.dir).map_err(wrong)?;
        stage(&what, place, &bytes)?;
        in_time(&what, by)?;
        // A link, unlike a rename, never replaces a file, even one that a user created.
        if let Err(wrong) = std::fs::hard_link(&place.staged, &place.file) {
            remove_staged(place);
            if wrong.kind() == io::ErrorKind::AlreadyExists {
                return Err(exists());
            }
            return Err(io_failed(&what, &path, &wrong));
        }
        remove_staged(place);
        atomic_files::sync_dirs_up_to(&place.dir, &self.root)
            .map_err(|wrong| io_in_doubt(&what, &path, &wrong))?;
        Ok(version)
    }

    /// Replaces the spec of the object, if it is still at that version. Keeps labels, annotations
    /// and status. `change` gets the stored object and may reject the write.
    pub(super) fn replace<S, F>(
        &self,
        place: &Place,
        expected: &Version,
        by: Instant,
        change: F,
    ) -> Result<Version, RegistryFailure>
    where
        S: Kind + Serialize + DeserializeOwned + PartialEq,
        F: FnOnce(&Object<S>) -> Result<S, RegistryFailure>,
    {
        let what = format!("update {}", place.label);
        self.check_present()?;
        let _lock = self.lock(&what, place)?;
        let path = place.file.display();
        let Some(found) = self.read::<S>(place)? else {
            let detail = format!("{what}: {path} does not exist");
            return Err(failed(RegistryKind::NotFound, detail));
        };
        if found.version != *expected {
            let detail = format!("{what}: it is at version {}, not {expected}", found.version);
            return Err(failed(RegistryKind::Conflict, detail));
        }
        let spec = change(&found.object)?;
        let writes = found
            .writes
            .checked_add(1)
            .ok_or_else(|| invalid(place, "metadata.resourceVersion has the largest value"))?;
        let mut object = Object { spec, ..found.object };
        object.metadata.resource_version = Some(writes.to_string());
        let (bytes, version) = rendered(&what, &object, writes)?;
        let wrong = |wrong: io::Error| io_failed(&what, &path, &wrong);
        stage(&what, place, &bytes)?;
        in_time(&what, by)?;
        std::fs::rename(&place.staged, &place.file).map_err(wrong)?;
        atomic_files::sync_dir(&place.dir).map_err(|wrong| io_in_doubt(&what, &path, &wrong))?;
        Ok(version)
    }

    fn lock(&self, what: &str, place: &Place) -> Result<ObjectLock, RegistryFailure> {
        let path = place.lock.display();
        match object_lock::acquire(&place.lock, self.lock_patience) {
            Ok(lock) => Ok(lock),
            Err(LockFailure::Io(wrong)) => Err(io_failed(what, &path, &wrong)),
            Err(LockFailure::Busy { holder }) => {
                let holder = match holder {
                    Some(pid) => format!("process {pid} holds"),
                    None => "an unknown process holds".to_owned(),
                };
                let seconds = self.lock_patience.as_secs_f32();
                let detail = format!("{what}: {holder} the lock {path}; gave up after {seconds} s");
                Err(failed(RegistryKind::Unavailable, detail))
            }
        }
    }
}

/// The failure for a stored object that is invalid. Names the file.
pub(super) fn invalid(place: &Place, problem: impl Display) -> RegistryFailure {
    let path = place.file.display();
    let detail = format!("read {}: {path}: {problem}; the file was not changed", place.label);
    failed(RegistryKind::Invalid, detail)
}

fn kind_of(wrong: &io::Error) -> RegistryKind {
    if wrong.kind() == io::ErrorKind::PermissionDenied {
        RegistryKind::Refused
    } else {
        RegistryKind::Unavailable
    }
}

/// The failure of a filesystem operation that changed no object.
pub(super) fn io_failed(what: &str, path: &impl Display, wrong: &io::Error) -> RegistryFailure {
    failed(kind_of(wrong), format!("{what}: {path}: {wrong}"))
}

/// The failure of an operation after the object was published: the object may not survive a
/// power loss.
fn io_in_doubt(what: &str, path: &impl Display, wrong: &io::Error) -> RegistryFailure {
    in_doubt(kind_of(wrong), format!("{what}: sync the directory of {path}: {wrong}"))
}

/// Writes the staged file. Removes it on failure, so that a full disk regains the space.
fn stage(what: &str, place: &Place, bytes: &[u8]) -> Result<(), RegistryFailure> {
    atomic_files::stage(&place.staged, bytes).map_err(|wrong| {
        remove_staged(place);
        io_failed(what, &place.staged.display(), &wrong)
    })
}

/// Checks the deadline right before an object is published. After it the caller has given up,
/// and a late write is worse than none.
fn in_time(what: &str, by: Instant) -> Result<(), RegistryFailure> {
    if Instant::now() < by {
        return Ok(());
    }
    let detail = format!("{what}: timed out before the object was published");
    Err(failed(RegistryKind::Unavailable, detail))
}

/// Removes the staged file. A failure is only logged: the next writer removes the file.
fn remove_staged(place: &Place) {
    if let Err(error) = atomic_files::forget(&place.staged) {
        tracing::warn!(path = %place.staged.display(), %error, "failed to remove temporary file");
    }
}

fn new_uid(what: &str) -> Result<String, RegistryFailure> {
    let uuid = std::fs::read_to_string(UUID_SOURCE)
        .map_err(|wrong| io_failed(what, &UUID_SOURCE, &wrong))?;
    Ok(uuid.trim().to_owned())
}

fn writes_of<S>(object: &Object<S>) -> Result<u64, String> {
    let Some(text) = &object.metadata.resource_version else { return Ok(0) };
    text.parse().map_err(|wrong| format!("metadata.resourceVersion: {text:?}: {wrong}"))
}

/// The text of an object and its version. Fails if the text would not parse as the same object.
fn rendered<S>(
    what: &str,
    object: &Object<S>,
    writes: u64,
) -> Result<(Vec<u8>, Version), RegistryFailure>
where
    S: Kind + Serialize + DeserializeOwned + PartialEq,
{
    let refused =
        |problem: &dyn Display| failed(RegistryKind::Refused, format!("{what}: {problem}"));
    let text = api::render(object).map_err(|wrong| refused(&wrong))?;
    let back: Object<S> = api::parse(text.as_bytes()).map_err(|wrong| refused(&wrong))?;
    if back != *object {
        return Err(refused(&"the object cannot be serialized without loss (a bug in FireCamp)"));
    }
    let version = version(writes, text.as_bytes()).map_err(|wrong| refused(&wrong))?;
    Ok((text.into_bytes(), version))
}

/// The count of writes, which makes each written state unique, and a hash of the text, which
/// detects an edit by a user.
fn version(writes: u64, bytes: &[u8]) -> Result<Version, firecamp_core::ids::InvalidId> {
    Version::new(&format!("{writes}-{:016x}", fnv1a(bytes)))
}

/// FNV-1a, 64 bits: the same in every build, unlike the standard library's hashers.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
