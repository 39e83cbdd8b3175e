//! Arbitrary replies in arbitrary order: the fixture of the core's tests.

#[path = "../../../../lib/core/tests/suite/machines/fixture.rs"]
pub(crate) mod fixture;
#[path = "../../../../lib/core/tests/suite/machines/replies.rs"]
mod replies;
