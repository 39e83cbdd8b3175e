//! The binaries of Kubernetes and etcd.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Flags with which kube-apiserver 1.34 and 1.35 have MutatingAdmissionPolicy.
const MUTATING_ADMISSION: [&str; 2] = [
    "--feature-gates=MutatingAdmissionPolicy=true",
    "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
];

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

    /// The flags with which kube-apiserver has MutatingAdmissionPolicy, if this version has it.
    pub fn mutating_admission(&self) -> Result<Vec<String>, String> {
        let flags = match self.minor()? {
            34 | 35 => MUTATING_ADMISSION.as_slice(),
            _ => &[],
        };
        Ok(flags.iter().map(|&flag| flag.to_owned()).collect())
    }

    /// The flags with which kube-apiserver does not have it.
    pub fn no_mutating_admission(&self) -> Result<Vec<String>, String> {
        let emulated = "--emulated-version=1.35".to_owned();
        Ok(if self.minor()? >= 36 { vec![emulated] } else { vec![] })
    }

    /// Whether kube-apiserver has MutatingAdmissionPolicy with [`Self::mutating_admission`]. Before
    /// 1.34 it is alpha or absent.
    pub fn has_mutating_admission(&self) -> Result<bool, String> {
        Ok(self.minor()? >= 34)
    }

    /// How often etcd notifies watchers of its progress, as kubeadm sets it. Without it, an API
    /// server of 1.31 sends no bookmarks about objects that do not change. The flag is experimental
    /// in the etcd beside it (3.5), and has another name from 3.6 on, which is beside 1.34.
    pub(super) fn progress_notifications(&self) -> Result<String, String> {
        let prefix = if self.minor()? < 34 { "experimental-" } else { "" };
        Ok(format!("--{prefix}watch-progress-notify-interval=5s"))
    }

    /// 37 of 1.37.2.
    fn minor(&self) -> Result<u32, String> {
        let program = self.program("kube-apiserver");
        let asked = Command::new(&program).arg("--version").output();
        let asked = asked.map_err(|wrong| format!("{}: {wrong}", program.display()))?;
        let version = String::from_utf8_lossy(&asked.stdout).into_owned();
        minor(&version).ok_or_else(|| format!("{}: no version: {version}", program.display()))
    }
}

/// 37 of `Kubernetes v1.37.2`.
fn minor(version: &str) -> Option<u32> {
    version.trim().strip_prefix("Kubernetes v1.")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::minor;

    #[test]
    fn the_minor_version_is_read_from_what_kube_apiserver_prints() {
        assert_eq!(minor("Kubernetes v1.37.2\n"), Some(37));
        assert_eq!(minor("Kubernetes v1.34.4-eks-1234567\n"), Some(34));
        assert_eq!(minor("Kubernetes v0.0.0-master+$Format:%H$\n"), None);
    }
}
