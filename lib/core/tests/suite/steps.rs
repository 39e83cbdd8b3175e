//! The machines, one reply at a time: the next action in each situation that matters.

mod acquire;
mod assign;
mod bind;
mod complete;
mod drain;
mod executions;
pub(crate) mod fixture;
mod looked_up;
mod proof;
mod rig;
mod unassign;
mod unwanted_enis;
mod wait;
