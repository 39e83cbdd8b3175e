//! What nobody claims is adopted where a pool says so, and where not one thing speaks against it.

mod orders;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Adopter, Evidence, KernelMark, NotAdopted, Stray, adopt, strays};
use firecamp_core::contract::timing;
use firecamp_core::ids::{ClusterName, EniId, Epoch, Member, PodUid};
use firecamp_core::interface::Interface;
use firecamp_core::lock::{Hold, LockRecord};
use firecamp_core::outside::{Holder, Owner, OwnerEni, SocketUse};
use firecamp_core::record::{Pool, PoolSubnet, ReleasePolicy, State, UnclaimedPolicy};
use firecamp_core::time::Moment;

const ENI: &str = "eni-0000000a";
const POD: &str = "pod-1";

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a well formed identifier")
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, last)
}

fn stray(last: u8) -> Stray {
    Stray { eni: parsed(ENI), subnet: parsed("subnet-0000000a"), address: address(last) }
}

/// From 50 to 59.
fn pool(name: &str, unclaimed: UnclaimedPolicy) -> Pool {
    let subnet = PoolSubnet {
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        ranges: vec![(address(50), address(59))],
    };
    let release_policy = ReleasePolicy::Keep;
    Pool { name: parsed(name), release_policy, unclaimed, subnets: vec![subnet] }
}

fn adopting() -> Vec<Pool> {
    vec![pool("main", UnclaimedPolicy::Adopt)]
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
        goes_with_instance: false,
    }
}

fn found(listing: &Interface, usable: &[&str], pools: &[Pool]) -> BTreeSet<Stray> {
    let usable: BTreeSet<EniId> = usable.iter().map(|id| parsed(id)).collect();
    let cluster: ClusterName = parsed("prod");
    strays(std::slice::from_ref(listing), &usable, pools, &cluster)
}

#[test]
fn an_address_of_a_declared_pool_on_an_eni_of_the_cluster_may_be_adopted() {
    assert_eq!(found(&interface(), &[ENI], &adopting()), [stray(50)].into());
}

#[test]
fn an_eni_that_another_cluster_or_nobody_has_tagged_is_not_looked_at() {
    for cluster in [None, Some("other".to_owned())] {
        let foreign = Interface { cluster, ..interface() };
        assert_eq!(found(&foreign, &[ENI], &adopting()), [].into(), "{foreign:?}");
    }
}

#[test]
fn an_eni_that_the_cni_or_a_service_manages_is_not_looked_at_nor_one_of_which_nobody_knows() {
    assert_eq!(found(&interface(), &[], &adopting()), [].into());
    assert_eq!(found(&interface(), &["eni-0000000b"], &adopting()), [].into());
}

#[test]
fn a_primary_address_is_never_one_to_adopt() {
    let own = Interface { primary: address(50), addresses: BTreeSet::new(), ..interface() };
    assert_eq!(found(&own, &[ENI], &adopting()), [].into());
}

#[test]
fn a_pool_that_does_not_say_so_is_left_alone() {
    let reports = [pool("main", UnclaimedPolicy::Report)];
    assert_eq!(found(&interface(), &[ENI], &reports), [].into());
    assert_eq!(UnclaimedPolicy::default(), UnclaimedPolicy::Report);
}

#[test]
fn an_address_that_two_pools_have_belongs_to_neither_whatever_both_say() {
    for other in [UnclaimedPolicy::Report, UnclaimedPolicy::Adopt] {
        let both = [pool("main", UnclaimedPolicy::Adopt), pool("other", other)];
        assert_eq!(found(&interface(), &[ENI], &both), [].into());
    }
}

#[test]
fn an_address_of_a_range_of_another_subnet_is_not_this_pools() {
    let elsewhere = Interface { subnet: parsed("subnet-0000000b"), ..interface() };
    assert_eq!(found(&elsewhere, &[ENI], &adopting()), [].into());
}

const GRACE: u64 = timing::ADOPT_GRACE.as_secs();

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

/// Looks at EC2, each begun two seconds before all of it was read.
struct Looks(Adopter);

impl Looks {
    fn look(&mut self, seconds: u64, recorded: Option<bool>) -> Vec<Stray> {
        let recorded: BTreeMap<_, _> =
            recorded.into_iter().map(|recorded| (address(50), recorded)).collect();
        self.0.look(&[stray(50)].into(), &recorded, (at(seconds), at(seconds + 2)))
    }

    fn first() -> Self {
        let mut it = Self(Adopter::default());
        assert_eq!(it.look(100, Some(false)), [], "the first look");
        it
    }
}

#[test]
fn two_looks_that_are_the_grace_period_apart_make_it_due_and_once() {
    let mut it = Looks::first();
    assert_eq!(it.look(101 + GRACE, Some(false)), [], "begun before the grace period was over");
    assert_eq!(it.look(102 + GRACE, Some(false)), [stray(50)]);
    assert_eq!(it.look(103 + GRACE, Some(false)), [], "it begins anew");
    assert_eq!(it.look(105 + 2 * GRACE, Some(false)), [stray(50)]);
}

#[test]
fn the_grace_period_is_ten_minutes_at_least() {
    assert!(timing::ADOPT_GRACE >= Duration::from_mins(10));
}

#[test]
fn one_look_is_not_enough_however_long_ago_it_was_begun() {
    let mut adopter = Adopter::default();
    let recorded = [(address(50), false)].into();
    let due = adopter.look(&[stray(50)].into(), &recorded, (at(GRACE * 9), at(0)));
    assert_eq!(due, []);
}

#[test]
fn a_look_that_fails_begins_anew() {
    let mut it = Looks::first();
    it.0.lost_sight();
    assert_eq!(it.look(102 + GRACE, Some(false)), []);
    assert_eq!(it.look(104 + 2 * GRACE, Some(false)), [stray(50)]);
}

#[test]
fn a_look_without_it_begins_anew() {
    let mut it = Looks::first();
    it.0.look(&BTreeSet::new(), &BTreeMap::new(), (at(200), at(202)));
    assert_eq!(it.look(102 + GRACE, Some(false)), []);
}

#[test]
fn a_look_that_shows_it_on_another_eni_begins_anew() {
    let mut it = Looks::first();
    let moved = Stray { eni: parsed("eni-0000000b"), ..stray(50) };
    let recorded = [(address(50), false)].into();
    assert_eq!(it.0.look(&[moved].into(), &recorded, (at(102 + GRACE), at(104 + GRACE))), []);
}

#[test]
fn a_record_that_was_seen_or_could_not_be_read_begins_anew() {
    for between in [Some(true), None] {
        let mut it = Looks::first();
        assert_eq!(it.look(200, between), [], "{between:?}");
        assert_eq!(it.look(102 + GRACE, Some(false)), [], "{between:?}");
        let mut it = Looks::first();
        assert_eq!(it.look(102 + GRACE, between), [], "in the second look, {between:?}");
    }
}

#[test]
fn many_are_due_a_few_at_a_time_and_none_is_forgotten() {
    let all: BTreeSet<Stray> = (50..59).map(stray).collect();
    let recorded: BTreeMap<_, _> = all.iter().map(|stray| (stray.address, false)).collect();
    let mut adopter = Adopter::default();
    adopter.look(&all, &recorded, (at(0), at(1)));
    let mut tried = BTreeSet::new();
    for look in 0..3 {
        let begun = at(10 + GRACE + look);
        let due = adopter.look(&all, &recorded, (begun, begun));
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

/// Nothing speaks against it, and a pod that is gone had it here once.
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
    adopt(&stray(50), evidence, parsed("agent-1")).map(drop)
}

#[test]
fn the_record_is_parked_on_the_eni_by_nobody_and_without_a_claim() {
    let record = adopt(&stray(50), &evidence(), parsed("agent-1")).unwrap();
    assert_eq!(record.member, Member::nobody(address(50)));
    assert_eq!(record.member.to_string(), "firecamp-unclaimed/10.0.1.50");
    assert!(record.member.is_nobody());
    assert_eq!((record.pool.as_str(), record.subnet.as_str()), ("main", "subnet-0000000a"));
    assert_eq!((record.cidr, record.zone.as_str()), (parsed("10.0.1.0/24"), "us-east-1a"));
    assert_eq!(record.epoch, Epoch(8), "beyond whoever had it here");
    assert_eq!(record.reserved_on, Some(parsed(ENI)));
    assert!(record.unsettled.is_empty() && record.settled_on(&parsed(ENI)));
    let attachment = record.attachment.unwrap();
    assert_eq!((attachment.state, attachment.pod), (State::Parked, PodUid::nobody()));
    assert_eq!(attachment.node.as_str(), "node-1");
    assert!(!attachment.served);
    let unknown = Evidence { lock: None, ..evidence() };
    assert_eq!(adopt(&stray(50), &unknown, parsed("agent-1")).unwrap().epoch, Epoch(1));
}

#[test]
fn nobody_is_no_member_that_a_stateful_set_makes() {
    let nobody = Member::nobody(address(50));
    let ordinal = nobody.name().rsplit_once('-').map(|(_set, ordinal)| ordinal.parse::<u32>());
    assert_eq!(ordinal, None, "a member's name ends in an ordinal");
    assert_eq!(Member::new(nobody.namespace(), nobody.name()), Ok(nobody), "the API takes it");
    assert!(!Member::new("prod", "10.0.1.50").unwrap().is_nobody());
}

#[test]
fn what_has_a_record_is_not_adopted() {
    let recorded = Evidence { recorded: true, ..evidence() };
    assert_eq!(tried(&recorded), Err(NotAdopted::Recorded));
}

#[test]
fn what_a_claim_names_is_left_to_its_member() {
    let member: Member = parsed("prod/redis-0");
    let claimed = Evidence { claimed: Some(member.clone()), ..evidence() };
    assert_eq!(tried(&claimed), Err(NotAdopted::Claimed(member)));
}

#[test]
fn a_pool_that_has_taken_its_word_back_or_is_gone_or_has_a_rival_counts_as_it_is_now() {
    let report = vec![pool("main", UnclaimedPolicy::Report)];
    let rival = vec![pool("main", UnclaimedPolicy::Adopt), pool("other", UnclaimedPolicy::Adopt)];
    for pools in [report, Vec::new(), rival] {
        let changed = Evidence { pools, ..evidence() };
        assert_eq!(tried(&changed), Err(NotAdopted::NotDeclared), "{changed:?}");
    }
}

#[test]
fn what_ec2_does_not_show_here_any_more_is_not_adopted() {
    let owners = [
        Owner::Nobody,
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
fn what_the_kernel_has_is_in_use_whoever_added_it() {
    for mark in [KernelMark::Ours, KernelMark::Foreign] {
        let configured = Evidence { kernel: Some(mark), ..evidence() };
        assert_eq!(tried(&configured), Err(NotAdopted::InKernel));
    }
}

#[test]
fn what_the_lock_says_is_held_is_not_adopted_whether_or_not_its_pod_is_seen() {
    for pods in [BTreeSet::new(), [parsed(POD)].into()] {
        let held = Evidence { lock: holder(POD, 7, Hold::Held), pods, ..evidence() };
        assert_eq!(tried(&held), Err(NotAdopted::Held(parsed(POD))));
    }
}

#[test]
fn a_lock_that_cannot_be_read_says_nothing_good() {
    let torn = Evidence { lock: None, torn: true, ..evidence() };
    assert_eq!(tried(&torn), Err(NotAdopted::Torn));
}

#[test]
fn a_zombie_that_still_runs_here_keeps_its_address_though_its_record_and_claim_are_gone() {
    let zombie = Evidence { pods: [parsed(POD)].into(), ..evidence() };
    assert_eq!(tried(&zombie), Err(NotAdopted::PodLives(parsed(POD))));
}

#[test]
fn what_a_socket_uses_is_not_adopted() {
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
