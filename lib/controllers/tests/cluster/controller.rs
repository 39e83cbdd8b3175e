//! The leader's controller.

mod fixture;
mod passes;
mod shutdown;
mod terms;
