//! The histories and their foundations.

mod audits;
mod bounds;
mod endpoint;
mod healing;
mod kept;
mod strict;
mod sweeps;
