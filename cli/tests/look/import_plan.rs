//! The plan of `firecamp import`, from the original's records and the existing objects.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_cli::import::parse_original::{OldRecords, Texts};
use firecamp_cli::import::plan::{AddressStep, ClaimStep, Known, KnownPool, Plan, PodPhase, plan};
use firecamp_core::contract::exit::Imported;
use firecamp_core::ids::{EniId, Epoch, InstanceId, Member, NodeName, PoolName, RunId, Zone};
use firecamp_core::record::{Claim, Pool, State, StaticIp};
use firecamp_registry::api::ReclaimPolicy;
use firecamp_registry::conformance::{claim, member, pool};

use super::import_support::{INSTANCE, Map, OTHER_SERVICE, SERVICE, ZONE, old_address, old_member};
use super::support::{ENI, NODE, address, held, sample_pool};

fn redis(index: u32) -> Member {
    member(index).unwrap()
}

fn records(maps: &[Map]) -> OldRecords {
    let mut old = OldRecords::default();
    for Map(name, data) in maps {
        let texts: Texts = serde_json::from_value(data.clone()).unwrap();
        old.add("prod", name, &texts);
    }
    old
}

/// A member and its address.
fn two() -> Vec<Map> {
    vec![old_address(20), old_member(0, address(20))]
}

fn known() -> Known {
    let nodes = (InstanceId::new(INSTANCE).unwrap(), NodeName::new(NODE).unwrap());
    Known {
        pools: vec![KnownPool { pool: sample_pool(), reclaim: ReclaimPolicy::Retain }],
        addresses: BTreeMap::new(),
        claims: BTreeMap::new(),
        nodes: [nodes].into(),
        pods: (0..3).map(|index| (redis(index), PodPhase::Settled)).collect(),
        run: RunId::new("import").unwrap(),
    }
}

impl Build for Known {
    fn with(mut self, ip: &StaticIp) -> Self {
        self.addresses.insert(ip.address, ip.clone());
        self
    }

    fn claimed(mut self, claim: Claim) -> Self {
        self.claims.insert(claim.member.clone(), claim);
        self
    }
}

trait Build: Sized {
    fn with(self, ip: &StaticIp) -> Self;
    fn claimed(self, claim: Claim) -> Self;
}

fn bound(index: u32, to: Ipv4Addr) -> Claim {
    Claim { address: Some(to), ..claim(&redis(index), &sample_pool()) }
}

/// The objects that the plan creates for its only address.
fn created(plan: &Plan) -> (Option<&Claim>, &StaticIp) {
    let [step] = plan.steps.as_slice() else { panic!("{plan:?}") };
    let Some(AddressStep { before: None, after: ip }) = &step.address else { panic!("{step:?}") };
    let claim = step.claim.as_ref().map(|claim| match claim {
        ClaimStep::Create(claim) => claim,
        ClaimStep::Bind(_) => panic!("{step:?}"),
    });
    (claim, ip)
}

#[test]
fn f098_member_gets_its_address_parked_on_the_eni_of_the_original() {
    let plan = plan(&records(&two()), &known());
    assert_eq!(plan.end(), Imported::All);
    let (claim, ip) = created(&plan);
    let claim = claim.unwrap();
    assert_eq!(claim.member, redis(0));
    assert_eq!((claim.address, claim.requested), (Some(address(20)), Some(address(20))));
    assert_eq!((claim.set.as_ref(), &claim.pool), (None, &ip.pool));
    let eni = EniId::new(ENI).unwrap();
    assert_eq!((&ip.member, ip.address, ip.epoch), (&redis(0), address(20), Epoch(1)));
    assert!(ip.settled_on(&eni), "the first start on this ENI needs no call: {ip:?}");
    let attachment = ip.attachment.as_ref().unwrap();
    assert_eq!((attachment.state, attachment.node.as_str()), (State::Parked, NODE));
    assert!(!ip.held_by(&attachment.pod, ip.epoch), "no pod uses it");
    firecamp_registry::rules::check_static_ip(ip).unwrap();
}

#[test]
fn f098_address_on_a_machine_outside_the_cluster_is_only_reserved() {
    let known = Known { nodes: BTreeMap::new(), ..known() };
    let plan = plan(&records(&two()), &known);
    let (_, ip) = created(&plan);
    let eni = EniId::new(ENI).unwrap();
    assert_eq!((ip.epoch, &ip.attachment), (Epoch(0), &None));
    assert!(ip.recorded_enis().contains(&eni) && !ip.settled_on(&eni));
    firecamp_registry::rules::check_static_ip(ip).unwrap();
}

#[test]
fn f098_an_address_without_a_member_becomes_orphaned_without_a_claim() {
    let plan = plan(&records(&[old_address(20)]), &known());
    let (claim, ip) = created(&plan);
    assert_eq!((claim, &ip.member), (None, &Member::orphaned(address(20))));
    assert_eq!(ip.attachment.as_ref().unwrap().state, State::Parked);
}

#[test]
fn f098_member_without_an_address_is_skipped() {
    let plan = plan(&records(&[old_member(0, Ipv4Addr::LOCALHOST)]), &known());
    assert_eq!((plan.without, plan.end()), (1, Imported::All));
    assert!(plan.steps.is_empty() && plan.refused.is_empty(), "{plan:?}");
}

#[test]
fn f098_existing_objects_are_not_changed() {
    let first = plan(&records(&two()), &known());
    let (claim, ip) = created(&first);
    let after = known().with(ip).claimed(claim.unwrap().clone());
    let again = plan(&records(&two()), &after);
    assert_eq!(again.present, [(redis(0), address(20))]);
    // The same holds once its member has acquired the address, on any node.
    let acquired = after.with(&held(20, &redis(0), 7));
    assert_eq!(plan(&records(&two()), &acquired), again);
}

#[test]
fn f098_an_incomplete_import_is_completed() {
    let first = plan(&records(&two()), &known());
    let (claim, ip) = created(&first);
    let claimed = plan(&records(&two()), &known().claimed(claim.unwrap().clone()));
    assert_eq!(created(&claimed), (None, ip));
    let requested = Claim { requested: Some(address(20)), ..unbound() };
    let bound = plan(&records(&two()), &known().with(ip).claimed(requested));
    let [step] = bound.steps.as_slice() else { panic!("{bound:?}") };
    let Some(ClaimStep::Bind(claim)) = &step.claim else { panic!("{step:?}") };
    assert_eq!((claim.address, &step.address), (Some(address(20)), &None));
}

fn unbound() -> Claim {
    claim(&redis(0), &sample_pool())
}

#[test]
fn f098_later_moves_by_the_original_are_imported_unless_init_has_acquired_the_address() {
    let first = plan(&records(&two()), &known());
    let (claim, ip) = created(&first);
    let existing = known().with(ip).claimed(claim.unwrap().clone());
    let elsewhere = "eni-0fffffffffffffff9";
    let moved = [old_address(20).but("StaticIPSpec", ENI, elsewhere), old_member(0, address(20))];
    let moved = records(&moved);
    let follows = plan(&moved, &existing);
    let [step] = follows.steps.as_slice() else { panic!("{follows:?}") };
    let Some(AddressStep { before: Some(before), after }) = &step.address else {
        panic!("{step:?}")
    };
    assert_eq!((before, &step.claim), (ip, &None));
    assert!(after.settled_on(&EniId::new(elsewhere).unwrap()), "{after:?}");
    firecamp_registry::rules::check_static_ip_change(before, after).unwrap();
    let acquired = existing.with(&held(20, &redis(0), 2));
    assert_eq!(plan(&moved, &acquired).present, [(redis(0), address(20))]);
}

type Refusing = (&'static str, &'static str, fn() -> (Vec<Map>, Known));

/// A reason, and records and objects for which `redis-0` or its address is refused with this
/// reason.
const REFUSED: &[Refusing] = &[
    ("NotInAnyPool", "no range has it", || {
        (vec![old_address(99), old_member(0, address(99))], known())
    }),
    ("NotInAnyPool", "it is the router's address", || {
        (vec![old_address(1), old_member(0, address(1))], known())
    }),
    ("PoolsOverlap", "two pools have it", || {
        let other = pool("b", &[1]).unwrap();
        let mut known = known();
        known.pools.push(KnownPool { pool: other, reclaim: ReclaimPolicy::Retain });
        (two(), known)
    }),
    ("ZoneMismatch", "the pool's subnet is of another zone", || {
        let Pool { mut subnets, .. } = sample_pool();
        subnets[0].zone = Zone::new("us-east-1b").unwrap();
        let pool = Pool { subnets, ..sample_pool() };
        let pools = vec![KnownPool { pool, reclaim: ReclaimPolicy::Retain }];
        (two(), Known { pools, ..known() })
    }),
    ("ZoneMismatch", "member and address are of different zones", || {
        let member = old_member(0, address(20)).but("MemberSpec", ZONE, "us-east-1b");
        (vec![old_address(20), member], known())
    }),
    ("AddressRecordMissing", "the address has no record", || {
        (vec![old_member(0, address(20))], known())
    }),
    ("ServiceMismatch", "the address is another service's", || {
        let address_of_other = old_address(20).but("StaticIPSpec", SERVICE, OTHER_SERVICE);
        (vec![address_of_other, old_member(0, address(20))], known())
    }),
    ("AddressDuplicated", "two members name it", || {
        (vec![old_address(20), old_member(0, address(20)), old_member(1, address(20))], known())
    }),
    ("MemberDuplicated", "two services have the member", || {
        let Map(name, data) = old_member(0, address(21)).but("ServiceUUID", SERVICE, OTHER_SERVICE);
        let second = Map(name.replace(SERVICE, OTHER_SERVICE), data);
        (vec![old_address(20), old_member(0, address(20)), second], known())
    }),
    ("AddressOfAnotherMember", "its StaticIP is another member's", || {
        (two(), known().with(&held(20, &redis(1), 3)))
    }),
    ("AddressOfAnotherMember", "it was adopted as orphaned before", || {
        (two(), known().with(&held(20, &Member::orphaned(address(20)), 1)))
    }),
    ("ClaimedByAnotherMember", "another claim names it", || {
        (two(), known().claimed(bound(1, address(20))))
    }),
    ("ClaimedByAnotherMember", "another claim requests it", || {
        let requesting = Claim { requested: Some(address(20)), ..claim(&redis(1), &sample_pool()) };
        (two(), known().claimed(requesting))
    }),
    ("ClaimHasAnotherAddress", "the member has another one", || {
        (two(), known().claimed(bound(0, address(25))))
    }),
    ("ClaimRequestsAnotherAddress", "the member's claim requests another address", || {
        let requesting = Claim { requested: Some(address(25)), ..unbound() };
        (two(), known().claimed(requesting))
    }),
    ("PoolMismatch", "its claim is of another pool", || {
        let other = Claim { pool: PoolName::new("b").unwrap(), ..unbound() };
        (two(), known().claimed(other))
    }),
    ("PodStarting", "its init containers have not completed", || {
        (two(), Known { pods: [(redis(0), PodPhase::Starting)].into(), ..known() })
    }),
    ("PodNotKnown", "its pod could not be read", || {
        let unknown = PodPhase::Unknown("forbidden".to_owned());
        (two(), Known { pods: [(redis(0), unknown)].into(), ..known() })
    }),
    ("PoolReclaims", "no member names it, and the pool releases orphaned addresses", || {
        let pools = vec![KnownPool { pool: sample_pool(), reclaim: ReclaimPolicy::Delete }];
        (vec![old_address(20)], Known { pools, ..known() })
    }),
    ("PossiblyInUse", "no readable record names it", || {
        let invalid = old_member(0, address(20)).but("MemberSpec", "{", "[");
        (vec![old_address(20), invalid], known())
    }),
];

#[test]
fn f098_contradictory_records_are_refused_with_a_reason() {
    for (reason, what, case) in REFUSED {
        let (maps, known) = case();
        let plan = plan(&records(&maps), &known);
        let reasons: Vec<&str> = plan.refused.iter().map(|one| one.why.reason()).collect();
        assert!(reasons.contains(reason), "{what}: {plan:?}");
        assert!(plan.steps.is_empty(), "{what}: {plan:?}");
        let end = if *reason == "PodNotKnown" { Imported::NotKnown } else { Imported::Refused };
        assert_eq!(plan.end(), end, "{what}");
    }
}

#[test]
fn f098_invalid_record_is_reported_and_does_not_hide_others() {
    let address = || old_address(21);
    let member = || old_member(1, super::support::address(21));
    let invalid = [
        address().but("StaticIPSpec", "\"}", "\""),
        address().but("StaticIPSpec", ENI, ""),
        address().but("StaticIPSpec", ENI, "eth0"),
        address().but("StaticIPSpec", INSTANCE, "defaultServerInstanceID"),
        address().but("StaticIPSpec", SERVICE, "redis"),
        address().but("StaticIPSpec", "AvailableZone", "availablezone"),
        address().but("StaticIP", "10.1.0.21", "10.1.0.22"),
        address().but("StaticIP", "10.1.0.21", "010.1.0.21"),
        member().but("ServiceUUID", SERVICE, OTHER_SERVICE),
        member().but("MemberName", "redis-1", "redis-2"),
        member().but("MemberSpec", "10.1.0.21", "10.1.0.0/24"),
        member().but("MemberSpec", "\"StaticIP\"", "\"Address\""),
        Map(member().0, serde_json::json!({})),
    ];
    for map in invalid {
        let mut maps = two();
        maps.push(map.clone());
        let plan = plan(&records(&maps), &known());
        let [refused] = &plan.refused[..] else { panic!("{map:?}: {plan:?}") };
        assert_eq!((refused.why.reason(), &refused.what), ("RecordUnreadable", &map.0));
        assert_eq!(plan.steps.len(), 1, "{map:?}");
    }
}
