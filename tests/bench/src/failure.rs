//! Failures of a benchmark.

use std::fmt::Display;

/// A failure: what was attempted, and why it did not work.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// `what: why`, for `map_err`.
    pub(crate) fn of<E: Display>(what: impl Display) -> impl FnOnce(E) -> Self {
        move |why| Self(format!("{what}: {why}"))
    }
}

impl From<firecamp_demo::failure::Failure> for Failure {
    fn from(failure: firecamp_demo::failure::Failure) -> Self {
        Self(failure.chain())
    }
}

impl From<vpcbox::failure::Failure> for Failure {
    fn from(failure: vpcbox::failure::Failure) -> Self {
        Self(failure.chain())
    }
}
