//! Creating, attaching, tagging; volumes: sections 2.6 to 2.10, 2.12, 2.13 and 7.

use super::{Row, Section, not, served, unverified};

const NOT_NEEDED: &str = "nothing of ours calls it";

/// The sections.
pub const SECTIONS: &[Section] = &[
    Section { title: "CreateNetworkInterface (section 2.6)", rows: CREATE },
    Section { title: "Attach, Detach, DeleteNetworkInterface (section 2.7)", rows: ATTACH },
    Section { title: "CreateTags (section 2.8)", rows: TAGS },
    Section { title: "DescribeVolumes (section 2.9)", rows: VOLUMES },
    Section { title: "EBS (sections 2.10 and 7)", rows: EBS },
    Section { title: "Other actions (sections 2.8, 2.10, 2.12, 2.13)", rows: OTHERS },
];

const CREATE: &[Row] = &[
    served(
        "subnet, description, addresses, groups, tags from the first instant",
        "world::interfaces::an_eni_is_created_with_what_was_asked_for",
    ),
    served(
        "subnet, group, address errors; InvalidIPAddress.InUse; full subnet in two forms",
        "world::interfaces::what_cannot_be_created_is_refused",
    ),
    served("NetworkInterfaceLimitExceeded", "world::limits::the_account_has_a_quota_of_enis"),
    served("IdempotentParameterMismatch", "world::interfaces::a_client_token_makes_one_eni"),
    served(
        "a fresh ENI is unknown to other calls; status `pending`",
        "world::interfaces::a_new_eni_is_pending_and_unknown_to_other_calls_for_a_while",
    ),
    not("prefixes, IPv6, other interface types", "refused as an unknown parameter or value"),
];

const ATTACH: &[Row] = &[
    served(
        "attaching, attached; the kernel's link comes later",
        "world::interfaces::an_eni_is_attached_by_and_by",
    ),
    served(
        "AttachmentLimitExceeded, also while one is detaching",
        "world::limits::an_instance_has_no_more_enis_than_its_type_also_while_one_is_detaching",
    ),
    unverified(
        "AttachmentLimitExceeded where volumes share the slots",
        "world::limits::enis_and_volumes_share_their_slots_on_some_types",
    ),
    unverified(
        "PrivateIpAddressLimitExceeded of an attachment",
        "world::limits::an_eni_with_more_addresses_than_the_type_allows_is_not_attached",
    ),
    served(
        "device index taken, 0 (text unverified), zone, in use, ids, primary ENI, card",
        "world::limits::what_cannot_be_attached_is_refused",
    ),
    served(
        "no idempotency: a repeat is `currently in use`",
        "world::interfaces::faults_strike_the_calls_of_an_eni_as_well",
    ),
    served(
        "detaching; the link goes first; Delete is refused meanwhile",
        "world::interfaces::an_eni_is_detached_by_and_by_and_its_link_goes_first",
    ),
    served(
        "detach: unknown attachment, primary ENI; a second one (unverified)",
        "world::interfaces::what_cannot_be_detached_or_deleted_is_refused",
    ),
    served(
        "Force: index unusable, metadata stale until stop and start",
        "world::interfaces::force_burns_the_index_and_leaves_a_ghost_until_stop_and_start",
    ),
    served("stuck attaching or detaching (knob)", "world::interfaces::an_attachment_can_be_stuck"),
    served("100/5, 50/5 buckets", "world::limits::each_new_action_has_its_bucket"),
];

const TAGS: &[Row] = &[
    served(
        "ENIs, instances, volumes; equal keys are overwritten",
        "world::tags::enis_instances_and_volumes_are_tagged_and_equal_keys_overwritten",
    ),
    unverified(
        "ids, keys; all resources or none",
        "world::tags::tags_that_cannot_be_are_refused_and_no_resource_gets_them",
    ),
    served("TagLimitExceeded", "world::tags::a_resource_has_50_tags"),
    served("tags lag", "world::tags::tags_are_read_later_than_they_are_written"),
    served(
        "CreateNetworkInterface with tags needs the right to create tags",
        "world::tags::who_may_not_tag_may_not_create_what_is_tagged",
    ),
    not("subnets and other resources", "refused as InvalidID"),
    not("ConcurrentTagAccess, TagPolicyViolation", "by the fault `error`"),
];

const VOLUMES: &[Row] = &[
    served("fields", "world::volumes::volumes_are_described_with_their_attachments"),
    served("filters", "world::volumes::volume_filters_narrow_and_unknown_ones_are_refused"),
    served(
        "pages; by id: NotFound, Malformed (code and text unverified)",
        "world::volumes::pages_and_ids_are_checked",
    ),
    not("kmsKeyId, sseType, fastRestored, other filters", "absent, or refused as invalid"),
];

const EBS: &[Row] = &[
    served(
        "in-use before attaching; attached; detaching, gone, available",
        "world::volumes::a_volume_is_in_use_before_it_is_attaching_and_then_attached",
    ),
    served(
        "stuck attaching, detaching, busy (knob); a reboot ends it",
        "world::volumes::an_attachment_is_stuck_as_long_as_the_fault_lasts",
    ),
    served("force ends it", "world::volumes::force_ends_a_detachment_that_is_held_up"),
    served(
        "of a terminated and of a stopped instance",
        "world::volumes::volumes_of_a_terminated_node_go_and_those_of_a_stopped_one_stay",
    ),
    served(
        "zone, device name, already attached, error (as acts)",
        "world::volumes::what_cannot_be_done_with_a_volume_is_refused",
    ),
    served("size, deletion (as acts)", "world::volumes::volumes_grow_and_are_deleted"),
    served(
        "volumes of a spec",
        "world::volumes::a_spec_with_impossible_volumes_is_refused_by_field",
    ),
    not("devices in the guest: serial, by-id links", "a matter of the kernel, not of EC2"),
];

const OTHERS: &[Row] = &[
    not("ModifyNetworkInterfaceAttribute", NOT_NEEDED),
    not("AttachVolume", "CSI owns volumes; as an act of others"),
    not("DetachVolume", "CSI owns volumes; as an act of others"),
    not("CreateSubnetCidrReservation", "reservations are in the spec"),
    not("GetSubnetCidrReservations", NOT_NEEDED),
    not("AssociateAddress", NOT_NEEDED),
    not("DisassociateAddress", NOT_NEEDED),
    not("DescribeAddresses", NOT_NEEDED),
];
