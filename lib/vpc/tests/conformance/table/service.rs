//! Errors, timing, throttling, metadata: sections 3 to 6, and faults: section 11.

use super::{Row, Section, not, served, unverified};

/// The sections.
pub const SECTIONS: &[Section] = &[
    Section { title: "Errors as the SDK reports them (section 3)", rows: ERRORS },
    Section { title: "Timing (section 4)", rows: TIMING },
    Section { title: "IMDS pathologies (section 4)", rows: PATHOLOGIES },
    Section { title: "Throttling (section 5)", rows: THROTTLING },
    Section { title: "IMDSv2 (section 6)", rows: METADATA },
    Section { title: "Faults (section 11)", rows: KNOBS },
];

const ERRORS: &[Row] = &[
    served("error XML", "assign::an_unknown_eni_is_refused"),
    served(
        "500, 502, 503, 504 with XML, HTML or no body",
        "faults::error_statuses_have_an_xml_html_or_empty_body",
    ),
    served(
        "200 with an empty body",
        "faults::an_empty_200_looks_like_a_refusal_of_a_committed_write",
    ),
    served("200, body cut short", "faults::a_truncated_body_is_a_response_error_after_the_commit"),
    served(
        "bare 400, 408, 429, 501; 400 Throttling; numbers of requests",
        "faults::the_sdk_retries_the_code_throttling_but_not_a_bare_408_or_429",
    ),
    served("200 headers, then silence", "faults::silence_after_the_headers_is_an_error"),
    served("closed before any header", "faults::a_call_with_a_lost_response_may_have_taken_effect"),
    not("connection refused", "belongs to the sockets in front of the simulator"),
    served("no header at all", "faults::a_call_without_a_response_ends_at_the_client_timeout"),
    served("retries of the SDK", "faults::the_sdk_retries_a_lost_write"),
];

const TIMING: &[Row] = &[
    served("the timing table", "timing::the_realistic_profile_matches_the_timing_table"),
    served(
        "Describe, Assign latency; remap; add lag",
        "timing::latencies_and_lags_are_drawn_from_their_distributions",
    ),
    served("a call takes effect within T", "assign::a_call_takes_effect_within_t_of_its_arrival"),
    unverified("data-path remap", "timing::the_data_path_switches_some_time_after_a_move"),
    unverified("Describe lag; reads never go back", "timing::reads_lag_and_never_go_back"),
    served(
        "add: never listed before the data path",
        "timing::the_metadata_service_never_lists_an_address_before_the_data_path_has_switched",
    ),
    served("removal lag", "timing::a_removed_address_stays_listed_for_a_while"),
    served("ENI detach", "timing::detaching_takes_time_and_addresses_stay"),
    unverified(
        "free-count lag",
        "describe::the_free_count_includes_16_addresses_per_prefix_and_lags",
    ),
    served("hot-plug", "simulator::interfaces::an_eni_is_attached_in_stages"),
    served(
        "EBS attach, detach",
        "simulator::volumes::a_volume_is_in_use_before_it_is_attaching_and_then_attached",
    ),
    not("Elastic IPs", "out of scope"),
];

const PATHOLOGIES: &[Row] = &[
    served("frozen", "metadata::a_frozen_service_keeps_showing_one_state"),
    served(
        "ghost, missing, partial, device number 0",
        "metadata::faults_add_a_ghost_omit_an_eni_and_break_its_keys",
    ),
    served(
        "partial for a hot-plugged ENI: bare, device number 0, whole",
        "simulator::interfaces::the_metadata_of_a_new_eni_appears_in_stages",
    ),
    served(
        "missing after a reboot",
        "simulator::instance_lifecycle::after_a_reboot_the_metadata_may_list_only_the_primary_eni",
    ),
    served(
        "empty on error",
        "metadata::faults_make_the_service_fail_stay_silent_or_return_nothing",
    ),
];

const THROTTLING: &[Row] = &[
    served("Assign 100/5", "protocol::the_bucket_of_assign_holds_100_and_refills_5_a_second"),
    unverified(
        "unfiltered reads 50/10",
        "protocol::reads_without_filter_and_page_size_have_a_smaller_bucket",
    ),
    served(
        "both messages; x-amz-retry-after",
        "protocol::a_throttle_storm_has_two_forms_and_an_optional_retry_after",
    ),
    served("another bucket (fault)", "protocol::a_fault_changes_the_token_bucket"),
];

const METADATA: &[Row] = &[
    served("token, TTL header repeated", "metadata::a_token_is_needed_and_its_ttl_is_repeated"),
    served("400: TTL missing or bad", "metadata::an_invalid_or_missing_ttl_is_400"),
    unverified(
        "403: dated path, X-Forwarded-For (wording unverified)",
        "metadata::a_put_to_a_dated_path_or_through_a_proxy_is_403",
    ),
    served(
        "401; tokens are per instance and expire",
        "metadata::a_missing_invalid_expired_or_foreign_token_is_401",
    ),
    served("404", "metadata::an_unknown_item_is_404_and_an_unsupported_method_is_405"),
    served("503, silence", "metadata::faults_make_the_service_fail_stay_silent_or_return_nothing"),
    not("403: IMDS disabled", "it is always on; `imds_error` gives the status"),
    served("hop limit", "metadata::a_hop_limit_that_is_too_low_looks_like_a_timeout"),
    served("a revoked token", "metadata::revoked_tokens_stay_refused_and_new_ones_work"),
    unverified(
        "1024 packets/s (how many a request has: unverified)",
        "metadata::requests_above_the_packet_limit_are_dropped",
    ),
    not("the limit of connections", "no public number"),
    served("paths of the instance", "metadata::the_paths_of_an_instance_exist"),
    served("paths of an ENI", "metadata::the_paths_of_an_eni_exist"),
    served(
        "iam/info, iam/security-credentials/",
        "metadata::the_default_credential_chain_finds_the_role_and_ec2_accepts_it",
    ),
    not("tags/instance/, block-device-mapping/, events/, autoscaling/", "404"),
    served("a stopped instance", "metadata::the_service_of_a_stopped_instance_is_silent"),
    not("the IPv6 address", "out of scope"),
];

const KNOBS: &[Row] = &[
    served("lost_response", "faults::a_call_with_a_lost_response_may_have_taken_effect"),
    served("slow (`delay`)", "faults::a_delay_delays_the_response_but_not_the_effect"),
    served("hang", "faults::a_call_without_a_response_ends_at_the_client_timeout"),
    served("late_landing", "assign::a_late_call_reassigns_the_address"),
    served(
        "stale_describe, describe_time_travel",
        "timing::a_stale_describe_shows_the_past_and_time_travel_goes_back",
    ),
    served("describe_omits", "timing::describe_can_omit_an_eni"),
    served("external_reassignment", "faults::an_external_reassignment_happens_once_or_repeatedly"),
    served(
        "external_unassign, auto_assign_pressure",
        "faults::a_freed_address_is_taken_by_others_unless_it_is_reserved",
    ),
    served("reassign, unassign, strip (acts)", "faults::acts_perform_the_actions_of_other_parties"),
    served(
        "reboot (act)",
        "simulator::instance_lifecycle::a_reboot_keeps_attachments_and_increments_the_boot_count",
    ),
    served(
        "limit of ENIs (`eni_limit`), of the account (`eni_quota`)",
        "simulator::limits::the_account_has_a_quota_of_enis",
    ),
    served("volume_stuck", "simulator::volumes::an_attachment_is_stuck_as_long_as_the_fault_lasts"),
    not("ipamd, az_outage, instance_unreachable", "see the acts `stop`, `reboot`, `reassign`"),
    not("by_id_stale", "belongs to the kernel, not to EC2"),
];
