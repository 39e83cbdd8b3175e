//! The leader's controller.

mod ec2_lists;
mod fixture;
mod gates;
mod passes;
mod shutdown;
mod terms;
