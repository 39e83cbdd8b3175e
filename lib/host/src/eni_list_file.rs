//! Lists of ENIs that the agent writes for the init containers: those that must not carry static
//! addresses, beside the VPC CNI all that may, and those that do so only if there is no other. Each
//! is a file beside the node-local locks that is replaced atomically.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use firecamp_core::attach::UnwantedEnis;
use firecamp_core::contract::path::{AVOIDED_ENIS, EXCLUDED_ENIS, USABLE_ENIS};
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::EniId;

use crate::atomic_replace::replace;
use crate::error::HostError;

/// ENIs, each with the reason why it is in the list.
pub type EniList = BTreeMap<EniId, String>;

/// A list of ENIs: each line is an ENI, a space and the reason. No file is an empty list.
#[derive(Debug, Clone)]
pub struct EniListFile {
    path: PathBuf,
}

impl EniListFile {
    /// The ENIs that FireCamp must not use, in the run directory.
    pub fn excluded(run_dir: &Path) -> Self {
        Self { path: run_dir.join(EXCLUDED_ENIS) }
    }

    /// All ENIs that FireCamp may use, in the run directory.
    pub fn usable(run_dir: &Path) -> Self {
        Self { path: run_dir.join(USABLE_ENIS) }
    }

    /// The ENIs that members get only if there is no other, in the run directory.
    pub fn avoided(run_dir: &Path) -> Self {
        Self { path: run_dir.join(AVOIDED_ENIS) }
    }

    /// Reads the last content.
    pub fn read(&self) -> Result<EniList, HostFailure> {
        Ok(self.find()?.unwrap_or_default())
    }

    /// The same; none if there is no file.
    pub fn find(&self) -> Result<Option<EniList>, HostFailure> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => parse(&text).map(Some).map_err(|why| {
                HostFailure::from(HostError::Untrusted { path: self.path.clone(), why })
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed("read", source)),
        }
    }

    /// Removes the file.
    pub fn remove(&self) -> Result<(), HostFailure> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed("remove", error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Replaces the file.
    pub fn write(&self, excluded: &EniList) -> Result<(), HostFailure> {
        replace(&self.path, &show(excluded)).map_err(|source| self.failed("replace", source))
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> HostFailure {
        HostError::File { operation, path: self.path.clone(), source }.into()
    }
}

/// The lists in the run directory. One that cannot be read is empty, and a warning says so; an
/// empty list of usable ENIs allows none.
pub fn unwanted_enis(run_dir: &Path) -> UnwantedEnis {
    let unread = |why: &HostFailure| tracing::warn!(error = %why, "failed to read list of ENIs");
    let list = |file: EniListFile| file.read().inspect_err(unread).unwrap_or_default();
    let usable = EniListFile::usable(run_dir).find().inspect_err(unread);
    UnwantedEnis {
        excluded: list(EniListFile::excluded(run_dir)),
        usable: usable
            .unwrap_or_else(|_| Some(EniList::new()))
            .map(|all| all.into_keys().collect()),
        avoided: list(EniListFile::avoided(run_dir)).into_keys().collect(),
    }
}

fn show(excluded: &EniList) -> String {
    let mut text = String::new();
    for (eni, why) in excluded {
        let why = why.replace(['\n', '\r'], " ");
        // Writing to a string cannot fail.
        writeln!(text, "{eni} {why}").ok();
    }
    text
}

fn parse(text: &str) -> Result<EniList, String> {
    let one = |line: &str| {
        let (eni, why) =
            line.split_once(' ').ok_or_else(|| format!("the line {line:?} has no reason"))?;
        let eni: EniId = eni.parse().map_err(|why| format!("{why}"))?;
        Ok((eni, why.to_owned()))
    };
    text.lines().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded() -> EniList {
        let why = "it has no tag node.k8s.amazonaws.com/no_manage=true".to_owned();
        let primary = "the VPC CNI manages it".to_owned();
        [("eni-0000000a".parse().unwrap(), primary), ("eni-0000000b".parse().unwrap(), why)].into()
    }

    #[test]
    fn f057_init_containers_read_the_enis_that_the_agent_excludes() {
        let dir = tempfile::tempdir().unwrap();
        let file = EniListFile::excluded(dir.path());
        assert_eq!(file.read(), Ok(EniList::new()), "no agent yet");
        file.write(&excluded()).unwrap();
        assert_eq!(file.read(), Ok(excluded()));
        file.write(&EniList::new()).unwrap();
        assert_eq!(file.read(), Ok(EniList::new()));
    }

    #[test]
    fn f057_beside_the_vpc_cni_init_containers_use_listed_enis_alone() {
        let dir = tempfile::tempdir().unwrap();
        let other = "eni-0000000c".parse().unwrap();
        assert_eq!(unwanted_enis(dir.path()).why_not(&other), None, "no list");
        let file = EniListFile::usable(dir.path());
        file.write(&excluded()).unwrap();
        let unwanted = unwanted_enis(dir.path());
        assert!(unwanted.why_not(&other).is_some());
        assert!(excluded().keys().all(|eni| unwanted.why_not(eni).is_none()));
        std::fs::write(dir.path().join(USABLE_ENIS), "eni-0000000c").unwrap();
        assert!(unwanted_enis(dir.path()).why_not(&other).is_some(), "a damaged one allows none");
        file.remove().unwrap();
        assert_eq!(file.remove(), Ok(()));
        assert_eq!(unwanted_enis(dir.path()).why_not(&other), None);
    }

    #[test]
    fn reason_with_a_newline_stays_on_one_line() {
        let text =
            show(&[("eni-0000000a".parse().unwrap(), "managed\nelsewhere".to_owned())].into());
        assert_eq!(text, "eni-0000000a managed elsewhere\n");
    }

    #[test]
    fn malformed_file_is_named_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["eni-0000000a", "ens5 why"] {
            std::fs::write(dir.path().join(EXCLUDED_ENIS), text).unwrap();
            let why = EniListFile::excluded(dir.path()).read().unwrap_err().detail;
            assert!(why.contains(EXCLUDED_ENIS), "{why}");
        }
    }
}
