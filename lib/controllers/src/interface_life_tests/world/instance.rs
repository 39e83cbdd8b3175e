//! The instance of the small world, as the metadata service and EC2 show it.

use std::collections::BTreeSet;

use firecamp_core::ids::{ClusterName, EniId, NodeName};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{Eni, NodeIdentity, TypeLimits};

use super::{INSTANCE, METADATA_LAG, SUBNET, World, parsed};
use crate::node::managed_interfaces::Inputs;

/// What the agent is given each time. The identity is made anew only if EC2's interfaces have
/// changed: millions of seconds are simulated.
#[derive(Debug)]
pub(super) struct Site {
    cluster: ClusterName,
    node: NodeName,
    limits: TypeLimits,
    described: [Interface; 1],
    identity: Option<(usize, NodeIdentity)>,
}

impl Site {
    pub(super) fn new() -> Self {
        Self {
            cluster: parsed("test"),
            node: parsed("n1"),
            limits: TypeLimits {
                name: "m5.large".to_owned(),
                enis: 3,
                addresses: 10,
                volumes: None,
            },
            described: [primary()],
            identity: None,
        }
    }

    pub(super) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            cluster: &self.cluster,
            node: &self.node,
            identity: self.identity.as_ref().map(|(_, identity)| identity),
            described: Some(&self.described),
            limits: Some(&self.limits),
            vpc_cni: Some(false),
        }
    }
}

impl World {
    /// Reads the metadata service.
    pub(super) fn identify(&mut self) {
        let changes = self.seen_changes(METADATA_LAG);
        if self.site.identity.as_ref().is_none_or(|(before, _)| *before != changes) {
            self.site.identity = Some((changes, self.identity()));
        }
    }

    fn identity(&self) -> NodeIdentity {
        let eni = |id: &EniId, index: u32| Eni {
            id: id.clone(),
            mac: parsed(&format!("02:00:00:00:00:{index:02x}")),
            device_index: index,
            network_card: 0,
            subnet: parsed(SUBNET),
            cidr: parsed("10.0.1.0/24"),
            primary_address: [10, 0, 1, u8::try_from(index).unwrap() + 200].into(),
            listed: BTreeSet::new(),
            prefixes: 0,
        };
        let made = self.seen(METADATA_LAG).iter();
        let made = made.filter_map(|(id, one)| Some(eni(id, one.index?)));
        NodeIdentity {
            instance: parsed(INSTANCE),
            instance_type: "m5.large".to_owned(),
            zone: parsed("us-east-1a"),
            region: "us-east-1".to_owned(),
            enis: std::iter::once(eni(&parsed("eni-0000eeee"), 0)).chain(made).collect(),
        }
    }
}

fn primary() -> Interface {
    Interface {
        id: parsed("eni-0000eeee"),
        subnet: parsed(SUBNET),
        device_index: 0,
        network_card: 0,
        primary: [10, 0, 1, 200].into(),
        addresses: BTreeSet::new(),
        prefixes: 0,
        groups: ["sg-0000000a".to_owned()].into(),
        cluster: None,
        no_manage: None,
        operator: None,
        delete_on_termination: true,
    }
}
