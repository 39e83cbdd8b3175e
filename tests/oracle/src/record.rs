//! Histories, recorded. Only the pinned commit records those of volumes and of the publisher.

use std::io;

use clap::ValueEnum;
use firecamp_histories::crashes::catalogue;
use firecamp_histories::crashes::enumerate::KILLED;
use firecamp_histories::crashes::record::{Part, record};
use firecamp_histories::history;
use firecamp_histories::names::Names;
use firecamp_histories::scenario::Scenario;
use firecamp_histories::sweep;
use firecamp_histories::tape::Tape;
use firecamp_histories::trace::Trace;

use crate::drive;

/// Which histories are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A cluster with its init and stop containers and its agents.
    Model,
    /// What an agent collects.
    Sweeps,
    /// What the leader plans.
    Leader,
    /// Who holds the Lease.
    Lease,
}

/// Where lines go.
pub type Sink<'a> = dyn FnMut(Vec<u8>) -> io::Result<()> + 'a;

/// Records histories of seeds in a row.
pub fn histories(kind: Kind, first: u64, count: u64, to: &mut Sink<'_>) -> io::Result<()> {
    let names = Names::new();
    for seed in (0..count).map(|number| first.wrapping_add(number)) {
        let tape = match kind {
            Kind::Model => {
                let trace = Trace::Tape(Tape::of("model", seed));
                history::run(&Scenario::draw(seed), &names, trace).trace.into_tape()
            }
            Kind::Sweeps => {
                let trace = Trace::Tape(Tape::of("sweep", seed));
                sweep::traced(seed, &names, trace).2.into_tape()
            }
            Kind::Leader => drive::leader(seed).into_lines(),
            Kind::Lease => drive::lease(seed).into_lines(),
        };
        to(tape)?;
    }
    Ok(())
}

/// Which crashes are recorded.
#[derive(Debug, Clone, Copy)]
pub struct Crashes {
    /// Also every pair that begins with a kill.
    pub pairs: bool,
    /// Of so many parts.
    pub of: usize,
    /// The number of the one that is recorded.
    pub part: usize,
}

/// Records crashes of the enumeration.
pub fn crashes(Crashes { pairs, of, part }: Crashes, to: &mut Sink<'_>) -> io::Result<()> {
    let doubles: &[_] = if pairs { &[KILLED] } else { &[] };
    record(&catalogue::all(), Part { doubles, of, part }, &mut |lines| to(lines)).map(|_runs| ())
}
