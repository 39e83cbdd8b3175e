//! The machines, told one answer at a time: what they do next, in each situation that decides.

mod binding;
mod draining;
mod errands;
mod holding;
mod landing;
mod moving;
mod proof;
mod rig;
mod unassigning;
mod waiting;
pub(crate) mod world;
