//! The binaries of Kubernetes and etcd.

use std::path::{Path, PathBuf};

/// The directory that has them, which `KUBE_ASSETS` names.
#[derive(Debug, Clone)]
pub struct Assets {
    dir: PathBuf,
}

impl Assets {
    /// By the environment, if it names a directory in which all of these are.
    pub fn find(wanted: &[&str]) -> Result<Self, String> {
        let dir = std::env::var_os("KUBE_ASSETS").ok_or_else(|| {
            let all = wanted.join(", ");
            format!(
                "KUBE_ASSETS does not name a directory with {all}: `make test-apiserver` and \
                 `make cluster-up` build them and set it"
            )
        })?;
        let found = Self { dir: Path::new(&dir).to_owned() };
        let missing = wanted.iter().map(|name| found.program(name)).find(|path| !path.is_file());
        missing.map_or(Ok(found), |path| Err(format!("{} is missing", path.display())))
    }

    /// Where one of them is.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}
