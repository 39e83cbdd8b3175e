//! The error for an object that is well-formed YAML but invalid.

use thiserror::Error;

/// An invalid field of an object. The message names the object, field and value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{object}: {field}: {problem}")]
pub struct InvalidObject {
    /// Kind and name of the object.
    pub object: String,
    /// Path of the field, for example `spec.attachment.eni`.
    pub field: String,
    /// The value and the reason why it is invalid.
    pub problem: String,
}

impl InvalidObject {
    pub(crate) fn new(object: String, field: &str, problem: String) -> Self {
        Self { object, field: field.to_owned(), problem }
    }
}
