//! Keeps the static IP addresses of a node true: observe, plan, apply, tell.
//!
//! A part of the agent that asks or does something beside the loop has a `work::News` of its
//! own, begins from `agent::Agent::tick` or a turn, and keeps what it learned in
//! `state::Observed`, from which the plan is made.

mod adopt;
mod agent;
mod cluster;
mod counted;
mod cut_off;
mod enis;
mod errands;
mod http;
mod keep;
mod late;
mod others;
mod outage;
mod outside;
mod preflight;
mod publish;
mod source;
mod start;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod volumes;
mod work;

pub use start::main;
pub use status::table::page as metrics_page;
