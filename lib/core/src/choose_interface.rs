//! The choice of the network interface (ENI) that carries an address.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::ids::{EniId, InvalidId, SubnetId, invalid};
use crate::node_identity::{Eni, NodeIdentity};
use crate::record::StaticIp;

/// Which ENI carries the addresses of members on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum EniRule {
    /// An interface in the address's subnet: the one that has the address, else the one with the
    /// lowest device index.
    #[default]
    Auto,
    /// The primary interface.
    Primary,
    /// The interface with this device index.
    DeviceIndex(u32),
}

impl FromStr for EniRule {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text {
            "auto" => Ok(Self::Auto),
            "primary" => Ok(Self::Primary),
            index => index.parse().map(Self::DeviceIndex).map_err(|_source| {
                invalid("rule for an ENI", "auto, primary or a device index", text)
            }),
        }
    }
}

/// The ENIs of a node that an attach must not use, or only if there is no other, according to the
/// agent of the node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UnwantedEnis {
    /// Those that FireCamp must not use, because something else manages their addresses, with the
    /// reason for each.
    pub excluded: BTreeMap<EniId, String>,
    /// Where a CNI plugin attaches ENIs of its own: all that FireCamp may use. The agent has not
    /// found out yet whose any other is.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub usable: Option<BTreeSet<EniId>>,
    /// Those to use only if there is no other: full ones, and those without the cluster's tag.
    #[cfg_attr(feature = "serde", serde(default))]
    pub avoided: BTreeSet<EniId>,
}

impl UnwantedEnis {
    /// Why FireCamp must not use this ENI.
    pub fn why_not(&self, eni: &EniId) -> Option<&str> {
        let is_unknown = || self.usable.as_ref().is_some_and(|all| !all.contains(eni));
        let why = "the agent of the node has not read its tags yet, which takes up to a minute";
        let unknown = || is_unknown().then_some(why);
        self.excluded.get(eni).map(String::as_str).or_else(unknown)
    }
}

/// What decides between several ENIs that the rule allows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Preference<'a> {
    /// The ENIs to leave out.
    pub unwanted: Option<&'a UnwantedEnis>,
    /// The record of the address, if it has one.
    pub record: Option<&'a StaticIp>,
}

impl Preference<'_> {
    /// The order of choice: lower is better. An ENI that has the address comes before one that
    /// must be assigned it, and one that is excluded comes last, so that its reason is reported.
    fn rank(&self, eni: &Eni) -> impl Ord + use<> {
        let excluded = self.unwanted.is_some_and(|all| all.why_not(&eni.id).is_some());
        let avoided = self.unwanted.is_some_and(|all| all.avoided.contains(&eni.id));
        let listed = self.record.is_some_and(|record| eni.listed.contains(&record.address));
        let recorded =
            self.record.is_some_and(|record| record.reserved_on.as_ref() == Some(&eni.id));
        (excluded, !listed, !recorded, avoided, eni.network_card, eni.device_index)
    }
}

impl NodeIdentity {
    /// The ENIs in a wanted subnet that the rule allows, in no particular order.
    pub fn candidates(
        &self,
        rule: EniRule,
        wanted: impl Fn(&SubnetId) -> bool,
    ) -> impl Iterator<Item = &Eni> {
        let fits = move |eni: &&Eni| {
            let by_rule = match rule {
                EniRule::Auto => true,
                EniRule::Primary => eni.device_index == 0 && eni.network_card == 0,
                EniRule::DeviceIndex(index) => eni.device_index == index,
            };
            by_rule && wanted(&eni.subnet)
        };
        self.enis.iter().filter(fits)
    }

    /// The ENI that carries the address: among those that the rule allows, the one that has it,
    /// then the one with the lowest (card, device index). The order of `enis` does not matter.
    pub fn choose(
        &self,
        rule: EniRule,
        wanted: impl Fn(&SubnetId) -> bool,
        preference: &Preference<'_>,
    ) -> Option<&Eni> {
        self.candidates(rule, wanted).min_by_key(|eni| preference.rank(eni))
    }
}
