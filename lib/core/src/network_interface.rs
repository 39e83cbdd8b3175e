//! The network interfaces of one instance, as EC2 describes them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::ids::{EniId, SubnetId};

/// What manages trunk interfaces, for messages. The VPC CNI gives none of their addresses to pods.
pub const TRUNK_CONTROLLER: &str = "the VPC resource controller";

/// A network interface as DescribeNetworkInterfaces reports it. The report may be stale.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Interface {
    /// Its id.
    pub id: EniId,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Its device index on the instance; 0 is the primary interface of its network card.
    pub device_index: u32,
    /// Its network card.
    pub network_card: u32,
    /// Its primary private address.
    pub primary: Ipv4Addr,
    /// Its secondary private addresses.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// How many /28 prefixes it has.
    pub prefixes: u32,
    /// Its security groups.
    pub groups: BTreeSet<String>,
    /// The value of its tag `firecamp.io/cluster`.
    pub cluster: Option<String>,
    /// The value of the VPC CNI's tag `no_manage`.
    pub no_manage: Option<String>,
    /// The AWS service or the controller that manages it instead of the account, if any.
    pub operator: Option<String>,
    /// EC2 deletes it when its instance is terminated, and frees its addresses.
    pub delete_on_termination: bool,
}

impl Interface {
    /// Whether its tag makes the VPC CNI leave it alone, if it is no primary interface. The CNI
    /// compares the whole text and reads tags only at its start.
    pub fn is_unmanaged(&self) -> bool {
        self.no_manage.as_deref() == Some("true")
    }

    /// Whether it is a trunk, which carries the interfaces of pods that have security groups.
    pub fn is_trunk(&self) -> bool {
        self.operator.as_deref() == Some(TRUNK_CONTROLLER)
    }

    /// Whether it is the instance's primary interface, which cannot be detached.
    pub fn is_primary(&self) -> bool {
        self.device_index == 0 && self.network_card == 0
    }
}

/// Whether EC2 has each of these addresses on its ENI of this instance, by one complete listing of
/// the instance's interfaces. Reads lag, so an address that is missing may have come since.
pub fn places(held: &BTreeMap<Ipv4Addr, EniId>, listing: &[Interface]) -> BTreeMap<Ipv4Addr, bool> {
    let has = |eni: &EniId, address: &Ipv4Addr| {
        listing.iter().any(|one| one.id == *eni && one.addresses.contains(address))
    };
    held.iter().map(|(address, eni)| (*address, has(eni, address))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_device_index_0_on_network_card_0_is_the_primary_interface() {
        let own = |network_card, device_index| {
            let one = interface("eni-0000000a", &[]);
            Interface { device_index, network_card, ..one }.is_primary()
        };
        assert!(own(0, 0));
        assert!(!own(0, 1) && !own(1, 0) && !own(1, 1));
    }

    fn interface(id: &str, addresses: &[[u8; 4]]) -> Interface {
        Interface {
            id: id.parse().unwrap(),
            subnet: "subnet-0000000a".parse().unwrap(),
            device_index: 1,
            network_card: 0,
            primary: [10, 0, 1, 10].into(),
            addresses: addresses.iter().map(|octets| (*octets).into()).collect(),
            prefixes: 0,
            groups: BTreeSet::new(),
            cluster: None,
            no_manage: None,
            operator: None,
            delete_on_termination: false,
        }
    }

    #[test]
    fn an_address_is_in_place_on_its_own_eni_only() {
        let [a, b] = ["eni-0000000a", "eni-0000000b"].map(|id| id.parse::<EniId>().unwrap());
        let held = [([10, 0, 1, 50].into(), a.clone()), ([10, 0, 1, 51].into(), b)].into();
        let listing = [interface("eni-0000000a", &[[10, 0, 1, 50], [10, 0, 1, 51]])];
        let found = places(&held, &listing);
        assert_eq!(found, [([10, 0, 1, 50].into(), true), ([10, 0, 1, 51].into(), false)].into());
    }

    #[test]
    fn an_unlisted_eni_has_no_address_and_a_primary_address_does_not_count_as_secondary() {
        let eni: EniId = "eni-0000000a".parse().unwrap();
        let held = [([10, 0, 1, 10].into(), eni)].into();
        assert_eq!(places(&held, &[]), [([10, 0, 1, 10].into(), false)].into());
        let own = [interface("eni-0000000a", &[])];
        assert_eq!(places(&held, &own), [([10, 0, 1, 10].into(), false)].into());
    }
}
