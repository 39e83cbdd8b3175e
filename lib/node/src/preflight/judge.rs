//! From facts to conditions, without clock and I/O.

mod account;
mod cloud;
mod cluster;
pub mod enis;
mod host;

use crate::preflight::condition::Condition;
use crate::preflight::facts::Facts;

/// The conditions that follow from the facts, in the order of their types. A type whose check does
/// not apply is left out. [`summary`](crate::preflight::summary) summarizes them.
pub fn judge(facts: &Facts) -> Vec<Condition> {
    let found = [
        Some(cloud::metadata(facts)),
        Some(cloud::rights(facts)),
        Some(enis::usable(facts)),
        enis::tagged(facts),
        enis::linked(facts),
        enis::survives(facts),
        account::reserved(facts),
        enis::groups(facts),
        account::slots(facts),
        cluster::node_address(facts),
        host::rules(facts),
        cluster::sources(facts),
        Some(host::networkd(facts)),
        Some(host::net_utils(facts)),
        Some(host::net_admin(facts)),
        Some(cloud::clock(facts)),
        Some(host::run_dir(facts)),
    ];
    found.into_iter().flatten().collect()
}
