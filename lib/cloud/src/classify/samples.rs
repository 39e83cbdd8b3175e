//! EC2's error responses: every row of the error taxonomy.

use firecamp_core::failure::{CloudKind as K, Effect};

use super::Operation::{self, Assign, Attach, Create, Delete, Describe, Detach, Unassign};

/// Operation, status, code, message, and the expected class and effect.
pub(super) type Row = (Operation, u16, &'static str, &'static str, K, Effect);

pub(super) const NONE: Effect = Effect::None;

pub(super) const HELD: &[Row] = &[
    (
        Assign,
        400,
        "InvalidParameterValue",
        "[10.0.0.9] assigned, but move is not allowed.",
        K::HeldElsewhere,
        NONE,
    ),
    (
        Assign,
        400,
        "InvalidParameterValue",
        "[10.0.0.9, 10.0.0.10] ASSIGNED, but move is NOT allowed.",
        K::HeldElsewhere,
        NONE,
    ),
    (Assign, 400, "Resource.AlreadyAssigned", "", K::HeldElsewhere, NONE),
    (
        Assign,
        400,
        "InvalidIPAddress.InUse",
        "The specified address is already in use.",
        K::HeldElsewhere,
        NONE,
    ),
    (
        Assign,
        400,
        "InvalidIPAddress.InUse",
        "10.0.0.9 is already assigned.",
        K::HeldElsewhere,
        NONE,
    ),
    (Assign, 400, "InvalidParameterValue", "10.0.0.9 is already assigned.", K::HeldElsewhere, NONE),
    (Assign, 400, "InvalidParameterValue", "secondary-addresses", K::HeldElsewhere, NONE),
    (Assign, 400, "Resource.AlreadyAssociated", "", K::HeldElsewhere, NONE),
    (
        Assign,
        400,
        "VolumeInUse",
        "vol-0 is already attached to an instance",
        K::HeldElsewhere,
        NONE,
    ),
];

pub(super) const NOT_OURS: &[Row] = &[
    (
        Unassign,
        400,
        "InvalidParameterValue",
        "Some of the specified addresses are not assigned to interface eni-0123456789abcdef0",
        K::NotOnInterface,
        NONE,
    ),
    (
        Unassign,
        400,
        "IncorrectState",
        "Volume 'vol-0'is in the 'available' state.",
        K::NotOnInterface,
        NONE,
    ),
    (Unassign, 400, "InvalidAttachment.NotFound", "", K::NotOnInterface, NONE),
    (Unassign, 400, "InvalidAssociationID.NotFound", "", K::NotOnInterface, NONE),
];

pub(super) const LIMITS: &[Row] = &[
    (
        Assign,
        400,
        "PrivateIpAddressLimitExceeded",
        "Number of private addresses will exceed limit.",
        K::CapacityExceeded,
        NONE,
    ),
    (
        Assign,
        400,
        "InsufficientFreeAddressesInSubnet",
        "The specified subnet does not have enough free addresses to satisfy the request.",
        K::SubnetExhausted,
        NONE,
    ),
    (
        Assign,
        400,
        "InsufficientCidrBlocks",
        "The specified subnet does not have enough free cidr blocks to satisfy the request.",
        K::SubnetExhausted,
        NONE,
    ),
    (
        Assign,
        400,
        "InvalidParameterValue",
        "There aren't sufficient free Ipv4 addresses or prefixes",
        K::SubnetExhausted,
        NONE,
    ),
    (
        Create,
        400,
        "InsufficientFreeAddressesInSubnet",
        "The specified subnet does not have enough free addresses to satisfy the request.",
        K::SubnetExhausted,
        NONE,
    ),
    (
        Create,
        400,
        "InvalidParameterValue",
        "There aren't sufficient free Ipv4 addresses or prefixes",
        K::SubnetExhausted,
        NONE,
    ),
    (
        Attach,
        400,
        "InvalidParameterValue",
        "There aren't sufficient free Ipv4 addresses or prefixes",
        K::SubnetExhausted,
        NONE,
    ),
];

pub(super) const INTERFACES: &[Row] = &[
    (
        Attach,
        400,
        "AttachmentLimitExceeded",
        "Interface count 4 exceeds the limit for t3.medium",
        K::AttachmentLimitExceeded,
        NONE,
    ),
    (
        Attach,
        400,
        "InvalidParameterValue",
        "Instance 'i-0' already has an interface attached at device index '2'.",
        K::DeviceIndexTaken,
        NONE,
    ),
    (
        Attach,
        400,
        "InvalidNetworkInterface.InUse",
        "Network interface 'eni-0' is currently in use.",
        K::InterfaceInUse,
        NONE,
    ),
    (
        Attach,
        400,
        "InvalidParameterValue",
        "Network interface 'eni-0' is currently in use.",
        K::InterfaceInUse,
        NONE,
    ),
    (
        Delete,
        400,
        "InvalidParameterValue",
        "Network interface 'eni-0' is currently in use.",
        K::InterfaceInUse,
        NONE,
    ),
    (Delete, 400, "InvalidNetworkInterface.InUse", "", K::InterfaceInUse, NONE),
    (Create, 400, "NetworkInterfaceLimitExceeded", "", K::QuotaExceeded, NONE),
    (Attach, 400, "PrivateIpAddressLimitExceeded", "", K::CapacityExceeded, NONE),
    (
        Detach,
        400,
        "IncorrectState",
        "The attachment 'eni-attach-0' is being detached.",
        K::Transient,
        NONE,
    ),
    (
        Attach,
        400,
        "IncorrectInstanceState",
        "Instance 'i-0' is not 'running' or 'stopped'.",
        K::Transient,
        NONE,
    ),
    (
        Create,
        400,
        "IdempotentParameterMismatch",
        "Arguments on this idempotent request are inconsistent with arguments used in previous \
         request(s).",
        K::Unknown,
        NONE,
    ),
    (Create, 400, "InvalidSubnetID.NotFound", "", K::Unknown, NONE),
    (Create, 400, "InvalidGroup.NotFound", "", K::Unknown, NONE),
    (Create, 400, "SecurityGroupsPerInterfaceLimitExceeded", "", K::Unknown, NONE),
    (Create, 400, "TagPolicyViolation", "", K::Unknown, NONE),
    (Detach, 400, "OperationNotPermitted", "", K::Unknown, NONE),
    (Create, 500, "InternalError", "", K::Transient, Effect::Unknown),
    (Attach, 503, "Unavailable", "", K::Transient, Effect::Unknown),
    (Detach, 200, "", "", K::Transient, Effect::Unknown),
    (Delete, 503, "RequestLimitExceeded", "Request limit exceeded.", K::Throttled, NONE),
];

pub(super) const BAD_ADDRESS: &[Row] = &[
    (
        Assign,
        400,
        "InvalidParameterValue",
        "Address does not fall within the subnet's address range",
        K::BadAddress,
        NONE,
    ),
    (
        Assign,
        400,
        "InvalidParameterValue",
        "Address is in subnet's reserved address range",
        K::BadAddress,
        NONE,
    ),
    (
        Assign,
        400,
        "InvalidParameterValue",
        "Address 10.0.0.1 is in subnet's reserved range.",
        K::BadAddress,
        NONE,
    ),
    (
        Assign,
        400,
        "InvalidParameterValue",
        "invalid value for parameter address: x",
        K::BadAddress,
        NONE,
    ),
    (
        Unassign,
        400,
        "InvalidParameterValue",
        "The primary IP address of an interface cannot be unassigned",
        K::BadAddress,
        NONE,
    ),
    (Assign, 400, "InvalidVolume.ZoneMismatch", "", K::BadAddress, NONE),
    (Assign, 400, "InvalidVolumeID.ZoneMismatch", "", K::BadAddress, NONE),
    (
        Attach,
        400,
        "InvalidParameterCombination",
        "You may not attach a network interface to an instance if they are not in the same \
      availability zone",
        K::BadAddress,
        NONE,
    ),
];

pub(super) const GONE: &[Row] = &[
    (
        Assign,
        400,
        "InvalidNetworkInterfaceID.NotFound",
        "The networkInterface ID 'eni-0' does not exist",
        K::NotFound,
        NONE,
    ),
    (Unassign, 400, "InvalidNetworkInterface.NotFound", "", K::NotFound, NONE),
    (Create, 400, "InvalidNetworkInterfaceID.NotFound", "", K::NotFound, NONE),
    (Attach, 400, "InvalidNetworkInterfaceID.NotFound", "", K::NotFound, NONE),
    (Attach, 400, "InvalidInstanceID.NotFound", "", K::NotFound, NONE),
    (
        Detach,
        400,
        "InvalidAttachmentID.NotFound",
        "The attachment ID 'eni-attach-0' does not exist",
        K::NotFound,
        NONE,
    ),
    (Delete, 400, "InvalidNetworkInterfaceID.NotFound", "", K::NotFound, NONE),
    (
        Assign,
        400,
        "InvalidNetworkInterfaceId.Malformed",
        "Invalid id: \"x\" (expecting \"eni-...\")",
        K::NotFound,
        NONE,
    ),
    (Assign, 400, "InvalidNetworkInterfaceID.Malformed", "", K::NotFound, NONE),
    (
        Describe,
        400,
        "InvalidInstanceID.NotFound",
        "The instance ID 'i-0' does not exist",
        K::NotFound,
        NONE,
    ),
    (
        Describe,
        400,
        "InvalidVolume.NotFound",
        "The volume 'vol-0' does not exist.",
        K::NotFound,
        NONE,
    ),
];

pub(super) const AUTH: &[Row] = &[
    (
        Assign,
        401,
        "AuthFailure",
        "AWS was not able to validate the provided access credentials",
        K::Auth,
        NONE,
    ),
    (
        Assign,
        403,
        "UnauthorizedOperation",
        "You are not authorized to perform this operation.",
        K::Auth,
        NONE,
    ),
    (Describe, 403, "UnauthorizedOperation", "", K::Auth, NONE),
    (Assign, 400, "RequestExpired", "Request has expired.", K::Auth, NONE),
    (Assign, 400, "InvalidSecurity.RequestHasExpired", "", K::Auth, NONE),
    (Assign, 403, "SignatureDoesNotMatch", "", K::Auth, NONE),
    (Assign, 400, "IncompleteSignature", "", K::Auth, NONE),
    (Assign, 401, "OptInRequired", "", K::Auth, NONE),
    (Assign, 400, "Blocked", "", K::Auth, NONE),
    (Assign, 400, "PendingVerification", "", K::Auth, NONE),
    (Assign, 403, "InvalidClientTokenId", "", K::Auth, NONE),
    (Assign, 403, "MissingAuthenticationToken", "", K::Auth, NONE),
    (Unassign, 403, "AccessDeniedException", "", K::Auth, NONE),
    (Describe, 403, "ExpiredTokenException", "", K::Auth, NONE),
];

pub(super) const THROTTLED: &[Row] = &[
    (Assign, 503, "RequestLimitExceeded", "Request limit exceeded.", K::Throttled, NONE),
    (
        Assign,
        503,
        "RequestLimitExceeded",
        "Request limit exceeded. Account 1234 has been throttled on ec2:Op because it exceeded its \
      request rate limit.",
        K::Throttled,
        NONE,
    ),
    (Assign, 400, "Throttling", "Rate exceeded", K::Throttled, NONE),
    (Assign, 400, "ThrottlingException", "", K::Throttled, NONE),
    (Assign, 503, "EC2ThrottledException", "", K::Throttled, NONE),
];

pub(super) const TRANSIENT: &[Row] = &[
    (Assign, 500, "InternalError", "An internal error has occurred", K::Transient, Effect::Unknown),
    (Unassign, 500, "InternalFailure", "", K::Transient, Effect::Unknown),
    (Assign, 400, "ServerInternal", "", K::Transient, Effect::Unknown),
    (Assign, 503, "Unavailable", "The server is overloaded", K::Transient, Effect::Unknown),
    (Assign, 503, "ServiceUnavailable", "", K::Transient, Effect::Unknown),
    (Assign, 502, "RetryableError", "", K::Transient, Effect::Unknown),
    (Assign, 504, "Whatever", "", K::Transient, Effect::Unknown),
    (Describe, 500, "InternalError", "", K::Transient, NONE),
    (Assign, 400, "IncorrectInstanceState", "Instance 'i-0' is not 'running'.", K::Transient, NONE),
    (Assign, 400, "IncorrectState", "vol-0 is not 'available'.", K::Transient, NONE),
    (Assign, 400, "ConcurrentTagAccess", "", K::Transient, NONE),
    (Describe, 400, "InvalidNextToken", "", K::Transient, NONE),
    (Describe, 400, "InvalidPaginationToken", "", K::Transient, NONE),
];

pub(super) const UNKNOWN: &[Row] = &[
    (Assign, 400, "MissingParameter", "one of ... must be specified", K::Unknown, NONE),
    (Assign, 400, "InvalidParameter", "", K::Unknown, NONE),
    (Assign, 400, "InvalidParameterValue", "an unlisted text", K::Unknown, NONE),
    (Assign, 400, "InvalidParameterCombination", "one and only one of ...", K::Unknown, NONE),
    (Assign, 400, "UnknownParameter", "", K::Unknown, NONE),
    (Assign, 400, "InvalidAction", "", K::Unknown, NONE),
    (Assign, 400, "MalformedQueryString", "", K::Unknown, NONE),
    (Assign, 400, "OperationNotPermitted", "", K::Unknown, NONE),
    (Assign, 418, "Teapot", "", K::Unknown, NONE),
    (Assign, 501, "NotImplemented", "", K::Unknown, Effect::Unknown),
    (Assign, 599, "UnlistedCode", "", K::Unknown, Effect::Unknown),
    (Describe, 501, "NotImplemented", "", K::Unknown, NONE),
];
