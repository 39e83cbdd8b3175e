//! Classification of EC2's errors. No other module reads an AWS error code or message.
//!
//! The tables follow section 3 of the notes on EC2's semantics: first the transport result, then
//! the HTTP status, the code, and last the message, as a case-insensitive substring. An unlisted
//! message is `Unknown`, never a guess.

use firecamp_core::failure::{CloudKind, Effect};

/// The operation; the same code has different meanings for different operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// DescribeNetworkInterfaces.
    Describe,
    /// AssignPrivateIpAddresses.
    Assign,
    /// UnassignPrivateIpAddresses.
    Unassign,
    /// CreateNetworkInterface.
    Create,
    /// AttachNetworkInterface.
    Attach,
    /// DetachNetworkInterface.
    Detach,
    /// DeleteNetworkInterface.
    Delete,
}

/// How a request to the SDK failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestFailure<'a> {
    /// It was never sent.
    NotSent(NotSentReason),
    /// No connection: refused.
    Refused,
    /// No response, or a truncated one.
    Lost,
    /// A complete HTTP response.
    Response {
        /// Its status.
        status: u16,
        /// EC2's code, if it had one.
        code: Option<&'a str>,
        /// EC2's message, if it had one.
        message: Option<&'a str>,
    },
}

/// Why a request was never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotSentReason {
    /// No credentials, no CA certificates, or invalid settings.
    Misconfigured,
    /// Credentials were not available in time.
    Late,
    /// The SDK refuses to build the request: our bug.
    Malformed,
}

/// The class of a failure, and whether the request may have taken effect.
pub(crate) fn classify(operation: Operation, failure: &RequestFailure<'_>) -> (CloudKind, Effect) {
    let (kind, effect) = match failure {
        RequestFailure::NotSent(NotSentReason::Misconfigured) => (CloudKind::Auth, Effect::None),
        RequestFailure::NotSent(NotSentReason::Malformed) => (CloudKind::Unknown, Effect::None),
        RequestFailure::NotSent(NotSentReason::Late) | RequestFailure::Refused => {
            (CloudKind::Transient, Effect::None)
        }
        RequestFailure::Lost => (CloudKind::Transient, Effect::Unknown),
        RequestFailure::Response { status, code, message } => {
            answered(operation, *status, code.unwrap_or(""), message.unwrap_or(""))
        }
    };
    match operation {
        Operation::Describe => (kind, Effect::None),
        Operation::Assign
        | Operation::Unassign
        | Operation::Create
        | Operation::Attach
        | Operation::Detach
        | Operation::Delete => (kind, effect),
    }
}

fn answered(operation: Operation, status: u16, code: &str, message: &str) -> (CloudKind, Effect) {
    if is_throttle(code) || status == 429 {
        return (CloudKind::Throttled, Effect::None);
    }
    match status {
        // The SDK reports a committed write with an undecodable response as a service error.
        0..=299 | 500 | 502 | 503 | 504 => (CloudKind::Transient, Effect::Unknown),
        501 | 505.. => (CloudKind::Unknown, Effect::Unknown),
        300..=499 => refused(operation, code, &message.to_ascii_lowercase()),
    }
}

fn is_throttle(code: &str) -> bool {
    matches!(code, "RequestLimitExceeded" | "EC2ThrottledException")
        || code.starts_with("Throttling")
}

/// Whether STS refuses the role permanently, as opposed to a temporary failure.
pub(crate) fn denies_role(status: u16, code: Option<&str>) -> bool {
    (400..500).contains(&status) && status != 429 && !code.is_some_and(is_throttle)
}

/// A client-error status: EC2 did not execute the request, unless the code says otherwise.
fn refused(operation: Operation, code: &str, message: &str) -> (CloudKind, Effect) {
    if is_server_error(code) {
        return (CloudKind::Transient, Effect::Unknown);
    }
    let kind = by_code(code)
        .or_else(|| by_message(operation, code, message))
        .unwrap_or(CloudKind::Unknown);
    (kind, Effect::None)
}

fn is_server_error(code: &str) -> bool {
    matches!(
        code,
        "InternalError"
            | "InternalFailure"
            | "ServerInternal"
            | "Unavailable"
            | "ServiceUnavailable"
            | "RetryableError"
    )
}

/// The result of a dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DryRun {
    /// The request would have succeeded.
    Allowed,
    /// The request would have been denied.
    Denied,
    /// Neither of them.
    Open,
}

/// The result of a dry run by its error code; a dry run always fails, also when it is allowed.
pub(crate) fn dry_run_result(code: Option<&str>) -> DryRun {
    match code {
        Some("DryRunOperation") => DryRun::Allowed,
        Some("UnauthorizedOperation") => DryRun::Denied,
        Some(_) | None => DryRun::Open,
    }
}

/// Codes with the same meaning for every operation and message.
fn by_code(code: &str) -> Option<CloudKind> {
    let kind = match code {
        "Resource.AlreadyAssigned"
        | "InvalidIPAddress.InUse"
        | "Resource.AlreadyAssociated"
        | "VolumeInUse" => CloudKind::HeldElsewhere,
        "InvalidAttachment.NotFound" | "InvalidAssociationID.NotFound" => {
            CloudKind::NotOnInterface
        }
        "PrivateIpAddressLimitExceeded" => CloudKind::CapacityExceeded,
        "InsufficientFreeAddressesInSubnet" | "InsufficientCidrBlocks" => {
            CloudKind::SubnetExhausted
        }
        "AttachmentLimitExceeded" => CloudKind::AttachmentLimitExceeded,
        "InvalidNetworkInterface.InUse" => CloudKind::InterfaceInUse,
        "NetworkInterfaceLimitExceeded" => CloudKind::QuotaExceeded,
        "InvalidVolume.ZoneMismatch" | "InvalidVolumeID.ZoneMismatch" => CloudKind::BadAddress,
        "InvalidNetworkInterfaceID.NotFound"
        | "InvalidNetworkInterfaceId.NotFound"
        | "InvalidNetworkInterface.NotFound"
        | "InvalidNetworkInterfaceID.Malformed"
        | "InvalidNetworkInterfaceId.Malformed"
        | "InvalidNetworkInterface.Malformed"
        | "InvalidAttachmentID.NotFound"
        | "InvalidInstanceID.NotFound"
        | "InvalidVolume.NotFound" => CloudKind::NotFound,
        "AuthFailure"
        | "UnauthorizedOperation"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "OptInRequired"
        | "Blocked"
        | "PendingVerification"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        // These two are on the page of EC2's common error types, not in its list of codes.
        | "AccessDeniedException"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "InvalidSecurity.RequestHasExpired" => CloudKind::Auth,
        // The instance may still be starting; whether it is terminated, a Describe shows.
        "IncorrectInstanceState"
        | "ConcurrentTagAccess"
        | "InvalidNextToken"
        | "InvalidPaginationToken" => CloudKind::Transient,
        _ => return None,
    };
    Some(kind)
}

/// Codes whose meaning depends on the message, which is in lower case here.
fn by_message(operation: Operation, code: &str, message: &str) -> Option<CloudKind> {
    match code {
        "InvalidParameterValue" => match operation {
            Operation::Assign => assign_value(message),
            Operation::Unassign => unassign_value(message),
            Operation::Create => exhausted(message),
            Operation::Attach => attach_value(message),
            Operation::Delete => in_use(message),
            Operation::Detach | Operation::Describe => None,
        },
        "InvalidParameterCombination" if message.contains("availability zone") => {
            Some(CloudKind::BadAddress)
        }
        "IncorrectState" if message.contains("in the 'available' state") => {
            Some(CloudKind::NotOnInterface)
        }
        "IncorrectState" => Some(CloudKind::Transient),
        _ => None,
    }
}

fn assign_value(message: &str) -> Option<CloudKind> {
    let has = |text: &str| message.contains(text);
    if has("assigned, but move is not allowed")
        || has("is already assigned")
        || has("secondary-addresses")
    {
        Some(CloudKind::HeldElsewhere)
    } else if let Some(exhausted) = exhausted(message) {
        Some(exhausted)
    } else if has("does not fall within the subnet")
        || has("reserved")
        || has("invalid value for parameter address")
    {
        Some(CloudKind::BadAddress)
    } else {
        None
    }
}

fn unassign_value(message: &str) -> Option<CloudKind> {
    if message.contains("are not assigned to interface") {
        Some(CloudKind::NotOnInterface)
    } else if message.contains("primary") {
        Some(CloudKind::BadAddress)
    } else {
        None
    }
}

/// For Assign, Create and Attach.
fn exhausted(message: &str) -> Option<CloudKind> {
    let full = message.contains("sufficient free ipv4 addresses or prefixes");
    full.then_some(CloudKind::SubnetExhausted)
}

/// EC2 documents this message beside the code `InvalidNetworkInterface.InUse`, for attaching and
/// deleting.
fn in_use(message: &str) -> Option<CloudKind> {
    message.contains("is currently in use").then_some(CloudKind::InterfaceInUse)
}

fn attach_value(message: &str) -> Option<CloudKind> {
    if message.contains("already has an interface attached at device index") {
        return Some(CloudKind::DeviceIndexTaken);
    }
    in_use(message).or_else(|| exhausted(message))
}

/// The class of a metadata service status; `None` if there was no response.
pub(crate) fn classify_metadata(status: Option<u16>) -> CloudKind {
    match status {
        // 403: the service is disabled for this instance, or a proxy is in between.
        Some(401 | 403) => CloudKind::Auth,
        Some(429) => CloudKind::Throttled,
        // A missing key may still appear: a new ENI's keys appear one after the other.
        None | Some(404 | 500.. | ..300) => CloudKind::Transient,
        Some(_) => CloudKind::Unknown,
    }
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
