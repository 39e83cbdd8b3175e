//! The two binaries.

use std::path::{Path, PathBuf};

/// Where they are: `etcd` and `kube-apiserver` in the directory that `KUBE_ASSETS` names.
#[derive(Debug)]
pub(crate) struct Assets {
    pub(crate) etcd: PathBuf,
    pub(crate) apiserver: PathBuf,
}

impl Assets {
    pub(crate) fn find() -> Result<Self, String> {
        let dir = std::env::var_os("KUBE_ASSETS").ok_or(
            "KUBE_ASSETS does not name a directory with etcd and kube-apiserver: run \
             `make test-apiserver`, which builds them",
        )?;
        let dir = Path::new(&dir);
        let there = |name: &str| {
            let path = dir.join(name);
            if path.is_file() { Ok(path) } else { Err(format!("{} is missing", path.display())) }
        };
        Ok(Self { etcd: there("etcd")?, apiserver: there("kube-apiserver")? })
    }
}
