//! Which registry to use: the value of `FIRECAMP_REGISTRY`.

use std::path::{Component, PathBuf};

use firecamp_core::contract::env;
use thiserror::Error;

/// A registry that this build can open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryUrl {
    /// The directory of a [`crate::FileRegistry`], absolute.
    File(PathBuf),
}

/// Why a text does not say which registry to use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidRegistryUrl {
    /// The variable is unset or empty.
    #[error(
        "{} is not set: set it to file:///DIR, the only kind of registry so far",
        env::REGISTRY
    )]
    Missing,
    /// A registry that comes with a later version.
    #[error(
        "{}={text:?}: this version has no Kubernetes registry yet: use file:///DIR",
        env::REGISTRY
    )]
    Kubernetes {
        /// The value, shortened.
        text: String,
    },
    /// Something else.
    #[error("{}={text:?}: {problem}: expected file:///DIR", env::REGISTRY)]
    Malformed {
        /// The value, shortened.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// The longest path that Linux takes.
const MAX_PATH: usize = 4096;

/// Parses `file:///DIR`. `None` and the empty text are the variable that is not set.
pub fn parse(text: Option<&str>) -> Result<RegistryUrl, InvalidRegistryUrl> {
    let text = text.unwrap_or_default();
    if text.trim().is_empty() {
        return Err(InvalidRegistryUrl::Missing);
    }
    let shown = || text.chars().take(80).collect::<String>();
    let malformed = |problem| InvalidRegistryUrl::Malformed { text: shown(), problem };
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(malformed("there is no scheme"));
    };
    match scheme {
        "file" => directory(rest).map(RegistryUrl::File).map_err(malformed),
        "kubernetes" | "k8s" => Err(InvalidRegistryUrl::Kubernetes { text: shown() }),
        other if other.eq_ignore_ascii_case("file") => Err(malformed("the scheme is lower case")),
        _ => Err(malformed("the scheme is unknown")),
    }
}

fn directory(rest: &str) -> Result<PathBuf, &'static str> {
    let path = rest.strip_prefix("//").ok_or("two slashes and an absolute path must follow")?;
    if !path.starts_with('/') {
        return Err("the path must be absolute, which makes three slashes");
    }
    if path.len() > MAX_PATH {
        return Err("the path is longer than Linux takes");
    }
    // No decoding and no queries: what stands there is the path, or it is refused.
    if path.contains(['%', '?', '#', '\0']) {
        return Err("'%', '?', '#' and NUL are not supported in the path");
    }
    let path = PathBuf::from(path);
    if path.components().any(|part| part == Component::ParentDir) {
        return Err("the path must not contain '..'");
    }
    if path.components().count() < 2 {
        return Err("the root directory is no registry");
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
        assert_eq!(parse(Some("file:///var/lib/firecamp")), Ok(expected.clone()));
        assert_eq!(parse(Some("file:///var/lib/firecamp/")), Ok(expected));
    }

    #[test]
    fn an_unset_or_empty_variable_says_what_to_set() {
        for text in [None, Some(""), Some("  ")] {
            let wrong = parse(text).unwrap_err();
            assert_eq!(wrong, InvalidRegistryUrl::Missing);
            let shown = wrong.to_string();
            assert!(shown.contains("FIRECAMP_REGISTRY is not set"), "{shown}");
            assert!(shown.contains("file:///DIR"), "{shown}");
        }
    }

    #[test]
    fn kubernetes_is_refused_as_not_there_yet() {
        for text in ["kubernetes:", "kubernetes://in-cluster", "k8s:"] {
            let shown = parse(Some(text)).unwrap_err().to_string();
            assert!(shown.contains("no Kubernetes registry yet"), "{shown}");
            assert!(shown.contains(text), "{shown}");
        }
    }

    #[test]
    fn whatever_else_is_refused_with_its_reason() {
        let cases = [
            ("/var/lib/firecamp", "no scheme"),
            ("https://example.com/x", "unknown"),
            ("FILE:///x", "lower case"),
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
            let shown = parse(Some(text)).unwrap_err().to_string();
            assert!(shown.contains(reason), "{text}: {shown}");
        }
        let long = format!("file:///{}", "a".repeat(5000));
        let shown = parse(Some(&long)).unwrap_err().to_string();
        assert!(shown.len() < 300, "{shown}");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_accepted_one_is_an_absolute_path(text in ".{0,60}") {
            for text in [text.clone(), format!("file://{text}"), format!("file:///{text}")] {
                if let Ok(RegistryUrl::File(path)) = parse(Some(&text)) {
                    prop_assert!(path.is_absolute());
                    prop_assert!(!path.components().any(|part| part == Component::ParentDir));
                }
            }
        }
    }
}
