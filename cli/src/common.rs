//! Code that the commands share.

pub mod age;
pub mod agent;
pub mod answer;
pub mod local_node;
pub mod outcome;
pub mod print;
pub mod progress;
pub mod reader;
pub mod table;
pub mod target;
