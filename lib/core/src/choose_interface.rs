//! The choice of the network interface (ENI) that carries an address.

use std::str::FromStr;

use crate::ids::{InvalidId, SubnetId, invalid};
use crate::node_identity::{Eni, NodeIdentity};

/// Which ENI carries the addresses of members on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum EniRule {
    /// The interface with the lowest device index in the address's subnet.
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

impl NodeIdentity {
    /// The ENI that the rule selects among those in a wanted subnet. The order of `enis` does not
    /// matter: the lowest (card, device index) wins.
    pub fn choose(&self, rule: EniRule, wanted: impl Fn(&SubnetId) -> bool) -> Option<&Eni> {
        let fits = |eni: &&Eni| {
            let by_rule = match rule {
                EniRule::Auto => true,
                EniRule::Primary => eni.device_index == 0 && eni.network_card == 0,
                EniRule::DeviceIndex(index) => eni.device_index == index,
            };
            by_rule && wanted(&eni.subnet)
        };
        self.enis.iter().filter(fits).min_by_key(|eni| (eni.network_card, eni.device_index))
    }
}
