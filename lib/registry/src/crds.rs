//! The CustomResourceDefinitions of `firecamp.io`, made from the same types that the registries
//! read and write, and kept in `deploy/crds`. What a type of Rust cannot say is added here by the
//! path of the field: bounds (`bounds`) and rules in CEL (`rules`). A path that leads
//! nowhere is an error, so neither can outlive its field.

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
    /// The object, as the API server takes it.
    pub object: Value,
}

/// Why no definition can be made: the tables of this crate do not fit the types.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind}: {path}: {problem}")]
pub struct Broken {
    /// The kind.
    pub kind: &'static str,
    /// The field.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The definitions of all kinds, in the order of their names.
pub fn all() -> Result<Vec<Definition>, Broken> {
    Ok(vec![
        kinds::node_attachments()?,
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
            path: "the whole text".to_owned(),
            problem,
        })
    }
}
