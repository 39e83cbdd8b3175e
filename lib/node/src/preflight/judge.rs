//! From facts to conditions, without clock and I/O.

mod files_and_kernel;
mod imds_permissions_and_clock;
pub mod interfaces;
mod node_object_and_snat;
mod subnets_and_volume_slots;

use crate::preflight::condition::Condition;
use crate::preflight::facts::Facts;

/// The conditions that follow from the facts, in the order of their types. A type whose check does
/// not apply is left out. [`summary`](crate::preflight::summary) summarizes them.
pub fn judge(facts: &Facts) -> Vec<Condition> {
    let found = [
        Some(imds_permissions_and_clock::metadata(facts)),
        Some(imds_permissions_and_clock::rights(facts)),
        Some(interfaces::usable(facts)),
        interfaces::tagged(facts),
        interfaces::linked(facts),
        interfaces::survives(facts),
        subnets_and_volume_slots::reserved(facts),
        interfaces::groups(facts),
        subnets_and_volume_slots::slots(facts),
        node_object_and_snat::node_address(facts),
        files_and_kernel::rules(facts),
        node_object_and_snat::sources(facts),
        Some(files_and_kernel::networkd(facts)),
        files_and_kernel::network_manager(facts),
        Some(files_and_kernel::net_utils(facts)),
        Some(files_and_kernel::net_admin(facts)),
        files_and_kernel::endpoint(facts),
        Some(imds_permissions_and_clock::clock(facts)),
        Some(files_and_kernel::run_dir(facts)),
    ];
    found.into_iter().flatten().collect()
}
