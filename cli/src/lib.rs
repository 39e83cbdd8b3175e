//! The `firecamp` command: so far the demo, which shows a member that keeps its address in a VPC
//! in a box. `docs/demo.md` says what it shows and how it measures. What follows a client, times
//! processes and takes their time apart is shared with the benchmark (`tests/bench`).

pub mod args;
mod demo;
mod dispatch;
pub mod event;
pub mod failure;
pub mod measure;
mod member;
pub mod process;
pub mod render;
pub mod verdict;
pub mod watch;

pub use dispatch::{main, main_of};
pub use member::READY;
