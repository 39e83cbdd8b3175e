//! `StaticIPClaim`: this member needs an address from that pool.

use firecamp_core::contract::cluster::annotation;
use firecamp_core::ids::{Member, PoolName, SetName, parse_address};
use firecamp_core::record;
use serde::{Deserialize, Serialize};

use super::problem::InvalidObject;
use super::{Metadata, StaticIPClaim};

/// Type of the condition of a claim that says whether its member's pod has the volumes that it
/// claims: said by the agent of the pod's node, from the first time on at which it has not.
pub const VOLUME_READY: &str = "VolumeReady";

/// What decides about a claim. The claim's namespace and name are the member's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaticIPClaimSpec {
    /// The pool that the address comes from. Never changes.
    pub pool: String,
    /// The address that a person wants for this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_address: Option<String>,
    /// The address that the claim is bound to, once that `StaticIP` names this claim.
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

/// A binding that cannot be read is not taken for none.
fn set(object: &StaticIPClaim) -> Result<Option<SetName>, InvalidObject> {
    let field = format!("metadata.annotations[{}]", annotation::SET);
    let text = object.metadata.annotations.get(annotation::SET);
    text.map(|text| SetName::new(text)).transpose().map_err(|wrong| object.invalid(&field, wrong))
}
