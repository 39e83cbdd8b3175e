//! The `firecamp` command: so far the demo, which shows a member that keeps its address in a VPC
//! in a box. `docs/demo.md` says what it shows and how it measures.

pub mod args;
mod demo;
mod dispatch;
pub mod event;
mod failure;
pub mod measure;
mod member;
pub mod render;
pub mod verdict;

pub use dispatch::main;
