//! Code that the commands share.

pub mod age;
pub mod agent_client;
pub mod command_result;
pub mod json;
pub mod known_or_unknown;
pub mod local_node;
pub mod print;
pub mod progress;
pub mod registry_reader;
pub mod select_registry;
pub mod signals;
pub mod table;
