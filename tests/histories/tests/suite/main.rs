//! The histories and what they stand on.

mod audits;
mod bounds;
mod kept;
mod strict;
