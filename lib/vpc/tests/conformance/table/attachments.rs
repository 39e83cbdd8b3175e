//! Creating, attaching, tagging; volumes: sections 2.6 to 2.10, 2.13 and 7.

use super::{Row, Section, not, served, unverified};

const NOT_NEEDED: &str = "no FireCamp program calls it";

/// The sections.
pub const SECTIONS: &[Section] = &[
    Section { title: "CreateNetworkInterface (section 2.6)", rows: CREATE },
    Section { title: "Attach, Detach, DeleteNetworkInterface (section 2.7)", rows: ATTACH },
    Section { title: "ModifyNetworkInterfaceAttribute (section 2.8)", rows: MODIFY },
    Section { title: "CreateTags, DeleteTags (section 2.8)", rows: TAGS },
    Section { title: "DescribeVolumes (section 2.9)", rows: VOLUMES },
    Section { title: "EBS (sections 2.10 and 7)", rows: EBS },
    Section { title: "Other actions (sections 2.8, 2.10, 2.13)", rows: OTHERS },
];

const CREATE: &[Row] = &[
    served(
        "subnet, description, addresses, groups, tags from the start",
        "simulator::interfaces::an_eni_is_created_with_the_requested_attributes",
    ),
    served(
        "subnet, group, address errors; InvalidIPAddress.InUse; full subnet in two forms",
        "simulator::interfaces::invalid_create_requests_are_refused",
    ),
    served("NetworkInterfaceLimitExceeded", "simulator::limits::the_account_has_a_quota_of_enis"),
    served("IdempotentParameterMismatch", "simulator::interfaces::a_client_token_creates_one_eni"),
    served(
        "a new ENI is unknown to other calls; status `pending`",
        "simulator::interfaces::a_new_eni_is_pending_and_unknown_to_other_calls_for_a_while",
    ),
    served("trunk interfaces", "creation::a_trunk_is_created_and_described_as_one"),
    served(
        "a number of prefixes",
        "creation::an_interface_is_created_with_prefixes_beside_its_address",
    ),
    not(
        "prefixes by name, IPv6, other interface types",
        "refused as an unknown parameter or value",
    ),
];

const ATTACH: &[Row] = &[
    served(
        "attaching, attached; the kernel gets its link later",
        "simulator::interfaces::an_eni_is_attached_in_stages",
    ),
    served(
        "AttachmentLimitExceeded, also while one is detaching",
        "simulator::limits::the_eni_limit_of_the_instance_type_counts_detaching_enis",
    ),
    unverified(
        "AttachmentLimitExceeded where volumes share the slots",
        "simulator::limits::enis_and_volumes_share_their_slots_on_some_types",
    ),
    unverified(
        "PrivateIpAddressLimitExceeded of an attachment",
        "simulator::limits::an_eni_with_more_addresses_than_the_type_allows_is_not_attached",
    ),
    served(
        "device index taken, 0 (text unverified), zone, in use, ids, primary ENI, card",
        "simulator::limits::invalid_attach_requests_are_refused",
    ),
    served(
        "no idempotency: a repeat is `currently in use`",
        "simulator::interfaces::faults_apply_to_eni_calls",
    ),
    served(
        "detaching; the link disappears first; Delete is refused meanwhile",
        "simulator::interfaces::an_eni_is_detached_in_stages_and_loses_its_link_first",
    ),
    served(
        "detach: unknown attachment, primary ENI; a second one (unverified)",
        "simulator::interfaces::invalid_detach_and_delete_requests_are_refused",
    ),
    served(
        "Force: index unusable, metadata stale until stop and start",
        "simulator::interfaces::a_forced_detach_leaves_an_unusable_index_and_a_ghost_until_restart",
    ),
    served(
        "stuck attaching or detaching (fault)",
        "simulator::interfaces::an_attachment_can_be_stuck",
    ),
    served("100/5, 50/5 buckets", "simulator::limits::each_new_action_has_its_bucket"),
    served(
        "attached by somebody else (as an act)",
        "simulator::interfaces::an_act_attaches_an_eni_by_the_rules_of_the_api",
    ),
];

const MODIFY: &[Row] = &[
    served(
        "description, source/destination check, groups, DeleteOnTermination",
        "modify::each_attribute_is_modified_alone_and_described",
    ),
    unverified(
        "one attribute a request: texts",
        "modify::a_request_modifies_exactly_one_attribute",
    ),
    served(
        "attachment, group and ENI errors; dry run; an attachment without its attribute \
         (unverified)",
        "modify::invalid_attributes_and_enis_are_refused",
    ),
    served("idempotent", "modify::a_value_that_the_eni_already_has_is_no_error_and_no_change"),
    served(
        "DeleteOnTermination takes effect",
        "modify::an_eni_is_deleted_with_its_instance_once_its_attachment_says_so",
    ),
    not("ENA queues, ENA Express, connection tracking, public and IPv6 addresses", "refused"),
];

const TAGS: &[Row] = &[
    served(
        "ENIs, instances, volumes; equal keys are overwritten",
        "simulator::tags::enis_instances_and_volumes_are_tagged_and_equal_keys_overwritten",
    ),
    served(
        "deleted by key, by key and value, or all but those of AWS",
        "simulator::tags::tags_are_deleted_by_key_and_by_value",
    ),
    unverified(
        "ids, keys; all resources or none",
        "simulator::tags::invalid_tags_are_refused_and_no_resource_gets_them",
    ),
    served("TagLimitExceeded", "simulator::tags::a_resource_has_50_tags"),
    served("tags lag", "simulator::tags::tags_are_eventually_consistent"),
    served(
        "CreateNetworkInterface with tags needs the right to create tags",
        "simulator::tags::creating_a_tagged_eni_needs_the_permission_to_tag",
    ),
    not("subnets and other resources", "refused as InvalidID"),
    not("ConcurrentTagAccess, TagPolicyViolation", "by the fault `error`"),
];

const VOLUMES: &[Row] = &[
    served("fields", "simulator::volumes::volumes_are_described_with_their_attachments"),
    served("filters", "simulator::volumes::volume_filters_narrow_and_unknown_ones_are_refused"),
    served(
        "pages; by id: NotFound, Malformed (code and text unverified)",
        "simulator::volumes::pages_and_ids_are_checked",
    ),
    not("kmsKeyId, sseType, fastRestored, other filters", "absent, or refused as invalid"),
];

const EBS: &[Row] = &[
    served(
        "in-use before attaching; attached; detaching, gone, available",
        "simulator::volumes::a_volume_is_in_use_before_it_is_attaching_and_then_attached",
    ),
    served(
        "stuck attaching, detaching, busy (fault); a reboot ends it",
        "simulator::volumes::an_attachment_is_stuck_as_long_as_the_fault_lasts",
    ),
    served("force ends it", "simulator::volumes::force_ends_a_stuck_detachment"),
    served(
        "of a terminated and of a stopped instance",
        "simulator::volumes::a_terminated_node_releases_its_volumes_and_a_stopped_one_keeps_them",
    ),
    served(
        "zone, device name, already attached, error (as acts)",
        "simulator::volumes::invalid_volume_actions_are_refused",
    ),
    served("size, deletion (as acts)", "simulator::volumes::volumes_are_resized_and_deleted"),
    served("volumes of a spec", "simulator::volumes::a_spec_with_invalid_volumes_is_refused"),
    not("devices in the guest: serial, by-id links", "belongs to the kernel, not to EC2"),
];

const OTHERS: &[Row] = &[
    not("AttachVolume", "CSI owns volumes; see the acts `attach_volume`, `detach_volume`"),
    not("DetachVolume", "CSI owns volumes; see the acts `attach_volume`, `detach_volume`"),
    not("AssociateAddress", NOT_NEEDED),
    not("DisassociateAddress", NOT_NEEDED),
    not("DescribeAddresses", NOT_NEEDED),
];
