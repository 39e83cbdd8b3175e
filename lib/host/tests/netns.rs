//! The host crate on the real kernel, in separate network namespaces.
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
#[path = "netns/endpoint.rs"]
mod endpoint;
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
#[path = "netns/members_table.rs"]
mod members_table;
#[path = "netns/monitor.rs"]
mod monitor;
#[path = "netns/others.rs"]
mod others;
#[path = "netns/packets.rs"]
mod packets;
#[path = "netns/pod_fixture.rs"]
mod pod_fixture;
#[path = "netns/pod_steps.rs"]
mod pod_steps;
#[path = "netns/pods.rs"]
mod pods;
#[path = "netns/routing.rs"]
mod routing;
#[path = "netns/sockets.rs"]
mod sockets;

use std::process::ExitCode;

use firecamp_testkit::netns::{Case, cases, run};

/// All cases.
const CASES: &[Case] = cases![
    addresses::{
        f004_adding_again_changes_nothing_and_leaves_one_address,
        f023_a_removal_for_an_old_epoch_changes_nothing,
        f024_only_the_exact_address_is_removed,
        f024_same_address_with_another_prefix_is_left_alone,
        f064_a_foreign_address_counts_as_present_and_stays,
        f069_source_addresses_of_the_node_do_not_change,
        f069_static_address_survives_the_deletion_of_the_primary_address,
        f101_content_of_a_manipulated_file_changes_no_other_address,
        f111_late_removal_by_an_earlier_incarnation_changes_nothing,
        an_address_is_permanent_global_and_without_broadcast,
        own_address_on_another_link_moves_to_the_link_of_the_eni,
        on_a_kernel_without_tags_only_recorded_addresses_are_removed,
        kernel_view_follows_every_change,
        recorded_assign_time_is_visible_to_later_reads,
    },
    endpoint::{
        endpoint_gets_a_link_of_its_own_once,
        endpoint_takes_no_address_and_no_link_of_others,
        endpoint_is_no_address_of_a_member_and_cleanup_removes_it,
    },
    links::{
        f015_a_rename_between_two_operations_changes_nothing,
        f015_link_that_reappears_with_another_index_is_found,
        f068_link_that_is_down_is_set_up_with_the_mtu_of_the_primary,
        f068_configured_link_stays_down,
        f132_interface_with_a_members_address_alone_gets_its_own,
        f068_eni_that_is_attached_again_has_a_new_link_index,
        f068_unconfigured_eni_is_set_up_with_its_own_address_and_the_primary_mtu,
        a_configured_link_keeps_its_mtu,
        a_virtual_link_with_the_same_mac_is_not_chosen,
        two_devices_with_one_mac_are_refused_by_name,
        a_port_of_a_bridge_is_refused_by_name,
        a_mac_without_a_link_changes_nothing,
    },
    pods::{
        address_of_a_pod_on_a_bridge_is_reached_from_the_vpc_and_is_its_source_there,
        address_of_a_pod_on_a_veth_is_reached_from_the_vpc_and_is_its_source_there,
        cluster_and_link_local_addresses_see_the_pods_own_address,
        members_on_one_node_reach_each_other_at_their_addresses,
        f126_an_address_is_never_added_to_the_node_for_a_pod_with_its_own_network,
        f128_connection_names_its_namespace_and_a_forged_one_is_refused,
        f128_namespace_file_that_is_used_again_is_not_the_pods,
        f128_pod_whose_packets_another_one_relays_gets_the_address_and_the_relay_does_not,
        f129_new_sandbox_of_the_same_pod_gets_the_address,
        f129_what_the_end_of_a_sandbox_removes_is_not_missing,
        f131_address_that_a_crash_left_in_an_old_pod_is_found_and_removed,
        a_range_that_is_configured_no_longer_is_removed,
        f152_moving_between_the_node_and_a_pod_leaves_nothing_behind,
        f153_agent_restores_what_others_removed_inside_and_outside,
        sockets_are_counted_in_the_pod,
        f130_a_pod_that_answers_arp_for_the_address_gets_no_packets,
        f134_clients_of_the_endpoint_on_other_machines_are_told_from_pods,
        kernel_that_keeps_no_tags_is_refused_for_a_pod,
        f132_a_pod_is_served_once_the_interface_has_an_address_of_its_own,
        f154_a_pod_without_a_veth_or_without_ipv4_is_refused_and_nothing_changes,
    },
    pod_steps::{
        f113_successor_on_the_same_node_gets_the_address_in_one_step,
        f113_route_to_a_bridge_stays_while_a_successor_takes_over,
        release_removes_the_route_to_the_pod_before_the_address_in_it,
        f139_attach_that_ends_at_any_step_is_completed_by_the_next,
        f139_takeover_that_ends_at_any_step_is_completed_by_the_next,
        f152_move_to_a_pods_network_that_ends_at_any_step_is_completed_by_the_next,
    },
    members_table::{
        f133_a_plugin_that_rewrites_sources_does_not_rewrite_a_members,
        f133_a_plugin_that_rewrites_sources_does_not_hide_clients,
        f133_the_source_is_kept_on_the_interface_that_has_the_address_now,
        f150_a_pod_beside_a_member_that_moves_away_reaches_it_there,
        two_pods_share_one_table,
    },
    routing::{
        f004_routing_added_again_changes_nothing,
        f004_partial_routing_is_completed,
        f065_two_enis_in_one_subnet_answer_arp_only_for_their_own_addresses,
        f066_strict_filtering_of_the_link_or_of_all_becomes_loose,
        f066_loose_or_disabled_filtering_is_not_changed,
        removal_leaves_everything_foreign_in_place,
        routes_stay_while_another_address_needs_the_table,
        a_foreign_route_in_the_table_is_an_error_that_names_it,
        an_equal_foreign_route_is_success_and_stays,
        a_rule_for_an_old_table_is_replaced,
        routes_left_by_an_interrupted_removal_are_removed,
        adding_again_restores_a_link_that_was_set_down,
    },
    monitor::{
        f063_removed_address_causes_an_event,
        changes_of_rules_routes_and_links_cause_events,
        foreign_objects_and_wider_prefixes_cause_no_event,
        f039_dropped_events_are_reported_as_an_overrun,
        f034_snapshot_separates_own_from_foreign_addresses_and_has_the_lock_records,
        snapshot_of_an_unused_node_is_empty,
        snapshot_marks_addresses_with_a_wider_prefix_as_foreign,
    },
    others::{
        f067_foreign_rules_are_listed_and_stay,
        f067_snat_chains_are_listed_and_stay,
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
        a_hanging_lock_holder_makes_others_time_out_and_is_named,
        a_cancelled_operation_frees_the_lock,
        addresses_of_one_eni_attach_and_detach_concurrently,
        a_torn_record_blocks_removal_until_the_next_attach_replaces_it,
        f066_a_strict_filter_that_cannot_be_made_loose_is_an_error,
        the_record_is_written_before_the_kernel_is_changed,
        missing_privileges_are_reported_with_the_errno,
    },
    file::{
        f011_the_file_of_another_member_is_overwritten,
        f012_probe_fails_on_a_full_disk,
        f012_probe_fails_on_a_disk_without_free_inodes,
        f012_probe_fails_on_a_read_only_disk,
        f086_directory_that_is_not_a_mount_point_is_refused,
    },
    foreign::{
        f034_thousand_random_cycles_leave_foreign_objects_unchanged,
        f089_withheld_address_leaves_the_kernel_and_keeps_its_holder,
        listing_shows_own_and_foreign_objects_and_changes_nothing,
    },
    cleanup::{
        f099_cleanup_removes_own_objects_keeps_foreign_ones_and_is_idempotent,
        f099_own_address_of_an_interface_goes_last,
        f099_address_stays_while_a_socket_uses_it,
        f099_table_stays_while_a_rule_of_another_member_looks_it_up,
        f099_address_that_is_attached_after_the_plan_stays,
        f099_objects_of_a_later_version_are_reported_and_stay,
        f099_running_agent_is_detected_and_no_second_one_starts,
        f097_address_of_an_incompatible_version_stays_until_the_next_incarnation,
        f097_withdrawing_agent_removes_the_address_of_an_incompatible_version,
    },
    leaks::{f110_ten_thousand_cycles_leak_nothing},
];

fn main() -> ExitCode {
    run(CASES)
}
