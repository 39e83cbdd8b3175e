//! The volumes of a node on real block devices: `make test-volumes`, which needs the real root.
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
        an_ext4_volume_is_reported_with_its_device_and_free_space,
        an_xfs_volume_is_reported_with_its_device_and_free_space,
        f084_nvme_serial_identifies_the_volume,
        a_partition_belongs_to_the_volume_of_its_disk,
        a_remounted_ext4_or_xfs_is_reported,
        an_ext4_error_is_reported_although_no_mount_changes,
        an_ext4_that_fills_up_is_reported,
        an_xfs_that_fills_up_is_reported,
        an_ext4_without_inodes_is_reported,
        attaching_and_detaching_a_device_is_a_change,
    },
    hanging::{
        f051_hanging_filesystem_is_reported_and_delays_no_other,
        f051_hundred_queries_of_a_hanging_filesystem_block_one_thread,
    },
];

fn main() -> ExitCode {
    run_entering(CASES, disk::enter)
}
