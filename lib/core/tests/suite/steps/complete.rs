//! From the data path to completion: kernel, file, a terminating predecessor, the record.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::Attach;
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::{Effect, FileFailure, HostKind, RegistryKind};
use firecamp_core::machine::{Attached, Machine, Outcome};
use firecamp_core::node_identity::Eni;
use firecamp_core::ports::{Holder, KernelTarget, KernelView, SocketUse};
use firecamp_core::record::{Mutation, PendingMutation, State, StaticIp};
use firecamp_core::step::{AttachStep, Step};

use super::fixture::{ADDRESS, Fixture, eni, interface, parsed};
use super::rig::{
    Rig, TICK, attach, host, is_assign, is_fresh, is_listed, is_write, lost, unwritten,
};

/// An attach after the Assign and its proof by IMDS: the kernel is next.
fn landing() -> Rig<Attach> {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(is_listed);
    rig.fixture.list();
    rig.until(|action| matches!(action, Action::AddAddress(..)));
    rig
}

fn completing() -> Rig<Attach> {
    let mut rig = landing();
    rig.past(Step::Attach(AttachStep::FileDurable)).until(is_write);
    rig
}

fn attached(rig: &mut Rig<Attach>) -> Attached {
    let Outcome::Attached(done) = rig.end() else { unreachable!("{:?}", rig.machine.outcome()) };
    done
}

#[test]
fn a_completion_with_unknown_effect_is_read_back_and_others_are_retried_or_end() {
    let reread = [
        (RegistryKind::Conflict, Effect::None),
        (RegistryKind::Conflict, Effect::Unknown),
        (RegistryKind::Unavailable, Effect::Unknown),
    ];
    for (kind, effect) in reread {
        let mut rig = completing();
        rig.report(unwritten(kind, effect));
        assert!(is_fresh(&rig.after_pause()), "{kind:?}");
        rig.step();
        assert!(is_write(&rig.action()), "it had no effect: written again");
    }
    let mut rig = completing();
    rig.report(unwritten(RegistryKind::Unavailable, Effect::None));
    assert!(is_write(&rig.after_pause()));
    let mut rig = completing();
    rig.report(unwritten(RegistryKind::Invalid, Effect::None));
    assert_eq!(rig.failed(), Some(Exit::RegistryInvalid));
}

#[test]
fn a_completion_whose_answer_was_lost_stands_if_the_record_says_attached() {
    let mut rig = completing();
    let action = rig.action();
    rig.fixture.answer(&action);
    rig.report(unwritten(RegistryKind::Unavailable, Effect::Unknown));
    rig.after_pause();
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(AttachStep::AttachRecorded)));
    let writes = rig.fixture.writes.len();
    attached(&mut rig);
    assert_eq!(rig.fixture.writes.len(), writes, "nothing more is written");
}

#[test]
fn a_conflict_at_completion_is_decided_from_the_current_record() {
    let mut rig = completing();
    let pending = PendingMutation {
        mutation: Mutation::Assign,
        eni: eni('a'),
        run: parsed("run-of-the-agent"),
    };
    rig.fixture.change(|ip| _ = ip.pending_mutations.insert(pending.clone()));
    rig.report(unwritten(RegistryKind::Conflict, Effect::None));
    attached(&mut rig);
    let record = rig.fixture.record();
    assert_eq!(
        record.pending_mutations,
        [pending].into(),
        "another's entry stays, its own is cleared"
    );
    assert_eq!(record.attachment.expect("attached").state, State::Attached);
    assert_eq!(record.reserved_on, Some(eni('a')));
}

#[test]
fn a_superseded_attach_removes_exactly_its_own_epoch_from_the_kernel() {
    let mut rig = completing();
    rig.fixture.supersede();
    rig.report(unwritten(RegistryKind::Conflict, Effect::None));
    rig.after_pause();
    rig.step();
    let own = Holder { pod: parsed("mine"), epoch: firecamp_core::ids::Epoch(6) };
    assert_eq!(rig.action(), Action::RemoveAddress(ADDRESS, own.clone()));
    rig.step();
    assert_eq!(rig.action(), Action::RemoveRouting(ADDRESS, own));
    rig.step();
    assert_eq!(rig.failed(), Some(Exit::Superseded));
}

#[test]
fn a_superseded_attach_leaves_an_unchanged_kernel_alone() {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(is_listed);
    rig.fixture.list();
    rig.fixture.supersede();
    // So late that the record must be read before the kernel is written.
    rig.step_after(timing::CALL_BOUND);
    assert!(is_fresh(&rig.action()));
    rig.step();
    assert_eq!(rig.failed(), Some(Exit::Superseded));
}

/// The action after the proof of the data path, this long after the epoch was requested.
fn first_after(age: Duration) -> Action {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(is_write);
    let asked = rig.now;
    rig.until(is_listed);
    rig.fixture.list();
    let spent = rig.now.since(asked);
    rig.step_after(age.saturating_sub(spent));
    rig.action()
}

#[test]
fn the_kernel_is_written_only_within_the_call_bound_after_a_read() {
    let before = timing::CALL_BOUND.saturating_sub(TICK);
    assert!(matches!(first_after(before), Action::AddAddress(..)));
    assert!(is_fresh(&first_after(timing::CALL_BOUND)));
}

#[test]
fn a_completion_waits_until_its_own_unanswered_call_has_expired() {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(is_assign);
    let Action::Assign { not_after, .. } = rig.action() else { unreachable!() };
    rig.report(lost());
    rig.fixture.list();
    rig.past(Step::Attach(AttachStep::FileDurable));
    let pause =
        rig.pause().or_else(|| rig.until(|action| matches!(action, Action::Wait(_))).pause());
    let pause = pause.expect("a pause before the completion");
    assert_eq!(rig.now.plus(pause.length), not_after);
    rig.step();
    assert!(is_write(&rig.action()));
}

#[test]
fn an_expired_assign_is_not_waited_for() {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(is_assign);
    let Action::Assign { not_after, .. } = rig.action() else { unreachable!() };
    rig.report(lost());
    rig.fixture.list();
    rig.until(|action| matches!(action, Action::ReadSockets(_)));
    let left = not_after.since(rig.now);
    assert!(!left.is_zero());
    rig.step_after(left);
    assert!(is_write(&rig.action()), "{:?}", rig.action());
}

/// When an attach that finds this pending mutation completes, counted from its epoch.
fn completed_after(mutation: Mutation, letter: char) -> Duration {
    let mut fixture = Fixture::parked_elsewhere();
    let pending = PendingMutation { mutation, eni: eni(letter), run: parsed("run-old") };
    fixture.change(|ip| _ = ip.pending_mutations.insert(pending));
    let mut rig = attach(fixture);
    rig.past(Step::Attach(AttachStep::EpochAcquired));
    let taken = rig.now;
    rig.until(is_assign).step();
    rig.fixture.list();
    rig.past(Step::Attach(AttachStep::AttachRecorded));
    rig.now.since(taken)
}

#[test]
fn a_completion_clears_earlier_pending_mutations_only_after_their_calls_expired() {
    for letter in ['a', 'b'] {
        let took = completed_after(Mutation::Assign, letter);
        assert!(took >= timing::CALL_BOUND, "{letter}: {took:?}");
    }
}

#[test]
fn an_incomplete_kernel_is_written_again_after_a_fresh_read() {
    let parts: [fn(&mut KernelView); 3] =
        [|view| view.link_up = false, |view| view.address = false, |view| view.routing = false];
    for take_away in parts {
        let mut rig = landing();
        take_away(&mut rig.fixture.view);
        rig.until(|action| matches!(action, Action::Observe(_))).step();
        assert!(is_fresh(&rig.after_pause()));
    }
    let mut rig = landing();
    rig.report(Reply::Host(Err(host(HostKind::Busy))));
    assert!(is_fresh(&rig.after_pause()));
    let mut rig = landing();
    rig.until(|action| matches!(action, Action::Observe(_)));
    rig.report(Reply::Observed(Err(host(HostKind::NoLink))));
    assert!(is_fresh(&rig.after_pause()));
}

#[test]
fn a_refusing_kernel_and_a_failing_disk_end_the_attach() {
    let mut rig = landing();
    rig.report(Reply::Host(Err(host(HostKind::Refused))));
    assert_eq!(rig.failed(), Some(Exit::KernelRefused));
    let mut rig = landing();
    rig.until(|action| matches!(action, Action::StageFile(_)));
    rig.report(Reply::File(Err(FileFailure { detail: "full".to_owned() })));
    assert_eq!(rig.failed(), Some(Exit::DiskRefused));
}

#[test]
fn an_unchanged_file_is_synced_and_not_published_again() {
    let mut rig = landing();
    rig.until(|action| matches!(action, Action::StageFile(_)));
    rig.report(Reply::File(Ok(false)));
    assert_eq!(rig.action(), Action::SyncFile);
    let mut rig = landing();
    rig.until(|action| matches!(action, Action::StageFile(_))).step();
    assert_eq!(rig.action(), Action::PublishFile);
}

/// An attach that waits for the sockets of a predecessor.
fn beside_a_predecessor() -> Rig<Attach> {
    let mut rig = landing();
    rig.fixture.sockets = SocketUse { connections: 1, ..SocketUse::default() };
    rig.until(|action| matches!(action, Action::ReadSockets(_)));
    rig
}

#[test]
fn an_attach_waits_until_its_predecessor_is_idle_or_its_grace_ends() {
    let mut rig = beside_a_predecessor();
    rig.step();
    assert_eq!(rig.pause().expect("a pause").length, timing::SOCKET_POLL);
    rig.fixture.sockets = SocketUse::default();
    assert!(!attached(&mut rig).overlapped);

    let mut rig = beside_a_predecessor();
    let begun = rig.now;
    rig.until(is_write);
    let spent = rig.now.since(begun);
    let grace = Duration::from_secs(30);
    assert!(spent >= grace && spent < grace + timing::SOCKET_POLL, "{spent:?}");
    assert!(attached(&mut rig).overlapped, "and reports it");
}

#[test]
fn the_last_poll_of_a_predecessor_s_sockets_is_at_the_end_of_its_grace() {
    let mut rig = beside_a_predecessor();
    let begun = rig.now;
    let almost = Duration::from_secs(30).saturating_sub(TICK);
    rig.step_after(almost);
    assert_eq!(rig.pause().expect("a pause").length, TICK);
    rig.step();
    assert_eq!(rig.now.since(begun), Duration::from_secs(30));
    rig.step_after(Duration::ZERO);
    assert!(is_write(&rig.action()));
}

#[test]
fn a_second_run_on_the_same_node_does_not_wait_for_its_own_sockets() {
    let mut fixture = Fixture::parked_elsewhere();
    fixture.change(|ip| {
        let last = ip.attachment.as_mut().expect("parked");
        (last.pod, last.node) = (parsed("mine"), parsed("node-a"));
    });
    fixture.sockets = SocketUse { listeners: 1, ..SocketUse::default() };
    let mut rig = attach(fixture);
    rig.until(is_listed);
    rig.fixture.list();
    rig.until(|action| matches!(action, Action::SyncFile)).step();
    assert!(is_write(&rig.action()), "{:?}", rig.action());
}

#[test]
fn the_outcome_matches_the_record() {
    let mut rig = completing();
    let done = attached(&mut rig);
    let record: StaticIp = rig.fixture.record();
    assert_eq!((done.address, done.epoch), (ADDRESS, record.epoch));
    assert_eq!(done.eni, eni('a'));
    assert!(!done.barrier && !done.overlapped);
}

#[test]
fn the_kernel_is_written_and_verified_before_the_file() {
    let mut rig = landing();
    assert!(matches!(rig.action(), Action::AddAddress(..)));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(AttachStep::AddressAdded)));
    assert!(matches!(rig.action(), Action::AddRouting(..)));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(AttachStep::RoutingAdded)));
    assert!(matches!(rig.action(), Action::Observe(_)));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(AttachStep::KernelVerified)));
    assert_eq!(rig.action(), Action::StageFile(ADDRESS));
    for crossed in [AttachStep::FileStaged, AttachStep::FilePublished, AttachStep::FileDurable] {
        rig.step();
        assert_eq!(rig.machine.crossed(), Some(Step::Attach(crossed)));
    }
}

#[test]
fn the_primary_interface_needs_no_routing_and_others_have_their_own_tables() {
    let routed = |card, index| {
        let eni = Eni { network_card: card, device_index: index, ..interface() };
        let target = KernelTarget::on(ADDRESS, &eni);
        assert_eq!((target.address, target.mac), (ADDRESS, eni.mac));
        target.routing.map(|routing| {
            assert_eq!(routing.subnet, eni.cidr);
            assert_eq!(routing.gateway, Ipv4Addr::new(10, 0, 1, 1));
            routing.table
        })
    };
    assert_eq!(routed(0, 0), None);
    assert_eq!(routed(0, 1), Some(20_001));
    assert_eq!(routed(1, 0), Some(20_100));
    assert_eq!(routed(2, 3), Some(20_203));
    assert_eq!(routed(u32::MAX, 0), Some(29_999));
}
