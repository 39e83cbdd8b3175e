//! The node's side on real block devices: `make test-volumes`, which needs the real root.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "blocks/disk.rs"]
mod disk;
#[path = "blocks/hanging.rs"]
mod hanging;
#[path = "support/node.rs"]
mod node;
#[path = "blocks/table.rs"]
mod table;

use std::process::ExitCode;

use firecamp_testkit::netns::{Case, cases, run_entering};

const CASES: &[Case] = cases![
    table::{
        an_ext4_volume_is_seen_with_its_device_and_room,
        an_xfs_volume_is_seen_with_its_device_and_room,
        f084_a_device_with_the_serial_of_a_volume_is_that_volume,
        a_partition_is_a_part_of_its_volume,
        a_remounted_ext4_or_xfs_is_reported,
        an_ext4_that_fails_is_reported_though_no_mount_changes,
        an_ext4_that_fills_up_is_reported,
        an_xfs_that_fills_up_is_reported,
        an_ext4_without_inodes_is_reported,
        a_device_that_comes_and_goes_is_told,
    },
    hanging::{
        f051_a_filesystem_that_never_answers_is_reported_and_holds_up_nothing,
        f051_a_hundred_looks_at_it_hold_one_thread,
    },
];

fn main() -> ExitCode {
    run_entering(CASES, disk::enter)
}
