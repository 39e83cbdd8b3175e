//! `StaticIPClaim`: a member's request for an address from a pool.

use firecamp_core::contract::cluster::annotation;
use firecamp_core::ids::{Member, PoolName, SetName, parse_address};
use firecamp_core::record;
use serde::{Deserialize, Serialize};

use super::problem::InvalidObject;
use super::{Metadata, StaticIPClaim};

/// Condition type of a claim: whether its member's pod has the volumes that it claims. The agent
/// of the pod's node reports it, starting the first time that a volume is missing.
pub const VOLUME_READY: &str = "VolumeReady";

/// The request for an address. The claim has the namespace and name of its member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaticIPClaimSpec {
    /// The name of the pool that provides the address. Immutable.
    pub pool: String,
    /// The address that a user requests for this member. It has no effect once an address is
    /// bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_address: Option<String>,
    /// The address that the claim is bound to. The binding is complete when the StaticIP of that
    /// name refers to this claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl From<&record::Claim> for StaticIPClaim {
    fn from(claim: &record::Claim) -> Self {
        let member = &claim.member;
        let spec = StaticIPClaimSpec {
            pool: claim.pool.to_string(),
            requested_address: claim.requested.map(|address| address.to_string()),
            address: claim.address.map(|address| address.to_string()),
        };
        let mut metadata = Metadata::namespaced(member.namespace(), member.name());
        let set = claim.set.as_ref().map(|set| (annotation::SET.to_owned(), set.to_string()));
        metadata.annotations.extend(set);
        Self::new(metadata, spec)
    }
}

impl TryFrom<&StaticIPClaim> for record::Claim {
    type Error = InvalidObject;

    fn try_from(object: &StaticIPClaim) -> Result<Self, InvalidObject> {
        object.check_header()?;
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let address = |field: &str, text: &Option<String>| {
            text.as_deref()
                .map(parse_address)
                .transpose()
                .map_err(|wrong| object.invalid(field, wrong))
        };
        Ok(Self {
            member: Member::new(namespace, &object.metadata.name)
                .map_err(|wrong| object.invalid("metadata", wrong))?,
            pool: PoolName::new(&object.spec.pool)
                .map_err(|wrong| object.invalid("spec.pool", wrong))?,
            requested: address("spec.requestedAddress", &object.spec.requested_address)?,
            address: address("spec.address", &object.spec.address)?,
            set: set(object)?,
        })
    }
}

/// Reads the StatefulSet annotation. An invalid value is an error, not an absent binding.
fn set(object: &StaticIPClaim) -> Result<Option<SetName>, InvalidObject> {
    let field = format!("metadata.annotations[{}]", annotation::SET);
    let text = object.metadata.annotations.get(annotation::SET);
    text.map(|text| SetName::new(text)).transpose().map_err(|wrong| object.invalid(&field, wrong))
}
