//! The ENIs that must not carry static addresses: the agent writes them for the init containers, to
//! a file beside the node-local locks that is replaced atomically.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use firecamp_core::contract::path::EXCLUDED_ENIS;
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::EniId;

use crate::atomic_replace::replace;
use crate::error::HostError;

/// The excluded ENIs, each with the reason.
pub type ExcludedEnis = BTreeMap<EniId, String>;

/// The file of excluded ENIs: each line is an ENI, a space and the reason. No file excludes none.
#[derive(Debug, Clone)]
pub struct ExcludedEnisFile {
    path: PathBuf,
}

impl ExcludedEnisFile {
    /// The file in the run directory.
    pub fn new(run_dir: &Path) -> Self {
        Self { path: run_dir.join(EXCLUDED_ENIS) }
    }

    /// Reads the last content.
    pub fn read(&self) -> Result<ExcludedEnis, HostFailure> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => parse(&text).map_err(|why| {
                HostFailure::from(HostError::Untrusted { path: self.path.clone(), why })
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ExcludedEnis::new()),
            Err(source) => Err(self.failed("read", source)),
        }
    }

    /// Replaces the file.
    pub fn write(&self, excluded: &ExcludedEnis) -> Result<(), HostFailure> {
        replace(&self.path, &show(excluded)).map_err(|source| self.failed("replace", source))
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> HostFailure {
        HostError::File { operation, path: self.path.clone(), source }.into()
    }
}

fn show(excluded: &ExcludedEnis) -> String {
    let mut text = String::new();
    for (eni, why) in excluded {
        let why = why.replace(['\n', '\r'], " ");
        // Writing to a string cannot fail.
        writeln!(text, "{eni} {why}").ok();
    }
    text
}

fn parse(text: &str) -> Result<ExcludedEnis, String> {
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

    fn excluded() -> ExcludedEnis {
        let why = "it has no tag node.k8s.amazonaws.com/no_manage=true".to_owned();
        let primary = "the VPC CNI manages it".to_owned();
        [("eni-0000000a".parse().unwrap(), primary), ("eni-0000000b".parse().unwrap(), why)].into()
    }

    #[test]
    fn f057_init_containers_read_the_enis_that_the_agent_excludes() {
        let dir = tempfile::tempdir().unwrap();
        let file = ExcludedEnisFile::new(dir.path());
        assert_eq!(file.read(), Ok(ExcludedEnis::new()), "no agent yet");
        file.write(&excluded()).unwrap();
        assert_eq!(file.read(), Ok(excluded()));
        file.write(&ExcludedEnis::new()).unwrap();
        assert_eq!(file.read(), Ok(ExcludedEnis::new()));
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
            let why = ExcludedEnisFile::new(dir.path()).read().unwrap_err().detail;
            assert!(why.contains(EXCLUDED_ENIS), "{why}");
        }
    }
}
