//! The volumes of a node on the real kernel, as any user: tmpfs mounts in separate namespaces.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "mounts/changes.rs"]
mod changes;
#[path = "support/node.rs"]
mod node;
#[path = "mounts/table.rs"]
mod table;

use std::process::ExitCode;

use firecamp_testkit::netns::{Case, cases, run};

const CASES: &[Case] = cases![
    table::{
        mount_point_with_special_characters_is_listed_and_queried,
        several_mounts_of_one_filesystem_are_one_volume,
        a_filesystem_that_becomes_read_only_is_reported,
        a_read_only_mount_differs_from_a_read_only_filesystem,
        a_full_volume_is_reported_until_space_is_freed,
        a_volume_that_runs_out_of_inodes_is_reported,
        f086_a_member_without_its_mount_is_reported,
        hidden_or_unmounted_filesystem_is_not_confused_with_another,
        mount_points_are_resolved_below_the_configured_root,
    },
    changes::{
        mount_remount_and_unmount_are_changes,
        a_change_without_a_waiter_wakes_the_next_waiter,
        a_cancelled_wait_loses_no_change,
        changes_end_after_a_burst_of_mounts,
    },
];

fn main() -> ExitCode {
    run(CASES)
}
