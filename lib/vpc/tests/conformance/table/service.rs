//! What goes wrong, timing, throttling, metadata: sections 3 to 6.

use super::{Row, Section, not, served, unverified};

/// The sections.
pub const SECTIONS: &[Section] = &[
    Section { title: "What the SDK hands over (section 3)", rows: ERRORS },
    Section { title: "Timing (section 4)", rows: TIMING },
    Section { title: "IMDS pathologies (section 4)", rows: PATHOLOGIES },
    Section { title: "Throttling (section 5)", rows: THROTTLING },
    Section { title: "IMDSv2 (section 6)", rows: METADATA },
    Section { title: "Knobs (section 11)", rows: KNOBS },
];

const ERRORS: &[Row] = &[
    served("error XML", "assign::an_unknown_eni_is_refused"),
    served(
        "500, 502, 503, 504 with XML, HTML or no body",
        "faults::statuses_come_with_xml_html_or_nothing",
    ),
    served(
        "200 with an empty body",
        "faults::an_empty_200_looks_like_a_refusal_of_a_committed_write",
    ),
    served(
        "200, body cut short",
        "faults::a_body_cut_short_is_a_response_error_and_the_effect_is_there",
    ),
    served(
        "bare 400, 408, 429, 501; 400 Throttling; numbers of requests",
        "faults::bare_408_and_429_are_not_retried_and_the_code_throttling_is",
    ),
    served("200 headers, then silence", "faults::headers_and_then_silence_is_an_error_too"),
    served("closed before any header", "faults::a_lost_response_leaves_the_effect_or_not"),
    not("connection refused", "a matter of the sockets in front of the simulator"),
    served("no header ever", "faults::silence_ends_at_the_timeout_that_was_set"),
    served("retries of the SDK", "faults::the_sdk_itself_sends_a_lost_write_again"),
];

const TIMING: &[Row] = &[
    served("the table itself", "timing::the_realistic_profile_is_that_of_the_timing_table"),
    served(
        "Describe, Assign latency; remap; add lag",
        "timing::latencies_and_lags_are_drawn_from_their_distributions",
    ),
    served("a call lands within T", "assign::a_call_lands_within_t_of_its_arrival"),
    unverified("data-path remap", "timing::the_data_path_follows_a_move_later"),
    unverified("Describe lag; reads never go back", "timing::reads_lag_and_never_go_back"),
    served(
        "add: never listed before the data path",
        "timing::the_metadata_service_never_lists_an_address_before_the_data_path_has_switched",
    ),
    served("removal lag", "timing::a_removed_address_stays_listed_for_a_while"),
    served("ENI detach", "timing::detaching_takes_time_and_addresses_stay"),
    unverified("free-count lag", "describe::the_free_count_has_16_for_a_prefix_and_lags"),
    served("hot-plug", "world::interfaces::an_eni_is_attached_by_and_by"),
    served(
        "EBS attach, detach",
        "world::volumes::a_volume_is_in_use_before_it_is_attaching_and_then_attached",
    ),
    not("Elastic IPs", "out of scope"),
];

const PATHOLOGIES: &[Row] = &[
    served("frozen", "metadata::a_frozen_service_stands_still"),
    served(
        "ghost, missing, partial, device number 0",
        "metadata::a_ghost_a_missing_eni_missing_keys_and_a_wrong_index_can_be_had",
    ),
    served(
        "partial for a hot-plugged ENI: bare, device number 0, whole",
        "world::interfaces::the_metadata_of_a_new_eni_is_bare_then_unnumbered_then_whole",
    ),
    served(
        "missing after a reboot",
        "world::power::after_a_reboot_the_metadata_may_lack_every_eni_but_the_primary",
    ),
    served("empty on error", "metadata::the_service_can_fail_be_silent_and_be_empty"),
];

const THROTTLING: &[Row] = &[
    served("Assign 100/5", "protocol::the_bucket_of_assign_holds_100_and_refills_5_a_second"),
    unverified(
        "unfiltered reads 50/10",
        "protocol::reads_without_filter_and_page_size_have_a_smaller_bucket",
    ),
    served(
        "both messages; x-amz-retry-after",
        "protocol::a_throttle_storm_has_two_forms_and_may_say_when_to_come_again",
    ),
    served("another bucket (knob)", "protocol::another_bucket_is_a_knob"),
];

const METADATA: &[Row] = &[
    served("token, TTL header repeated", "metadata::a_token_is_needed_and_its_ttl_is_repeated"),
    served("400: TTL missing or bad", "metadata::a_bad_or_missing_ttl_is_400"),
    unverified(
        "403: dated path, X-Forwarded-For (wording unverified)",
        "metadata::a_put_to_a_dated_path_or_through_a_proxy_is_403",
    ),
    served(
        "401; tokens are per instance and expire",
        "metadata::no_token_or_a_bad_or_expired_or_foreign_one_is_401",
    ),
    served("404", "metadata::an_unknown_item_is_404_and_another_method_405"),
    served("503, silence", "metadata::the_service_can_fail_be_silent_and_be_empty"),
    not("403: IMDS disabled", "it is always on; `imds_error` gives the status"),
    served("hop limit", "metadata::a_hop_limit_that_is_too_low_looks_like_a_timeout"),
    served("a revoked token", "metadata::revoked_tokens_stay_refused_and_new_ones_work"),
    unverified(
        "1024 packets/s (how many a request has: unverified)",
        "metadata::above_its_rate_the_service_is_silent",
    ),
    not("the limit of connections", "no public number"),
    served("paths of the instance", "metadata::the_paths_of_an_instance_are_there"),
    served("paths of an ENI", "metadata::the_paths_of_an_eni_are_there"),
    served(
        "iam/info, iam/security-credentials/",
        "metadata::the_default_credential_chain_finds_the_role_and_ec2_accepts_it",
    ),
    not("tags/instance/, block-device-mapping/, events/, autoscaling/", "404"),
    served("a stopped instance", "metadata::the_service_of_a_stopped_instance_is_silent"),
    not("the IPv6 address", "out of scope"),
];

const KNOBS: &[Row] = &[
    served("lost_response", "faults::a_lost_response_leaves_the_effect_or_not"),
    served("slow (`delay`)", "faults::a_delay_delays_the_answer_and_not_the_effect"),
    served("hang", "faults::silence_ends_at_the_timeout_that_was_set"),
    served("late_landing", "assign::a_late_landing_steals_the_address_back"),
    served(
        "stale_describe, describe_time_travel",
        "timing::a_stale_describe_shows_the_past_and_time_travel_goes_back",
    ),
    served("describe_omits", "timing::describe_can_leave_out_an_eni"),
    served("thief", "faults::a_thief_comes_once_or_again_and_again"),
    served(
        "thief_unassign, auto_assign_pressure",
        "faults::a_freed_address_is_taken_by_others_unless_it_is_reserved",
    ),
    served("steal, unassign, strip (acts)", "faults::acts_do_what_others_do"),
    served("reboot (act)", "world::power::a_reboot_keeps_everything_and_is_another_boot"),
    served(
        "limit of ENIs (`eni_limit`), of the account (`eni_quota`)",
        "world::limits::the_account_has_a_quota_of_enis",
    ),
    served("volume_stuck", "world::volumes::an_attachment_is_stuck_as_long_as_the_fault_lasts"),
    not("ipamd, az_outage, instance_unreachable", "see the acts `stop`, `reboot`, `steal`"),
    not("by_id_stale", "a matter of the kernel, not of EC2"),
];
