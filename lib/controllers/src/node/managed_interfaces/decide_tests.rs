use firecamp_core::managed_interface::Phase;
use firecamp_core::network_interface::TRUNK_CONTROLLER;

use super::*;
use crate::node::CniSettings;

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn eni(index: u32, addresses: u8) -> Eni {
    Eni {
        id: parsed(&format!("eni-0000000{index}")),
        mac: parsed(&format!("02:00:00:00:00:0{index}")),
        device_index: index,
        network_card: 0,
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        primary_address: [10, 0, 2, 1].into(),
        listed: (0..addresses).map(|last| [10, 0, 1, last].into()).collect(),
        prefixes: 0,
    }
}

pub(in crate::node) fn record(index: u32, phase: Phase) -> StoredInterface {
    StoredInterface {
        name: InterfaceName::of(&parsed("i-0000000a"), index),
        uid: parsed("uid"),
        version: parsed("1"),
        record: NodeInterface {
            node: parsed("n1"),
            instance: parsed("i-0000000a"),
            subnet: parsed("subnet-0000000a"),
            groups: ["sg-0000000b".to_owned()].into(),
            phase,
            eni: Some(parsed(&format!("eni-0000000{index}"))),
            excluded: phase.is_removal(),
        },
    }
}

/// A node of a type with `enis` interfaces of ten addresses each, and a pool that wants two.
struct Scene {
    known: InterfaceRead,
    identity: NodeIdentity,
    described: Vec<Interface>,
    enis: u32,
    vpc_cni: bool,
}

impl Scene {
    fn new(enis: u32) -> Self {
        let policy = PoolPolicy {
            pool: parsed("pool"),
            subnets: [(parsed("subnet-0000000a"), parsed("us-east-1a"))].into(),
            node_selector: BTreeMap::new(),
            groups: ["sg-0000000b".to_owned()].into(),
            maximum: 2,
        };
        let node = OwnNode {
            name: parsed("n1"),
            version: parsed("1"),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            pods: Some(29),
        };
        let known = InterfaceRead {
            records: Vec::new(),
            wanted: Some(Wanted {
                policies: vec![policy],
                node,
                cluster_uid: parsed("cluster"),
                cni: CniSettings::default(),
            }),
        };
        let identity = NodeIdentity {
            instance: parsed("i-0000000a"),
            instance_type: "any".to_owned(),
            zone: parsed("us-east-1a"),
            region: "us-east-1".to_owned(),
            enis: vec![eni(0, 0)],
        };
        Self { known, identity, described: Vec::new(), enis, vpc_cni: true }
    }

    fn wanted(&mut self) -> &mut Wanted {
        self.known.wanted.as_mut().unwrap()
    }

    fn node(&mut self) -> &mut OwnNode {
        &mut self.wanted().node
    }

    fn decide(&self) -> Decision {
        let limits =
            TypeLimits { name: "any".to_owned(), enis: self.enis, addresses: 10, volumes: None };
        decide(
            &self.known,
            &Inputs {
                cluster: &parsed("test"),
                node: &parsed("n1"),
                identity: Some(&self.identity),
                described: Some(&self.described),
                limits: Some(&limits),
                vpc_cni: Some(self.vpc_cni),
            },
        )
    }
}

fn makes(decision: &Decision) -> bool {
    matches!(decision, Decision::Record(..))
}

#[test]
fn no_interface_is_made_that_the_vpc_cni_would_take_because_it_reads_no_tags() {
    let mut scene = Scene::new(8);
    assert!(makes(&scene.decide()));
    let settings = VpcCniSettings { reads_no_tags: true, ..VpcCniSettings::default() };
    scene.wanted().cni.vpc_cni = Some(settings);
    assert_eq!(scene.decide(), Decision::Refused(Refusal::TagsNotRead));
    assert!(Refusal::TagsNotRead.to_string().contains("ENABLE_IMDS_ONLY_MODE=false"));
}

#[test]
fn no_interface_is_made_that_ciliums_operator_does_not_exclude() {
    let mut scene = Scene::new(8);
    let no_manage = "node.k8s.amazonaws.com/no_manage";
    let tags = |tags: &[(&str, &str)]| -> BTreeMap<String, String> {
        tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    for (excludes, made) in [
        (tags(&[]), false),
        (tags(&[(no_manage, "true")]), true),
        (tags(&[(no_manage, "true"), ("firecamp.io/cluster", "test")]), true),
        (tags(&[(no_manage, "true"), ("team", "db")]), false),
        (tags(&[(no_manage, "yes")]), false),
    ] {
        scene.wanted().cni.cilium_excludes = Some(excludes.clone());
        assert_eq!(makes(&scene.decide()), made, "{excludes:?}");
    }
    scene.wanted().cni.cilium_pending = true;
    assert_eq!(scene.decide(), Decision::Refused(Refusal::CiliumPending));
    let refused = Refusal::NotExcluded(BTreeMap::new()).to_string();
    assert!(refused.contains(no_manage), "{refused}");
}

#[test]
fn an_interface_that_pods_need_is_not_taken_from_them() {
    let mut scene = Scene::new(3);
    let refusal = Refusal::NoInterfaceLeft { limit: 3, attached: 1, pods: 2, trunk: 0 };
    assert_eq!(scene.decide(), Decision::Refused(refusal), "29 pods need three interfaces");
    scene.node().pods = Some(20);
    assert!(makes(&scene.decide()), "20 pods need two");
    scene.node().labels.insert(TRUNK.to_owned(), "false".to_owned());
    assert!(!makes(&scene.decide()), "the third is for a trunk");
    scene.node().labels.insert(TRUNK.to_owned(), "true".to_owned());
    assert!(makes(&scene.decide()), "the trunk is attached already");
    scene.node().pods = None;
    assert_eq!(scene.decide(), Decision::Refused(Refusal::PodsUnknown));
    scene.vpc_cni = false;
    assert!(makes(&scene.decide()), "without the VPC CNI pods need none");
}

fn described(index: u32) -> Interface {
    Interface {
        id: parsed(&format!("eni-0000000{index}")),
        subnet: parsed("subnet-0000000a"),
        device_index: index,
        network_card: 0,
        primary: [10, 0, 1, 200].into(),
        addresses: BTreeSet::new(),
        prefixes: 0,
        groups: BTreeSet::new(),
        cluster: None,
        no_manage: None,
        operator: None,
        delete_on_termination: false,
    }
}

#[test]
fn an_interface_that_the_vpc_cni_leaves_alone_is_none_of_its_own() {
    let mut scene = Scene::new(4);
    scene.identity.enis.push(eni(1, 0));
    assert!(makes(&scene.decide()), "29 pods need three interfaces, and the VPC CNI has two");
    let for_members = Interface { no_manage: Some("true".to_owned()), ..described(1) };
    let of_a_service = Interface { operator: Some("a service".to_owned()), ..described(1) };
    for left_alone in [for_members, of_a_service] {
        scene.described = vec![left_alone];
        let refusal = Refusal::NoInterfaceLeft { limit: 4, attached: 2, pods: 2, trunk: 0 };
        assert_eq!(scene.decide(), Decision::Refused(refusal), "it has one, and needs two more");
    }
}

#[test]
fn a_vpc_cni_that_has_not_started_on_the_node_yet_needs_its_interfaces_too() {
    let mut scene = Scene::new(3);
    scene.vpc_cni = false;
    assert!(makes(&scene.decide()), "the cluster has no VPC CNI");
    scene.wanted().cni.vpc_cni = Some(VpcCniSettings::default());
    let refusal = Refusal::NoInterfaceLeft { limit: 3, attached: 1, pods: 2, trunk: 0 };
    assert_eq!(scene.decide(), Decision::Refused(refusal));
}

#[test]
fn a_trunk_gets_its_interface_and_gives_no_address_to_pods() {
    let mut scene = Scene::new(4);
    assert!(makes(&scene.decide()), "29 pods need three of four");
    let settings = VpcCniSettings { has_trunk: true, ..VpcCniSettings::default() };
    scene.wanted().cni.vpc_cni = Some(settings);
    let refusal = Refusal::NoInterfaceLeft { limit: 4, attached: 1, pods: 2, trunk: 1 };
    assert_eq!(scene.decide(), Decision::Refused(refusal));
    scene.identity.enis.push(eni(1, 0));
    let trunk = Some(TRUNK_CONTROLLER.to_owned());
    scene.described = vec![Interface { operator: trunk, ..described(1) }];
    let refusal = Refusal::NoInterfaceLeft { limit: 4, attached: 2, pods: 2, trunk: 0 };
    assert_eq!(scene.decide(), Decision::Refused(refusal));
}

#[test]
fn with_custom_networking_the_primary_interface_gives_no_address_to_pods() {
    let mut scene = Scene::new(3);
    scene.node().pods = Some(20);
    assert!(makes(&scene.decide()), "20 pods need two, and the primary one is the first");
    let settings = VpcCniSettings { skips_primary: true, ..VpcCniSettings::default() };
    scene.wanted().cni.vpc_cni = Some(settings);
    let refusal = Refusal::NoInterfaceLeft { limit: 3, attached: 1, pods: 2, trunk: 0 };
    assert_eq!(scene.decide(), Decision::Refused(refusal));
}

#[test]
fn an_interface_that_was_detached_with_addresses_is_replaced_but_not_without_end() {
    let mut scene = Scene::new(8);
    scene.wanted().policies[0].maximum = 1;
    scene.known.records.push(record(2, Phase::Draining));
    assert!(makes(&scene.decide()), "its addresses need another place");
    scene.known.records.push(record(3, Phase::Draining));
    assert!(matches!(scene.decide(), Decision::Wait(_)), "two are detached and not removed");
    scene.known.records.pop();
    scene.identity.enis.push(eni(2, 9));
    assert!(makes(&scene.decide()), "one that is attached is replaced as well");
}

#[test]
fn an_interface_that_is_to_be_removed_is_first_recorded_as_excluded() {
    let mut scene = Scene::new(8);
    let mut new = record(2, Phase::Draining);
    new.record.excluded = false;
    scene.known.records.push(new.clone());
    assert_eq!(scene.decide(), Decision::Excluded(new.clone()));
    scene.wanted().cni.cilium_pending = true;
    assert_eq!(scene.decide(), Decision::Excluded(new), "whatever a CNI plugin does");
}

#[test]
fn with_prefixes_pods_need_few_interfaces() {
    let mut scene = Scene::new(3);
    scene.node().pods = Some(110);
    assert!(!makes(&scene.decide()));
    scene.identity.enis = vec![Eni { prefixes: 1, ..eni(0, 0) }];
    assert!(makes(&scene.decide()));
}

#[test]
fn only_nodes_with_the_labels_and_in_the_zones_of_the_pool_get_interfaces() {
    let mut scene = Scene::new(8);
    assert!(makes(&scene.decide()));
    scene.wanted().policies[0].node_selector.insert("workload".to_owned(), "db".to_owned());
    assert_eq!(scene.decide(), Decision::Nothing);
    scene.node().labels.insert("workload".to_owned(), "db".to_owned());
    assert!(makes(&scene.decide()));
    scene.identity.zone = parsed("us-east-1b");
    assert_eq!(scene.decide(), Decision::Nothing);
}

#[test]
fn the_next_interface_is_made_before_the_first_is_full() {
    let mut scene = Scene::new(8);
    scene.known.records.push(record(2, Phase::Attached));
    for (addresses, more) in [(0, false), (6, false), (7, true), (9, true)] {
        scene.identity.enis = vec![eni(0, 0), eni(2, addresses)];
        assert_eq!(makes(&scene.decide()), more, "{addresses} of 9");
    }
    scene.known.records.push(record(3, Phase::Attached));
    scene.identity.enis.push(eni(3, 9));
    assert_eq!(scene.decide(), Decision::Nothing, "the pool allows two");
    scene.known.records.pop();
    scene.known.records.push(record(3, Phase::Draining));
    assert!(makes(&scene.decide()), "one that goes does not count");
}

#[test]
fn a_device_index_is_neither_the_lowest_nor_the_highest_free_one() {
    let mut scene = Scene::new(8);
    scene.known.records.push(StoredInterface {
        record: NodeInterface { phase: Phase::Creating, ..record(9, Phase::Creating).record },
        ..record(9, Phase::Creating)
    });
    let index = |scene: &Scene| {
        let Decision::Attach(_, _, index) = scene.decide() else { panic!("it is not attached") };
        index
    };
    assert_eq!(index(&scene), 2, "1 is the VPC CNI's next, 7 the resource controller's");
    scene.identity.enis.extend([eni(1, 0), eni(2, 0)]);
    assert_eq!(index(&scene), 4);
    scene.identity.enis.extend((3..7).map(|index| eni(index, 0)));
    assert_eq!(index(&scene), 7, "the last one");
}
