//! The first part of an attach: the member's address, the ENI that carries it, a first address.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::{Effect, FileFailure, HostKind, RegistryKind};
use firecamp_core::ids::{Epoch, Member};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::machine::Outcome;
use firecamp_core::ports::{Holder, Owner};
use firecamp_core::record::{
    Attachment, MemberRecords, Mutation, PendingMutation, StaticIp, Write,
};

use super::fixture::{ADDRESS, Fixture, eni, input, interface, on, parsed};
use super::rig::{Rig, TICK, attach, attach_with, host, is_owner, is_write, unwritten};

fn creates(action: &Action) -> bool {
    matches!(action, Action::Write(write) if matches!(**write, Write::CreateStaticIp(_)))
}

pub(super) fn with(change: impl FnOnce(&mut StaticIp)) -> Fixture {
    let mut fixture = Fixture::parked_elsewhere();
    fixture.change(change);
    fixture
}

/// A member that has no claim yet.
pub(super) fn first() -> Fixture {
    let mut fixture = Fixture::parked_elsewhere();
    (fixture.records.claim, fixture.records.static_ip) = (None, None);
    fixture.owner = Owner::Unassigned;
    fixture
}

/// A claim of this member that names and requests these, without a `StaticIP`.
fn claimed(address: Option<Ipv4Addr>, requested: Option<Ipv4Addr>) -> Fixture {
    let mut fixture = Fixture::parked_elsewhere();
    let claim = fixture.records.claim.as_mut().expect("a claim");
    (claim.object.address, claim.object.requested) = (address, requested);
    fixture.records.static_ip = None;
    fixture.owner = Owner::Unassigned;
    fixture
}

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 51);
const LAST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 52);

#[test]
fn the_owner_look_up_starts_early_only_after_another_node_and_without_a_barrier() {
    let begins = |fixture| {
        let mut rig = attach(fixture);
        rig.step();
        matches!(rig.action(), Action::BeginOwner(..))
    };
    assert!(begins(Fixture::parked_elsewhere()));
    let here = |ip: &mut StaticIp| {
        ip.attachment.as_mut().expect("parked").node = parsed("node-a");
    };
    assert!(!begins(with(here)));
    assert!(!begins(with(|ip| ip.attachment = None)));
    let pending =
        PendingMutation { mutation: Mutation::Assign, eni: eni('b'), run: parsed("run-old") };
    assert!(!begins(with(|ip| _ = ip.pending_mutations.insert(pending))));
    assert!(!begins(with(|ip| ip.member = Member::new("demo", "redis-1").expect("a member"))));
}

/// The action after the epoch was acquired, this long after the owner look-up was started.
fn after_begun(age: Duration) -> Action {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(|action| matches!(action, Action::BeginOwner(..)));
    let begun = rig.now;
    rig.until(is_write);
    let spent = rig.now.since(begun);
    rig.step_after(age.saturating_sub(spent));
    rig.action()
}

#[test]
fn a_look_up_that_was_started_too_long_ago_is_repeated() {
    let young = timing::CALL_BOUND.saturating_sub(TICK);
    assert_eq!(after_begun(young), Action::AwaitOwner);
    assert!(matches!(after_begun(timing::CALL_BOUND), Action::ReadOwner(..)));
}

#[test]
fn after_a_conflict_the_records_are_read_again_but_not_the_instance() {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(is_write).report(unwritten(RegistryKind::Conflict, Effect::None));
    rig.after_pause();
    rig.step();
    assert!(matches!(rig.action(), Action::BeginOwner(..)), "it starts again");
    let mut rig = attach(first());
    rig.until(creates);
    rig.step();
    assert_eq!(rig.action(), Action::ReadMember, "the claim may name another address now");
    rig.step();
    assert_eq!(rig.action(), Action::ProbeFile, "the instance is the same");
}

#[test]
fn a_node_in_another_zone_is_final_and_a_missing_eni_is_retried() {
    let mut elsewhere = Fixture::parked_elsewhere();
    elsewhere.node.zone = parsed("us-east-1b");
    elsewhere.node.enis.clear();
    let mut rig = attach(elsewhere);
    rig.until(|action| *action == Action::ReadIdentity).step();
    assert_eq!(rig.failed(), Some(Exit::NodeUnsuitable));

    let mut bare = Fixture::parked_elsewhere();
    bare.node.enis.clear();
    for fixture in [bare, Fixture { node: without_enis(), ..first() }] {
        let mut rig = attach(fixture.clone());
        rig.until(|action| *action == Action::ReadIdentity).step();
        assert_eq!(rig.after_pause(), Action::ReadIdentity);
        rig.fixture.node.enis = vec![interface()];
        rig.step();
        assert_ne!(rig.action(), Action::ReadIdentity, "it came");
        let mut rig = attach(fixture);
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

fn without_enis() -> firecamp_core::node_identity::NodeIdentity {
    let mut node = Fixture::parked_elsewhere().node;
    node.enis.clear();
    node
}

#[test]
fn a_first_start_in_a_zone_without_a_subnet_of_the_pool_is_final() {
    let mut fixture = first();
    fixture.node.zone = parsed("us-east-1b");
    fixture.node.enis.clear();
    let mut rig = attach(fixture);
    rig.until(|action| *action == Action::ReadIdentity).step();
    assert_eq!(rig.failed(), Some(Exit::NodeUnsuitable));
    let mut rig = attach(Fixture { records: MemberRecords::default(), ..first() });
    rig.until(|action| *action == Action::ReadIdentity).step();
    assert_eq!(rig.failed(), Some(Exit::RegistryInvalid), "no claim and no pool");
}

#[test]
fn f151_a_new_address_comes_from_the_approved_pool_alone() {
    for (pool, end) in [("pool", None), ("other", Some(Exit::NamespaceNotAllowed))] {
        let input = AttachInput { pool: Some(parsed(pool)), pool_is_approved: true, ..input() };
        for (fixture, end) in [(first(), end), (Fixture::parked_elsewhere(), None)] {
            let mut rig = attach_with(input.clone(), fixture);
            rig.until(|action| *action == Action::ReadIdentity).step();
            assert_eq!(rig.failed(), end, "{pool}");
        }
    }
}

/// The address that a first start looks up first, if it looks one up before it lists the pool.
fn candidate(fixture: Fixture) -> Option<Ipv4Addr> {
    let mut rig = attach(fixture);
    rig.until(|action| *action == Action::ReadIdentity).step();
    if let Action::ReadOwner(address, _) = rig.action() { Some(address) } else { None }
}

#[test]
fn the_requested_address_comes_first_then_the_claim_s_own_then_the_next_free_one() {
    assert_eq!(candidate(claimed(Some(ADDRESS), Some(OTHER))), Some(OTHER));
    assert_eq!(candidate(claimed(Some(ADDRESS), None)), Some(ADDRESS));
    assert_eq!(candidate(claimed(None, None)), None);
    let ports = Ipv4Addr::new(10, 0, 2, 50);
    assert_eq!(candidate(claimed(Some(ports), None)), None, "no range here has it");
    assert_eq!(candidate(first()), None);
}

/// A claim that names an address which belongs to another member now.
fn lost(requested: Option<Ipv4Addr>) -> Fixture {
    let mut fixture = with(|ip| ip.member = Member::new("demo", "redis-1").expect("a member"));
    fixture.owner = Owner::Unassigned;
    fixture.records.claim.as_mut().expect("a claim").object.requested = requested;
    fixture
}

#[test]
fn an_address_of_another_member_is_replaced_unless_the_claim_requests_it() {
    assert_eq!(candidate(lost(None)), None);
    let mut rig = attach(lost(None));
    rig.until(|action| matches!(action, Action::ReadAllocated(_)));
    let mut rig = attach(lost(Some(ADDRESS)));
    rig.until(|action| *action == Action::ReadIdentity).step();
    assert_eq!(rig.failed(), Some(Exit::AddressUnavailable));
    assert_eq!(candidate(lost(Some(OTHER))), None, "the pool is listed first");
}

/// The writes of a first start in this fixture, up to its epoch.
fn allocation(fixture: Fixture) -> Vec<Write> {
    let mut rig = attach(fixture);
    rig.until(|action| *action == Action::ProbeFile);
    rig.fixture.writes.clone()
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
fn an_unassignable_or_out_of_range_address_is_refused() {
    let refused = |fixture| {
        let mut rig = attach(fixture);
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
fn a_candidate_in_use_is_skipped() {
    let mut rig = attach(first());
    rig.until(is_owner);
    rig.report(Reply::Owner(Ok(stranger())));
    let Action::ReadOwner(next, _) = rig.action() else { return listed_again(rig) };
    assert_eq!(next, OTHER);
}

/// Nothing is allocated yet, so the pool is listed once more.
fn listed_again(mut rig: Rig<Attach>) {
    assert!(matches!(rig.action(), Action::ReadAllocated(_)));
    rig.step();
    let Action::ReadOwner(next, _) = rig.action() else { unreachable!() };
    assert_eq!(next, OTHER);
}

#[test]
fn the_next_candidate_needs_no_second_list_of_the_pool() {
    let mut rig = attach(Fixture { allocated: [LAST].into(), ..first() });
    rig.until(is_owner).report(Reply::Owner(Ok(stranger())));
    assert!(matches!(rig.action(), Action::ReadOwner(next, _) if next == OTHER));
    rig.report(Reply::Owner(Ok(stranger())));
    assert_eq!(rig.failed(), Some(Exit::NoCapacity), "50 and 51 are in use, 52 is allocated");
}

#[test]
fn a_claimed_address_in_use_is_checked_twice_and_never_replaced() {
    let ours = || on('b');
    for (fixture, owner) in [
        (claimed(Some(ADDRESS), None), ours()),
        (claimed(None, Some(ADDRESS)), ours()),
        (claimed(None, Some(ADDRESS)), stranger()),
    ] {
        let mut rig = attach(Fixture { owner, ..fixture });
        rig.until(is_owner).step();
        assert_eq!(rig.action(), Action::ReadMember, "another member may have allocated it since");
        rig.until(is_owner).step();
        assert_eq!(rig.failed(), Some(Exit::AddressUnavailable));
    }
    // On a foreign interface, no StaticIP was deleted by hand: the claim gets another address.
    let mut rig = attach(Fixture { owner: stranger(), ..claimed(Some(ADDRESS), None) });
    rig.until(is_owner).step();
    assert!(matches!(rig.action(), Action::ReadAllocated(_)));
    // The same with an ENI of another cluster.
    let Owner::Eni(mut other) = on('b') else { unreachable!() };
    other.cluster = Some("other".to_owned());
    let mut rig = attach(Fixture { owner: Owner::Eni(other), ..claimed(Some(ADDRESS), None) });
    rig.until(is_owner).step();
    assert!(matches!(rig.action(), Action::ReadAllocated(_)));
}

#[test]
fn a_failure_of_any_write_of_an_allocation_starts_it_again() {
    let mut rig = attach(first());
    rig.until(creates).report(unwritten(RegistryKind::AlreadyExists, Effect::None));
    assert_eq!(rig.after_pause(), Action::ReadMember);
    let mut rig = attach(first());
    rig.until(is_write).report(unwritten(RegistryKind::Conflict, Effect::None));
    assert_eq!(rig.after_pause(), Action::ReadMember);
}

#[test]
fn a_disk_that_is_not_writable_ends_the_attach_before_any_change() {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(|action| *action == Action::ProbeFile);
    rig.report(Reply::File(Err(FileFailure { detail: "read-only".to_owned() })));
    assert_eq!(rig.failed(), Some(Exit::DiskRefused));
    assert!(rig.fixture.writes.is_empty());
}

#[test]
fn a_missing_link_is_retried() {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(|action| matches!(action, Action::Observe(_)));
    let mut bare = rig.fixture.view.clone();
    bare.link = None;
    rig.report(Reply::Observed(Ok(bare)));
    assert!(matches!(rig.after_pause(), Action::Observe(_)));
    for kind in [HostKind::Busy, HostKind::NoLink] {
        rig.report(Reply::Observed(Err(host(kind))));
        assert!(matches!(rig.after_pause(), Action::Observe(_)), "{kind:?}");
    }
    rig.report(Reply::Observed(Err(host(HostKind::Refused))));
    assert_eq!(rig.failed(), Some(Exit::KernelRefused));
}

#[test]
fn a_new_epoch_is_above_the_node_s_lock_record() {
    let mut fixture = Fixture::parked_elsewhere();
    let holder = Holder { pod: parsed("lost"), epoch: Epoch(11) };
    fixture.view.recorded = Some(LockRecord { holder, hold: Hold::Released });
    let mut rig = attach(fixture);
    rig.until(is_write).step();
    assert_eq!(rig.fixture.record().epoch, Epoch(12));
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(is_write).step();
    assert_eq!(rig.fixture.record().epoch, Epoch(6));
}

#[test]
fn a_failure_names_the_address_as_soon_as_it_is_known() {
    let address = |mut rig: Rig<Attach>| {
        let Outcome::Failed(failure) = rig.end() else { unreachable!("it succeeded") };
        failure.address
    };
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(|action| *action == Action::ProbeFile);
    rig.report(Reply::File(Err(FileFailure { detail: "read-only".to_owned() })));
    assert_eq!(address(rig), Some(ADDRESS));
    let mut rig = attach(first());
    rig.step_after(timing::ATTACH_DEADLINE);
    assert_eq!(address(rig), None);
}

/// Checks the record that the write of an epoch is compared with.
#[test]
fn an_acquired_epoch_names_this_pod_node_and_run() {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(is_write).step();
    let taken: Attachment = rig.fixture.record().attachment.expect("taken");
    assert_eq!((taken.pod, taken.node), (parsed("mine"), parsed("node-a")));
    assert_eq!((taken.eni, taken.run), (Some(eni('a')), parsed("run-now")));
}
