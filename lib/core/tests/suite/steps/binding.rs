//! The first part of an attach: the member's address, the ENI that carries it, a first address.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::{Effect, FileFailure, HostKind, RegistryKind};
use firecamp_core::ids::{Epoch, Member};
use firecamp_core::lock::{Hold, LockRecord};
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::outside::{Holder, Owner};
use firecamp_core::record::{Attachment, Mark, MemberRecords, Mutation, StaticIp, Write};

use super::rig::{Rig, TICK, attach, host, is_owner, is_write, unwritten};
use super::world::{ADDRESS, World, eni, input, interface, on, parsed};

fn starting(world: World) -> Rig<Attach> {
    attach(world)
}

fn creates(action: &Action) -> bool {
    matches!(action, Action::Write(write) if matches!(**write, Write::CreateStaticIp(_)))
}

fn with(change: impl FnOnce(&mut StaticIp)) -> World {
    let mut world = World::parked_elsewhere();
    world.change(change);
    world
}

/// A member that has no claim yet.
fn first() -> World {
    let mut world = World::parked_elsewhere();
    (world.records.claim, world.records.static_ip) = (None, None);
    world.owner = Owner::Nobody;
    world
}

/// A claim of this member that names and asks for these, without a `StaticIP`.
fn claimed(address: Option<Ipv4Addr>, requested: Option<Ipv4Addr>) -> World {
    let mut world = World::parked_elsewhere();
    let claim = world.records.claim.as_mut().expect("a claim");
    (claim.object.address, claim.object.requested) = (address, requested);
    world.records.static_ip = None;
    world.owner = Owner::Nobody;
    world
}

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 51);
const LAST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 52);

#[test]
fn the_owner_is_asked_for_early_only_where_another_node_held_it_and_no_barrier_is_due() {
    let begins = |world| {
        let mut rig = starting(world);
        rig.step();
        matches!(rig.action(), Action::BeginOwner(..))
    };
    assert!(begins(World::parked_elsewhere()));
    let here = |ip: &mut StaticIp| {
        ip.attachment.as_mut().expect("parked").node = parsed("node-a");
    };
    assert!(!begins(with(here)));
    assert!(!begins(with(|ip| ip.attachment = None)));
    let mark = Mark { mutation: Mutation::Assign, eni: eni('b'), run: parsed("run-old") };
    assert!(!begins(with(|ip| _ = ip.unsettled.insert(mark))));
    assert!(!begins(with(|ip| ip.member = Member::new("demo", "redis-1").expect("a member"))));
}

/// What is asked once the epoch is taken, so long after the owner look-up was begun.
fn after_begun(age: Duration) -> Action {
    let mut rig = starting(World::parked_elsewhere());
    rig.until(|action| matches!(action, Action::BeginOwner(..)));
    let begun = rig.now;
    rig.until(is_write);
    let spent = rig.now.since(begun);
    rig.step_after(age.saturating_sub(spent));
    rig.action()
}

#[test]
fn a_look_up_that_was_begun_too_long_ago_is_made_anew() {
    let young = timing::CALL_BOUND.saturating_sub(TICK);
    assert_eq!(after_begun(young), Action::AwaitOwner);
    assert!(matches!(after_begun(timing::CALL_BOUND), Action::ReadOwner(..)));
}

#[test]
fn instance_and_records_are_read_anew_after_a_conflict_but_the_instance_is_not() {
    let mut rig = starting(World::parked_elsewhere());
    rig.until(is_write).tell(unwritten(RegistryKind::Conflict, Effect::None));
    rig.after_pause();
    rig.step();
    assert!(matches!(rig.action(), Action::BeginOwner(..)), "all is forgotten");
    let mut rig = starting(first());
    rig.until(creates);
    rig.step();
    assert_eq!(rig.action(), Action::ReadMember, "the claim may name another by now");
    rig.step();
    assert_eq!(rig.action(), Action::ProbeFile, "the instance is the same");
}

#[test]
fn a_node_in_another_zone_is_final_and_an_eni_that_is_missing_is_waited_for() {
    let mut elsewhere = World::parked_elsewhere();
    elsewhere.node.zone = parsed("us-east-1b");
    elsewhere.node.enis.clear();
    let mut rig = starting(elsewhere);
    rig.until(|action| *action == Action::ReadIdentity).step();
    assert_eq!(rig.failed(), Some(Exit::NodeUnsuitable));

    let mut bare = World::parked_elsewhere();
    bare.node.enis.clear();
    for world in [bare, World { node: without_enis(), ..first() }] {
        let mut rig = starting(world.clone());
        rig.until(|action| *action == Action::ReadIdentity).step();
        assert_eq!(rig.after_pause(), Action::ReadIdentity);
        rig.world.node.enis = vec![interface()];
        rig.step();
        assert_ne!(rig.action(), Action::ReadIdentity, "it came");
        let mut rig = starting(world);
        rig.until(|action| *action == Action::ReadIdentity).step();
        let seen = rig.now;
        rig.after_pause();
        let spent = rig.now.since(seen);
        let patience = timing::METADATA_PATIENCE.saturating_sub(spent);
        let mut impatient = rig.clone();
        rig.step_after(patience.saturating_sub(TICK));
        assert_eq!(rig.failed(), None);
        impatient.step_after(patience);
        assert_eq!(impatient.failed(), Some(Exit::NodeUnsuitable));
    }
}

fn without_enis() -> firecamp_core::node::NodeIdentity {
    let mut node = World::parked_elsewhere().node;
    node.enis.clear();
    node
}

#[test]
fn a_first_start_in_a_zone_without_a_subnet_of_the_pool_is_final() {
    let mut world = first();
    world.node.zone = parsed("us-east-1b");
    world.node.enis.clear();
    let mut rig = starting(world);
    rig.until(|action| *action == Action::ReadIdentity).step();
    assert_eq!(rig.failed(), Some(Exit::NodeUnsuitable));
    let mut rig = starting(World { records: MemberRecords::default(), ..first() });
    rig.until(|action| *action == Action::ReadIdentity).step();
    assert_eq!(rig.failed(), Some(Exit::RegistryInvalid), "no claim and no pool");
}

/// A run in this world while the node's agent bars ENI `a`, up to its end or its take.
fn barred(world: World) -> Rig<Attach> {
    let why = "the VPC CNI manages it".to_owned();
    let input = AttachInput { barred: [(eni('a'), why)].into(), ..input() };
    let mut rig = Rig { machine: Attach::new(input, starting(first()).now), ..starting(world) };
    while rig.machine.outcome().is_none() && !is_write(&rig.action()) {
        rig.step();
    }
    rig
}

fn resting_on(letter: char) -> World {
    with(|ip| {
        ip.reserved_on = Some(eni(letter));
        ip.attachment.as_mut().expect("an attachment").eni = Some(eni(letter));
    })
}

#[test]
fn f057_an_eni_that_is_barred_gets_no_address_and_what_it_has_stays() {
    for world in [first(), World::parked_elsewhere(), resting_on('b')] {
        let rig = barred(world);
        assert_eq!(rig.failed(), Some(Exit::NodeUnsuitable));
        assert_eq!(rig.world.writes, []);
        let Some(Outcome::Failed(failure)) = rig.machine.outcome() else { unreachable!() };
        for part in [eni('a').as_str(), "the VPC CNI manages it"] {
            assert!(failure.message.contains(part), "{}", failure.message);
        }
    }
    assert_eq!(barred(resting_on('a')).failed(), None, "it works, and no call is needed");
    let mut marked = resting_on('a');
    let mark = Mark { mutation: Mutation::Assign, eni: eni('a'), run: parsed("run-old") };
    marked.change(|ip| _ = ip.unsettled.insert(mark));
    assert_eq!(barred(marked).failed(), Some(Exit::NodeUnsuitable), "a call may be needed");
}

/// The address that a first start looks up first, if it looks one up before it lists the pool.
fn candidate(world: World) -> Option<Ipv4Addr> {
    let mut rig = starting(world);
    rig.until(|action| *action == Action::ReadIdentity).step();
    if let Action::ReadOwner(address, _) = rig.action() { Some(address) } else { None }
}

#[test]
fn what_a_person_asked_for_comes_first_then_the_claim_s_own_then_the_next_free() {
    assert_eq!(candidate(claimed(Some(ADDRESS), Some(OTHER))), Some(OTHER));
    assert_eq!(candidate(claimed(Some(ADDRESS), None)), Some(ADDRESS));
    assert_eq!(candidate(claimed(None, None)), None);
    let outside = Ipv4Addr::new(10, 0, 2, 50);
    assert_eq!(candidate(claimed(Some(outside), None)), None, "it fits nowhere here");
    assert_eq!(candidate(first()), None);
}

/// A claim that names an address which belongs to another member by now.
fn lost(requested: Option<Ipv4Addr>) -> World {
    let mut world = with(|ip| ip.member = Member::new("demo", "redis-1").expect("a member"));
    world.owner = Owner::Nobody;
    world.records.claim.as_mut().expect("a claim").object.requested = requested;
    world
}

#[test]
fn an_address_that_belongs_to_another_member_is_replaced_unless_a_person_asked_for_it() {
    assert_eq!(candidate(lost(None)), None);
    let mut rig = starting(lost(None));
    rig.until(|action| matches!(action, Action::ReadAllocated(_)));
    let mut rig = starting(lost(Some(ADDRESS)));
    rig.until(|action| *action == Action::ReadIdentity).step();
    assert_eq!(rig.failed(), Some(Exit::AddressUnavailable));
    assert_eq!(candidate(lost(Some(OTHER))), None, "the pool is listed first");
}

/// The writes of a first start in this world, up to its take.
fn allocation(world: World) -> Vec<Write> {
    let mut rig = starting(world);
    rig.until(|action| *action == Action::ProbeFile);
    rig.world.writes.clone()
}

#[test]
fn a_first_start_names_its_address_in_the_claim_and_then_creates_it() {
    let writes = allocation(first());
    let [Write::CreateClaim(claim), Write::CreateStaticIp(ip)] = writes.as_slice() else {
        unreachable!("{writes:?}")
    };
    assert_eq!((claim.address, claim.requested, ip.address), (Some(ADDRESS), None, ADDRESS));
    assert_eq!((ip.epoch, &ip.attachment, &ip.reserved_on), (Epoch(0), &None, &None));
    let writes = allocation(claimed(None, None));
    assert!(matches!(writes.as_slice(), [Write::UpdateClaim(_), Write::CreateStaticIp(_)]));
    let writes = allocation(claimed(Some(ADDRESS), None));
    assert!(matches!(writes.as_slice(), [Write::CreateStaticIp(_)]), "it is named already");
    let writes = allocation(lost(None));
    assert!(matches!(writes.as_slice(), [Write::UpdateClaim(_), Write::CreateStaticIp(_)]));
}

#[test]
fn an_address_that_ec2_would_not_assign_or_that_no_range_of_the_pool_has_is_refused() {
    let refused = |world| {
        let mut rig = starting(world);
        rig.until(is_owner).step();
        rig.failed()
    };
    let [reserved, beside] = [3, 53].map(|last| Ipv4Addr::new(10, 0, 1, last));
    for (address, requested) in [(None, Some(reserved)), (None, Some(beside)), (Some(beside), None)]
    {
        let failed = refused(claimed(address, requested));
        assert_eq!(failed, Some(Exit::AddressUnavailable), "{address:?} {requested:?}");
    }
    assert_eq!(refused(claimed(None, Some(LAST))), None, "the last one of the range");
}

fn stranger() -> Owner {
    let Owner::Eni(mut eni) = on('c') else { unreachable!() };
    eni.cluster = None;
    Owner::Eni(eni)
}

#[test]
fn a_candidate_that_somebody_has_is_passed_over() {
    let mut rig = starting(first());
    rig.until(is_owner);
    rig.tell(Reply::Owner(Ok(stranger())));
    let Action::ReadOwner(next, _) = rig.action() else { return listed_again(rig) };
    assert_eq!(next, OTHER);
}

/// Nothing is allocated yet, so that the list is asked for once more.
fn listed_again(mut rig: Rig<Attach>) {
    assert!(matches!(rig.action(), Action::ReadAllocated(_)));
    rig.step();
    let Action::ReadOwner(next, _) = rig.action() else { unreachable!() };
    assert_eq!(next, OTHER);
}

#[test]
fn with_others_in_the_pool_the_next_candidate_needs_no_second_list() {
    let mut rig = starting(World { allocated: [LAST].into(), ..first() });
    rig.until(is_owner).tell(Reply::Owner(Ok(stranger())));
    assert!(matches!(rig.action(), Action::ReadOwner(next, _) if next == OTHER));
    rig.tell(Reply::Owner(Ok(stranger())));
    assert_eq!(rig.failed(), Some(Exit::NoCapacity), "50 and 51 are in use, 52 is allocated");
}

#[test]
fn an_address_in_use_that_the_claim_names_is_looked_at_twice_and_never_replaced() {
    let ours = || on('b');
    for (world, owner) in [
        (claimed(Some(ADDRESS), None), ours()),
        (claimed(None, Some(ADDRESS)), ours()),
        (claimed(None, Some(ADDRESS)), stranger()),
    ] {
        let mut rig = starting(World { owner, ..world });
        rig.until(is_owner).step();
        assert_eq!(rig.action(), Action::ReadMember, "another may have taken it meanwhile");
        rig.until(is_owner).step();
        assert_eq!(rig.failed(), Some(Exit::AddressUnavailable));
    }
    // A stranger's is no address that somebody removed by hand: the claim gets another one.
    let mut rig = starting(World { owner: stranger(), ..claimed(Some(ADDRESS), None) });
    rig.until(is_owner).step();
    assert!(matches!(rig.action(), Action::ReadAllocated(_)));
    // Another cluster's neither.
    let Owner::Eni(mut other) = on('b') else { unreachable!() };
    other.cluster = Some("other".to_owned());
    let mut rig = starting(World { owner: Owner::Eni(other), ..claimed(Some(ADDRESS), None) });
    rig.until(is_owner).step();
    assert!(matches!(rig.action(), Action::ReadAllocated(_)));
}

#[test]
fn a_failure_of_any_write_of_an_allocation_starts_it_again() {
    let mut rig = starting(first());
    rig.until(creates).tell(unwritten(RegistryKind::AlreadyExists, Effect::None));
    assert_eq!(rig.after_pause(), Action::ReadMember);
    let mut rig = starting(first());
    rig.until(is_write).tell(unwritten(RegistryKind::Conflict, Effect::None));
    assert_eq!(rig.after_pause(), Action::ReadMember);
}

#[test]
fn a_disk_that_cannot_be_written_ends_it_before_anything_is_changed() {
    let mut rig = starting(World::parked_elsewhere());
    rig.until(|action| *action == Action::ProbeFile);
    rig.tell(Reply::File(Err(FileFailure { detail: "read-only".to_owned() })));
    assert_eq!(rig.failed(), Some(Exit::DiskRefused));
    assert!(rig.world.writes.is_empty());
}

#[test]
fn a_link_that_is_not_there_yet_is_waited_for() {
    let mut rig = starting(World::parked_elsewhere());
    rig.until(|action| matches!(action, Action::Observe(_)));
    let mut bare = rig.world.view.clone();
    bare.link = None;
    rig.tell(Reply::Observed(Ok(bare)));
    assert!(matches!(rig.after_pause(), Action::Observe(_)));
    for kind in [HostKind::Busy, HostKind::NoLink] {
        rig.tell(Reply::Observed(Err(host(kind))));
        assert!(matches!(rig.after_pause(), Action::Observe(_)), "{kind:?}");
    }
    rig.tell(Reply::Observed(Err(host(HostKind::Refused))));
    assert_eq!(rig.failed(), Some(Exit::KernelRefused));
}

#[test]
fn an_epoch_is_above_all_that_this_node_has_seen() {
    let mut world = World::parked_elsewhere();
    let holder = Holder { pod: parsed("lost"), epoch: Epoch(11) };
    world.view.recorded = Some(LockRecord { holder, hold: Hold::Released });
    let mut rig = starting(world);
    rig.until(is_write).step();
    assert_eq!(rig.world.record().epoch, Epoch(12));
    let mut rig = starting(World::parked_elsewhere());
    rig.until(is_write).step();
    assert_eq!(rig.world.record().epoch, Epoch(6));
}

#[test]
fn a_failure_names_the_address_as_soon_as_there_is_one() {
    let address = |mut rig: Rig<Attach>| {
        let Outcome::Failed(failure) = rig.end() else { unreachable!("it ended well") };
        failure.address
    };
    let mut rig = starting(World::parked_elsewhere());
    rig.until(|action| *action == Action::ProbeFile);
    rig.tell(Reply::File(Err(FileFailure { detail: "read-only".to_owned() })));
    assert_eq!(address(rig), Some(ADDRESS));
    let mut rig = starting(first());
    rig.step_after(timing::ATTACH_DEADLINE);
    assert_eq!(address(rig), None);
}

/// Keeps the shape of what a take is compared with.
#[test]
fn a_take_names_this_pod_node_and_run() {
    let mut rig = starting(World::parked_elsewhere());
    rig.until(is_write).step();
    let taken: Attachment = rig.world.record().attachment.expect("taken");
    assert_eq!((taken.pod, taken.node), (parsed("mine"), parsed("node-a")));
    assert_eq!((taken.eni, taken.run), (Some(eni('a')), parsed("run-now")));
}
