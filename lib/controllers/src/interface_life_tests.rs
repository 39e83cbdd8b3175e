//! The whole life of an interface that FireCamp makes: the agent that makes it and the leader that
//! removes it, in a small EC2 whose reads lag, with a crash at every boundary and at every pair of
//! boundaries.

pub(crate) mod histories;
mod world;

use std::time::Duration;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::managed_interface::Phase;
use firecamp_core::time::Moment;

use self::world::{Fate, World, address};
use crate::node::managed_interfaces::{Inputs, ManagedInterfaces};
use crate::node::{InterfaceStep, StepEnd, Task};

/// Runs the life of one interface: the node joins, a member gets an address there, the instance is
/// terminated, and the member moves.
fn live(crashes: &[u32], prepare: impl Fn(&mut World)) -> World {
    let mut world = World::new(crashes);
    prepare(&mut world);
    world.run(Duration::from_secs(150));
    world.settle_member();
    world.run(Duration::from_mins(1));
    world.terminate();
    world.run(Duration::from_secs(90));
    world.move_member();
    world.run(Duration::from_hours(1));
    world
}

fn nothing_left(world: &World, about: &str) {
    assert!(world.records().is_empty(), "{about}: a record is left: {:?}", world.records());
    assert_eq!(world.ours(), 0, "{about}: an interface is left");
    assert!(world.is_foreign_intact(), "{about}: a foreign interface was touched");
    assert!(!world.lost_an_address(), "{about}: an interface was deleted with an address");
    assert!(!world.has_detached_in_use(), "{about}: an interface was detached in use");
}

#[test]
fn node_gets_its_interface_and_the_interface_of_a_lost_node_is_deleted() {
    let mut world = World::new(&[]);
    world.run(Duration::from_secs(15));
    assert_eq!(world.phases(), [Phase::Attached]);
    assert!(world.is_taint_lifted(), "the node is ready for members");
    assert_eq!(world.calls(), ["CreateNetworkInterface", "AttachNetworkInterface"]);
    nothing_left(&live(&[], |_| {}), "without a crash");
}

#[test]
fn a_crash_at_any_boundary_of_an_interfaces_life_leaves_nothing_behind() {
    let boundaries = live(&[], |_| {}).boundaries();
    assert!(boundaries >= 12, "only {boundaries} boundaries");
    for crash in 0..boundaries {
        nothing_left(&live(&[crash], |_| {}), &format!("crash at {crash}"));
    }
}

#[test]
fn any_two_crashes_of_an_interfaces_life_leave_nothing_behind() {
    let boundaries = live(&[], |_| {}).boundaries() + 4;
    for first in 0..boundaries {
        for second in first + 1..boundaries {
            nothing_left(&live(&[first, second], |_| {}), &format!("{first} and {second}"));
        }
    }
}

#[test]
fn an_interface_with_an_address_stays_until_the_address_has_moved() {
    let mut world = World::new(&[]);
    world.run(Duration::from_secs(30));
    world.settle_member();
    world.terminate();
    world.run(Duration::from_hours(1));
    assert_eq!(world.phases(), [Phase::Draining], "the address has no other place");
    assert_eq!(world.ours(), 1);
    world.move_member();
    world.run(Duration::from_mins(20));
    nothing_left(&world, "after the move");
}

#[test]
fn a_parked_address_that_a_reservation_keeps_does_not_hold_its_interface() {
    let mut world = World::new(&[]);
    world.run(Duration::from_secs(30));
    world.settle_member();
    world.park_member(true);
    world.terminate();
    world.run(Duration::from_mins(40));
    nothing_left(&world, "evicted");
    assert_eq!(world.static_ip(address()).reserved_on, None);
}

#[test]
fn an_address_whose_record_has_changed_since_the_last_attempt_is_evicted_at_once() {
    let mut world = World::new(&[]);
    world.run(Duration::from_secs(30));
    world.settle_member();
    world.park_member(false);
    world.drain();
    world.run(Duration::from_mins(2));
    assert!(world.static_ip(address()).reserved_on.is_some(), "nothing reserves it");
    // The member was attached once more in between.
    world.park_member(true);
    world.run(Duration::from_mins(2));
    assert_eq!(world.static_ip(address()).reserved_on, None);
}

#[test]
fn an_assign_in_flight_while_the_interface_goes_keeps_it() {
    let mut world = World::new(&[]);
    world.run(Duration::from_secs(30));
    world.drain();
    // An init container chose the interface before. It acquires its epoch as late as possible: its
    // list of draining interfaces was half a minute old, and its attach ends after three minutes.
    world.run(Duration::from_secs(210));
    world.acquire();
    world.run(Duration::from_secs(4));
    world.assign();
    world.run(Duration::from_mins(30));
    assert_eq!(world.phases(), [Phase::Draining, Phase::Attached], "another one takes its place");
    assert_eq!(world.ours(), 2, "it has the address of a member");
    world.move_member();
    world.run(Duration::from_mins(20));
    assert_eq!(world.phases(), [Phase::Attached]);
    assert!(world.ours() == 1 && !world.lost_an_address());
}

#[test]
fn an_interface_stays_attached_until_its_node_has_excluded_it() {
    let mut world = World::new(&[]);
    world.run(Duration::from_secs(30));
    let eni = world.chosen().expect("an interface");
    world.hang_agent(true);
    world.drain();
    world.run(Duration::from_hours(1));
    assert!(world.is_attached(&eni), "an init container may still choose it");
    world.hang_agent(false);
    world.run(Duration::from_mins(20));
    assert_eq!(world.phases(), [Phase::Attached], "another one took its place");
    assert_eq!(world.ours(), 1);
    world.hang_agent(true);
    world.terminate();
    world.drain();
    world.run(Duration::from_mins(40));
    nothing_left(&world, "without an instance nobody chooses it");
}

#[test]
fn a_registry_that_does_not_answer_is_read_ever_less_often() {
    let mut agent = ManagedInterfaces::new();
    let why = RegistryFailure {
        kind: RegistryKind::Refused,
        effect: Effect::None,
        detail: "no such kind".to_owned(),
    };
    let (cluster, node) = ("test".parse().unwrap(), "n1".parse().unwrap());
    let inputs = Inputs {
        cluster: &cluster,
        node: &node,
        identity: None,
        described: None,
        limits: None,
        vpc_cni: None,
    };
    agent.pools(true, Moment::default());
    let mut reads = 0;
    for second in 0..3_600 {
        let now = Moment(Duration::from_secs(second));
        while let Some(task) = agent.due(&inputs, now) {
            let is_read = task == Task::Interface(InterfaceStep::Read);
            reads += u32::from(is_read);
            let failed = StepEnd::Read(Err(why.clone()));
            agent.ended(if is_read { failed } else { StepEnd::Done }, now);
        }
    }
    assert!((10..=20).contains(&reads), "{reads} reads in an hour");
}

#[test]
fn an_interface_that_cannot_be_attached_is_removed_and_the_node_becomes_ready() {
    let mut world = World::new(&[]);
    world.fate(Fate::NoSlot);
    world.run(Duration::from_secs(61));
    assert!(world.is_taint_lifted(), "the node is usable without it");
    world.run(Duration::from_mins(20));
    assert_eq!(world.ours(), 0);
    assert!(world.count("CreateNetworkInterface") <= 1, "{:?}", world.calls());
}

#[test]
fn while_ec2_denies_the_calls_they_are_sent_ever_less_often() {
    let mut world = World::new(&[]);
    world.fate(Fate::Denied);
    world.run(Duration::from_hours(1));
    let calls = world.count("CreateNetworkInterface");
    assert!((8..=24).contains(&calls), "{calls} calls in an hour");
    assert!(world.is_taint_lifted());
    world.fate(Fate::Well);
    world.run(Duration::from_mins(45));
    assert_eq!(world.phases(), [Phase::Attached]);
}

#[test]
fn throttled_calls_give_no_interface_up() {
    let mut world = World::new(&[]);
    world.fate(Fate::Throttled);
    world.run(Duration::from_hours(2));
    assert!(world.count("CreateNetworkInterface") > 8, "{:?}", world.calls());
    assert_eq!(world.phases(), [Phase::Creating]);
    world.fate(Fate::Well);
    world.run(Duration::from_mins(6));
    assert_eq!(world.phases(), [Phase::Attached]);
}

#[test]
fn members_do_not_get_a_draining_interface_although_no_pool_wants_interfaces_any_more() {
    let mut world = World::new(&[]);
    world.run(Duration::from_mins(1));
    world.want(false);
    world.drain();
    world.run(Duration::from_secs(1));
    assert!(!world.members_get_it(), "a member would get it");
}

#[test]
fn while_no_pool_wants_interfaces_an_agent_reads_once_and_lifts_the_startup_taint() {
    let mut world = World::new(&[]);
    world.want(false);
    world.run(Duration::from_hours(1));
    assert!(world.is_taint_lifted(), "whoever registers nodes with the taint may not know");
    assert_eq!((world.count("read"), world.calls().len()), (1, 0));
}

#[test]
fn a_startup_taint_that_cannot_be_removed_is_tried_ever_less_often_and_delays_no_interface() {
    let mut world = World::new(&[]);
    world.fate(Fate::NoUntaint);
    world.run(Duration::from_mins(10));
    assert_eq!(world.phases(), [Phase::Attached]);
    let tries = world.count("untaint");
    assert!((4..=12).contains(&tries), "{tries} tries in ten minutes");
    world.fate(Fate::Well);
    world.run(Duration::from_mins(6));
    assert!(world.is_taint_lifted());
}

#[test]
fn an_instance_that_ec2_calls_gone_for_a_moment_keeps_its_interface() {
    let mut world = World::new(&[]);
    world.run(Duration::from_mins(1));
    world.hide_node(true);
    world.run(Duration::from_secs(90));
    world.hide_node(false);
    world.run(Duration::from_mins(30));
    assert_eq!(world.phases(), [Phase::Attached]);
    let created = world.count("CreateNetworkInterface");
    assert_eq!(created, 1, "two answers within a minute prove nothing");
}

#[test]
fn an_interface_that_somebody_deleted_is_made_again() {
    let mut world = World::new(&[]);
    world.run(Duration::from_mins(1));
    // The second time, the name of the first record is free again.
    for _time in 0..2 {
        world.delete_by_hand();
        world.run(Duration::from_mins(20));
        assert_eq!(world.phases(), [Phase::Attached], "another one takes its place");
        assert_eq!(world.ours(), 1);
    }
}
