use std::collections::BTreeSet;

use firecamp_core::failure::{CloudKind, Effect};
use firecamp_core::node_identity::{Eni, VolumeLimit};
use firecamp_core::record::{PoolSubnet, ReleasePolicy};
use firecamp_node::preflight::facts::{Cni, Permission};
use firecamp_node::preflight::{Kind, Reason, Status, passes};
use firecamp_registry::api::EniManager;

use super::*;

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn failure(kind: CloudKind) -> CloudFailure {
    CloudFailure { kind, effect: Effect::None, detail: "no answer".to_owned() }
}

fn identity() -> NodeIdentity {
    let eni = |index: u32| Eni {
        id: parsed(&format!("eni-0000000{index}")),
        mac: parsed(&format!("06:00:00:00:00:0{index}")),
        device_index: index,
        network_card: 0,
        subnet: parsed(&format!("subnet-0000000{index}")),
        cidr: parsed("10.0.1.0/24"),
        primary_address: [10, 0, 1, 10].into(),
        listed: BTreeSet::new(),
        prefixes: 0,
    };
    NodeIdentity {
        instance: parsed("i-0000000a"),
        instance_type: "m5.large".to_owned(),
        zone: parsed("us-east-1a"),
        region: "us-east-1".to_owned(),
        enis: vec![eni(0), eni(1)],
    }
}

fn tagged(tag: Option<&str>) -> Vec<Interface> {
    let interface = |eni: &Eni| Interface {
        id: eni.id.clone(),
        subnet: eni.subnet.clone(),
        device_index: eni.device_index,
        network_card: 0,
        primary: eni.primary_address,
        addresses: BTreeSet::new(),
        prefixes: 0,
        groups: BTreeSet::new(),
        cluster: Some("prod".to_owned()),
        no_manage: tag.map(str::to_owned),
        operator: None,
        delete_on_termination: false,
    };
    identity().enis.iter().map(interface).collect()
}

fn with_cni() -> NodeFacts {
    let cni = Fact::Known(Some(Cni::vpc("/etc/cni/net.d/10-aws.conflist")));
    NodeFacts { cni, ..NodeFacts::default() }
}

fn pool(subnet: &str) -> Pool {
    let subnet = PoolSubnet {
        subnet: parsed(subnet),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        ranges: vec![],
    };
    let release_policy = ReleasePolicy::Keep;
    Pool {
        name: parsed("main"),
        release_policy,
        orphaned: firecamp_core::record::OrphanPolicy::Report,
        resource: firecamp_core::ids::ResourceName::default(),
        subnets: vec![subnet],
    }
}

fn reason(preflight: &Preflight, kind: Kind) -> Option<Reason> {
    preflight.conditions.iter().find(|one| one.kind == kind).map(|one| one.reason)
}

#[test]
fn preflight_without_observations_passes_as_incomplete() {
    let preflight = Preflight::new(parsed("prod"), EniRule::Auto);
    assert!(preflight.conditions.iter().all(|one| one.status() == Status::Unknown));
    assert!(passes(&preflight.conditions));
    assert!(preflight.verdicts().is_empty() && !preflight.lacks_tags());
}

#[test]
fn f049_three_consecutive_failed_reads_of_the_metadata_service_count() {
    let mut preflight = Preflight::new(parsed("prod"), EniRule::Auto);
    preflight.identified(&Ok(identity()));
    let reachable = |preflight: &Preflight| reason(preflight, Kind::MetadataReachable);
    for _ in 0..2 {
        preflight.identified(&Err(failure(CloudKind::Transient)));
    }
    assert_eq!(reachable(&preflight), Some(Reason::Reachable));
    preflight.identified(&Ok(identity()));
    for _ in 0..3 {
        preflight.identified(&Err(failure(CloudKind::Transient)));
    }
    assert_eq!(reachable(&preflight), Some(Reason::MetadataUnreachable));
    preflight.identified(&Ok(identity()));
    assert_eq!(reachable(&preflight), Some(Reason::Reachable));
}

#[test]
fn f053_denial_is_reported_and_throttling_keeps_the_last_result() {
    let mut preflight = Preflight::new(parsed("prod"), EniRule::Auto);
    preflight.identified(&Ok(identity()));
    preflight.interfaces(Ok(tagged(None)));
    let allowed = |preflight: &Preflight| reason(preflight, Kind::Ec2Allowed);
    preflight.interfaces(Err(failure(CloudKind::Throttled)));
    assert_eq!(allowed(&preflight), Some(Reason::Allowed));
    preflight.interfaces(Err(failure(CloudKind::Auth)));
    assert_eq!(allowed(&preflight), Some(Reason::Denied));
    preflight.interfaces(Ok(tagged(None)));
    assert_eq!(allowed(&preflight), Some(Reason::Allowed));
    preflight.tried(Right::AssignPrivateIpAddresses, Permission::Denied("no".to_owned()));
    assert_eq!(allowed(&preflight), Some(Reason::Denied));
    preflight.tried(Right::AssignPrivateIpAddresses, Permission::Allowed);
    assert_eq!(allowed(&preflight), Some(Reason::Allowed));
}

#[test]
fn f057_new_interface_next_to_the_vpc_cni_needs_its_tags_at_once() {
    let mut preflight = Preflight::new(parsed("prod"), EniRule::Auto);
    preflight.identified(&Ok(identity()));
    assert!(!preflight.lacks_tags(), "whether there is a VPC CNI is not known yet");
    preflight.files(NodeFacts { cni: Fact::Known(None), ..NodeFacts::default() });
    assert!(!preflight.lacks_tags(), "without it nobody needs them");
    preflight.files(with_cni());
    assert!(preflight.lacks_tags());
    preflight.interfaces(Ok(tagged(Some("true"))));
    assert!(!preflight.lacks_tags());
    let managers: Vec<Manager> = preflight.verdicts().iter().map(|one| one.manager).collect();
    assert_eq!(managers, [Manager::VpcCni, Manager::FireCamp]);
}

#[test]
fn only_interfaces_in_a_pool_subnet_serve_members() {
    let mut preflight = Preflight::new(parsed("prod"), EniRule::Auto);
    preflight.identified(&Ok(identity()));
    let serving = |preflight: &Preflight| {
        preflight.verdicts().iter().map(|one| preflight.serves(one)).collect::<Vec<_>>()
    };
    assert_eq!(serving(&preflight), [false, false], "the pools are not known");
    preflight.pools(&[pool("subnet-00000001")]);
    assert_eq!(serving(&preflight), [false, true]);
}

#[test]
fn kernel_links_take_precedence_over_files() {
    let mut preflight = Preflight::new(parsed("prod"), EniRule::Auto);
    preflight.identified(&Ok(identity()));
    preflight.pools(&[pool("subnet-00000001")]);
    let file = |up| {
        let networkd = LinkPolicy::Drops("70-x.network".to_owned());
        let link = Link { name: "eth1".to_owned(), mac: identity().enis[1].mac, up, networkd };
        let (cni, networkd) = (Fact::Known(None), Fact::NotChecked);
        NodeFacts { links: Fact::Known(vec![link]), cni, networkd, ..NodeFacts::default() }
    };
    let mac = identity().enis[1].mac;
    let link = |up| ObservedLink { name: "eth1".to_owned(), index: 3, mac, up, bare: true };
    preflight.links(&[link(false)]);
    assert_eq!(reason(&preflight, Kind::EniLinked), Some(Reason::LinkDown));
    preflight.files(file(true));
    assert_eq!(reason(&preflight, Kind::EniLinked), Some(Reason::LinkDown));
    preflight.links(&[link(true)]);
    assert_eq!(reason(&preflight, Kind::EniLinked), Some(Reason::Linked));
}

fn limits() -> TypeLimits {
    TypeLimits { name: "m5.large".to_owned(), enis: 3, addresses: 10, volumes: None }
}

/// The facts about a node without the VPC CNI.
fn observed(rule: EniRule) -> Preflight {
    let mut preflight = Preflight::new(parsed("prod"), rule);
    preflight.identified(&Ok(identity()));
    preflight.files(NodeFacts { cni: Fact::Known(None), ..NodeFacts::default() });
    preflight.pools(&[pool("subnet-00000001")]);
    preflight.type_limits(Ok(limits()));
    preflight
}

fn reported(preflight: &Preflight) -> crate::publish::Facts {
    let mut facts = crate::publish::Facts::new(parsed("node-1"));
    preflight.report(&mut facts);
    facts
}

#[test]
fn f021_chosen_interface_is_reported_with_its_limit() {
    for (rule, carries) in [
        (EniRule::Auto, [false, true]),
        (EniRule::DeviceIndex(1), [false, true]),
        (EniRule::Primary, [false, false]),
    ] {
        let mut preflight = observed(rule);
        let mac = parsed("06:00:00:00:00:01");
        let (name, index) = ("ens6".to_owned(), 3);
        preflight.links(&[ObservedLink { name, index, mac, up: true, bare: false }]);
        let facts = reported(&preflight);
        assert_eq!(facts.instance, Some(parsed("i-0000000a")));
        assert_eq!(facts.zone, Some(parsed("us-east-1a")));
        let enis = facts.enis.unwrap();
        assert_eq!([0, 1].map(|eni: usize| enis[eni].carries), carries.map(Some), "{rule:?}");
        assert_eq!(enis[1].limit, Some(10));
        assert_eq!(enis[1].link.as_deref(), Some("ens6"));
        assert_eq!(enis[0].link, None);
        assert!(enis.iter().all(|eni| eni.managed_by == EniManager::FireCamp));
    }
}

#[test]
fn the_oldest_pool_in_its_subnet_names_the_resource_of_an_interface() {
    let named = |name: &str, subnet: &str| Pool { resource: parsed(name), ..pool(subnet) };
    let (one, two) = ("firecamp.io/static-ip-one", "firecamp.io/static-ip-two");
    let mut preflight = observed(EniRule::Auto);
    let resource = |preflight: &Preflight, eni: usize| {
        reported(preflight).enis.unwrap()[eni].resource.to_string()
    };
    assert_eq!(resource(&preflight, 1), "firecamp.io/static-ip");
    preflight.pools(&[named(two, "subnet-00000001"), named(one, "subnet-00000001")]);
    assert_eq!(resource(&preflight, 1), two, "the first one in the list");
    preflight.pools(&[named(one, "subnet-00000001"), named(two, "subnet-00000000")]);
    assert_eq!([0, 1].map(|eni| resource(&preflight, eni)), [two, one]);
}

#[test]
fn an_interface_without_the_tag_of_the_cluster_carries_no_members() {
    for (cluster, carries) in [(Some("prod"), true), (Some("test"), false), (None, false)] {
        let mut preflight = observed(EniRule::Auto);
        let other = |one| Interface { cluster: cluster.map(str::to_owned), ..one };
        preflight.interfaces(Ok(tagged(None).into_iter().map(other).collect()));
        let enis = reported(&preflight).enis.unwrap();
        assert_eq!(enis[1].carries, Some(carries), "{cluster:?}");
    }
}

#[test]
fn whether_a_new_interface_carries_members_is_unknown_until_ec2_has_described_it() {
    let mut preflight = observed(EniRule::Auto);
    preflight.interfaces(Ok(tagged(None).into_iter().take(1).collect()));
    let carries = |preflight: &Preflight| {
        reported(preflight).enis.unwrap().iter().map(|eni| eni.carries).collect::<Vec<_>>()
    };
    assert_eq!(carries(&preflight), [Some(false), None], "a new interface, not listed yet");
    preflight.interfaces(Err(failure(CloudKind::Throttled)));
    assert_eq!(carries(&preflight), [Some(false), None]);
    preflight.interfaces(Ok(tagged(None)));
    assert_eq!(carries(&preflight), [Some(false), Some(true)]);
}

#[test]
fn f021_unknown_interface_facts_are_reported_as_unknown() {
    let mut preflight = Preflight::new(parsed("prod"), EniRule::Auto);
    assert_eq!(reported(&preflight).enis, None);
    preflight.identified(&Ok(identity()));
    let enis = reported(&preflight).enis.unwrap();
    assert_eq!((enis[0].carries, enis[0].limit), (None, None));
    assert_eq!(enis[0].managed_by, EniManager::Unknown);
    let mut preflight = observed(EniRule::Auto);
    for _ in 0..3 {
        preflight.identified(&Err(failure(CloudKind::Transient)));
    }
    let facts = reported(&preflight);
    assert_eq!((facts.enis, facts.zone), (None, None));
    let silent = facts.checks.iter().find(|one| one.kind == "MetadataReachable").unwrap();
    assert_eq!((silent.reason.as_str(), silent.good), ("MetadataUnreachable", Some(false)));
    assert!(silent.blocks);
}

fn attached(count: u32) -> AttachedVolumes {
    AttachedVolumes { count, of_launch: 1 }
}

#[test]
fn f053_denied_query_is_reported_until_it_is_allowed() {
    let mut preflight = observed(EniRule::Auto);
    let allowed = |preflight: &Preflight| reason(preflight, Kind::Ec2Allowed);
    assert_eq!(allowed(&preflight), Some(Reason::Allowed));
    preflight.volumes(&Err(failure(CloudKind::Auth)));
    assert_eq!(allowed(&preflight), Some(Reason::OptionalDenied));
    preflight.volumes(&Err(failure(CloudKind::Throttled)));
    assert_eq!(allowed(&preflight), Some(Reason::OptionalDenied), "a throttle says nothing");
    preflight.volumes(&Ok(attached(1)));
    assert_eq!(allowed(&preflight), Some(Reason::Allowed));
    preflight.type_limits(Err(failure(CloudKind::Auth)));
    assert_eq!(allowed(&preflight), Some(Reason::Denied));
    assert_eq!(preflight.limits(), Some(&limits()), "and what is known stays known");
}

#[test]
fn f085_volume_slots_exclude_attached_interfaces() {
    let mut preflight = observed(EniRule::Auto);
    let counted = |preflight: &Preflight| reason(preflight, Kind::VolumeSlotsCounted);
    assert_eq!(counted(&preflight), None);
    let volumes = Some(VolumeLimit { count: 28, shared: true });
    preflight.type_limits(Ok(TypeLimits { volumes, ..limits() }));
    assert_eq!(counted(&preflight), None, "nobody has counted volumes yet");
    preflight.volumes(&Ok(attached(3)));
    assert_eq!(counted(&preflight), Some(Reason::SlotsAvailable));
    preflight.volumes(&Ok(attached(28)));
    assert_eq!(counted(&preflight), Some(Reason::SlotsExhausted));
    preflight.volumes(&Err(failure(CloudKind::Throttled)));
    assert_eq!(counted(&preflight), Some(Reason::SlotsExhausted), "what is known stays known");
}

#[test]
fn f085_a_count_from_before_an_interface_was_attached_is_reported_until_it_is_corrected() {
    let mut preflight = observed(EniRule::Auto);
    let volumes = Some(VolumeLimit { count: 28, shared: true });
    preflight.type_limits(Ok(TypeLimits { volumes, ..limits() }));
    preflight.volumes(&Ok(attached(3)));
    let counted = |preflight: &Preflight| reason(preflight, Kind::VolumeSlotsCounted);
    // 28 slots less the root volume and one of two interfaces.
    preflight.offered_volumes(Some(26));
    assert_eq!(counted(&preflight), Some(Reason::SlotsOvercounted));
    preflight.offered_volumes(Some(25));
    assert_eq!(counted(&preflight), Some(Reason::SlotsAvailable));
    preflight.offered_volumes(None);
    assert_eq!(counted(&preflight), Some(Reason::SlotsAvailable), "no driver");
}
