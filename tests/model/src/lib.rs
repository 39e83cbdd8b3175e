//! The small world.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test support: small fixed arrays; what fails here fails the test"
)]

mod cast;
mod command;
mod config;
mod heal;
mod intern;
mod kubelet;
mod machines;
mod model;
mod outside;
mod process;
mod properties;
mod run;
mod seen;
mod state;
mod trace;

pub use command::command;
pub use config::{CONFIGS, Config, Hooks, named};
pub use model::{Act, Small};
pub use run::{Broken, Report, explore};
pub use state::{Budget, World};
