//! Which ENIs of the node carry no address of ours: what the agent has found out, for the init
//! containers. A file on the tmpfs of the node-local locks, replaced in one step.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use firecamp_core::contract::path::BARRED_ENIS;
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::EniId;

use crate::error::HostError;
use crate::replace::replace;

/// The ENIs that carry no address of ours, each with why.
pub type Barred = BTreeMap<EniId, String>;

/// The file that names them: on each line an ENI, a space, and why. No file bars none.
#[derive(Debug, Clone)]
pub struct BarredFile {
    path: PathBuf,
}

impl BarredFile {
    /// In the directory of the node-local locks.
    pub fn new(run_dir: &Path) -> Self {
        Self { path: run_dir.join(BARRED_ENIS) }
    }

    /// What the agent wrote last.
    pub fn read(&self) -> Result<Barred, HostFailure> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => parse(&text).map_err(|why| {
                HostFailure::from(HostError::Untrusted { path: self.path.clone(), why })
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Barred::new()),
            Err(source) => Err(self.failed("read", source)),
        }
    }

    /// Replaces it.
    pub fn write(&self, barred: &Barred) -> Result<(), HostFailure> {
        replace(&self.path, &show(barred)).map_err(|source| self.failed("replace", source))
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> HostFailure {
        HostError::File { operation, path: self.path.clone(), source }.into()
    }
}

fn show(barred: &Barred) -> String {
    let mut text = String::new();
    for (eni, why) in barred {
        let why = why.replace(['\n', '\r'], " ");
        // Writing to a string cannot fail.
        writeln!(text, "{eni} {why}").ok();
    }
    text
}

fn parse(text: &str) -> Result<Barred, String> {
    let one = |line: &str| {
        let (eni, why) = line.split_once(' ').ok_or_else(|| format!("no reason in {line:?}"))?;
        let eni: EniId = eni.parse().map_err(|why| format!("{why}"))?;
        Ok((eni, why.to_owned()))
    };
    text.lines().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn barred() -> Barred {
        let why = "it has no tag node.k8s.amazonaws.com/no_manage=true".to_owned();
        let primary = "the VPC CNI manages it".to_owned();
        [("eni-0000000a".parse().unwrap(), primary), ("eni-0000000b".parse().unwrap(), why)].into()
    }

    #[test]
    fn f057_what_the_agent_bars_the_init_containers_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = BarredFile::new(dir.path());
        assert_eq!(file.read(), Ok(Barred::new()), "no agent yet");
        file.write(&barred()).unwrap();
        assert_eq!(file.read(), Ok(barred()));
        file.write(&Barred::new()).unwrap();
        assert_eq!(file.read(), Ok(Barred::new()));
    }

    #[test]
    fn a_reason_stays_on_its_line() {
        let text = show(&[("eni-0000000a".parse().unwrap(), "so\nit is".to_owned())].into());
        assert_eq!(text, "eni-0000000a so it is\n");
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_told_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["eni-0000000a", "ens5 why"] {
            std::fs::write(dir.path().join(BARRED_ENIS), text).unwrap();
            let why = BarredFile::new(dir.path()).read().unwrap_err().detail;
            assert!(why.contains(BARRED_ENIS), "{why}");
        }
    }
}
