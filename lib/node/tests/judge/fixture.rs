//! A healthy node, and changes to it.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::SubnetId;
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{Eni, NodeIdentity, TypeLimits, VolumeLimit};
use firecamp_node::preflight::facts::{
    AttachedVolumes, Clock, Cni, Fact, Facts, InCluster, KubeNode, Link, LinkPolicy, Nat,
    NodeFacts, Purpose, Range, Reading, Reservation, RunDir,
};
use firecamp_node::preflight::{Condition, Kind, Reason, judge};

pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn eni(index: u32, subnet: &str) -> Eni {
    Eni {
        id: parsed(&format!("eni-0000000{index}")),
        mac: parsed(&format!("06:00:00:00:00:0{index}")),
        device_index: index,
        network_card: 0,
        subnet: parsed(subnet),
        cidr: parsed("10.0.1.0/24"),
        primary_address: [10, 0, 1, 10].into(),
        listed: BTreeSet::new(),
        prefixes: 0,
    }
}

pub(crate) fn interface(eni: &Eni) -> Interface {
    Interface {
        id: eni.id.clone(),
        subnet: eni.subnet.clone(),
        device_index: eni.device_index,
        network_card: 0,
        primary: eni.primary_address,
        addresses: BTreeSet::new(),
        prefixes: 0,
        groups: ["sg-1".to_owned()].into(),
        cluster: Some("prod".to_owned()),
        no_manage: None,
        operator: None,
        delete_on_termination: false,
    }
}

pub(crate) const A: &str = "subnet-0000000a";
pub(crate) const B: &str = "subnet-0000000b";

pub(crate) fn good_node() -> NodeFacts {
    let link = |index: u32| Link {
        name: format!("ens{index}"),
        mac: parsed(&format!("06:00:00:00:00:0{index}")),
        up: true,
        networkd: LinkPolicy::Unmanaged,
    };
    let (path, filesystem) = ("/run/firecamp".to_owned(), "tmpfs".to_owned());
    NodeFacts {
        net_admin: Fact::Known(true),
        run_dir: Fact::Known(RunDir { path, filesystem, writable: true }),
        cni: Fact::Known(None),
        net_utils: Fact::Known(None),
        networkd: Fact::Known(None),
        network_manager: Fact::Known(BTreeSet::new()),
        links: Fact::Known(vec![link(0), link(1), link(2)]),
        rules: Fact::Known(vec![]),
        nat: Fact::Known(Nat::default()),
    }
}

/// Pools that hand out 10.0.1.100 to .120 in each of these subnets.
pub(crate) fn pools(subnets: &[&str]) -> BTreeMap<SubnetId, Vec<Range>> {
    let range = ([10, 0, 1, 100].into(), [10, 0, 1, 120].into());
    subnets.iter().map(|subnet| (parsed(subnet), vec![range])).collect()
}

/// An m5.large with slots for this many volumes.
pub(crate) fn limits(count: u32, shared: bool) -> TypeLimits {
    let volumes = Some(VolumeLimit { count, shared });
    TypeLimits { name: "m5.large".to_owned(), enis: 3, addresses: 10, volumes }
}

/// One explicit reservation.
pub(crate) fn reserved(block: &str) -> Fact<Vec<Reservation>, CloudFailure> {
    Fact::Known(vec![Reservation { block: parsed(block), explicit: true }])
}

/// A node with nothing wrong: a primary interface in one subnet, a second one in another.
pub(crate) fn good() -> Facts {
    let enis = vec![eni(0, A), eni(1, B)];
    let interfaces: Vec<Interface> = enis.iter().map(interface).collect();
    let mut facts = Facts {
        purpose: Purpose {
            cluster: Some(parsed("prod")),
            subnets: Some(pools(&[A, B])),
            ..Purpose::default()
        },
        identity: Fact::Known(NodeIdentity {
            instance: parsed("i-0000000a"),
            instance_type: "m5.large".to_owned(),
            zone: parsed("us-east-1a"),
            region: "us-east-1".to_owned(),
            enis,
        }),
        endpoint: Fact::Known(true),
        peers: Fact::Known(interfaces.clone()),
        interfaces: Fact::Known(interfaces),
        reservations: [A, B].map(|subnet| (parsed(subnet), reserved("10.0.1.64/26"))).into(),
        limits: Fact::Known(limits(28, true)),
        volumes: Fact::Known(AttachedVolumes { count: 3, of_launch: 1 }),
        in_cluster: InCluster {
            node: Fact::Known(Some(KubeNode {
                name: "node-1".to_owned(),
                internal: vec![[10, 0, 1, 10].into()],
                fixed: true,
            })),
            snat: Fact::Known(None),
            offered: Fact::Known(Some(25)),
        },
        clocks: vec![Reading { clock: Clock::Ec2, ahead: -3 }],
        node: good_node(),
        ..Facts::default()
    };
    facts.record_interface_permission();
    facts
}

pub(crate) fn with(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = good();
    change(&mut facts);
    facts
}

pub(crate) fn one(facts: &Facts, kind: Kind) -> Condition {
    judge(facts).into_iter().find(|one| one.kind == kind).unwrap()
}

pub(crate) fn reason(facts: &Facts, kind: Kind) -> Reason {
    one(facts, kind).reason
}

pub(crate) fn failure(kind: CloudKind) -> CloudFailure {
    CloudFailure { kind, effect: Effect::None, detail: "read mac: no answer".to_owned() }
}

/// The VPC CNI runs here; the second interface has these tags and prefixes.
pub(crate) fn with_cni(tag: Option<&str>, prefixes: u32) -> Facts {
    with(|facts| {
        facts.node.cni = Fact::Known(Some(Cni::vpc("/etc/cni/net.d/10-aws.conflist")));
        facts.purpose.subnets = Some(pools(&[B]));
        let Fact::Known(all) = &mut facts.interfaces else { unreachable!() };
        all[1].no_manage = tag.map(str::to_owned);
        all[1].prefixes = prefixes;
    })
}
