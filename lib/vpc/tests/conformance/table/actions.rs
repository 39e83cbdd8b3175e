//! The actions: sections 1 and 2.

use super::{Row, Section, not, served, unverified};

const LATER: &str = "not implemented";
const SCOPE: &str = "out of scope";

/// The sections.
pub const SECTIONS: &[Section] = &[
    Section { title: "Invariants (section 1)", rows: INVARIANTS },
    Section { title: "Wire protocol (section 2.0)", rows: PROTOCOL },
    Section { title: "AssignPrivateIpAddresses (section 2.1)", rows: ASSIGN },
    Section { title: "UnassignPrivateIpAddresses (section 2.2)", rows: UNASSIGN },
    Section { title: "DescribeNetworkInterfaces (section 2.3)", rows: INTERFACES },
    Section { title: "DescribeInstances (section 2.4)", rows: INSTANCES },
    Section { title: "DescribeSubnets (section 2.5)", rows: SUBNETS },
    Section { title: "DescribeInstanceTypes (section 2.11)", rows: TYPES },
    Section { title: "CIDR reservations (section 2.12)", rows: RESERVATIONS },
];

const INVARIANTS: &[Row] = &[
    served("M1 one owner; a move is one step", "assign::a_move_is_one_commit_without_a_gap"),
    served("M2 primary address: not unassigned", "unassign::the_primary_cannot_be_unassigned"),
    served(
        "M2 primary address: not reassigned",
        "assign::the_primary_address_of_another_eni_cannot_be_reassigned",
    ),
    served("M3 the ENI's own subnet", "assign::an_address_outside_the_subnet_is_refused"),
    served("M4 reserved addresses", "assign::a_reserved_address_is_refused"),
    unverified(
        "M5 free count, 16 for a prefix",
        "describe::the_free_count_includes_16_addresses_per_prefix_and_lags",
    ),
    not("M6 security groups", "every ENI has the same group"),
    not("M7 Elastic IPs follow their address", LATER),
    served("M8 all or nothing", "assign::several_addresses_are_assigned_all_or_none"),
    not("M9 IPv6", SCOPE),
    served(
        "M10 unattached ENIs, stopped instances",
        "assign::secondary_addresses_may_be_added_to_unattached_enis_and_on_stopped_instances",
    ),
    served(
        "M11 ENIs of a terminated instance",
        "describe::enis_without_delete_on_termination_survive_their_instance",
    ),
    served(
        "M11 an ENI that was attached later",
        "simulator::interfaces::an_eni_that_was_attached_later_outlives_its_instance",
    ),
    served("M11 a stopped instance", "describe::a_stopped_instance_keeps_its_addresses"),
    served(
        "M12 a freed address is taken, unless reserved",
        "faults::a_freed_address_is_taken_by_others_unless_it_is_reserved",
    ),
    served("M13 slots of the type", "assign::the_address_limit_of_the_instance_type_is_enforced"),
    served("M13 prefixes take slots", "assign::prefixes_count_towards_the_limit"),
    unverified("M13 50 slots of an unattached ENI", "assign::an_unattached_eni_has_50_slots"),
    served("M14 volumes", "simulator::volumes::invalid_volume_actions_are_refused"),
];

const PROTOCOL: &[Row] = &[
    served("requests of the SDK", "protocol::the_sdk_and_the_simulator_understand_each_other"),
    served(
        "response: root, request ID, sets; both ID headers",
        "protocol::answers_are_ec2_xml_with_request_ids_in_two_headers",
    ),
    served("error body", "protocol::errors_are_ec2_xml"),
    served("DryRun of a Describe", "describe::a_dry_run_would_have_succeeded"),
    served("ClientToken", "simulator::interfaces::a_client_token_creates_one_eni"),
    unverified(
        "DryRun of a change: existence is checked, limits are not",
        "simulator::interfaces::a_dry_run_changes_nothing",
    ),
    served(
        "the first unknown id fails a call",
        "describe::the_first_unknown_id_fails_the_whole_call",
    ),
    served(
        "filters: AND, OR, wildcards, unknown values and names",
        "describe::interface_filters_narrow_and_unknown_ones_are_refused",
    ),
    unverified("200 filter values", "protocol::too_many_filter_values_are_refused"),
    served("MaxResults has bounds", "describe::page_sizes_have_bounds"),
    served("MaxResults not with ids", "describe::ids_and_a_page_size_cannot_be_combined"),
    served("short pages", "describe::every_page_size_gives_the_same_listing"),
    served("empty pages", "describe::a_page_may_be_empty_and_have_a_next_token"),
    served(
        "a repeated token",
        "describe::a_looping_token_ends_the_paginator_of_the_sdk_without_an_error",
    ),
    unverified("stale or foreign token", "describe::a_foreign_or_expired_token_is_refused"),
    served("managed resources are hidden", "describe::a_hidden_eni_is_shown_only_on_request"),
    served(
        "401 AuthFailure; 403 SignatureDoesNotMatch (status unverified)",
        "protocol::an_unknown_key_is_an_auth_failure_and_a_wrong_secret_does_not_match",
    ),
    unverified("no signature; 400 IncompleteSignature", "protocol::no_signature_at_all_is_refused"),
    served(
        "400 RequestExpired",
        "protocol::a_skewed_clock_and_expired_credentials_are_expired_requests",
    ),
    served("403 UnauthorizedOperation", "protocol::iam_denies_by_action_and_resource"),
    served(
        "OptInRequired, Blocked, InternalError, Unavailable, InvalidIPAddress.InUse",
        "protocol::a_fault_can_return_any_documented_error",
    ),
    served(
        "InvalidAction, UnknownParameter, InvalidParameterValue",
        "protocol::unknown_actions_versions_parameters_and_requests_are_refused",
    ),
    not("GET requests with the query in the URL", "the SDK sends POST; refused with 400"),
    not("SigV4 in the query (presigned)", "the SDK signs in headers; refused with 401"),
];

const ASSIGN: &[Row] = &[
    served("explicit addresses", "assign::a_free_address_is_assigned"),
    served(
        "`assigned, but move is not allowed.`; AllowReassignment",
        "assign::an_address_on_another_eni_needs_allow_reassignment",
    ),
    unverified(
        "Resource.AlreadyAssigned (fault)",
        "assign::a_fault_sets_the_code_resource_already_assigned",
    ),
    unverified(
        "`secondary-addresses`: another ENI's primary",
        "assign::the_primary_address_of_another_eni_cannot_be_reassigned",
    ),
    served("outside the subnet", "assign::an_address_outside_the_subnet_is_refused"),
    unverified("reserved: which of two texts", "assign::a_reserved_address_is_refused"),
    served("no IPv4 address", "assign::a_malformed_address_is_refused"),
    unverified("the same address twice", "assign::a_duplicate_address_is_refused"),
    served(
        "PrivateIpAddressLimitExceeded",
        "assign::the_address_limit_of_the_instance_type_is_enforced",
    ),
    served("the limit of a type (fault)", "assign::a_fault_changes_the_limit_of_an_instance_type"),
    served("count mode", "assign::a_count_is_assigned_from_free_addresses_outside_reservations"),
    served("InsufficientFreeAddressesInSubnet", "assign::assign_by_count_fails_in_a_full_subnet"),
    served("`sufficient free Ipv4 addresses or prefixes`", "assign::a_full_subnet_has_two_errors"),
    served("prefix count mode; InsufficientCidrBlocks", "assign::prefixes_are_whole_free_blocks"),
    unverified("prefixes by name", "assign::an_explicit_prefix_must_be_free_and_in_the_subnet"),
    unverified(
        "an address of a prefix",
        "assign::a_single_address_of_a_prefix_cannot_be_reassigned",
    ),
    served("InvalidNetworkInterfaceID.NotFound", "assign::an_unknown_eni_is_refused"),
    unverified(
        "InvalidNetworkInterfaceId.Malformed: text",
        "assign::a_malformed_eni_id_is_refused",
    ),
    served("MissingParameter", "assign::an_assign_without_addresses_is_a_missing_parameter"),
    served("InvalidParameterCombination", "assign::conflicting_assign_parameters_are_refused"),
    unverified("OperationNotPermitted: managed ENI", "assign::a_managed_eni_cannot_be_changed"),
    unverified(
        "an own address: success, or an error by a knob",
        "assign::assigning_an_address_already_held_succeeds_unless_a_fault_is_set",
    ),
    unverified("the own primary", "assign::an_enis_own_primary_address_cannot_be_assigned"),
    served("no DryRun, no ClientToken", "assign::there_is_no_dry_run_and_no_client_token"),
    served("a late call takes the address back", "assign::a_late_call_reassigns_the_address"),
    not("order of checks as a knob", "the order is fixed; no test may depend on it"),
];

const UNASSIGN: &[Row] = &[
    served("addresses", "unassign::an_address_of_the_eni_is_unassigned"),
    unverified("prefixes", "unassign::a_prefix_is_unassigned_as_a_whole"),
    served(
        "`are not assigned to interface`; nothing is removed",
        "unassign::an_address_that_is_not_on_the_eni_is_refused_and_nothing_is_removed",
    ),
    unverified("primary: text", "unassign::the_primary_cannot_be_unassigned"),
    served("MissingParameter", "unassign::an_empty_list_is_a_missing_parameter"),
    served(
        "ENI unknown, malformed, managed",
        "unassign::an_unknown_or_malformed_or_managed_eni_is_refused",
    ),
    served("a comparison with the owner", "unassign::unassign_is_a_compare_and_swap_on_the_owner"),
    not("an Elastic IP is disassociated", LATER),
];

const INTERFACES: &[Row] = &[
    served("owner look-up; fields", "describe::the_owner_of_an_address_is_found_by_filter"),
    served("filters", "describe::interface_filters_narrow_and_unknown_ones_are_refused"),
    served("by id: NotFound, Malformed", "describe::the_first_unknown_id_fails_the_whole_call"),
    served("/28 prefixes", "describe::addresses_of_a_prefix_are_not_listed_one_by_one"),
    served("hidden ENIs", "describe::a_hidden_eni_is_shown_only_on_request"),
    not("associations, IPv6, other filters", "refused with `The filter 'x' is invalid`"),
];

const INSTANCES: &[Row] = &[
    served("fields", "describe::instances_are_described_with_their_enis"),
    served("filters", "describe::instance_filters_narrow"),
    served("InvalidInstanceID.NotFound", "describe::an_unknown_instance_is_refused"),
    served(
        "terminated: listed for an hour",
        "describe::a_terminated_instance_stays_listed_for_an_hour",
    ),
    served(
        "block devices; they disagree with DescribeVolumes for a while",
        "simulator::volumes::describe_volumes_and_describe_instances_disagree_for_a_while",
    ),
    unverified(
        "a block device that is busy",
        "simulator::volumes::an_attachment_is_stuck_as_long_as_the_fault_lasts",
    ),
    not("pending, stopping, shutting-down", "an instance changes its state at once"),
];

const SUBNETS: &[Row] = &[
    served("fields, filters", "describe::subnets_are_described_with_their_free_addresses"),
    served("InvalidSubnetID.NotFound", "describe::an_unknown_subnet_is_refused"),
    unverified(
        "lag of the free count",
        "describe::the_free_count_includes_16_addresses_per_prefix_and_lags",
    ),
];

const TYPES: &[Row] = &[served(
    "limits, filters, InvalidInstanceType (text unverified)",
    "describe::instance_types_are_described_with_their_limits",
)];

const RESERVATIONS: &[Row] = &[
    served("explicit ones; filters", "describe::the_explicit_reservations_of_a_subnet_are_listed"),
    served(
        "InvalidSubnetID.NotFound, MissingParameter",
        "describe::invalid_reservation_requests_are_refused",
    ),
    served(
        "created; not for automatic assignment",
        "creation::a_created_reservation_is_listed_and_keeps_its_addresses_from_automatic_assignment",
    ),
    served("deleted", "creation::a_deleted_reservation_frees_its_addresses"),
    unverified("refusals: codes and texts", "creation::an_invalid_reservation_is_refused"),
    not("those for prefixes, tags, descriptions", "refused"),
];
