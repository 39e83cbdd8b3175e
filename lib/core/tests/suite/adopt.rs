//! Orphaned addresses are adopted if the pool's policy is Adopt and nothing speaks against it.

mod orders;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Adopter, Evidence, KernelOwner, NotAdopted, Orphan, adopt, orphans};
use firecamp_core::contract::timing;
use firecamp_core::ids::{ClusterName, EniId, Epoch, Member, PodUid};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::network_interface::Interface;
use firecamp_core::ports::{Holder, Owner, OwnerEni, SocketUse};
use firecamp_core::record::{OrphanPolicy, Pool, PoolSubnet, ReleasePolicy, State};
use firecamp_core::time::Moment;

const ENI: &str = "eni-0000000a";
const POD: &str = "pod-1";

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a well formed identifier")
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, last)
}

fn orphan(last: u8) -> Orphan {
    Orphan { eni: parsed(ENI), subnet: parsed("subnet-0000000a"), address: address(last) }
}

/// From 50 to 59.
fn pool(name: &str, orphaned: OrphanPolicy) -> Pool {
    let subnet = PoolSubnet {
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        ranges: vec![(address(50), address(59))],
    };
    let release_policy = ReleasePolicy::Keep;
    let resource = firecamp_core::ids::ResourceName::default();
    Pool { name: parsed(name), release_policy, orphaned, resource, subnets: vec![subnet] }
}

fn adopting() -> Vec<Pool> {
    vec![pool("main", OrphanPolicy::Adopt)]
}

fn interface() -> Interface {
    Interface {
        id: parsed(ENI),
        subnet: parsed("subnet-0000000a"),
        device_index: 1,
        network_card: 0,
        primary: address(10),
        addresses: [address(50), address(90)].into(),
        prefixes: 0,
        groups: BTreeSet::new(),
        cluster: Some("prod".to_owned()),
        no_manage: None,
        operator: None,
        delete_on_termination: false,
    }
}

fn found(listing: &Interface, usable: &[&str], pools: &[Pool]) -> BTreeSet<Orphan> {
    let usable: BTreeSet<EniId> = usable.iter().map(|id| parsed(id)).collect();
    let cluster: ClusterName = parsed("prod");
    orphans(std::slice::from_ref(listing), &usable, pools, &cluster)
}

#[test]
fn an_address_of_a_declared_pool_on_an_eni_of_the_cluster_may_be_adopted() {
    assert_eq!(found(&interface(), &[ENI], &adopting()), [orphan(50)].into());
}

#[test]
fn an_eni_without_the_cluster_tag_has_no_orphans() {
    for cluster in [None, Some("other".to_owned())] {
        let foreign = Interface { cluster, ..interface() };
        assert_eq!(found(&foreign, &[ENI], &adopting()), [].into(), "{foreign:?}");
    }
}

#[test]
fn an_eni_that_firecamp_may_not_use_has_no_orphans() {
    assert_eq!(found(&interface(), &[], &adopting()), [].into());
    assert_eq!(found(&interface(), &["eni-0000000b"], &adopting()), [].into());
}

#[test]
fn a_primary_address_is_never_an_orphan() {
    let own = Interface { primary: address(50), addresses: BTreeSet::new(), ..interface() };
    assert_eq!(found(&own, &[ENI], &adopting()), [].into());
}

#[test]
fn a_pool_with_policy_report_has_no_orphans() {
    let reports = [pool("main", OrphanPolicy::Report)];
    assert_eq!(found(&interface(), &[ENI], &reports), [].into());
    assert_eq!(OrphanPolicy::default(), OrphanPolicy::Report);
}

#[test]
fn an_address_in_two_pools_is_no_orphan_of_either() {
    for other in [OrphanPolicy::Report, OrphanPolicy::Adopt] {
        let both = [pool("main", OrphanPolicy::Adopt), pool("other", other)];
        assert_eq!(found(&interface(), &[ENI], &both), [].into());
    }
}

#[test]
fn an_address_on_an_eni_of_another_subnet_is_no_orphan() {
    let elsewhere = Interface { subnet: parsed("subnet-0000000b"), ..interface() };
    assert_eq!(found(&elsewhere, &[ENI], &adopting()), [].into());
}

const GRACE: u64 = timing::ADOPT_GRACE.as_secs();

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

/// Observations at EC2, each begun two seconds before all of it was read.
struct Observations(Adopter);

impl Observations {
    fn observe(&mut self, seconds: u64, recorded: Option<bool>) -> Vec<Orphan> {
        let recorded: BTreeMap<_, _> =
            recorded.into_iter().map(|recorded| (address(50), recorded)).collect();
        self.0.observe(&[orphan(50)].into(), &recorded, (at(seconds), at(seconds + 2)))
    }

    fn first() -> Self {
        let mut it = Self(Adopter::default());
        assert_eq!(it.observe(100, Some(false)), [], "the first observation");
        it
    }
}

#[test]
fn two_observations_a_grace_period_apart_make_an_address_due_once() {
    let mut it = Observations::first();
    assert_eq!(it.observe(101 + GRACE, Some(false)), [], "started within the grace period");
    assert_eq!(it.observe(102 + GRACE, Some(false)), [orphan(50)]);
    assert_eq!(it.observe(103 + GRACE, Some(false)), [], "the grace period starts again");
    assert_eq!(it.observe(105 + 2 * GRACE, Some(false)), [orphan(50)]);
}

#[test]
fn the_grace_period_is_ten_minutes_at_least() {
    assert!(timing::ADOPT_GRACE >= Duration::from_mins(10));
}

#[test]
fn one_observation_is_not_enough_however_old_it_is() {
    let mut adopter = Adopter::default();
    let recorded = [(address(50), false)].into();
    let due = adopter.observe(&[orphan(50)].into(), &recorded, (at(GRACE * 9), at(0)));
    assert_eq!(due, []);
}

#[test]
fn a_failed_observation_restarts_the_grace_period() {
    let mut it = Observations::first();
    it.0.reset();
    assert_eq!(it.observe(102 + GRACE, Some(false)), []);
    assert_eq!(it.observe(104 + 2 * GRACE, Some(false)), [orphan(50)]);
}

#[test]
fn an_observation_without_the_address_restarts_the_grace_period() {
    let mut it = Observations::first();
    it.0.observe(&BTreeSet::new(), &BTreeMap::new(), (at(200), at(202)));
    assert_eq!(it.observe(102 + GRACE, Some(false)), []);
}

#[test]
fn an_observation_on_another_eni_restarts_the_grace_period() {
    let mut it = Observations::first();
    let moved = Orphan { eni: parsed("eni-0000000b"), ..orphan(50) };
    let recorded = [(address(50), false)].into();
    assert_eq!(it.0.observe(&[moved].into(), &recorded, (at(102 + GRACE), at(104 + GRACE))), []);
}

#[test]
fn a_record_or_a_failed_read_of_it_restarts_the_grace_period() {
    for between in [Some(true), None] {
        let mut it = Observations::first();
        assert_eq!(it.observe(200, between), [], "{between:?}");
        assert_eq!(it.observe(102 + GRACE, Some(false)), [], "{between:?}");
        let mut it = Observations::first();
        assert_eq!(it.observe(102 + GRACE, between), [], "in the second observation, {between:?}");
    }
}

#[test]
fn many_orphans_are_due_a_few_at_a_time_and_none_is_forgotten() {
    let all: BTreeSet<Orphan> = (50..59).map(orphan).collect();
    let recorded: BTreeMap<_, _> = all.iter().map(|orphan| (orphan.address, false)).collect();
    let mut adopter = Adopter::default();
    adopter.observe(&all, &recorded, (at(0), at(1)));
    let mut tried = BTreeSet::new();
    for look in 0..3 {
        let begun = at(10 + GRACE + look);
        let due = adopter.observe(&all, &recorded, (begun, begun));
        assert!(due.len() <= 4, "{due:?}");
        tried.extend(due);
    }
    assert_eq!(tried, all);
}

fn holder(pod: &str, epoch: u64, hold: Hold) -> Option<LockRecord> {
    Some(LockRecord { holder: Holder { pod: parsed(pod), epoch: Epoch(epoch) }, hold })
}

fn owner(change: impl FnOnce(&mut OwnerEni)) -> Owner {
    let mut eni = OwnerEni {
        id: parsed(ENI),
        primary: false,
        cluster: Some("prod".to_owned()),
        instance: Some(parsed("i-0000000a")),
        description: String::new(),
    };
    change(&mut eni);
    Owner::Eni(eni)
}

/// Nothing speaks against adoption, and a pod that is gone held the address here once.
fn evidence() -> Evidence {
    Evidence {
        node: parsed("node-1"),
        instance: parsed("i-0000000a"),
        cluster: parsed("prod"),
        recorded: false,
        pools: adopting(),
        claimed: None,
        owner: owner(|_eni| {}),
        kernel: None,
        lock: holder(POD, 7, Hold::Released),
        torn: false,
        sockets: SocketUse::default(),
        pods: [parsed("pod-2")].into(),
    }
}

fn tried(evidence: &Evidence) -> Result<(), NotAdopted> {
    adopt(&orphan(50), evidence, parsed("agent-1")).map(drop)
}

#[test]
fn an_adopted_record_is_parked_on_its_eni_without_member_and_pod() {
    let record = adopt(&orphan(50), &evidence(), parsed("agent-1")).unwrap();
    assert_eq!(record.member, Member::orphaned(address(50)));
    assert_eq!(record.member.to_string(), "firecamp-orphaned/10.0.1.50");
    assert!(record.member.is_orphaned());
    assert_eq!((record.pool.as_str(), record.subnet.as_str()), ("main", "subnet-0000000a"));
    assert_eq!((record.cidr, record.zone.as_str()), (parsed("10.0.1.0/24"), "us-east-1a"));
    assert_eq!(record.epoch, Epoch(8), "higher than that of the last holder here");
    assert_eq!(record.reserved_on, Some(parsed(ENI)));
    assert!(record.pending_mutations.is_empty() && record.settled_on(&parsed(ENI)));
    let attachment = record.attachment.unwrap();
    assert_eq!((attachment.state, attachment.pod), (State::Parked, PodUid::orphaned()));
    assert_eq!(attachment.node.as_str(), "node-1");
    assert!(!attachment.served);
    let unknown = Evidence { lock: None, ..evidence() };
    assert_eq!(adopt(&orphan(50), &unknown, parsed("agent-1")).unwrap().epoch, Epoch(1));
}

#[test]
fn the_placeholder_member_is_never_a_stateful_set_pod() {
    let placeholder = Member::orphaned(address(50));
    let ordinal = placeholder.name().rsplit_once('-').map(|(_set, ordinal)| ordinal.parse::<u32>());
    assert_eq!(ordinal, None, "a member's name ends in an ordinal");
    assert_eq!(
        Member::new(placeholder.namespace(), placeholder.name()),
        Ok(placeholder),
        "a valid name"
    );
    assert!(!Member::new("prod", "10.0.1.50").unwrap().is_orphaned());
}

#[test]
fn an_address_with_a_record_is_not_adopted() {
    let recorded = Evidence { recorded: true, ..evidence() };
    assert_eq!(tried(&recorded), Err(NotAdopted::Recorded));
}

#[test]
fn an_address_that_a_claim_names_is_not_adopted() {
    let member: Member = parsed("prod/redis-0");
    let claimed = Evidence { claimed: Some(member.clone()), ..evidence() };
    assert_eq!(tried(&claimed), Err(NotAdopted::Claimed(member)));
}

#[test]
fn a_pool_whose_policy_or_ranges_changed_counts_as_it_is_now() {
    let report = vec![pool("main", OrphanPolicy::Report)];
    let rival = vec![pool("main", OrphanPolicy::Adopt), pool("other", OrphanPolicy::Adopt)];
    for pools in [report, Vec::new(), rival] {
        let changed = Evidence { pools, ..evidence() };
        assert_eq!(tried(&changed), Err(NotAdopted::NotDeclared), "{changed:?}");
    }
}

#[test]
fn an_address_that_ec2_no_longer_shows_here_is_not_adopted() {
    let owners = [
        Owner::Unassigned,
        owner(|eni| eni.id = parsed("eni-0000000b")),
        owner(|eni| eni.primary = true),
        owner(|eni| eni.cluster = None),
        owner(|eni| eni.cluster = Some("other".to_owned())),
        owner(|eni| eni.instance = None),
        owner(|eni| eni.instance = Some(parsed("i-0000000b"))),
    ];
    for owner in owners {
        let moved = Evidence { owner, ..evidence() };
        assert_eq!(tried(&moved), Err(NotAdopted::NotHere), "{moved:?}");
    }
}

#[test]
fn an_address_in_the_kernel_is_not_adopted_whoever_added_it() {
    for owner_kind in [KernelOwner::Ours, KernelOwner::Foreign] {
        let configured = Evidence { kernel: Some(owner_kind), ..evidence() };
        assert_eq!(tried(&configured), Err(NotAdopted::InKernel));
    }
}

#[test]
fn an_address_that_the_lock_records_as_held_is_not_adopted() {
    for pods in [BTreeSet::new(), [parsed(POD)].into()] {
        let held = Evidence { lock: holder(POD, 7, Hold::Held), pods, ..evidence() };
        assert_eq!(tried(&held), Err(NotAdopted::Held(parsed(POD))));
    }
}

#[test]
fn an_address_with_a_torn_lock_record_is_not_adopted() {
    let torn = Evidence { lock: None, torn: true, ..evidence() };
    assert_eq!(tried(&torn), Err(NotAdopted::Torn));
}

#[test]
fn a_running_zombie_keeps_its_address_without_record_and_claim() {
    let zombie = Evidence { pods: [parsed(POD)].into(), ..evidence() };
    assert_eq!(tried(&zombie), Err(NotAdopted::PodLives(parsed(POD))));
}

#[test]
fn an_address_that_a_socket_uses_is_not_adopted() {
    let uses = [
        SocketUse { listeners: 1, ..SocketUse::default() },
        SocketUse { connections: 1, ..SocketUse::default() },
        SocketUse { datagrams: 1, ..SocketUse::default() },
    ];
    for sockets in uses {
        let busy = Evidence { sockets, ..evidence() };
        assert_eq!(tried(&busy), Err(NotAdopted::InUse(sockets)));
    }
}
