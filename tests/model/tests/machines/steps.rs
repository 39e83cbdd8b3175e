//! A machine in a healthy environment: the fixture of the core's tests.

#[path = "../../../../lib/core/tests/suite/steps/fixture.rs"]
pub(crate) mod fixture;
#[path = "../../../../lib/core/tests/suite/steps/rig.rs"]
pub(crate) mod rig;
