//! Errors of creating, attaching and tagging: ec2-semantics.md sections 2.6 to 2.9.

use super::ApiError;

impl ApiError {
    /// 400, a malformed ID (text unverified).
    pub(crate) fn malformed_id(code: &str, id: &str, kind: &str) -> Self {
        Self::bad(code, format!("Invalid id: \"{id}\" (expecting \"{kind}-...\")"))
    }

    /// 400 InvalidGroup.NotFound (text from field reports).
    pub(crate) fn no_group(id: &str) -> Self {
        Self::bad("InvalidGroup.NotFound", format!("The security group '{id}' does not exist"))
    }

    /// 400 SecurityGroupsPerInterfaceLimitExceeded (text unverified).
    pub(crate) fn too_many_groups() -> Self {
        let text = "You have exceeded the number of security groups allowed per network interface.";
        Self::bad("SecurityGroupsPerInterfaceLimitExceeded", text)
    }

    /// 400 NetworkInterfaceLimitExceeded (text unverified).
    pub(crate) fn eni_quota() -> Self {
        let text = "You have reached the limit on the number of network interfaces that you can \
                    create.";
        Self::bad("NetworkInterfaceLimitExceeded", text)
    }

    /// 400 InvalidIPAddress.InUse.
    pub(crate) fn address_in_use() -> Self {
        Self::bad("InvalidIPAddress.InUse", "The specified address is already in use.")
    }

    /// 400 IdempotentParameterMismatch (text from field reports).
    pub(crate) fn idempotent_mismatch() -> Self {
        let text = "Arguments on this idempotent request are inconsistent with arguments used in \
                    previous request(s).";
        Self::bad("IdempotentParameterMismatch", text)
    }

    /// 400: InvalidNetworkInterface.InUse on attach, InvalidParameterValue on delete.
    pub(crate) fn eni_in_use(code: &str, id: &str) -> Self {
        Self::bad(code, format!("Network interface '{id}' is currently in use."))
    }

    /// 400 InvalidParameterCombination: ENI and instance are in different zones.
    pub(crate) fn other_zone() -> Self {
        Self::combination(
            "You may not attach a network interface to an instance if they are not in the same \
             availability zone",
        )
    }

    /// 400 IncorrectInstanceState (text unverified).
    pub(crate) fn instance_state(id: &str) -> Self {
        let text = format!("Instance '{id}' is not 'running' or 'stopped'.");
        Self::bad("IncorrectInstanceState", text)
    }

    /// 400 InvalidParameterValue: a network card that the type does not have (text unverified).
    pub(crate) fn no_card(card: u32, kind: &str) -> Self {
        Self::value(format!("Network card index '{card}' is not valid for {kind}"))
    }

    /// 400 InvalidParameterValue: index 0, or one that the type does not have (text unverified).
    pub(crate) fn bad_index(index: u32, kind: &str) -> Self {
        Self::value(format!("Device index '{index}' is not valid for {kind}"))
    }

    /// 400 InvalidParameterValue: the device index is in use.
    pub(crate) fn index_taken(instance: &str, index: u32) -> Self {
        let text = "already has an interface attached at device index";
        Self::value(format!("Instance '{instance}' {text} '{index}'."))
    }

    /// 400 AttachmentLimitExceeded for ENIs.
    pub(crate) fn eni_count(count: u32, kind: &str) -> Self {
        let text = format!("Interface count {count} exceeds the limit for {kind}");
        Self::bad("AttachmentLimitExceeded", text)
    }

    /// 400 InvalidAttachmentID.NotFound (text unverified).
    pub(crate) fn no_attachment(id: &str) -> Self {
        let text = format!("The attachment ID '{id}' does not exist");
        Self::bad("InvalidAttachmentID.NotFound", text)
    }

    /// 400 OperationNotPermitted: the primary ENI (text from field reports).
    pub(crate) fn primary_stays() -> Self {
        let text = "The network interface at device index 0 cannot be detached.";
        Self::bad("OperationNotPermitted", text)
    }

    /// 400 InvalidParameterCombination: several attributes in one request (text as in
    /// ModifyVpcAttribute).
    pub(crate) fn several_attributes(names: &[&str]) -> Self {
        let names = names.join(", ");
        Self::combination(format!("Fields for multiple attribute types specified: {names}"))
    }

    /// 400 InvalidParameterCombination: no attribute (text as in ModifyInstanceAttribute).
    pub(crate) fn no_attribute() -> Self {
        Self::combination("No attributes specified.")
    }

    /// 400 IncorrectState: already detaching (unverified).
    pub(crate) fn detaching(id: &str) -> Self {
        Self::bad("IncorrectState", format!("The attachment '{id}' is being detached."))
    }

    /// 400 InvalidVolume.NotFound.
    pub(crate) fn no_volume(id: &str) -> Self {
        Self::bad("InvalidVolume.NotFound", format!("The volume '{id}' does not exist."))
    }

    /// 400 InvalidID: not the ID of a taggable resource (text from field reports).
    pub(crate) fn invalid_id(id: &str) -> Self {
        Self::bad("InvalidID", format!("The ID '{id}' is not valid"))
    }

    /// 400 InvalidTagKey.Malformed (text from field reports for `aws:`).
    pub(crate) fn malformed_tag(key: &str) -> Self {
        let text = if key.starts_with("aws:") {
            "Tag keys starting with 'aws:' are reserved for internal use".to_owned()
        } else {
            format!("The tag key '{key}' has not from 1 to 127 characters")
        };
        Self::bad("InvalidTagKey.Malformed", text)
    }

    /// 400 TagLimitExceeded (text unverified).
    pub(crate) fn too_many_tags() -> Self {
        let text = "The maximum number of Tags for a resource has been reached.";
        Self::bad("TagLimitExceeded", text)
    }
}
