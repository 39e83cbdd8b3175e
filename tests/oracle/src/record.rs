//! Histories, recorded. Only the pinned commit records those of clusters, sweeps and crashes.

use std::io;

use clap::ValueEnum;
use firecamp_histories::tape::Tape;
use firecamp_histories::volumes;

use crate::drive;

/// Which histories are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The volumes of a node, and what is published of them.
    Volumes,
    /// What the leader plans.
    Leader,
    /// Who holds the Lease.
    Lease,
    /// What is published of a node's addresses.
    Publisher,
}

/// Where lines go.
pub type Sink<'a> = dyn FnMut(Vec<u8>) -> io::Result<()> + 'a;

/// Records histories of seeds in a row.
pub fn histories(kind: Kind, first: u64, count: u64, to: &mut Sink<'_>) -> io::Result<()> {
    let volume_names = volumes::simulated_node::Names::new();
    for seed in (0..count).map(|number| first.wrapping_add(number)) {
        let tape = match kind {
            Kind::Volumes => {
                let tape = Some(Tape::of("volumes", seed));
                let scenario = volumes::scenario::Scenario::draw(seed);
                let report = volumes::history::recorded(&scenario, &volume_names, false, tape);
                report.tape.map(Tape::into_lines).unwrap_or_default()
            }
            Kind::Leader => drive::leader(seed).into_lines(),
            Kind::Lease => drive::lease(seed).into_lines(),
            Kind::Publisher => drive::publisher(seed).into_lines(),
        };
        to(tape)?;
    }
    Ok(())
}
