//! Acquiring the epoch: the check of the pod, the compare-and-swap, and what follows a failure.

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::Attach;
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::{Effect, RegistryKind};
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::ports::{Controller, PodLifecycle, PodView};
use firecamp_core::record::{State, StaticIp};
use firecamp_core::step::{AttachStep, Step};

use super::fixture::{Fixture, parsed};
use super::rig::{Rig, attach, is_fresh, is_write, registry, unwritten};

/// An attach that is about to write its epoch.
fn taking(fixture: Fixture) -> Rig<Attach> {
    let mut rig = attach(fixture);
    rig.until(is_write);
    rig
}

/// File mode: the registry has no pods, and the caller vouches for the member.
fn vouched() -> Fixture {
    Fixture { pod: PodView::Vouched, ..Fixture::parked_elsewhere() }
}

/// The next action after a write of the epoch that failed with this reply.
fn after_failed_take(kind: RegistryKind, effect: Effect) -> Action {
    let mut rig = taking(Fixture::parked_elsewhere());
    rig.report(unwritten(kind, effect));
    rig.after_pause()
}

#[test]
fn only_an_epoch_write_with_unknown_effect_is_read_back() {
    assert!(is_fresh(&after_failed_take(RegistryKind::Unavailable, Effect::Unknown)));
    assert_eq!(after_failed_take(RegistryKind::Unavailable, Effect::None), Action::ReadMember);
    assert_eq!(after_failed_take(RegistryKind::Conflict, Effect::None), Action::ReadMember);
    assert_eq!(after_failed_take(RegistryKind::Conflict, Effect::Unknown), Action::ReadMember);
}

/// A write of the epoch whose answer was lost, with the record that is read then.
fn lost_take(change: impl FnOnce(&mut Fixture)) -> Rig<Attach> {
    let mut rig = taking(Fixture::parked_elsewhere());
    let before = rig.fixture.clone();
    let action = rig.action();
    rig.fixture.answer(&action);
    rig.report(unwritten(RegistryKind::Unavailable, Effect::Unknown));
    rig.after_pause();
    change(&mut rig.fixture);
    if rig.fixture.record().epoch == Epoch(5) {
        rig.fixture = before;
    }
    rig.step();
    rig
}

#[test]
fn an_epoch_write_with_a_lost_answer_stands_if_the_record_is_exactly_what_was_written() {
    let rig = lost_take(|_world| {});
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(AttachStep::EpochAcquired)));
    assert!(matches!(rig.action(), Action::AwaitOwner), "{:?}", rig.action());
}

#[test]
fn an_epoch_write_without_effect_or_pending_mutation_is_decided_again() {
    let changes: [fn(&mut StaticIp); 3] = [
        |ip| ip.epoch = Epoch(5),
        |ip| ip.pending_mutations.clear(),
        |ip| ip.attachment.as_mut().expect("taken").run = parsed("run-other"),
    ];
    for change in changes {
        let mut rig = lost_take(|fixture| fixture.change(change));
        assert_eq!(rig.machine.crossed(), None);
        assert_eq!(rig.after_pause(), Action::ReadMember);
    }
}

#[test]
fn in_file_mode_a_process_does_not_take_over_a_later_epoch() {
    let mut rig = taking(vouched());
    rig.fixture.supersede();
    rig.report(unwritten(RegistryKind::Conflict, Effect::None));
    rig.after_pause();
    rig.until(|action| *action == Action::ReadPod).step();
    assert_eq!(rig.failed(), Some(Exit::Superseded));
    // With a registry of pods, the check of the pod decides.
    let mut rig = taking(Fixture::parked_elsewhere());
    rig.fixture.supersede();
    rig.report(unwritten(RegistryKind::Conflict, Effect::None));
    rig.after_pause();
    rig.until(|action| *action == Action::ReadPod).step();
    assert!(is_write(&rig.action()));
}

#[test]
fn in_file_mode_a_failed_read_does_not_fix_the_first_epoch() {
    let mut rig = attach(vouched());
    let unread = registry(RegistryKind::Unavailable, Effect::None);
    rig.report(Reply::Member(Err(unread)));
    rig.until(|action| *action == Action::ReadPod).step();
    assert!(is_write(&rig.action()), "{:?}", rig.machine.outcome());
}

#[test]
fn in_file_mode_the_process_s_own_late_write_is_no_successor() {
    let mut rig = taking(vouched());
    let before = rig.fixture.records.static_ip.clone();
    let action = rig.action();
    rig.fixture.answer(&action);
    let landed = std::mem::replace(&mut rig.fixture.records.static_ip, before);
    rig.report(unwritten(RegistryKind::Unavailable, Effect::Unknown));
    rig.after_pause();
    rig.step();
    rig.fixture.records.static_ip = landed;
    assert_eq!(rig.after_pause(), Action::ReadMember);
    rig.until(|action| *action == Action::ReadPod).step();
    assert!(is_write(&rig.action()), "{:?}", rig.machine.outcome());
}

#[test]
fn only_the_live_pod_on_this_node_acquires_the_epoch() {
    let present = |pod: &str, node: Option<&str>, lifecycle| PodView::Present {
        pod: parsed(pod),
        node: node.map(parsed),
        lifecycle,
        controller: None,
    };
    let takes = |pod| {
        is_write(&{
            let mut rig = attach(Fixture::parked_elsewhere());
            rig.until(|action| *action == Action::ReadPod);
            rig.report(Reply::Pod(Ok(pod)));
            rig.action()
        })
    };
    assert!(takes(present("mine", Some("node-a"), PodLifecycle::Running)));
    assert!(takes(present("mine", None, PodLifecycle::Running)), "a stale read without a node");
    assert!(takes(PodView::Vouched));
    assert!(!takes(PodView::Absent));
    assert!(!takes(present("other", Some("node-a"), PodLifecycle::Running)));
    assert!(!takes(present("mine", Some("node-b"), PodLifecycle::Running)));
    assert!(!takes(present("mine", Some("node-a"), PodLifecycle::Terminating(None))));
    assert!(!takes(present("mine", Some("node-a"), PodLifecycle::Terminal)));
}

/// An attach of a member whose claim is bound to StatefulSet `redis`, after its pod was read.
fn bound(controller: Option<Controller>, change: impl FnOnce(&mut StaticIp)) -> Rig<Attach> {
    let mut fixture = Fixture::parked_elsewhere();
    fixture.records.claim.as_mut().expect("a claim").object.set = Some(parsed("redis"));
    fixture.change(change);
    let (pod, node) = (parsed("mine"), Some(parsed("node-a")));
    fixture.pod = PodView::Present { pod, node, lifecycle: PodLifecycle::Running, controller };
    let mut rig = attach(fixture);
    rig.until(|action| *action == Action::ReadPod).step();
    rig
}

fn set(name: &str) -> Option<Controller> {
    Some(Controller::StatefulSet(parsed(name)))
}

#[test]
fn f105_a_bound_claim_admits_only_pods_of_that_stateful_set() {
    assert!(is_write(&bound(set("redis"), |_ip| {}).action()));
    let other = Controller::Other("ReplicaSet redis (apps/v1)".to_owned());
    for controller in [None, set("redis-2"), Some(other)] {
        let by = controller.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let rig = bound(controller, |_ip| {});
        let Some(Outcome::Failed(failure)) = rig.machine.outcome() else { panic!("{by}") };
        assert_eq!(failure.exit, Exit::ControllerMismatch);
        let words = ["bound to StatefulSet redis;", &format!("mine is controlled by {by}")];
        assert!(words.iter().all(|words| failure.message.contains(*words)), "{failure:?}");
        assert!(rig.fixture.writes.is_empty(), "nothing was changed");
    }
}

#[test]
fn f105_an_orphaned_pod_of_the_set_keeps_its_address() {
    let took = |pod: &'static str| {
        bound(None, move |ip| ip.attachment.as_mut().expect("parked").pod = parsed(pod))
    };
    assert!(is_write(&took("mine").action()));
    assert_eq!(took("other").failed(), Some(Exit::ControllerMismatch));
}

#[test]
fn f105_without_a_recorded_set_the_controller_is_not_checked() {
    for controller in [None, set("redis"), Some(Controller::Other("Job redis".to_owned()))] {
        let (pod, node) = (parsed("mine"), Some(parsed("node-a")));
        let pod = PodView::Present { pod, node, lifecycle: PodLifecycle::Running, controller };
        let mut rig = attach(Fixture { pod, ..Fixture::parked_elsewhere() });
        rig.until(|action| *action == Action::ReadPod).step();
        assert!(is_write(&rig.action()), "{:?}", rig.machine.outcome());
    }
}

#[test]
fn f105_in_file_mode_the_caller_vouches_for_the_claim_too() {
    let mut fixture = vouched();
    fixture.records.claim.as_mut().expect("a claim").object.set = Some(parsed("redis"));
    let mut rig = attach(fixture);
    rig.until(|action| *action == Action::ReadPod).step();
    assert!(is_write(&rig.action()), "{:?}", rig.machine.outcome());
}

/// The end of an attach that reads this record before a second Assign.
fn read_again(change: impl FnOnce(&mut StaticIp)) -> Rig<Attach> {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(super::rig::is_assign);
    rig.report(super::rig::refused(firecamp_core::failure::CloudKind::Throttled));
    assert!(is_fresh(&rig.after_pause()));
    rig.fixture.change(change);
    rig.step();
    rig
}

#[test]
fn only_its_own_run_holds_an_epoch_until_it_is_released() {
    assert!(matches!(read_again(|_ip| {}).action(), Action::NoteAssign(_)));
    let changes: [fn(&mut StaticIp); 4] = [
        |ip| ip.attachment.as_mut().expect("taken").state = State::Parked,
        |ip| ip.attachment.as_mut().expect("taken").run = parsed("run-other"),
        |ip| ip.attachment.as_mut().expect("taken").pod = parsed("other"),
        |ip| ip.epoch = Epoch(7),
    ];
    for change in changes {
        assert_eq!(read_again(change).failed(), Some(Exit::Superseded));
    }
}

#[test]
fn a_deleted_static_ip_is_an_error_and_not_a_successor() {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(super::rig::is_assign);
    rig.report(super::rig::refused(firecamp_core::failure::CloudKind::Throttled));
    rig.after_pause();
    rig.report(Reply::Record(Ok(None)));
    // EC2 was not changed, so the record is restored if there is one.
    assert!(is_write(&rig.action()));
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::RegistryInvalid));
}
