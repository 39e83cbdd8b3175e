//! The node's instance in EC2, and what happens to its address there.

use std::net::Ipv4Addr;

use firecamp_core::ids::InstanceId;
use firecamp_core::node_identity::{Eni, NodeIdentity, TypeLimits};
use firecamp_node::preflight::facts::{Fact, NodeFacts};
use firecamp_testkit::sim::{Account, SimEc2, interface};

use super::harness::{Node, eni};

pub(super) const OWN: &str = "i-0000000a";
const TYPE: &str = "m5.large";
/// The instance of another node of the cluster, and its ENI.
const OTHER: &str = "i-0000000b";
const OTHER_ENI: &str = "eni-0000000b";

/// The node's instance, with one ENI that has the member's address.
pub(super) fn ec2(eni: &Eni) -> SimEc2 {
    let limits = TypeLimits { name: TYPE.to_owned(), enis: 3, addresses: 10, volumes: None };
    let account = Account {
        types: [(TYPE.to_owned(), limits)].into(),
        node: NodeFacts { cni: Fact::Known(None), ..NodeFacts::default() },
        ..Account::default()
    };
    let ec2 = SimEc2::new(InstanceId::new(OWN).unwrap(), account);
    let identity = NodeIdentity {
        instance: OWN.parse().unwrap(),
        instance_type: TYPE.to_owned(),
        zone: "us-east-1a".parse().unwrap(),
        region: "us-east-1".to_owned(),
        enis: Vec::new(),
    };
    ec2.own(|own| own.identity = Some(identity));
    ec2.set_enis(std::slice::from_ref(eni));
    ec2
}

impl Node {
    /// EC2 has the address on another node. The metadata service still lists it here.
    pub(crate) fn is_elsewhere(&self, address: Ipv4Addr) {
        let other = interface(OTHER_ENI.parse().unwrap(), eni().subnet);
        self.cloud.put(address, &OTHER.parse().unwrap(), other);
    }

    /// Another node of the cluster has taken the address.
    pub(crate) fn moves_away(&self, address: Ipv4Addr) {
        self.cloud.unlist(address);
        self.is_elsewhere(address);
    }

    /// No ENI has the address, and no Assign brings it back.
    pub(crate) fn loses_for_good(&self, address: Ipv4Addr) {
        self.cloud.unlist(address);
        self.cloud.lose(address);
        self.cloud.account().faults.assigns_are_lost = true;
    }

    /// The other node's ENI does not belong to the cluster.
    pub(crate) fn other_is_foreign(&self) {
        let mut account = self.cloud.account();
        account.instances.get_mut(OTHER).unwrap().interfaces[0].cluster = None;
    }

    /// Which service of AWS manages the node's ENI.
    pub(crate) fn is_managed_by(&self, operator: Option<&str>) {
        self.cloud.own(|own| own.interfaces[0].operator = operator.map(str::to_owned));
    }
}
