//! Seeded histories of the volumes of one node, in virtual time.
//!
//! One seed reproduces one history exactly. A [`scenario`] is plain data: what happens.
//! [`simulated_node`] is the ground truth, and [`views`] is what EC2, the kernel and Kubernetes
//! report of it: they fail, lag and are inconsistent as the scenario says. The observer is the
//! product: an [`agent`] runs the controllers of a node, its volumes and its status, and only their
//! effects are simulated. The [`audit`] knows the ground truth, and none of the product's
//! decisions.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test support: a failure here fails the history; indices come from the scenario"
)]

pub mod agent;
pub mod audit;
pub mod cli;
pub mod coverage;
pub mod history;
mod outside;
pub mod run;
pub mod scenario;
pub mod simulated_node;
pub mod status_writer;
pub mod truth;
pub mod views;
