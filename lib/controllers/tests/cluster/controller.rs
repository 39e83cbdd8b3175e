//! The leader's controller.

mod fixture;
mod gates;
mod passes;
mod shutdown;
mod terms;
