//! What EC2's answers mean. Nothing else in the project reads a code or a message of AWS.
//!
//! The tables follow section 3 of the notes on EC2's semantics: transport result first, then the
//! HTTP status, the code, and last the message, a case-insensitive substring. A message that
//! nobody listed is `Unknown`, never a guess.

use firecamp_core::failure::{CloudKind, Effect};

/// Which request was sent; the same code means different things for different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// DescribeNetworkInterfaces.
    Describe,
    /// AssignPrivateIpAddresses.
    Assign,
    /// UnassignPrivateIpAddresses.
    Unassign,
}

/// How a request that was given to the SDK ended other than well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending<'a> {
    /// It was never sent.
    NotSent(Cause),
    /// No connection: refused.
    Refused,
    /// No answer, or one that ended before its end.
    Lost,
    /// An HTTP answer that was read to its end.
    Answered {
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
pub(crate) enum Cause {
    /// No credentials, no CA certificates, or settings that cannot be used.
    Misconfigured,
    /// Credentials were not to be had in time.
    Late,
    /// The SDK refuses to make such a request: our bug.
    Malformed,
}

/// The meaning of an answer, and whether the request may have taken effect.
pub(crate) fn classify(operation: Operation, ending: &Ending<'_>) -> (CloudKind, Effect) {
    let (kind, effect) = match ending {
        Ending::NotSent(Cause::Misconfigured) => (CloudKind::Auth, Effect::None),
        Ending::NotSent(Cause::Malformed) => (CloudKind::Unknown, Effect::None),
        Ending::NotSent(Cause::Late) | Ending::Refused => (CloudKind::Transient, Effect::None),
        Ending::Lost => (CloudKind::Transient, Effect::Unknown),
        Ending::Answered { status, code, message } => {
            answered(operation, *status, code.unwrap_or(""), message.unwrap_or(""))
        }
    };
    match operation {
        Operation::Describe => (kind, Effect::None),
        Operation::Assign | Operation::Unassign => (kind, effect),
    }
}

fn answered(operation: Operation, status: u16, code: &str, message: &str) -> (CloudKind, Effect) {
    if is_throttle(code) || status == 429 {
        return (CloudKind::Throttled, Effect::None);
    }
    match status {
        // A committed write whose answer the SDK could not decode looks like a refusal.
        0..=299 | 500 | 502 | 503 | 504 => (CloudKind::Transient, Effect::Unknown),
        501 | 505.. => (CloudKind::Unknown, Effect::Unknown),
        300..=499 => refused(operation, code, &message.to_ascii_lowercase()),
    }
}

fn is_throttle(code: &str) -> bool {
    matches!(code, "RequestLimitExceeded" | "EC2ThrottledException")
        || code.starts_with("Throttling")
}

/// Whether STS says that the role will not be had, rather than not now.
pub(crate) fn denies_role(status: u16, code: Option<&str>) -> bool {
    (400..500).contains(&status) && status != 429 && !code.is_some_and(is_throttle)
}

/// A status of the client-error class: EC2 says that it did not do it, unless the code says
/// otherwise.
fn refused(operation: Operation, code: &str, message: &str) -> (CloudKind, Effect) {
    if is_server_trouble(code) {
        return (CloudKind::Transient, Effect::Unknown);
    }
    let kind = by_code(code)
        .or_else(|| by_message(operation, code, message))
        .unwrap_or(CloudKind::Unknown);
    (kind, Effect::None)
}

fn is_server_trouble(code: &str) -> bool {
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

/// What a dry run says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rehearsal {
    /// It would have been done.
    Allowed,
    /// It would not.
    Denied,
    /// It says neither.
    Open,
}

/// What the code of a dry run's answer means: it always fails, also when all would be well.
pub(crate) fn rehearsed(code: Option<&str>) -> Rehearsal {
    match code {
        Some("DryRunOperation") => Rehearsal::Allowed,
        Some("UnauthorizedOperation") => Rehearsal::Denied,
        Some(_) | None => Rehearsal::Open,
    }
}

/// Codes that mean one thing whatever was asked and whatever the message says.
fn by_code(code: &str) -> Option<CloudKind> {
    let kind = match code {
        "Resource.AlreadyAssigned"
        | "InvalidIPAddress.InUse"
        | "Resource.AlreadyAssociated"
        | "VolumeInUse" => CloudKind::HeldElsewhere,
        "InvalidAttachment.NotFound"
        | "InvalidAssociationID.NotFound"
        | "InvalidAttachmentID.NotFound" => CloudKind::NotOurs,
        "PrivateIpAddressLimitExceeded" | "AttachmentLimitExceeded" => CloudKind::CapacityExceeded,
        "InsufficientFreeAddressesInSubnet"
        | "InsufficientCidrBlocks"
        | "NetworkInterfaceLimitExceeded" => CloudKind::SubnetExhausted,
        "InvalidVolume.ZoneMismatch" | "InvalidVolumeID.ZoneMismatch" => CloudKind::BadAddress,
        "InvalidNetworkInterfaceID.NotFound"
        | "InvalidNetworkInterfaceId.NotFound"
        | "InvalidNetworkInterface.NotFound"
        | "InvalidNetworkInterfaceID.Malformed"
        | "InvalidNetworkInterfaceId.Malformed"
        | "InvalidNetworkInterface.Malformed"
        | "InvalidInstanceID.NotFound"
        | "InvalidVolume.NotFound" => CloudKind::Gone,
        "AuthFailure"
        | "UnauthorizedOperation"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "OptInRequired"
        | "Blocked"
        | "PendingVerification"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        // These two are on the page of EC2's common error types, not on that of its codes.
        | "AccessDeniedException"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "InvalidSecurity.RequestHasExpired" => CloudKind::Auth,
        "IncorrectInstanceState"
        | "ConcurrentTagAccess"
        | "InvalidNextToken"
        | "InvalidPaginationToken" => CloudKind::Transient,
        _ => return None,
    };
    Some(kind)
}

/// Codes that say little without their message, which is in lower case here.
fn by_message(operation: Operation, code: &str, message: &str) -> Option<CloudKind> {
    match code {
        "InvalidParameterValue" => match operation {
            Operation::Assign => assign_value(message),
            Operation::Unassign => unassign_value(message),
            Operation::Describe => None,
        },
        "InvalidParameterCombination" if message.contains("availability zone") => {
            Some(CloudKind::BadAddress)
        }
        "IncorrectState" if message.contains("in the 'available' state") => {
            Some(CloudKind::NotOurs)
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
    } else if has("sufficient free ipv4 addresses or prefixes") {
        Some(CloudKind::SubnetExhausted)
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
        Some(CloudKind::NotOurs)
    } else if message.contains("primary") {
        Some(CloudKind::BadAddress)
    } else {
        None
    }
}

/// What a status of the metadata service means; none if there was no answer.
pub(crate) fn classify_metadata(status: Option<u16>) -> CloudKind {
    match status {
        // 403: the service is switched off for this instance, or a proxy is in between.
        Some(401 | 403) => CloudKind::Auth,
        Some(429) => CloudKind::Throttled,
        // A key that is not there may come: a new ENI's keys appear one after the other.
        None | Some(404 | 500.. | ..300) => CloudKind::Transient,
        Some(_) => CloudKind::Unknown,
    }
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
