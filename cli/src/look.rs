//! What the commands that look at a registry, a cluster or a node have in common.

pub mod age;
pub mod agent;
pub mod asked;
pub mod book;
pub mod here;
pub mod outcome;
pub mod print;
pub mod progress;
pub mod table;
pub mod target;
