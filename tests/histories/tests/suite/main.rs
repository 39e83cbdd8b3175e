//! The histories and what they stand on.

mod audits;
mod bounds;
mod healing;
mod kept;
mod strict;
mod sweeps;
