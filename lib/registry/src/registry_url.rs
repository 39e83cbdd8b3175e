//! Which registry to use: the value of `FIRECAMP_REGISTRY`.

use std::fmt::{self, Display};
use std::path::{Component, PathBuf};

use firecamp_core::contract::env;
use thiserror::Error;

/// Which registry to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryUrl {
    /// `file:///DIR`: the directory of a [`crate::FileRegistry`], absolute.
    File(PathBuf),
    /// `kubernetes:`: the API of the cluster that this pod runs in.
    InCluster,
    /// `kubernetes:///PATH`: the API that this kubeconfig's current context names, absolute.
    Kubeconfig(PathBuf),
}

/// The text that [`parse`] reads.
impl Display for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(directory) => write!(f, "file://{}", directory.display()),
            Self::InCluster => f.write_str("kubernetes:"),
            Self::Kubeconfig(path) => write!(f, "kubernetes://{}", path.display()),
        }
    }
}

/// The supported values, for error messages.
const KINDS: &str = "kubernetes: (in a pod), kubernetes:///KUBECONFIG or file:///DIR";

/// Why no registry could be determined.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidRegistryUrl {
    /// The variable is unset or empty.
    #[error(
        "not running in a Kubernetes pod ({} is not set): set {} to {KINDS}",
        env::KUBERNETES_SERVICE_HOST,
        env::REGISTRY
    )]
    Missing,
    /// The value is not a supported URL.
    #[error("{}={text:?}: {problem}: expected {KINDS}", env::REGISTRY)]
    Malformed {
        /// The value, truncated.
        text: String,
        /// Why the value is invalid.
        problem: &'static str,
    },
}

/// Linux's limit for a path (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// The registry if the variable is unset: in a pod, the cluster's.
pub fn default(in_cluster: bool) -> Result<RegistryUrl, InvalidRegistryUrl> {
    if in_cluster { Ok(RegistryUrl::InCluster) } else { Err(InvalidRegistryUrl::Missing) }
}

/// Parses `file:///DIR`, `kubernetes:` and `kubernetes:///PATH`.
pub fn parse(text: &str) -> Result<RegistryUrl, InvalidRegistryUrl> {
    let shown = || text.chars().take(80).collect::<String>();
    let malformed = |problem| InvalidRegistryUrl::Malformed { text: shown(), problem };
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(malformed("the URL has no scheme"));
    };
    match scheme {
        "file" => path(rest).map(RegistryUrl::File).map_err(malformed),
        "kubernetes" if rest.is_empty() => Ok(RegistryUrl::InCluster),
        "kubernetes" => path(rest).map(RegistryUrl::Kubeconfig).map_err(malformed),
        "k8s" => Err(malformed("the scheme must be kubernetes")),
        other if is_known(&other.to_ascii_lowercase()) => {
            Err(malformed("the scheme must be lower case"))
        }
        _ => Err(malformed("the scheme is unknown")),
    }
}

fn is_known(scheme: &str) -> bool {
    matches!(scheme, "file" | "kubernetes")
}

fn path(rest: &str) -> Result<PathBuf, &'static str> {
    let path = rest.strip_prefix("//").ok_or("two slashes and an absolute path must follow")?;
    if !path.starts_with('/') {
        return Err("the path must be absolute, which means three slashes");
    }
    if path.len() > MAX_PATH {
        return Err("the path is longer than 4096 bytes, the limit of Linux");
    }
    // Percent-encoding and queries are not supported: the text is the path, or it is rejected.
    if path.contains(['%', '?', '#', '\0']) {
        return Err("'%', '?', '#' and NUL are not supported in the path");
    }
    let path = PathBuf::from(path);
    if path.components().any(|part| part == Component::ParentDir) {
        return Err("the path must not contain '..'");
    }
    if path.components().count() < 2 {
        return Err("the root directory cannot be a registry");
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_url_names_an_absolute_directory() {
        let expected = RegistryUrl::File(PathBuf::from("/var/lib/firecamp"));
        assert_eq!(parse("file:///var/lib/firecamp"), Ok(expected.clone()));
        assert_eq!(parse("file:///var/lib/firecamp/"), Ok(expected));
    }

    #[test]
    fn a_kubernetes_url_names_the_cluster_of_this_pod_or_a_kubeconfig() {
        assert_eq!(parse("kubernetes:"), Ok(RegistryUrl::InCluster));
        let expected = RegistryUrl::Kubeconfig(PathBuf::from("/etc/kubernetes/admin.conf"));
        assert_eq!(parse("kubernetes:///etc/kubernetes/admin.conf"), Ok(expected));
    }

    #[test]
    fn without_a_url_a_pod_uses_its_cluster_and_other_processes_get_an_error() {
        assert_eq!(default(true), Ok(RegistryUrl::InCluster));
        let shown = default(false).unwrap_err().to_string();
        for text in ["KUBERNETES_SERVICE_HOST is not set", "set FIRECAMP_REGISTRY", "file:///DIR"] {
            assert!(shown.contains(text), "{shown}");
        }
    }

    #[test]
    fn every_other_text_is_rejected_with_a_reason() {
        let cases = [
            ("", "no scheme"),
            ("/var/lib/firecamp", "no scheme"),
            ("https://example.com/x", "unknown"),
            ("FILE:///x", "lower case"),
            ("Kubernetes:", "lower case"),
            ("k8s:", "must be kubernetes"),
            ("kubernetes://in-cluster", "absolute"),
            ("kubernetes:/x", "two slashes"),
            ("kubernetes: ", "two slashes"),
            ("kubernetes:///", "root"),
            ("file:/x", "two slashes"),
            ("file:", "two slashes"),
            ("file://", "absolute"),
            ("file://host/x", "absolute"),
            ("file:///", "root"),
            ("file:///a/../b", "'..'"),
            ("file:///a%20b", "'%'"),
            ("file:///a?x=1", "'?'"),
        ];
        for (text, reason) in cases {
            let shown = parse(text).unwrap_err().to_string();
            assert!(shown.contains(reason), "{text}: {shown}");
        }
        let long = format!("file:///{}", "a".repeat(5000));
        let shown = parse(&long).unwrap_err().to_string();
        assert!(shown.len() < 300, "{shown}");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_accepted_one_is_an_absolute_path(text in ".{0,60}") {
            let long = format!("file:///{text}");
            for text in [text.clone(), format!("file://{text}"), long, format!("kubernetes:{text}")] {
                let Ok(url) = parse(&text) else { continue };
                prop_assert_eq!(parse(&url.to_string()), Ok(url.clone()));
                if let RegistryUrl::File(path) | RegistryUrl::Kubeconfig(path) = url {
                    prop_assert!(path.is_absolute());
                    prop_assert!(!path.components().any(|part| part == Component::ParentDir));
                }
            }
        }
    }
}
