//! The node's side against the real kernel, as any user: mounts of tmpfs in namespaces of their
//! own.
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
        a_mount_with_an_odd_name_is_listed_and_asked,
        mounts_of_one_filesystem_are_one_volume_however_often_it_is_mounted,
        a_filesystem_that_becomes_read_only_is_reported,
        a_mount_that_becomes_read_only_is_told_from_its_filesystem,
        a_volume_that_fills_up_is_reported_until_it_has_been_emptied,
        a_volume_that_runs_out_of_inodes_is_reported,
        f086_a_member_without_its_mount_is_reported,
        a_filesystem_that_is_hidden_or_gone_is_not_taken_for_another,
        mount_points_may_begin_elsewhere,
    },
    changes::{
        a_mount_a_remount_and_an_unmount_are_told,
        a_change_while_nobody_waits_is_told_to_the_next_who_does,
        giving_up_waiting_loses_no_change,
        many_changes_are_told_and_then_none,
    },
];

fn main() -> ExitCode {
    run(CASES)
}
