//! The binaries of Kubernetes and etcd.

use std::path::{Path, PathBuf};

/// The directory with the binaries, from `KUBE_ASSETS`.
#[derive(Debug, Clone)]
pub struct Assets {
    dir: PathBuf,
}

impl Assets {
    /// Fails unless `KUBE_ASSETS` names a directory that contains all of these.
    pub fn find(wanted: &[&str]) -> Result<Self, String> {
        let dir = std::env::var_os("KUBE_ASSETS").ok_or_else(|| {
            let all = wanted.join(", ");
            format!(
                "KUBE_ASSETS does not name a directory with {all}: `make test-apiserver` and \
                 `make cluster-up` build the binaries and set it"
            )
        })?;
        let found = Self { dir: Path::new(&dir).to_owned() };
        let missing = wanted.iter().map(|name| found.program(name)).find(|path| !path.is_file());
        missing.map_or(Ok(found), |path| Err(format!("{} is missing", path.display())))
    }

    /// The path of a binary.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}
