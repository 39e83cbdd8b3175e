//! What is wrong with an object whose YAML is well formed.

use thiserror::Error;

/// A field of an object holds what it must not. The text names object, field and value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{object}: {field}: {problem}")]
pub struct InvalidObject {
    /// Kind and name of the object.
    pub object: String,
    /// Path of the field, as `spec.attachment.eni`.
    pub field: String,
    /// The value and what is wrong with it.
    pub problem: String,
}

impl InvalidObject {
    pub(crate) fn new(object: String, field: &str, problem: String) -> Self {
        Self { object, field: field.to_owned(), problem }
    }
}
