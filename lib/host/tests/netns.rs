//! The host crate against the real kernel, in network namespaces of its own.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "netns/addresses.rs"]
mod addresses;
#[path = "netns/cleanup.rs"]
mod cleanup;
#[path = "netns/file.rs"]
mod file;
#[path = "netns/fixture.rs"]
mod fixture;
#[path = "netns/foreign.rs"]
mod foreign;
#[path = "netns/leaks.rs"]
mod leaks;
#[path = "netns/links.rs"]
mod links;
#[path = "netns/locking.rs"]
mod locking;
#[path = "netns/monitor.rs"]
mod monitor;
#[path = "netns/others.rs"]
mod others;
#[path = "netns/packets.rs"]
mod packets;
#[path = "netns/routing.rs"]
mod routing;
#[path = "netns/sockets.rs"]
mod sockets;

use std::process::ExitCode;

use firecamp_testkit::netns::{Case, cases, run};

/// Every case there is.
const CASES: &[Case] = cases![
    addresses::{
        f004_adding_again_changes_nothing_and_leaves_one_address,
        f023_a_removal_for_an_old_epoch_changes_nothing,
        f024_only_the_exact_address_is_removed,
        f024_the_same_address_with_another_prefix_is_another_address,
        f064_a_foreign_address_counts_as_present_and_stays,
        f069_the_nodes_source_addresses_stay_as_they_were,
        f069_the_address_survives_the_deletion_of_a_primary,
        f101_a_hostile_file_names_an_address_that_nobody_touches,
        f111_a_late_removal_of_the_pods_first_life_changes_nothing,
        an_address_is_permanent_global_and_without_broadcast,
        an_address_of_ours_on_another_link_moves_to_the_enis_link,
        a_kernel_without_tags_removes_only_what_is_on_record,
        what_is_seen_is_what_is_there,
        an_assign_that_is_noted_is_told_to_the_next_process,
    },
    links::{
        f015_a_rename_between_two_operations_changes_nothing,
        f015_a_link_that_came_back_with_another_index_is_found,
        f068_a_link_that_is_down_is_brought_up_with_the_primarys_mtu,
        f068_a_link_that_somebody_has_configured_is_left_down,
        f068_an_eni_that_is_plugged_in_later_is_seen_with_an_index_of_its_own,
        f068_an_eni_that_the_system_left_down_is_brought_up_bare_and_with_the_primarys_mtu,
        a_configured_link_keeps_its_mtu,
        a_virtual_link_with_the_same_mac_is_not_chosen,
        two_devices_with_one_mac_are_refused_by_name,
        a_port_of_a_bridge_is_refused_by_name,
        a_mac_that_no_link_has_changes_nothing,
    },
    routing::{
        f004_routing_added_again_changes_nothing,
        f004_partial_routing_is_completed,
        f065_two_enis_in_one_subnet_answer_arp_for_their_own_addresses_only,
        f066_strict_filtering_of_the_link_or_of_all_becomes_loose,
        f066_filtering_that_is_not_strict_is_left_alone,
        removal_leaves_everything_foreign_in_place,
        routes_stay_while_another_address_needs_the_table,
        a_foreign_route_in_the_table_is_an_error_that_names_it,
        an_equal_foreign_route_is_success_and_stays,
        a_rule_for_another_table_gives_way,
        what_an_interrupted_removal_left_is_removed,
        link_down_and_up_is_mended_by_adding_again,
    },
    monitor::{
        f063_what_somebody_strips_is_told_at_once,
        rules_routes_and_links_are_told_as_well,
        what_is_foreign_or_wider_is_not_told,
        f039_news_that_were_dropped_are_told_as_an_overrun,
        f034_a_survey_tells_ours_from_foreign_and_what_is_on_record,
        a_survey_before_anything_was_done_is_empty,
        a_survey_has_what_others_configure_with_a_wider_block_as_foreign,
    },
    others::{
        f067_foreign_rules_are_listed_and_stay,
        f067_chains_that_rewrite_sources_are_listed_and_stay,
    },
    packets::{
        f065_a_packet_from_the_address_leaves_by_its_own_eni,
        f066_a_packet_to_the_address_is_accepted_under_strict_filtering,
    },
    sockets::{
        listeners_connections_and_datagrams_are_counted_for_the_exact_address,
        dual_stack_sockets_count_for_the_address,
        time_wait_is_not_use,
        a_half_open_connection_is_use,
        wildcards_and_neighbours_are_not_use,
    },
    locking::{
        a_frozen_holder_makes_others_give_up_and_is_named,
        a_cancelled_operation_frees_the_lock,
        two_addresses_of_one_eni_attach_and_detach_side_by_side,
        a_torn_record_stops_removal_and_is_mended_by_adding,
        f066_a_strict_filter_that_cannot_be_made_loose_is_an_error,
        the_record_is_written_before_the_kernel_is_changed,
        without_privileges_the_kernels_refusal_is_reported,
    },
    file::{
        f011_the_file_of_another_member_is_overwritten,
        f012_a_full_disk_is_found_by_the_probe,
        f012_a_disk_without_inodes_is_found_by_the_probe,
        f012_a_read_only_disk_is_found_by_the_probe,
        f086_a_directory_that_is_no_mount_is_refused,
    },
    foreign::{
        f034_a_thousand_random_cycles_leave_what_is_foreign_as_it_was,
        f089_what_is_withheld_is_out_of_the_kernel_and_stays_its_holders,
        everything_is_listed_whoever_made_it_and_nothing_is_changed,
    },
    cleanup::{
        f099_what_is_left_goes_and_what_is_foreign_stays_and_a_second_time_nothing_changes,
        f099_what_a_socket_uses_stays_until_it_is_closed,
        f099_a_table_stays_for_the_member_that_still_has_a_rule,
        f099_who_acts_after_the_look_keeps_the_address,
        f099_what_a_later_version_made_is_seen_and_stays,
        f099_an_agent_is_seen_and_kept_from_beginning,
        f097_what_a_version_that_is_not_understood_holds_is_left_alone_until_its_next_life,
        f097_who_gives_way_takes_out_what_such_a_version_left,
    },
    leaks::{f110_ten_thousand_cycles_leave_nothing_behind},
];

fn main() -> ExitCode {
    run(CASES)
}
