//! The take: the pod's check, the compare-and-swap, and what is known once it has failed.

use firecamp_core::action::{Action, Reply, Step};
use firecamp_core::attach::Attach;
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::{Effect, RegistryKind};
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::outside::{Controller, Life, PodView};
use firecamp_core::record::{State, StaticIp};

use super::rig::{Rig, attach, is_fresh, is_write, registry, unwritten};
use super::world::{World, parsed};

/// An attach whose take is about to be written.
fn taking(world: World) -> Rig<Attach> {
    let mut rig = attach(world);
    rig.until(is_write);
    rig
}

/// Who starts a member vouches for it: a registry of files knows no pods.
fn vouched() -> World {
    World { pod: PodView::Vouched, ..World::parked_elsewhere() }
}

/// What it does next after a take that failed like this.
fn after_failed_take(kind: RegistryKind, effect: Effect) -> Action {
    let mut rig = taking(World::parked_elsewhere());
    rig.tell(unwritten(kind, effect));
    rig.after_pause()
}

#[test]
fn only_a_take_that_may_have_landed_is_looked_for_in_the_record() {
    assert!(is_fresh(&after_failed_take(RegistryKind::Unavailable, Effect::Unknown)));
    assert_eq!(after_failed_take(RegistryKind::Unavailable, Effect::None), Action::ReadMember);
    assert_eq!(after_failed_take(RegistryKind::Conflict, Effect::None), Action::ReadMember);
    assert_eq!(after_failed_take(RegistryKind::Conflict, Effect::Unknown), Action::ReadMember);
}

/// A take whose answer was lost, with the record that is read then.
fn lost_take(change: impl FnOnce(&mut World)) -> Rig<Attach> {
    let mut rig = taking(World::parked_elsewhere());
    let before = rig.world.clone();
    let action = rig.action();
    rig.world.answer(&action);
    rig.tell(unwritten(RegistryKind::Unavailable, Effect::Unknown));
    rig.after_pause();
    change(&mut rig.world);
    if rig.world.record().epoch == Epoch(5) {
        rig.world = before;
    }
    rig.step();
    rig
}

#[test]
fn a_take_whose_answer_was_lost_stands_if_the_record_is_exactly_what_was_written() {
    let rig = lost_take(|_world| {});
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(7)));
    assert!(matches!(rig.action(), Action::AwaitOwner), "{:?}", rig.action());
}

#[test]
fn a_take_that_did_not_land_or_lacks_its_mark_is_decided_anew() {
    let changes: [fn(&mut StaticIp); 3] = [
        |ip| ip.epoch = Epoch(5),
        |ip| ip.unsettled.clear(),
        |ip| ip.attachment.as_mut().expect("taken").run = parsed("run-other"),
    ];
    for change in changes {
        let mut rig = lost_take(|world| world.change(change));
        assert_eq!(rig.machine.crossed(), None);
        assert_eq!(rig.after_pause(), Action::ReadMember);
    }
}

#[test]
fn among_files_a_process_takes_no_epoch_over_that_was_taken_after_it_began() {
    let mut rig = taking(vouched());
    rig.world.supersede();
    rig.tell(unwritten(RegistryKind::Conflict, Effect::None));
    rig.after_pause();
    rig.until(|action| *action == Action::ReadPod).step();
    assert_eq!(rig.failed(), Some(Exit::Superseded));
    // With a registry of pods, the pod says who is the live one.
    let mut rig = taking(World::parked_elsewhere());
    rig.world.supersede();
    rig.tell(unwritten(RegistryKind::Conflict, Effect::None));
    rig.after_pause();
    rig.until(|action| *action == Action::ReadPod).step();
    assert!(is_write(&rig.action()));
}

#[test]
fn among_files_what_could_not_be_read_is_no_epoch_of_before() {
    let mut rig = attach(vouched());
    let unread = registry(RegistryKind::Unavailable, Effect::None);
    rig.tell(Reply::Member(Err(unread)));
    rig.until(|action| *action == Action::ReadPod).step();
    assert!(is_write(&rig.action()), "{:?}", rig.machine.outcome());
}

#[test]
fn among_files_the_process_s_own_take_that_landed_late_is_no_successor() {
    let mut rig = taking(vouched());
    let before = rig.world.records.static_ip.clone();
    let action = rig.action();
    rig.world.answer(&action);
    let landed = std::mem::replace(&mut rig.world.records.static_ip, before);
    rig.tell(unwritten(RegistryKind::Unavailable, Effect::Unknown));
    rig.after_pause();
    rig.step();
    rig.world.records.static_ip = landed;
    assert_eq!(rig.after_pause(), Action::ReadMember);
    rig.until(|action| *action == Action::ReadPod).step();
    assert!(is_write(&rig.action()), "{:?}", rig.machine.outcome());
}

#[test]
fn only_the_live_pod_on_this_very_node_takes() {
    let present = |pod: &str, node: Option<&str>, life| PodView::Present {
        pod: parsed(pod),
        node: node.map(parsed),
        life,
        controller: None,
    };
    let takes = |pod| {
        is_write(&{
            let mut rig = attach(World::parked_elsewhere());
            rig.until(|action| *action == Action::ReadPod);
            rig.tell(Reply::Pod(Ok(pod)));
            rig.action()
        })
    };
    assert!(takes(present("mine", Some("node-a"), Life::Running)));
    assert!(takes(present("mine", None, Life::Running)), "not scheduled by what is read");
    assert!(takes(PodView::Vouched));
    assert!(!takes(PodView::Absent));
    assert!(!takes(present("other", Some("node-a"), Life::Running)));
    assert!(!takes(present("mine", Some("node-b"), Life::Running)));
    assert!(!takes(present("mine", Some("node-a"), Life::Terminating(None))));
    assert!(!takes(present("mine", Some("node-a"), Life::Terminal)));
}

/// An attach of a member whose claim is bound to StatefulSet `redis`, once it knows its pod.
fn bound(controller: Option<Controller>, change: impl FnOnce(&mut StaticIp)) -> Rig<Attach> {
    let mut world = World::parked_elsewhere();
    world.records.claim.as_mut().expect("a claim").object.set = Some(parsed("redis"));
    world.change(change);
    let (pod, node) = (parsed("mine"), Some(parsed("node-a")));
    world.pod = PodView::Present { pod, node, life: Life::Running, controller };
    let mut rig = attach(world);
    rig.until(|action| *action == Action::ReadPod).step();
    rig
}

fn set(name: &str) -> Option<Controller> {
    Some(Controller::StatefulSet(parsed(name)))
}

#[test]
fn f105_a_claim_that_is_bound_to_a_stateful_set_is_for_pods_of_that_name() {
    assert!(is_write(&bound(set("redis"), |_ip| {}).action()));
    let other = Controller::Other("ReplicaSet redis (apps/v1)".to_owned());
    for controller in [None, set("redis-2"), Some(other)] {
        let by = controller.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let rig = bound(controller, |_ip| {});
        let Some(Outcome::Failed(failure)) = rig.machine.outcome() else { panic!("{by}") };
        assert_eq!(failure.exit, Exit::ControllerMismatch);
        let words = ["bound to StatefulSet redis;", &format!("mine is controlled by {by}")];
        assert!(words.iter().all(|words| failure.message.contains(*words)), "{failure:?}");
        assert!(rig.world.writes.is_empty(), "nothing was changed");
    }
}

#[test]
fn f105_a_pod_that_its_set_left_behind_keeps_what_it_has_taken() {
    let took = |pod: &'static str| {
        bound(None, move |ip| ip.attachment.as_mut().expect("parked").pod = parsed(pod))
    };
    assert!(is_write(&took("mine").action()));
    assert_eq!(took("other").failed(), Some(Exit::ControllerMismatch));
}

#[test]
fn f105_where_no_set_is_on_record_nobody_asks_who_controls_a_pod() {
    for controller in [None, set("redis"), Some(Controller::Other("Job redis".to_owned()))] {
        let (pod, node) = (parsed("mine"), Some(parsed("node-a")));
        let pod = PodView::Present { pod, node, life: Life::Running, controller };
        let mut rig = attach(World { pod, ..World::parked_elsewhere() });
        rig.until(|action| *action == Action::ReadPod).step();
        assert!(is_write(&rig.action()), "{:?}", rig.machine.outcome());
    }
}

#[test]
fn f105_among_files_who_starts_a_member_vouches_for_its_claim_too() {
    let mut world = vouched();
    world.records.claim.as_mut().expect("a claim").object.set = Some(parsed("redis"));
    let mut rig = attach(world);
    rig.until(|action| *action == Action::ReadPod).step();
    assert!(is_write(&rig.action()), "{:?}", rig.machine.outcome());
}

/// What becomes of an attach whose record is this one when it is read again before a second Assign.
fn read_again(change: impl FnOnce(&mut StaticIp)) -> Rig<Attach> {
    let mut rig = attach(World::parked_elsewhere());
    rig.until(super::rig::is_assign);
    rig.tell(super::rig::refused(firecamp_core::failure::CloudKind::Throttled));
    assert!(is_fresh(&rig.after_pause()));
    rig.world.change(change);
    rig.step();
    rig
}

#[test]
fn an_epoch_is_held_by_its_own_run_alone_until_somebody_releases_it() {
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
fn an_address_that_is_gone_from_the_registry_is_an_error_and_no_successor() {
    let mut rig = attach(World::parked_elsewhere());
    rig.until(super::rig::is_assign);
    rig.tell(super::rig::refused(firecamp_core::failure::CloudKind::Throttled));
    rig.after_pause();
    rig.tell(Reply::Record(Ok(None)));
    // EC2 was not changed, so the record is put back as far as there is one.
    assert!(is_write(&rig.action()));
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::RegistryInvalid));
}
