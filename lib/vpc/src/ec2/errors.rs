//! EC2's errors, with the exact code, status and message. Messages without public evidence are
//! marked `unverified`, here and in docs/development/vpcbox-conformance.md.

use std::net::Ipv4Addr;

use quick_xml::escape::escape;

mod attachments;

/// An EC2 error response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ApiError {
    /// An error with any status.
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: printable(&message.into()) }
    }

    fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    /// 400 InvalidParameterValue.
    pub(crate) fn value(message: impl Into<String>) -> Self {
        Self::bad("InvalidParameterValue", message)
    }

    /// 400 InvalidParameterCombination.
    pub(crate) fn combination(message: impl Into<String>) -> Self {
        Self::bad("InvalidParameterCombination", message)
    }

    /// 400 MissingParameter.
    pub(crate) fn missing(parameter: &str) -> Self {
        let text = format!("The request must contain the parameter {parameter}");
        Self::bad("MissingParameter", text)
    }

    /// 400 MissingParameter, for an Unassign without addresses.
    pub(crate) fn missing_addresses() -> Self {
        let text = "The request must contain the privateIpAddressSet parameter";
        Self::bad("MissingParameter", text)
    }

    /// 400 UnknownParameter (message from field reports).
    pub(crate) fn unknown_parameter(name: &str) -> Self {
        Self::bad("UnknownParameter", format!("The parameter {name} is not recognized"))
    }

    /// 400 InvalidAction (message from field reports).
    pub(crate) fn invalid_action(name: &str) -> Self {
        let text = format!("The action {name} is not valid for this web service.");
        Self::bad("InvalidAction", text)
    }

    /// 400, for a body that is not a query (unverified).
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::bad("MalformedQueryString", message)
    }

    /// 400, for a filter that the action does not have.
    pub(crate) fn invalid_filter(name: &str) -> Self {
        Self::value(format!("The filter '{name}' is invalid"))
    }

    /// 400 FilterLimitExceeded (text unverified).
    pub(crate) fn too_many_filters(most: usize) -> Self {
        let text =
            format!("The maximum number of filter values specified on a single call is {most}");
        Self::bad("FilterLimitExceeded", text)
    }

    /// 400 InvalidNextToken (text unverified).
    pub(crate) fn invalid_token() -> Self {
        Self::bad("InvalidNextToken", "Invalid value for parameter NextToken")
    }

    /// 412 DryRunOperation.
    pub(crate) fn dry_run() -> Self {
        let text = "Request would have succeeded, but DryRun flag is set.";
        Self::new(412, "DryRunOperation", text)
    }

    /// 401 AuthFailure.
    pub(crate) fn auth_failure() -> Self {
        let text = "AWS was not able to validate the provided access credentials";
        Self::new(401, "AuthFailure", text)
    }

    /// 400 RequestExpired.
    pub(crate) fn expired() -> Self {
        Self::bad("RequestExpired", "Request has expired.")
    }

    /// 400 IncompleteSignature (text unverified).
    pub(crate) fn incomplete_signature(problem: &str) -> Self {
        Self::bad("IncompleteSignature", format!("Authorization header: {problem}"))
    }

    /// 403 SignatureDoesNotMatch (status unverified).
    pub(crate) fn signature() -> Self {
        let text = "The request signature we calculated does not match the signature you \
                    provided. Check your AWS Secret Access Key and signing method. Consult the \
                    service documentation for details.";
        Self::new(403, "SignatureDoesNotMatch", text)
    }

    /// 403 UnauthorizedOperation.
    pub(crate) fn unauthorized(encoded: &str) -> Self {
        let text = format!(
            "You are not authorized to perform this operation. \
             Encoded authorization failure message: {encoded}"
        );
        Self::new(403, "UnauthorizedOperation", text)
    }

    /// 503 RequestLimitExceeded, the older form.
    pub(crate) fn throttled() -> Self {
        Self::new(503, "RequestLimitExceeded", "Request limit exceeded.")
    }

    /// 503 RequestLimitExceeded, the newer form.
    pub(crate) fn throttled_naming(account: &str, action: &str) -> Self {
        let text = format!(
            "Request limit exceeded. Account {account} has been throttled on ec2:{action} \
             because it exceeded its request rate limit."
        );
        Self::new(503, "RequestLimitExceeded", text)
    }

    /// 400 InvalidNetworkInterfaceID.NotFound: spelled `ID`.
    pub(crate) fn no_eni(id: &str) -> Self {
        let text = format!("The networkInterface ID '{id}' does not exist");
        Self::bad("InvalidNetworkInterfaceID.NotFound", text)
    }

    /// 400 InvalidNetworkInterfaceId.Malformed: spelled `Id` (text unverified).
    pub(crate) fn malformed_eni(id: &str) -> Self {
        let text = format!("Invalid id: \"{id}\" (expecting \"eni-...\")");
        Self::bad("InvalidNetworkInterfaceId.Malformed", text)
    }

    /// 400 InvalidInstanceID.NotFound.
    pub(crate) fn no_instance(id: &str) -> Self {
        let text = format!("The instance ID '{id}' does not exist");
        Self::bad("InvalidInstanceID.NotFound", text)
    }

    /// 400 InvalidInstanceID.Malformed.
    pub(crate) fn malformed_instance(id: &str) -> Self {
        let text = format!("Invalid id: \"{id}\" (expecting \"i-...\")");
        Self::bad("InvalidInstanceID.Malformed", text)
    }

    /// 400 InvalidSubnetID.NotFound.
    pub(crate) fn no_subnet(id: &str) -> Self {
        let text = format!("The subnet ID '{id}' does not exist");
        Self::bad("InvalidSubnetID.NotFound", text)
    }

    /// 400 InvalidSubnetCidrReservationID.NotFound (text unverified).
    pub(crate) fn no_reservation(id: &str) -> Self {
        let text = format!("The subnet CIDR reservation ID '{id}' does not exist");
        Self::bad("InvalidSubnetCidrReservationID.NotFound", text)
    }

    /// 400 InvalidInstanceType (text unverified).
    pub(crate) fn no_type(name: &str) -> Self {
        let text = format!("The following supplied instance types do not exist: [{name}]");
        Self::bad("InvalidInstanceType", text)
    }

    /// 400 InvalidParameterValue: not an IPv4 address.
    pub(crate) fn not_an_address(text: &str) -> Self {
        Self::value(format!("invalid value for parameter address: {text}"))
    }

    /// 400 InvalidParameterValue: outside the subnet.
    pub(crate) fn outside_subnet() -> Self {
        Self::value("Address does not fall within the subnet's address range")
    }

    /// 400 InvalidParameterValue: M4 (unverified which of two texts).
    pub(crate) fn reserved() -> Self {
        Self::value("Address is in subnet's reserved address range")
    }

    /// 400 InvalidParameterValue: held by another ENI.
    pub(crate) fn held_elsewhere(addresses: &[Ipv4Addr]) -> Self {
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        Self::value(format!("[{}] assigned, but move is not allowed.", list.join(", ")))
    }

    /// 400 Resource.AlreadyAssigned (text unverified).
    pub(crate) fn already_assigned() -> Self {
        Self::bad("Resource.AlreadyAssigned", "The address is already assigned to a resource")
    }

    /// 400 InvalidParameterValue: another ENI's primary address, with AllowReassignment (unverified
    /// cause).
    pub(crate) fn primary_elsewhere() -> Self {
        Self::value("secondary-addresses")
    }

    /// 400 InvalidParameterValue: the ENI's own primary address (unverified).
    pub(crate) fn own_primary(address: Ipv4Addr) -> Self {
        Self::value(format!("{address} is the primary address of the network interface"))
    }

    /// 400 InvalidParameterValue: a duplicate address (unverified).
    pub(crate) fn twice(address: impl std::fmt::Display) -> Self {
        Self::value(format!("{address} is specified more than once"))
    }

    /// 400 PrivateIpAddressLimitExceeded.
    pub(crate) fn limit() -> Self {
        let text = "Number of private addresses will exceed limit.";
        Self::bad("PrivateIpAddressLimitExceeded", text)
    }

    /// 400 InsufficientFreeAddressesInSubnet.
    pub(crate) fn subnet_full() -> Self {
        let text =
            "The specified subnet does not have enough free addresses to satisfy the request.";
        Self::bad("InsufficientFreeAddressesInSubnet", text)
    }

    /// 400 InvalidParameterValue: the other form of a full subnet.
    pub(crate) fn subnet_full_as_value() -> Self {
        Self::value("There aren't sufficient free Ipv4 addresses or prefixes")
    }

    /// 400 InsufficientCidrBlocks.
    pub(crate) fn no_free_block() -> Self {
        let text =
            "The specified subnet does not have enough free cidr blocks to satisfy the request.";
        Self::bad("InsufficientCidrBlocks", text)
    }

    /// 400 InvalidParameterValue: not a free /28 of the subnet (unverified).
    pub(crate) fn bad_prefix(text: &str) -> Self {
        Self::value(format!("invalid value for parameter ipv4Prefix: {text}"))
    }

    /// 400 OperationNotPermitted: the ENI is managed by a service (text unverified).
    pub(crate) fn managed(id: &str) -> Self {
        let text = format!("The network interface '{id}' is managed by a service operator");
        Self::bad("OperationNotPermitted", text)
    }

    /// 400 InvalidParameterValue: not assigned to this ENI.
    pub(crate) fn not_assigned(id: &str) -> Self {
        let text = format!("Some of the specified addresses are not assigned to interface {id}");
        Self::value(text)
    }

    /// 400 InvalidParameterValue: a primary address cannot be unassigned (text unverified).
    pub(crate) fn unassign_primary() -> Self {
        Self::value("The primary private IP address of an interface cannot be unassigned")
    }
}

/// Replaces control characters, which XML does not allow.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' { '?' } else { c })
        .collect()
}

/// EC2's error document.
pub(crate) fn error_body(error: &ApiError, request_id: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{}</Code>\
         <Message>{}</Message></Error></Errors><RequestID>{request_id}</RequestID></Response>",
        escape(&error.code),
        escape(&error.message),
    )
    .into_bytes()
}
