//! The CustomResourceDefinitions of `firecamp.io`, generated from the types that the registries
//! read and write; the files are in `deploy/crds`. Constraints that a Rust type cannot express
//! are added by field path: bounds (`bounds`) and CEL rules (`rules`). A path without a field is
//! an error, so no constraint outlives its field.

mod bounds;
mod kinds;
mod rules;
mod structural;
mod text;

use serde_json::Value;
use thiserror::Error;

/// One CustomResourceDefinition.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// The plural of its kind, which is also the name of its file.
    pub plural: &'static str,
    /// The object, as the API server accepts it.
    pub object: Value,
}

/// Why no definition can be generated: a table of this module names a field that no type has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind}: {path}: {problem}")]
pub struct Broken {
    /// The kind.
    pub kind: &'static str,
    /// The path of the field.
    pub path: String,
    /// The problem.
    pub problem: String,
}

/// The definitions of all kinds, sorted by name.
pub fn all() -> Result<Vec<Definition>, Broken> {
    Ok(vec![
        kinds::node_attachments()?,
        kinds::node_interfaces()?,
        kinds::static_ip_claims()?,
        kinds::static_ip_pools()?,
        kinds::static_ips()?,
    ])
}

impl Definition {
    /// The definition as the text of its file.
    pub fn yaml(&self) -> Result<String, Broken> {
        text::render(&self.object).map_err(|problem| Broken {
            kind: self.plural,
            path: "the document".to_owned(),
            problem,
        })
    }
}
