//! What follows each answer of EC2 and of the registry once an Unassign was announced.

use firecamp_core::action::{Action, Reply, Step};
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudKind, Effect, RegistryKind};
use firecamp_core::machine::{Machine, Release as Done};
use firecamp_core::outside::Owner;
use firecamp_core::record::{Mark, Mutation, State, StaticIp};
use firecamp_core::release::Release;

use super::super::rig::{Rig, TICK, cloud, is_fresh, is_owner, is_write, lost, refused, unwritten};
use super::super::world::{eni, on, parsed};
use super::{calling, done, intending, is_call};

#[test]
fn each_answer_to_an_unassign_leads_its_own_way() {
    let after = |kind| {
        let mut rig = calling();
        rig.tell(refused(kind));
        if rig.pause().is_some() { rig.after_pause() } else { rig.action() }
    };
    assert!(is_fresh(&after(CloudKind::Throttled)) && is_fresh(&after(CloudKind::Transient)));
    assert!(is_owner(&after(CloudKind::NotOurs)) && is_owner(&after(CloudKind::Gone)));
    for kind in [
        CloudKind::HeldElsewhere,
        CloudKind::CapacityExceeded,
        CloudKind::SubnetExhausted,
        CloudKind::BadAddress,
        CloudKind::Auth,
        CloudKind::Unknown,
    ] {
        let mut rig = calling();
        rig.tell(refused(kind));
        assert_eq!(rig.failed(), Some(Exit::CloudRefused), "{kind:?}");
    }
    let mut rig = calling();
    rig.tell(lost());
    assert!(is_fresh(&rig.after_pause()), "only a definite answer says that it is out");
    rig.step();
    assert!(is_call(&rig.action()));
}

#[test]
fn the_mark_stays_until_a_call_without_an_answer_is_out_of_the_way() {
    let mut rig = calling();
    let Action::Unassign { not_after, .. } = rig.action() else { unreachable!() };
    rig.tell(lost());
    rig.after_pause();
    let asked = rig.now;
    rig.until(is_call);
    rig.step();
    let pause = rig.pause().expect("a pause");
    assert_eq!(rig.now.plus(pause.length), not_after, "of the call that was lost, not the last");
    assert!(asked.plus(timing::CALL_BOUND) > not_after);
    rig.step();
    assert!(is_write(&rig.action()));
    // The later of two.
    let mut rig = calling();
    rig.tell(lost());
    rig.after_pause();
    rig.until(is_call);
    let Action::Unassign { not_after, .. } = rig.action() else { unreachable!() };
    rig.tell(lost());
    rig.until(is_call).step();
    assert_eq!(rig.now.plus(rig.pause().expect("a pause").length), not_after);
}

#[test]
fn a_call_that_is_out_of_the_way_by_then_is_not_waited_for() {
    let mut rig = calling();
    let Action::Unassign { not_after, .. } = rig.action() else { unreachable!() };
    rig.tell(lost());
    rig.after_pause();
    rig.until(is_call);
    let left = not_after.since(rig.now);
    assert!(!left.is_zero());
    rig.step_after(left);
    assert!(is_write(&rig.action()), "{:?}", rig.action());
}

/// A release that EC2 has told that the address is not on the ENI that it named.
fn not_there() -> Rig<Release> {
    let mut rig = calling();
    rig.tell(refused(CloudKind::NotOurs));
    assert!(is_owner(&rig.action()));
    rig
}

#[test]
fn an_address_that_nobody_has_is_out_once_reads_have_caught_up() {
    let mut rig = not_there();
    rig.world.owner = Owner::Nobody;
    rig.step();
    assert_eq!(rig.pause().expect("a pause").length, timing::DESCRIBE_LAG.saturating_sub(TICK));
    assert!(is_owner(&rig.after_pause()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Free(4)));
    assert_eq!(done(&mut rig), Done::Unassigned);
    assert_eq!(rig.world.record().reserved_on, None);
}

#[test]
fn a_read_that_contradicts_ec2_s_own_answer_lags_or_shows_a_successor() {
    let mut rig = not_there();
    rig.world.owner = on('a');
    rig.step();
    assert!(is_fresh(&rig.after_pause()), "a successor would be in the record");
    rig.step();
    assert!(is_call(&rig.action()));
}

#[test]
fn an_address_on_another_eni_of_the_record_is_marked_and_unassigned_there() {
    let mark = Mark { mutation: Mutation::Assign, eni: eni('b'), run: parsed("run-other") };
    let mut rig = intending(|ip| _ = ip.unsettled.insert(mark));
    rig.until(is_call).tell(refused(CloudKind::NotOurs));
    rig.world.owner = on('b');
    rig.step();
    assert!(is_write(&rig.action()), "the record, before the call");
    let asked = rig.now;
    rig.step();
    let Action::Unassign { eni: from, not_after, .. } = rig.action() else { unreachable!() };
    assert_eq!((from, not_after), (eni('b'), asked.plus(timing::CALL_BOUND)));
    let own = |ip: &StaticIp| ip.unsettled.iter().filter(|m| m.run == parsed("run-now")).count();
    assert_eq!(own(&rig.world.record()), 2, "both of its calls are announced");
    assert_eq!(done(&mut rig), Done::Unassigned);
    assert_eq!(own(&rig.world.record()), 0);
}

#[test]
fn an_address_on_a_stranger_s_eni_or_as_a_primary_one_is_not_touched() {
    let Owner::Eni(mut primary) = on('a') else { unreachable!() };
    primary.primary = true;
    for owner in [on('c'), Owner::Eni(primary)] {
        let mut rig = not_there();
        rig.world.owner = owner;
        rig.step();
        assert!(is_owner(&rig.after_pause()));
        rig.step();
        assert!(is_write(&rig.action()), "it is recorded as out of ours");
        assert_eq!(done(&mut rig), Done::Unassigned);
    }
}

/// A redirection whose answer was lost; whether it had landed.
fn unheard_redirection(landed: bool) -> Rig<Release> {
    let mark = Mark { mutation: Mutation::Assign, eni: eni('b'), run: parsed("run-other") };
    let mut rig = intending(|ip| _ = ip.unsettled.insert(mark));
    rig.until(is_call).tell(refused(CloudKind::NotOurs));
    rig.world.owner = on('b');
    rig.step();
    if landed {
        let action = rig.action();
        rig.world.answer(&action);
    }
    rig.tell(unwritten(RegistryKind::Unavailable, Effect::Unknown));
    assert!(is_fresh(&rig.after_pause()));
    rig
}

#[test]
fn a_redirection_that_was_not_heard_is_written_once_more() {
    for landed in [false, true] {
        let mut rig = unheard_redirection(landed);
        rig.step();
        assert!(is_write(&rig.action()));
        rig.step();
        let Action::Unassign { eni: from, .. } = rig.action() else { unreachable!() };
        assert_eq!(from, eni('b'));
    }
}

#[test]
fn a_recording_that_was_not_heard_stands_or_is_written_again() {
    for landed in [false, true] {
        let mut rig = calling();
        rig.step();
        assert!(is_write(&rig.action()));
        if landed {
            let action = rig.action();
            rig.world.answer(&action);
        }
        rig.tell(unwritten(RegistryKind::Unavailable, Effect::Unknown));
        assert!(is_fresh(&rig.after_pause()));
        rig.step();
        assert_eq!(is_write(&rig.action()), !landed);
        assert_eq!(done(&mut rig), Done::Unassigned);
    }
}

#[test]
fn a_registry_that_refuses_a_write_ends_it() {
    for kind in [RegistryKind::Invalid, RegistryKind::Refused, RegistryKind::NotFound] {
        let mut rig = intending(|_ip| {});
        rig.tell(unwritten(kind, Effect::None));
        assert_eq!(rig.failed(), Some(kind.exit()), "{kind:?}");
    }
}

#[test]
fn a_look_that_fails_is_repeated_unless_a_person_must_mend_it() {
    let mut rig = not_there();
    rig.tell(Reply::Owner(Err(cloud(CloudKind::Throttled, Effect::None))));
    assert!(is_owner(&rig.after_pause()));
    rig.tell(Reply::Owner(Err(cloud(CloudKind::Auth, Effect::None))));
    assert_eq!(rig.failed(), Some(Exit::CloudRefused));
}

#[test]
fn a_record_that_names_no_eni_has_nothing_to_unassign() {
    let mut rig = intending(|ip| {
        ip.attachment.as_mut().expect("attached").eni = None;
        ip.reserved_on = None;
    });
    rig.step();
    assert_eq!(done(&mut rig), Done::Parked);
    assert_eq!(rig.world.record().attachment.expect("parked").state, State::Parked);
}
