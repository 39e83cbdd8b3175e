//! The histories and their foundations.

mod audits;
mod bounds;
mod healing;
mod kept;
mod strict;
mod sweeps;
