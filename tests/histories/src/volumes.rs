//! Seeded histories of the volumes of one node, in virtual time.
//!
//! One seed is one history, to the last bit. A [`scenario`] says what happens, as pure data; the
//! [`world`] is the truth, and [`views`] is what EC2, kernel and Kubernetes say of it, which fails,
//! lags and is torn as the scenario wants. What looks at it is the product: `observe`, the
//! tracker and the pace of `lib/node`, the publisher of `lib/controllers`, the agent's budget for
//! EC2. The [`audit`] knows the truth, and none of the product's decisions.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test support: what fails here fails the history, and indices are its own"
)]

pub mod agent;
pub mod audit;
pub mod board;
pub mod cli;
pub mod history;
pub mod probe;
pub mod recorder;
pub mod run;
pub mod scenario;
pub mod truth;
pub mod views;
pub mod world;
