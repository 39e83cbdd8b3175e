//! Histories, recorded. Only the pinned commit records those of clusters, sweeps, crashes, volumes
//! and the publisher.

use std::io;

use clap::ValueEnum;

use crate::drive;

/// Which histories are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// What the leader plans.
    Leader,
    /// Who holds the Lease.
    Lease,
}

/// Where lines go.
pub type Sink<'a> = dyn FnMut(Vec<u8>) -> io::Result<()> + 'a;

/// Records histories of seeds in a row.
pub fn histories(kind: Kind, first: u64, count: u64, to: &mut Sink<'_>) -> io::Result<()> {
    for seed in (0..count).map(|number| first.wrapping_add(number)) {
        let tape = match kind {
            Kind::Leader => drive::leader(seed),
            Kind::Lease => drive::lease(seed),
        };
        to(tape.into_lines())?;
    }
    Ok(())
}
