//! EC2: what authorises an Assign, and what follows from each of its answers.

use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::Attach;
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudKind, Effect};
use firecamp_core::machine::{Machine, Outcome, Path};
use firecamp_core::outside::Owner;

use super::rig::{
    Rig, TICK, attach, cloud, is_assign, is_fresh, is_listed, is_owner, is_write, lost, refused,
};
use super::world::{World, on};

/// An attach whose first Assign is about to be sent.
fn assigning(owner: Owner) -> Rig<Attach> {
    let mut rig = attach(World { owner, ..World::parked_elsewhere() });
    rig.until(is_assign);
    rig
}

fn force(action: &Action) -> Option<bool> {
    if let Action::Assign { force, .. } = action { Some(*force) } else { None }
}

#[test]
fn a_call_is_authorised_for_as_long_as_a_call_may_take_and_no_longer() {
    let mut rig = attach(World::parked_elsewhere());
    rig.until(is_write);
    let asked = rig.now;
    rig.until(is_assign);
    let Action::Assign { not_after, force, .. } = rig.action() else { unreachable!() };
    assert_eq!(not_after, asked.plus(timing::CALL_BOUND), "counted from before the take");
    assert!(force, "the owner is an ENI of the cluster");
}

/// What follows a take whose answer took so long, with an owner that needs no force.
fn after_slow_take(took: Duration) -> Action {
    let mut rig = attach(World { owner: Owner::Nobody, ..World::parked_elsewhere() });
    rig.until(is_write).step_after(took);
    rig.until(is_owner).step_after(Duration::ZERO);
    rig.action()
}

#[test]
fn a_take_that_leaves_too_little_time_is_followed_by_a_fresh_read() {
    let enough = timing::CALL_BOUND.saturating_sub(timing::CALL_MINIMUM);
    assert!(matches!(after_slow_take(enough), Action::NoteAssign(_)));
    assert!(is_fresh(&after_slow_take(enough + TICK)));
}

/// An attach that reads the record afresh because its Assign was throttled.
fn afresh(owner: Owner) -> Rig<Attach> {
    let mut rig = assigning(owner);
    rig.tell(refused(CloudKind::Throttled));
    assert!(is_fresh(&rig.after_pause()));
    rig
}

#[test]
fn a_fresh_read_authorises_only_if_it_was_fast_enough() {
    let enough = timing::CALL_BOUND.saturating_sub(timing::CALL_MINIMUM);
    let mut rig = afresh(Owner::Nobody);
    rig.step_after(enough);
    assert!(matches!(rig.action(), Action::NoteAssign(_)), "{:?}", rig.action());
    let mut rig = afresh(Owner::Nobody);
    rig.step_after(enough + TICK);
    assert!(is_fresh(&rig.after_pause()), "and it is read again");
}

#[test]
fn force_needs_a_look_that_is_younger_than_a_call_may_be_and_a_free_address_none() {
    let mut rig = afresh(on('b'));
    rig.step();
    assert!(matches!(rig.action(), Action::NoteAssign(_)), "the look was just now");
    for (owner, again) in [(on('b'), true), (Owner::Nobody, false)] {
        let mut rig = assigning(owner);
        rig.tell(refused(CloudKind::Throttled));
        rig.tell_after(Reply::Waited, timing::CALL_BOUND);
        assert!(is_fresh(&rig.action()));
        rig.step();
        assert_eq!(is_owner(&rig.action()), again, "{:?}", rig.action());
    }
}

#[test]
fn a_lost_answer_leaves_the_call_in_flight_and_a_refusal_does_not() {
    let mut rig = assigning(Owner::Nobody);
    rig.tell(lost());
    assert!(is_listed(&rig.after_pause()), "the metadata service may tell");
    let mut rig = assigning(Owner::Nobody);
    rig.tell(refused(CloudKind::Transient));
    assert!(is_fresh(&rig.after_pause()), "it is sent again");
}

#[test]
fn what_was_listed_before_proves_nothing_of_a_call_whose_answer_was_lost() {
    let mut world = World { owner: Owner::Nobody, ..World::parked_elsewhere() };
    world.list();
    let mut rig = attach(world);
    rig.until(is_assign).tell(lost());
    assert!(is_owner(&rig.after_pause()));
}

#[test]
fn the_record_is_put_back_only_while_no_call_can_have_changed_ec2() {
    let mut rig = assigning(Owner::Nobody);
    rig.tell(refused(CloudKind::CapacityExceeded));
    assert!(is_write(&rig.action()), "as it was before the take");
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::NoCapacity));

    let mut rig = assigning(Owner::Nobody);
    rig.tell(lost());
    rig.until(is_assign).tell(refused(CloudKind::CapacityExceeded));
    assert_eq!(rig.failed(), Some(Exit::NoCapacity), "the first call may yet land");
}

#[test]
fn what_ec2_has_assigned_is_not_put_back_when_the_deadline_passes() {
    let mut rig = assigning(Owner::Nobody);
    rig.step();
    assert!(is_listed(&rig.action()));
    rig.step_after(timing::ATTACH_DEADLINE);
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
    let mut rig = assigning(Owner::Nobody);
    rig.tell_after(refused(CloudKind::Throttled), timing::ATTACH_DEADLINE);
    assert!(is_write(&rig.action()), "nothing was assigned");
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
}

/// An attach whose Assign without force EC2 has refused because somebody has the address.
fn refused_as_held() -> Rig<Attach> {
    let mut rig = assigning(Owner::Nobody);
    assert_eq!(force(&rig.action()), Some(false));
    rig.tell(refused(CloudKind::HeldElsewhere));
    assert!(is_owner(&rig.action()));
    rig
}

#[test]
fn an_address_that_is_held_after_all_is_forced_only_from_whom_ec2_shows() {
    let mut rig = refused_as_held();
    rig.world.owner = on('b');
    rig.step();
    assert!(is_fresh(&rig.action()), "a call was sent under the authority of the take");
    rig.until(is_assign);
    assert_eq!(force(&rig.action()), Some(true));
}

#[test]
fn an_address_that_is_held_and_shown_nowhere_is_asked_for_again_after_a_while() {
    let mut rig = refused_as_held();
    rig.step();
    assert!(is_fresh(&rig.after_pause()));
    rig.until(is_assign);
    assert_eq!(force(&rig.action()), Some(false));
    rig.tell(refused(CloudKind::HeldElsewhere));
    assert!(is_owner(&rig.after_pause()), "more slowly the second time");
}

#[test]
fn that_it_was_here_all_along_is_believed_only_after_reads_have_caught_up() {
    let mut rig = refused_as_held();
    rig.world.owner = on('a');
    rig.step();
    let pause = rig.pause().expect("a pause");
    assert_eq!(pause.length, timing::DESCRIBE_LAG.saturating_sub(TICK));
    assert!(is_owner(&rig.after_pause()));
    rig.step_after(Duration::ZERO);
    assert!(matches!(rig.action(), Action::ReadRecord(_)), "{:?}", rig.action());
    let Outcome::Attached(done) = rig.end() else { unreachable!("{:?}", rig.machine.outcome()) };
    assert_eq!(done.path, Path::Moved);
}

#[test]
fn each_refusal_ends_in_its_own_way() {
    let after = |kind| {
        let mut rig = assigning(Owner::Nobody);
        rig.tell(refused(kind));
        if rig.pause().is_some() {
            return Err(rig.after_pause());
        }
        assert!(is_write(&rig.action()), "the record is put back");
        rig.end();
        Ok(rig.failed().expect("a failure"))
    };
    assert_eq!(after(CloudKind::CapacityExceeded), Ok(Exit::NoCapacity));
    assert_eq!(after(CloudKind::SubnetExhausted), Ok(Exit::NoCapacity));
    assert_eq!(after(CloudKind::BadAddress), Ok(Exit::AddressUnavailable));
    for kind in [CloudKind::Auth, CloudKind::Unknown, CloudKind::NotOurs] {
        assert_eq!(after(kind), Ok(Exit::CloudRefused));
    }
    for kind in [CloudKind::Throttled, CloudKind::Transient, CloudKind::Gone] {
        assert!(after(kind).is_err_and(|action| is_fresh(&action)), "{kind:?}");
    }
}

#[test]
fn a_look_that_fails_is_repeated_or_ends_the_attach() {
    let mut rig = attach(World::parked_elsewhere());
    rig.until(is_owner).tell(Reply::Owner(Err(cloud(CloudKind::Throttled, Effect::None))));
    assert!(matches!(rig.after_pause(), Action::ReadOwner(..)), "a new one, not the one begun");
    rig.tell(Reply::Owner(Err(cloud(CloudKind::Auth, Effect::None))));
    assert!(is_write(&rig.action()), "the record is put back");
}
