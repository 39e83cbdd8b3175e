//! The leader's controller.

mod ec2_lists;
mod fixture;
mod gates;
mod names;
mod passes;
mod shutdown;
mod terms;
